"""A watch on the reward while a model trains: one sentence where something is off, and counts for the logs.

Nothing here changes a score. The findings of `rsreward.frame` and the signs of `rsreward.watch.signs` come from here.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..answers import Answer, BoxKind
from ..consistency import consistency_weight_from_statistics
from ..coordinates import Space
from ..frame import FINDINGS, FrameCheck
from .signs import SIGNS, Signs, covers_image, first_boxes

FIRST, BLOCK = 64, 256  # rows before the first look, and at most between two
AGAIN = 50  # looks after which what is still off is told again
RISE = 0.3  # by how much the share of unreadable answers may rise over the least so far
LEAST = 8  # rows that must show what does not fit: one of five may be chance
BOUND = 0.8  # the share of weights at a bound above which it is told
NAMES = (*FINDINGS, *SIGNS)


class _Row(NamedTuple):
    text: str
    answer: Answer
    target: NDArray[Any]  # (n, 4) or (n, 5), as are the predicted boxes, all in pixels
    pred: NDArray[Any]
    width: float | None
    height: float | None
    cut: bool | None


class _Told:
    """What has been told, and at which look: it is told again after `AGAIN` more."""

    def __init__(self) -> None:
        self.looks, self.told = 0, dict[str, int]()

    def new(self, off: Mapping[str, str]) -> list[str]:
        """The sentences, by name, that are due at this look."""
        self.looks += 1
        due = [name for name in off if self.looks - self.told.get(name, -AGAIN) >= AGAIN]
        self.told.update(dict.fromkeys(due, self.looks))
        return [off[name] for name in due]


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
        self.told = _Told()

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
        cut: Sequence[bool] | None = None,
    ) -> list[str]:
        """Add N rows.

        Args:
            texts, answers: the completions, and what `parse_answer` has read of them.
            targets, preds: the true and the predicted boxes in pixels: a tensor with one row each, or N tensors.
            width, height: of the images.
            cut: whether each completion was cut off, where the trainer tells; else it is seen in the text.

        Returns:
            A sentence for each thing that is off and was not told in the last `AGAIN` looks.
        """
        boxes = map(_boxes_of_rows, (targets, preds))
        unknown = [None] * len(texts)
        self.waiting += map(_Row, texts, answers, *boxes, width or unknown, height or unknown, cut or unknown)
        return self._look() if len(self.waiting) >= min(max(FIRST, self.seen), BLOCK) else []

    def _look(self) -> list[str]:
        rows, self.waiting = self.waiting, []
        texts, answers, targets, preds, width, height, cut = zip(*rows, strict=True)
        flat = torch.from_numpy(np.concatenate([boxes for boxes in targets if len(boxes)] or [np.empty((0, 4))]))
        counts = [len(boxes) for boxes in targets]
        self.check.update(answers, flat if set(counts) == {1} else torch.split(flat, counts), width, height)
        self.seen += len(rows)
        signs = Signs(self.think_in_prompt)
        questions = [(row.target.tobytes(), row.width, row.height) for row in rows]
        sides = (torch.tensor([torch.nan if side is None else side for side in of]) for of in (width, height))
        whole = covers_image(first_boxes(preds), *sides)
        signs.update(texts, answers, questions, whole=whole, cut=None if None in cut else cut)
        off = {each.finding: each.message for each in signs.findings(self.least_unreadable + RISE)}
        self.least_unreadable = min(self.least_unreadable, signs.counts.get("unreadable-answers", 0) / len(rows))
        self.signs.update(signs.counts)
        if self.seen >= self.next:  # this takes some 50 ms, so it is done ever more seldom
            self.next = 2 * self.seen
            found = [each for each in self.check.findings() if each.rows >= LEAST]
            self.findings = {each.finding: each.rows for each in found}
            off = {each.finding: each.message for each in found} | off
        return self.told.new(off)


def _boxes_of_rows(boxes: Tensor | Sequence[Tensor]) -> Iterable[NDArray[Any]]:
    """The boxes of each row, as arrays: a tensor for each row would take longer than all that is looked at."""
    rows = [boxes.unsqueeze(1)] if isinstance(boxes, Tensor) else boxes
    arrays = [each.detach().cpu().numpy() for each in rows]
    return arrays[0] if isinstance(boxes, Tensor) else arrays


class WeightWatch:
    """Tells when most groups have a weight at a bound of `clip`: then the weight tells them apart no more.

    Args:
        **weights: options of `rsreward.consistency_weight`.

    >>> import torch
    >>> watch = WeightWatch(clip=(0.5, 3.0))
    >>> watch.add(torch.zeros(64), torch.zeros(64))
    (1.0, ['64 of 64 groups have a weight at a bound of clip=(0.5, 3.0), so it tells them apart no more: widen \
clip, or lower lambda_mean and lambda_var.'])
    """

    def __init__(self, **weights: Any) -> None:
        self.options = {"clip": (0.5, 3.0)} | weights | {"normalize": False}
        self.groups = self.at_bound = 0
        self.told = _Told()

    def add(self, mean: Tensor, var: Tensor) -> tuple[float, list[str]]:
        """The share of these groups whose weight is at a bound, and a sentence where it was too large in 64 or more.

        Args:
            mean, var: `(N,)`, N at least 1, of the IoUs of each group, see `group_statistics`.
        """
        weight = consistency_weight_from_statistics(mean, var, **self.options)
        low, high = self.options["clip"]
        at_bound = int(((weight <= low) | (weight >= high)).sum())
        self.groups, self.at_bound = self.groups + len(weight), self.at_bound + at_bound
        off = {}
        if self.groups >= FIRST:
            if self.at_bound > BOUND * self.groups:
                off["weights-at-bound"] = (
                    f"{self.at_bound} of {self.groups} groups have a weight at a bound of clip=({low}, {high}), so it "
                    f"tells them apart no more: widen clip, or lower lambda_mean and lambda_var."
                )
            self.groups = self.at_bound = 0
            return at_bound / len(weight), self.told.new(off)
        return at_bound / len(weight), []
