"""The tables and the figure of the tiny Qwen-VL."""

from pathlib import Path
from typing import Any

import torch
from boxes_tables import save
from matplotlib.figure import Figure
from page import change, mean, table
from qwen import ARMS, LEVELS
from store import Result

LABELS = {
    "iou": "IoU, no weight",
    "positional": "positional, no weight",
    "paper": "positional, paper's weight",
    "normalized": "positional, normalised weight",
}
FIGURES = {"acc@0.5": "Acc@0.5", "miou": "mIoU", "zero": "share with IoU 0"}
PAIRS = {
    "positional − IoU": ("positional", "iou"),
    "paper's weight − none": ("paper", "positional"),
    "normalised weight − none": ("normalized", "positional"),
}
KINDS = ("greedy", "sampled")
HEADER = [f"{label}, {kind}" for kind in KINDS for label in FIGURES.values()]
Rows = dict[Any, dict[str, Any]]  # by seed


def blocks(results: list[Result], figures: Path) -> dict[str, str]:
    by_level = {level: arms_of(results, level) for level in LEVELS}
    draw_curves(by_level, figures / "study_qwen.svg")
    told = {}
    for level, arms in by_level.items():
        told[f"qwen: {level}"] = _ends(arms)
        told[f"qwen: {level}, differences"] = _differences(arms)
    return told


def arms_of(results: list[Result], level: str) -> dict[str, Rows]:
    """The rows of a level by arm and seed."""
    name = {arm: name for name, arm in ARMS.items()}
    arms: dict[str, Rows] = {name: {} for name in ARMS}
    for result in results:
        if result.config.level == level:
            arms[name[result.config.reward, result.config.weight]][result.config.seed] = result.values
    return arms


def _ends(arms: dict[str, Rows]) -> str:
    """Where SFT and each arm end, and what GRPO changed."""
    sft = {seed: row for rows in arms.values() for seed, row in rows.items()}
    lines = [["SFT", str(len(sft)), *means(sft, "before")]]
    lines += [[LABELS[name], str(len(rows)), *means(rows, "after")] for name, rows in arms.items()]
    lines += [
        [f"change by {LABELS[name]}", str(len(rows)), *differences(rows, rows, "before")] for name, rows in arms.items()
    ]
    return table(["", "seeds", *HEADER], lines)


def _differences(arms: dict[str, Rows]) -> str:
    lines = []
    for label, (one, other) in PAIRS.items():
        seeds = sorted(arms[one].keys() & arms[other].keys())
        early = change(*([first_half(arms[arm][seed]["curve"]) for seed in seeds] for arm in (one, other)))
        lines.append([label, str(len(seeds)), *differences(arms[one], arms[other]), early])
    return table(["difference", "seeds", *HEADER, "IoU of rollouts, first half"], lines)


def first_half(curve: list[float]) -> float:
    """The mean over the first half of the steps."""
    early = curve[: (len(curve) + 1) // 2]
    return sum(early) / len(early)


def means(rows: Rows, when: str) -> list[str]:
    """Each figure over the seeds."""
    return [mean([row[when][kind][key] for row in rows.values()]) for kind in KINDS for key in FIGURES]


def differences(one: Rows, other: Rows, when: str = "after") -> list[str]:
    """Each figure of one less that of the other, paired over the seeds that both have."""
    seeds = sorted(one.keys() & other.keys())
    return [
        change([one[s]["after"][kind][key] for s in seeds], [other[s][when][kind][key] for s in seeds])
        for kind in KINDS for key in FIGURES
    ]  # fmt: skip


def draw_curves(by_level: dict[str, dict[str, Rows]], path: Path) -> None:
    """The mean IoU of the rollouts over the steps, mean over seeds, a panel for each level."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots(1, len(by_level))
    for axis, (level, arms) in zip(axes, by_level.items(), strict=True):
        for name, rows in arms.items():
            if not rows:
                continue
            steps = next(iter(rows.values()))["steps"]
            curves = torch.tensor([row["curve"] for row in rows.values()])
            axis.plot(steps, curves.mean(0), label=LABELS[name])
        axis.set_title(level, fontsize=10)
        axis.set_xlabel("steps of GRPO", fontsize=9)
        axis.grid(alpha=0.25)
    axes[0].set_ylabel("mean IoU of the rollouts", fontsize=9)
    axes[0].legend(fontsize=8)
    save(figure, path)
