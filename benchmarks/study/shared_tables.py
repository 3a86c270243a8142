"""The tables and the figure of the shared policy."""

from pathlib import Path
from typing import Any

import torch
from boxes_tables import save
from matplotlib.figure import Figure
from page import change, mean, table, varied
from policy import interval
from shared import RATES, SETTINGS, WEIGHTS
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
    "iou": "no weight, IoU as reward",
}
KINDS = {"": "easy and hard", "_easy": "easy", "_hard": "hard"}
Row = dict[str, Any]


def blocks(results: list[Result], figures: Path) -> dict[str, str]:
    own, equal = chosen(results)
    draw_changes(own, figures / "study_weight.svg")
    return {
        "shared: levels": _levels(own),
        **{f"shared: own rate, {kind}": _changes(own, f"miou{key}") for key, kind in KINDS.items()},
        "shared: own rate, Acc@0.5": _changes(own, "acc_hard"),
        "shared: equal rate": _changes(equal, "miou"),
        "shared: rates": _rates(own),
    }


def chosen(results: list[Result]) -> tuple[dict[str, dict[str, Row]], dict[str, dict[str, Row]]]:
    """The rows of each setting by weight: each at the rate that is best for it on validation scenes; all at one rate.

    The one rate is the best without a weight.
    """
    own: dict[str, dict[str, Row]] = {}
    equal: dict[str, dict[str, Row]] = {}
    for setting, default in SETTINGS.items():
        rows = varied(results, default, "weight", "reward", "rate")
        arms = {name: (name, "center") for name in WEIGHTS} | {"iou": ("none", "iou")}
        rates = RATES[default.optimizer]
        best = {name: max(rates, key=lambda rate: sum(rows[*arm, rate]["validation"])) for name, arm in arms.items()}
        own[setting] = {name: rows[*arm, best[name]] | {"rate": best[name]} for name, arm in arms.items()}
        equal[setting] = {name: rows[*arm, best["none"]] for name, arm in arms.items()}
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


def _changes(rows: dict[str, dict[str, Row]], key: str) -> str:
    lines = [
        [LABELS[name], *(change(of[name][key], of["none"][key]) for of in rows.values())]
        for name in LABELS
        if name != "none"
    ]
    return table(["less no weight", *rows], lines)


def _rates(own: dict[str, dict[str, Row]]) -> str:
    lines = [[LABELS[name], *(f"{of[name]['rate']:g}" for of in own.values())] for name in LABELS]
    means = [f"{own[setting]['paper']['weight']:.2f}" for setting in own]
    return table(["best rate", *own], [*lines, ["mean of the paper's weight", *means]])


def draw_changes(own: dict[str, dict[str, Row]], path: Path) -> None:
    """mIoU less that without a weight, on easy and on hard scenes, a panel for each setting."""
    figure = Figure(figsize=(13, 5.8), layout="constrained")
    axes = figure.subplots(2, 4, sharex=True, sharey=True)
    names = [name for name in LABELS if name != "none"]
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
        axis.grid(alpha=0.25)
    axes[0, 0].invert_yaxis()
    for axis in axes.flat[len(own) :]:
        axis.set_visible(False)
    figure.supxlabel("mIoU less that of no weight", fontsize=9)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="lower right", fontsize=9)
    save(figure, path)
