"""The tables and the figure of the shared policy."""

from pathlib import Path
from typing import Any

import torch
from boxes_tables import save
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from page import change, mean, table, varied
from policy import interval
from shared import ARMS, RATES, SETTINGS, Shared
from store import Result

LABELS = {
    "none": "no weight",
    "constant": "constant of the paper's mean",
    "paper": "paper: both terms",
    "mean": "mean term alone",
    "variance": "variance term alone",
    "normalized": "paper, normalised",
    "univg": "exp(1 − mIoU) (UniVG-R1)",
    "inverse": "inverse, normalised",
    "iou": "IoU",
    "iou+distance": "IoU + 0.1 centre distance",
    "center 0.5": "positional, centre, beta 0.5",
    "region": "positional, region, beta 0.1",
    "region 0.5": "positional, region, beta 0.5",
    "keypoints 0.5": "positional, keypoints, beta 0.5",
}
OTHER_WEIGHTS, OTHER_REWARDS = (
    [name for name, (weight, _) in ARMS.items() if (weight != "none") is weighted] for weighted in (True, False)
)
OTHER_REWARDS.remove("none")
KINDS = {"": "easy and hard", "_easy": "easy", "_hard": "hard"}
Row = dict[str, Any]


def blocks(results: list[Result], figures: Path) -> dict[str, str]:
    own, equal = chosen(results)
    draw_changes(own, figures / "study_weight.svg")
    return {
        "shared: levels": _levels(own),
        **{f"shared: own rate, {kind}": _changes(own, f"miou{key}", OTHER_WEIGHTS) for key, kind in KINDS.items()},
        "shared: own rate, Acc@0.5": _changes(own, "acc_hard", OTHER_WEIGHTS),
        "shared: equal rate": _changes(equal, "miou", OTHER_WEIGHTS),
        **{
            f"shared: rewards, {kind}": _changes(own, f"miou{key}", OTHER_REWARDS) for key, kind in KINDS.items() if key
        },
        "shared: rates": _rates(own),
        "shared: collapse": _collapse(results),
    }


def chosen(results: list[Result]) -> tuple[dict[str, dict[str, Row]], dict[str, dict[str, Row]]]:
    """The rows of each setting by weight: each at the rate that is best for it on validation scenes; all at one rate.

    The one rate is the best without a weight.
    """
    own: dict[str, dict[str, Row]] = {}
    equal: dict[str, dict[str, Row]] = {}
    for setting, default in SETTINGS.items():
        rows = varied(results, default, "weight", "reward", "rate")
        rates = RATES[default.optimizer]
        best = {name: max(rates, key=lambda rate: sum(rows[*arm, rate]["validation"])) for name, arm in ARMS.items()}
        own[setting] = {name: rows[*arm, best[name]] | {"rate": best[name]} for name, arm in ARMS.items()}
        equal[setting] = {name: rows[*arm, best["none"]] for name, arm in ARMS.items()}
    return own, equal


def _levels(own: dict[str, dict[str, Row]]) -> str:
    header = ["setting", *(f"{when}, {kind}" for kind in ("easy", "hard") for when in ("start", "end"))]
    header += ["Acc@0.5, easy", "Acc@0.5, hard"]
    lines = []
    for setting, rows in own.items():
        row = rows["none"]
        miou = [text for key in ("miou_easy", "miou_hard") for text in (mean(row["curve"][key][0]), mean(row[key]))]
        lines.append([setting, *miou, mean(row["acc_easy"]), mean(row["acc_hard"])])
    return table(header, lines)


def _changes(rows: dict[str, dict[str, Row]], key: str, names: list[str]) -> str:
    """A figure of these arms less that of the default reward without a weight."""
    lines = [[LABELS[name], *(change(of[name][key], of["none"][key]) for of in rows.values())] for name in names]
    return table(["", *rows], lines)


def _rates(own: dict[str, dict[str, Row]]) -> str:
    lines = [[LABELS[name], *(f"{of[name]['rate']:g}" for of in own.values())] for name in LABELS]
    means = [f"{own[setting]['paper']['weight']:.2f}" for setting in own]
    return table(["best rate", *own], [*lines, ["mean of the paper's weight", *means]])


def _collapse(results: list[Result]) -> str:
    """How many seeds end below the mIoU that they started with, by reward and rate, half of the targets being hard."""
    rows = varied(results, Shared(), "reward", "rate")
    lines = []
    for reward, label in (("iou", "IoU"), ("center", "positional")):
        cells = []
        for rate in RATES["adam"]:
            row = rows[reward, rate]
            lost = sum(end < start for end, start in zip(row["miou"], row["curve"]["miou"][0], strict=True))
            cells.append(f"{lost} of {len(row['miou'])}; {mean(row['miou'])}")
        lines.append([label, *cells])
    return table(["reward", *(f"rate {rate:g}" for rate in RATES["adam"])], lines)


def draw_changes(own: dict[str, dict[str, Row]], path: Path) -> None:
    """mIoU less that without a weight, on easy and on hard scenes, a panel for each setting."""
    figure = Figure(figsize=(13, 5.8), layout="constrained")
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    names = OTHER_WEIGHTS
    for axis, (setting, rows) in zip(axes.flat, own.items(), strict=False):
        for shift, (key, colour) in enumerate({"miou_easy": "C0", "miou_hard": "C3"}.items()):
            points = [interval(torch.tensor(rows[name][key]) - torch.tensor(rows["none"][key])) for name in names]
            middle, half = zip(*points, strict=True)
            places = [place + 0.25 * shift for place in range(len(names))]
            label = key.removeprefix("miou_")
            axis.errorbar(middle, places, xerr=half, fmt="o", color=colour, markersize=4, capsize=2, label=label)
        axis.axvline(0, color="black", linewidth=0.8)
        axis.set_title(setting, fontsize=10)
        axis.set_yticks(range(len(names)), [LABELS[name] for name in names], fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.grid(alpha=0.25)
    axes[0, 0].invert_yaxis()
    for axis in axes.flat[len(own) :]:
        axis.set_visible(False)
    figure.supxlabel("mIoU less that of no weight", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower right", fontsize=9)
    save(figure, path)
