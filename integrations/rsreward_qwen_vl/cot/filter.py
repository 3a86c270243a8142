"""Which chains are worth learning from."""

import re
from dataclasses import dataclass

import torch
from rsreward_tools.data.example import Example

from rsreward import Space, format_reward, iou, parse_answer, parse_box_sets, parse_boxes

from .instruction import teacher_instruction

RUN = 8  # so many words in a row that also stand in the instruction count as copied
_TOLD = re.compile(
    r"\b(?:given|provided|true|known|specified)\s+(?:bounding\s+)?box\b|\bground[- ]truth\b", re.IGNORECASE
)

REASONS = {
    "incomplete": "it is not <think>...</think><answer>...</answer> with one box",
    "wrong-box": "the box of its answer overlaps the true one by less than the threshold",
    "inconsistent": "it mentions boxes, and none of them is the box of its answer",
    "copied": "it repeats the instruction, or says that it was told the box",
}


@dataclass(frozen=True)
class Filter:
    """The paper's filter of incomplete chains, inconsistent coordinates and wrong boxes; the details are ours.

    Attributes:
        space: the coordinate space that the completions are written in.
        min_iou: the least overlap that counts as the same box.
    """

    space: Space
    min_iou: float = 0.7

    def __call__(self, completion: str, example: Example) -> str | None:
        """A key of `REASONS` for a chain to drop, None for one to keep."""
        if not format_reward([completion], kind="horizontal").item():
            return "incomplete"
        size = {"space": self.space, "width": example.width, "height": example.height}
        answer = parse_boxes([completion], **size)  # type: ignore[arg-type]
        if iou(answer, torch.tensor([example.boxes[0]])).item() < self.min_iou:
            return "wrong-box"
        thought = completion.partition("<think>")[2].partition("</think>")[0]
        (mentioned,) = parse_box_sets([thought], **size)  # type: ignore[arg-type]
        mentioned = mentioned[mentioned.isfinite().all(-1)]
        points = parse_answer(thought).dialect == "corner-pairs"  # two points in a row, which are not a box in prose
        if not points and len(mentioned) and iou(mentioned, answer).max().item() < self.min_iou:
            return "inconsistent"
        return "copied" if self._is_copied(thought, example) else None

    def _is_copied(self, thought: str, example: Example) -> bool:
        told = teacher_instruction(example.query, example.boxes[0], example.width, example.height, self.space)
        told_words, words = told.lower().split(), thought.lower().split()
        runs = {tuple(told_words[i : i + RUN]) for i in range(len(told_words) - RUN + 1)}
        copied: set[int] = set()
        for i in range(len(words) - RUN + 1):
            if tuple(words[i : i + RUN]) in runs:
                copied.update(range(i, i + RUN))
        return 2 * len(copied) > len(words) or _TOLD.search(thought) is not None
