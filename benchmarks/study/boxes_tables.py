"""The tables and the figure of policies over boxes, and of what rewards pay for hacks."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from boxes import ALPHAS, BETAS, DISTANCES, FORMS, NOISES, RATES, REWARDS, TURNS, Boxes
from matplotlib import rc_context
from matplotlib.figure import Figure
from page import change, mean, table, varied
from policy import interval
from store import Result

LABELS = {
    "iou": "IoU",
    "giou": "GIoU",
    "diou": "DIoU",
    "distance": "centre distance",
    "iou+distance": "IoU + 0.1 centre distance",
    "center": "positional, centre (default)",
    "region": "positional, region",
    "keypoints": "positional, keypoints",
    "wasserstein": "positional, Wasserstein",
}
Rows = dict[tuple[Any, ...], dict[str, Any]]


def blocks(results: list[Result], figures: Path) -> dict[str, str]:
    by_distance = at_best_rate(varied(results, Boxes(), "reward", "distance", "rate"))
    draw_curves(by_distance, figures / "study_distance.svg")
    return {
        "boxes: distance": _distance(by_distance),
        "boxes: alpha and beta": _alpha_beta(varied(results, Boxes(), "reward", "alpha", "beta", "distance")),
        "boxes: form and beta": _form_beta(varied(results, Boxes(distance=1.0), "reward", "beta", "noise")),
        "boxes: noise and size": _noise_size(results),
        "boxes: oriented": _oriented(varied(results, Boxes(distance=1.0, aspect=3.0, targets=20), "reward", "turn")),
    }


def at_best_rate(rows: Rows) -> Rows:
    """Each reward at each distance, at the rate that gives it the greatest mIoU there."""
    return {
        (reward, d): max((rows[reward, d, rate] | {"rate": rate} for rate in RATES), key=lambda row: sum(row["miou"]))
        for reward in REWARDS for d in DISTANCES
    }  # fmt: skip


def _distance(rows: Rows) -> str:
    header = ["reward", *(f"mIoU, d = {d:g}" for d in DISTANCES), "Acc@0.5, d = 5", "best rates"]
    header += [f"no gradient, d = {d:g}" for d in DISTANCES]
    lines = []
    for reward in REWARDS:
        own = [rows[reward, d] for d in DISTANCES]
        rates = ", ".join(f"{row['rate']:g}" for row in own)
        silent = [f"{100 * interval(torch.tensor(row['silent']))[0]:.0f} %" for row in own]
        lines.append([LABELS[reward], *(mean(row["miou"]) for row in own), mean(own[-1]["acc"]), rates, *silent])
    return table(header, lines)


def _alpha_beta(rows: Rows) -> str:
    """mIoU of each form, alpha and beta, less that of the default at the same distance."""
    columns = [("center", d) for d in DISTANCES] + [("region", 3.0), ("keypoints", 3.0)]
    header = ["alpha", "beta", *(f"{form}, d = {d:g}" for form, d in columns)]
    default = [mean(rows["center", 2.5, 0.1, d]["miou"]) for _, d in columns]
    lines = [["mIoU of the default, 2.5", "0.1", *default]]
    for alpha in ALPHAS:
        for beta in BETAS:
            cells = [
                change(rows[form, alpha, beta, d]["miou"], rows["center", 2.5, 0.1, d]["miou"]) for form, d in columns
            ]
            lines.append([f"{alpha:g}", f"{beta:g}", *cells])
    return table(header, lines)


def _form_beta(rows: Rows) -> str:
    """mIoU of each form and beta less the default's at each noise, and the sides of its boxes over the true ones."""
    arms = [("iou", 0.1), *((form, beta) for form in FORMS for beta in BETAS)]
    header = ["reward", "beta", *(f"noise {noise:g}" for noise in NOISES), *(f"sides, noise {n:g}" for n in NOISES)]
    default = [mean(rows["center", 0.1, noise]["miou"]) for noise in NOISES]
    lines = [["mIoU of the default", "0.1", *default, *("" for _ in NOISES)]]
    for reward, beta in arms:
        own = [rows[reward, beta, noise] for noise in NOISES]
        against = [rows["center", 0.1, noise] for noise in NOISES]
        changes = [change(a["miou"], b["miou"]) for a, b in zip(own, against, strict=True)]
        sides = [f"{interval(torch.tensor(row['sides']))[0]:.2f}" for row in own]
        lines.append(
            [LABELS[reward].replace(" (default)", ""), "0" if reward == "iou" else f"{beta:g}", *changes, *sides]
        )
    return table(header, lines)


def _noise_size(results: Sequence[Result]) -> str:
    noise, side, aspect = (varied(results, Boxes(), "reward", name) for name in ("noise", "side", "aspect"))
    columns: list[tuple[str, Rows, float]] = [
        ("as above", noise, 0.5), ("noise 0.25", noise, 0.25), ("noise 1", noise, 1.0),
        ("side 2 %", side, 0.02), ("side 20 %", side, 0.2), ("4 : 1", aspect, 4.0),
    ]  # fmt: skip
    lines = [[LABELS[reward], *(mean(rows[reward, value]["miou"]) for _, rows, value in columns)] for reward in REWARDS]
    return table(["reward", *(name for name, _, _ in columns)], lines)


def _oriented(rows: Rows) -> str:
    lines = [
        [LABELS[reward].replace(" (default)", ""), *(mean(rows[reward, turn]["miou"]) for turn in TURNS)]
        for reward in ("iou", "center", "region", "wasserstein")
    ]
    return table(["reward", *(f"mIoU, off by {turn:g}°" for turn in TURNS)], lines)


def draw_curves(rows: Rows, path: Path) -> None:
    """Greedy mIoU over the steps, a panel for each starting distance, a band for the 95 % interval over seeds."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    axes = figure.subplots(1, len(DISTANCES), sharey=True)
    for axis, distance in zip(axes, DISTANCES, strict=True):
        for colour, reward in enumerate(REWARDS):
            row = rows[reward, distance]
            points = [interval(torch.tensor(point)) for point in row["curve"]]
            middle, half = torch.tensor(points).T
            style = "--" if reward in FORMS else "-"
            axis.plot(row["steps"], middle, style, color=f"C{colour}", linewidth=1.5, label=LABELS[reward])
            axis.fill_between(row["steps"], middle - half, middle + half, color=f"C{colour}", alpha=0.2, linewidth=0)
        axis.set(title=f"start {distance:g} sides away", xlabel="step")
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("greedy mIoU")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """As SVG, the same bytes for the same figure."""
    with rc_context({"svg.hashsalt": "rsreward"}):
        figure.savefig(path, metadata={"Date": None})


def hack_blocks(results: list[Result], figures: Path) -> dict[str, str]:
    row = results[0].values
    paid = [[answer, *(_plain(by[reward]) for reward in REWARDS)] for answer, by in row["paid"].items()]
    several = [
        [answer, *(_plain(by[name]) for name in ("first", "best", "set"))] for answer, by in row["several"].items()
    ]
    return {
        "hacks: one box": table(["answer", *(LABELS[reward].replace(" (default)", "") for reward in REWARDS)], paid),
        "hacks: several boxes": table(["answer", "first box", "best box", "`set_reward`"], several),
    }


def _plain(values: Sequence[float]) -> str:
    middle, half = interval(torch.tensor(values))
    return f"{middle:.3f}" if half < 0.0005 else f"{middle:.3f} ± {half:.3f}"
