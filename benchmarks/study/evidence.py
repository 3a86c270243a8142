"""The one figure of the README: what each part of the study says of the rewards and of the weight."""

from pathlib import Path
from typing import Any

import torch
from boxes import DISTANCES, Boxes
from boxes_tables import LABELS, at_best_rate, save
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from page import varied
from policy import interval
from qwen import LEVELS
from qwen_tables import PAIRS, arms_of
from shared_tables import chosen
from store import Result

SHOWN = ("iou", "giou", "diou", "center", "region")
NEEDED = ("boxes", "shared", "qwen")


def draw(results: dict[str, list[Result]], path: Path) -> None:
    """Three panels: rewards by starting distance, the weight on easy and hard scenes, and the arms of the Qwen-VL."""
    figure = Figure(figsize=(12, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    _distances(left, results["boxes"])
    _weight(middle, results["shared"])
    _arms(right, results["qwen"])
    for axis in (left, middle, right):
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
    save(figure, path)


def _distances(axis: Axes, results: list[Result]) -> None:
    rows = at_best_rate(varied(results, Boxes(), "reward", "distance", "rate"))
    for reward in SHOWN:
        middle, half = _points([rows[reward, d]["miou"] for d in DISTANCES])
        axis.errorbar(DISTANCES, middle, half, marker="o", markersize=4, capsize=2, label=LABELS[reward])
    axis.set_title("policies over boxes: mIoU at the end", fontsize=9)
    axis.set_xlabel("start: sides away from the target", fontsize=8)
    axis.set_xticks(DISTANCES)
    axis.legend(fontsize=7)


def _weight(axis: Axes, results: list[Result]) -> None:
    own, _ = chosen(results)
    for key, colour, shift in (("miou_easy", "C0", -0.12), ("miou_hard", "C3", 0.12)):
        changes = [_less(rows["normalized"][key], rows["none"][key]) for rows in own.values()]
        _dots(axis, changes, shift, colour, key.removeprefix("miou_") + " scenes")
    _names(axis, list(own), "a shared policy: mIoU, normalised weight − none")


def _arms(axis: Axes, results: list[Result]) -> None:
    for level, colour, shift in zip(LEVELS, ("C0", "C3"), (-0.12, 0.12), strict=True):
        arms = arms_of(results, level)
        changes = []
        for one, other in PAIRS.values():
            seeds = sorted(arms[one].keys() & arms[other].keys())
            pair = ([arms[arm][seed]["after"]["greedy"]["miou"] for seed in seeds] for arm in (one, other))
            changes.append(_less(*pair) if len(seeds) > 2 else [float("nan")])  # of two it would fill the panel
        _dots(axis, changes, shift, colour, level)
    _names(axis, list(PAIRS), "tiny Qwen-VL: greedy mIoU")


def _less(values: list[float], others: list[float]) -> list[float]:
    return (torch.tensor(values) - torch.tensor(others)).tolist()


def _points(values: list[list[float]]) -> tuple[Any, Any]:
    middle, half = zip(*(interval(torch.tensor(of)) for of in values), strict=True)
    return middle, half


def _dots(axis: Axes, changes: list[list[float]], shift: float, colour: str, label: str) -> None:
    middle, half = _points(changes)
    places = [place + shift for place in range(len(changes))]
    axis.errorbar(middle, places, xerr=half, fmt="o", color=colour, markersize=4, capsize=2, label=label)


def _names(axis: Axes, names: list[str], title: str) -> None:
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_title(title, fontsize=9)
    axis.legend(fontsize=7)
