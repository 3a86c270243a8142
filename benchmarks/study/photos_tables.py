"""The tables of the photographs."""

from pathlib import Path

from page import table
from photos import SEQUENCES
from qwen_tables import HEADER, Rows, differences, means
from store import Result

STAGES = {"scenes": "the demo's SFT alone", "before": "SFT on tiles", "after": "GRPO"}
LABELS = {"positional": "positional", "iou": "IoU"}


def blocks(results: list[Result], figures: Path) -> dict[str, str]:
    arms: dict[str, Rows] = {reward: {} for reward in LABELS}
    for result in results:
        arms[result.config.reward][result.config.held_out, result.config.seed] = result.values
    arms = {reward: rows for reward, rows in arms.items() if rows}
    return {"photos: levels": _levels(arms), "photos: differences": _differences(arms)}


def _levels(arms: dict[str, Rows]) -> str:
    """Greedy Acc@0.5 and mIoU on each sequence held out, the mean of its runs."""
    lines = []
    for when, label in STAGES.items():
        for reward, rows in arms.items():
            if when == "after" or reward == next(iter(arms)):
                name = f"{label}, {LABELS[reward]}" if when == "after" else label
                lines.append([name, *_cells(rows, when)])
    return table(["", *(f"{name}, {figure}" for name in SEQUENCES for figure in ("Acc@0.5", "mIoU"))], lines)


def _cells(rows: Rows, when: str) -> list[str]:
    cells = []
    for sequence in SEQUENCES:
        for key in ("acc@0.5", "miou"):
            of = [row[when]["greedy"][key] for (name, _), row in rows.items() if name == sequence]
            cells.append(f"{sum(of) / len(of):.3f}" if of else "—")
    return cells


def _differences(arms: dict[str, Rows]) -> str:
    """Over sequences and seeds."""
    sft = {key: row for rows in arms.values() for key, row in rows.items()}
    lines = [["SFT on tiles", str(len(sft)), *means(sft, "before")]]
    for reward, rows in arms.items():
        lines.append([f"change by GRPO, {LABELS[reward]}", str(len(rows)), *differences(rows, rows, "before")])
    if len(arms) > 1:
        positional, iou = arms["positional"], arms["iou"]
        lines.append(["positional − IoU", str(len(positional.keys() & iou.keys())), *differences(positional, iou)])
    return table(["", "runs", *HEADER], lines)
