"""A watch on the reward while a model trains: one sentence where something is off, and counts for the logs.

Nothing here changes a score. The findings of `rsreward.frame` come from here too.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .answers import Answer, BoxKind
from .coordinates import Space
from .frame import FINDINGS, FrameCheck

FIRST, BLOCK = 64, 256  # rows before the first look, and at most between two
RISE = 0.3  # by how much the share of unreadable answers may rise over the least so far
WHOLE = 0.95  # of an image: a box of as much area says nothing
LEAST = 8  # rows that must show what does not fit: one of five may be chance
DISTINCT = 8  # true boxes, or groups, from which on it is told that answers are alike

# Of the rows, or of the groups, of a block: the share above which each is told, and the sentence.
SIGNS = {
    "unreadable-answers": (1.0, "{} hold no box that can be read, and there were fewer: are completions cut off?"),
    "groups-alike": (0.8, "{} have rollouts that all answer alike: nothing is learnt from them."),
    "same-box": (0.5, "{} are one and the same box, whatever is asked for."),
    "whole-image": (0.3, "{} are a box of the whole image."),
    "repeated-boxes": (0.3, "{} name a box twice."),
    "thoughts-unopened": (
        0.5,
        "{} close a thought that they do not open, and the format reward pays none of them: does the chat template "
        "open it in the prompt? Then set think_in_prompt=True.",
    ),
}
NAMES = (*FINDINGS, *SIGNS)


class _Row(NamedTuple):
    text: str
    answer: Answer
    target: NDArray[Any]  # (n, 4) or (n, 5), as are the predicted boxes, all in pixels
    pred: NDArray[Any]
    width: float | None
    height: float | None


class RewardWatch:
    """Looks at rows as they come: 64 first, then ever more up to 256 at a time, some 10 us a row.

    Rows with the same true boxes in the same look are taken for the rollouts of a group.

    Args:
        space: the coordinate space that the answers are read in.
        kind: "horizontal" or "oriented": what is read.
        think_in_prompt: the chat template opens the thought.

    Attributes:
        counts: for each of `NAMES` how many rows have shown it so far, of groups how many; 0s are left out.

    >>> import torch
    >>> from rsreward import parse_answer
    >>> watch, texts = RewardWatch("pixel"), [f"[0.1, 0.2, 0.3, 0.{i + 40}]" for i in range(64)]
    >>> boxes = [torch.tensor([[10.0, 10.0, 20.0, 20.0 + i]]) for i in range(64)]
    >>> watch.add(texts, [parse_answer(text) for text in texts], boxes, boxes, [500] * 64, [500] * 64)
    ["64 of 64 answers lie within 0..1, such as [0.1, 0.2, 0.3, 0.4] in an image of 500 x 500: are they in the space \
'unit'?"]
    >>> watch.counts
    {'answers-in-unit': 64}
    """

    def __init__(self, space: str | Space, kind: BoxKind = "horizontal", *, think_in_prompt: bool = False) -> None:
        self.check, self.think_in_prompt = FrameCheck(space, kind), think_in_prompt
        self.waiting: list[_Row] = []
        self.seen, self.next = 0, FIRST
        self.least_unreadable = 1.0
        self.signs: Counter[str] = Counter()
        self.findings: dict[str, int] = {}
        self.told: set[str] = set()

    @property
    def counts(self) -> dict[str, int]:
        return {name: rows for name, rows in (self.findings | self.signs).items() if rows}

    def add(
        self,
        texts: Sequence[str],
        answers: Sequence[Answer],
        targets: Tensor | Sequence[Tensor],
        preds: Tensor | Sequence[Tensor],
        width: Sequence[float | None] | None = None,
        height: Sequence[float | None] | None = None,
    ) -> list[str]:
        """Add N rows.

        Args:
            texts, answers: the completions, and what `parse_answer` has read of them.
            targets, preds: the true and the predicted boxes in pixels: a tensor with one row each, or N tensors.
            width, height: of the images.

        Returns:
            A sentence for each thing that is off and was not told before.
        """
        unknown = [None] * len(texts)
        boxes = map(_boxes_of_rows, (targets, preds))
        self.waiting += map(_Row, texts, answers, *boxes, width or unknown, height or unknown)
        return self._look() if len(self.waiting) >= min(max(FIRST, self.seen), BLOCK) else []

    def _look(self) -> list[str]:
        rows, self.waiting = self.waiting, []
        _, answers, targets, _, width, height = zip(*rows, strict=True)
        flat = torch.from_numpy(np.concatenate([boxes for boxes in targets if len(boxes)] or [np.empty((0, 4))]))
        counts = [len(boxes) for boxes in targets]
        self.check.update(answers, flat if set(counts) == {1} else torch.split(flat, counts), width, height)
        self.seen += len(rows)
        off = self._signs(rows)
        if self.seen >= self.next:  # this takes some 50 ms, so it is done ever more seldom
            self.next = 2 * self.seen
            found = [each for each in self.check.findings() if each.rows >= LEAST]
            self.findings = {each.finding: each.rows for each in found}
            off = {each.finding: each.message for each in found} | off
        new = [message for name, message in off.items() if name not in self.told]
        self.told.update(off)
        return new

    def _signs(self, rows: list[_Row]) -> dict[str, str]:
        """Count the signs of a block; the sentences of those that are too many."""
        groups: dict[object, list[object]] = {}
        for row in rows:
            groups.setdefault((row.target.tobytes(), row.width, row.height), []).append(row.answer.boxes)
        several = [group for group in groups.values() if len(group) > 1]
        alike = sum(len(set(group)) == 1 for group in several)
        most = max(Counter(row.answer.boxes[0] for row in rows if row.answer.boxes).values(), default=0)
        shown = {
            "unreadable-answers": sum(not row.answer.boxes and not row.answer.says_none for row in rows),
            "groups-alike": alike if len(several) >= DISTINCT else 0,
            "same-box": most if len(groups) >= DISTINCT and most > SIGNS["same-box"][0] * len(rows) else 0,
            "whole-image": sum(map(_is_whole, rows)),
            "repeated-boxes": sum("duplicate" in row.answer.problems for row in rows),
            "thoughts-unopened": 0 if self.think_in_prompt else sum(map(_is_unopened, rows)),
        }
        of = dict.fromkeys(SIGNS, f"{len(rows)} answers") | {"groups-alike": f"{len(several)} groups"}
        limits = {name: share * len(rows) for name, (share, _) in SIGNS.items()}
        limits["groups-alike"] = SIGNS["groups-alike"][0] * len(several)
        limits["unreadable-answers"] = (self.least_unreadable + RISE) * len(rows)
        self.least_unreadable = min(self.least_unreadable, shown["unreadable-answers"] / len(rows))
        self.signs.update(shown)
        off = [name for name, count in shown.items() if count > limits[name]]
        return {name: SIGNS[name][1].format(f"{shown[name]} of {of[name]}") for name in off}


def _boxes_of_rows(boxes: Tensor | Sequence[Tensor]) -> Iterable[NDArray[Any]]:
    """The boxes of each row, as arrays: to make thousands of tensors takes longer than all the looks at them."""
    rows = [boxes.unsqueeze(1)] if isinstance(boxes, Tensor) else boxes
    arrays = [each.detach().cpu().numpy() for each in rows]
    return arrays[0] if isinstance(boxes, Tensor) else arrays


def _is_unopened(row: _Row) -> bool:
    return "</think>" in row.text and "<think>" not in row.text


def _is_whole(row: _Row) -> bool:
    if row.width is None or row.height is None or not len(row.pred):
        return False
    a, b, c, d = row.pred[0].tolist()[:4]
    sides = (c, d) if row.pred.shape[1] == 5 else (c - a, d - b)
    return bool(sides[0] * sides[1] > WHOLE * row.width * row.height)
