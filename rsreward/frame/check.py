"""Do answers, true boxes and image sizes fit together? Findings about the frame of reference; nothing is corrected.

Nothing here changes a score. A finding counts rows and gives at most a hint. docs/frame.md says what to do about each.
"""

from collections.abc import Sequence
from itertools import chain
from math import nan, pi
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..answers import Answer, BoxKind
from ..coordinates import Sizes, Space, from_pixels, image_sizes, space_named
from ..metrics import convention_named
from .readings import GAIN, better_reading, mean_overlap, sampled

SLACK = 0.01  # how far an answer may leave its space, as a share of a side; a target may leave its image by one pixel
FLAT = 0.05  # the share of boxes without area above which they are reported; GeoChat-Bench's own truth has 0.4 %

# The share of rows above which a finding is reported, among the rows in which it could be seen.
SHARES = {
    "targets-outside-image": 0.01,
    "targets-without-extent": 0.01,
    "angles-in-degrees": 0.01,
    "size-not-of-image": 0.0,
    "answers-in-unit": 0.1,
    "answers-outside-space": 0.1,
    "turned-answers": 0.1,
}
FINDINGS = (*SHARES, "better-target-format", "better-space")
OF_TRUTH = ("targets-outside-image", "targets-without-extent", "angles-in-degrees")


class Finding(NamedTuple):
    """Something that does not fit.

    Attributes:
        finding: its name, one of `FINDINGS`.
        rows: the number of rows that show it.
        of: the number of rows in which it could be seen.
        message: one sentence about it.

    >>> Finding("answers-in-unit", 64, 64, "64 of 64 answers lie within 0..1.").finding in FINDINGS
    True
    """

    finding: str
    rows: int
    of: int
    message: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return self._asdict()


class FrameCheck:
    """Findings over rows that come in batches. Memory does not grow with the rows, and checks of parts can be merged.

    Args:
        space: the coordinate space that the answers are read in.
        kind: "horizontal" or "oriented": the boxes that are scored.
        convention: the name of the convention that they are scored under.

    >>> from rsreward import parse_answer
    >>> check = FrameCheck("pixel")
    >>> check.update([parse_answer("[0.2, 0.2, 0.4, 0.4]")], torch.tensor([[100.0, 100.0, 200.0, 200.0]]), 500, 500)
    >>> [finding.finding for finding in check.findings()]
    ['answers-in-unit']
    """

    def __init__(self, space: str | Space, kind: BoxKind = "horizontal", convention: str = "plain") -> None:
        self.space, self.kind, self.convention = space_named(space), kind, convention
        self.adds_one = convention_named(convention).plus_one
        self.rows = dict.fromkeys([*SHARES, "flat", "exchanged"], 0)
        self.of = dict(self.rows)
        self.examples: dict[str, str] = {}
        self.furthest = 0.0  # the largest number of a target
        self.sample = torch.empty(0, 12, dtype=torch.float64)  # answer, target, width and height of each row

    def update(
        self,
        answers: Sequence[Answer],
        targets: Tensor | Sequence[Tensor],
        width: Sizes = None,
        height: Sizes = None,
        *,
        image_width: Sizes = None,
        image_height: Sizes = None,
    ) -> None:
        """Add rows.

        Args:
            answers: N of them, from `parse_answer`. Only the first box of each is checked.
            targets: the true boxes in pixels and radians: `(N, 4)` or `(N, 5)`, or N tensors with those of each row.
            width, height: sizes of the images as the rows give them, in pixels; N of each or one for all. None or NaN:
                unknown.
            image_width, image_height: sizes of the image files, if they are at hand.

        Raises:
            ValueError: if the shapes do not fit.
        """
        rows = len(answers)
        size = image_sizes(width, height, rows)
        boxes, row = _flat(targets, rows)
        self._look_at_targets(boxes, row, size)
        self._look_at_sizes(size, image_sizes(image_width, image_height, rows))
        read = self._look_at_answers(answers, size)
        target = torch.full((rows, 5), nan, dtype=torch.float64)
        target[row, : boxes.shape[1]] = boxes
        fit = (torch.bincount(row, minlength=rows) == 1) & (target[:, 4].isfinite() == (self.kind == "oriented"))
        rows_to_try = torch.cat([read, target, size], 1)[fit & read[:, 0].isfinite()]
        self.sample = sampled(torch.cat([self.sample, rows_to_try]))

    def merge(self, other: "FrameCheck") -> None:
        """Add the rows of a check of other rows, with the same space and kind."""
        for name in self.rows:
            self.rows[name] += other.rows[name]
            self.of[name] += other.of[name]
        self.examples = other.examples | self.examples
        self.furthest = max(self.furthest, other.furthest)
        self.sample = sampled(torch.cat([self.sample, other.sample]))

    def findings(self) -> list[Finding]:
        """What does not fit so far, in the order of `FINDINGS`.

        Raises:
            ValueError: if no target has an extent and the convention adds one to boxes.
        """
        if self.adds_one and 0 < self._shown("targets-without-extent") == self.of["flat"]:
            raise ValueError(
                f"no target has an extent in pixels, such as {self.examples['targets-without-extent']}, and under the "
                f"convention {self.convention!r}, which adds one to every side, all of them would be alike: are they "
                "in 0..1? Tell target_space."
            )
        told = [name for name, share in SHARES.items() if self.rows[name] > share * self.of[name]]
        if self.rows["flat"] > max(1, FLAT * self.of["flat"]) and "targets-without-extent" not in told:
            told.append("targets-without-extent")
        found = [Finding(name, self._shown(name), self.of[name], self._message(name)) for name in told]
        truth_is_off = any(each.finding in OF_TRUTH and each.rows > each.of / 10 for each in found)
        better = better_reading(self.sample, self.space, self.kind, only_targets=truth_is_off)
        if better and not (better.space == "unit" and "answers-in-unit" in told):  # whose message says so
            found.append(Finding(better.finding, better.rows, better.of, better.message))
        return sorted(found, key=lambda each: FINDINGS.index(each.finding))

    def _look_at_targets(self, boxes: Tensor, row: Tensor, size: Tensor) -> None:
        image, low, high, sides = size[row], boxes[:, :2], boxes[:, 2:4], boxes[:, 2:4] - boxes[:, :2]
        degrees = torch.zeros(len(boxes), dtype=torch.bool)
        if turned := boxes.shape[1] == 5:  # only the centre of a turned box must lie in its image
            high, sides, degrees = low, high, boxes[:, 4].abs() > 2 * pi + 1e-3
        leaves = _outside(low, high, image, torch.ones_like(image))
        unit = boxes[:, :4].abs().amax(1) <= 1
        flat = (sides <= 0).any(1) & ~unit
        every = torch.ones_like(unit)

        def count(name: str, shown: Tensor, of: Tensor) -> None:
            self._note("targets-without-extent" if name == "flat" else name, shown, boxes, image)
            rows = (torch.zeros(len(size), dtype=torch.bool).index_fill(0, row[at], True) for at in (shown, of))
            self._count(name, *rows)

        count("targets-outside-image", leaves, image.isfinite().all(1))
        count("exchanged", leaves & ~_outside(low.flip(1), high.flip(1), image, torch.ones_like(image)), leaves)
        count("targets-without-extent", unit, every)
        count("flat", flat, every)
        count("angles-in-degrees", degrees, every & turned)
        if len(boxes):
            self.furthest = max(self.furthest, boxes[:, :4].max().item())

    def _look_at_sizes(self, told: Tensor, real: Tensor) -> None:
        off = (told - real).abs()
        wrong = (off > 1).any(1)
        self._count("size-not-of-image", wrong, off.isfinite().all(1))
        if wrong.any() and "size-not-of-image" not in self.examples:
            first = int(wrong.nonzero()[0, 0])
            self.examples["size-not-of-image"] = f"{_size(told[first])} for an image of {_size(real[first])}"

    def _look_at_answers(self, answers: Sequence[Answer], size: Tensor) -> Tensor:
        """The first boxes that are of this kind, as written: `(N, 5)`; NaN where there is none, and for no angle."""
        first = [answer.boxes[0] if answer.boxes else () for answer in answers]
        numbers = torch.tensor([len(box) for box in first])
        taken = 5 if self.kind == "oriented" else 4
        rows = [box if len(box) == taken else _padded(box, taken) for box in first]
        read = torch.full((len(first), 5), nan, dtype=torch.float64)
        read[:, :taken] = torch.from_numpy(np.fromiter(chain.from_iterable(rows), np.float64)).view(-1, taken)
        box, is_box = read[:, :4], read[:, 0].isfinite()
        low, high = box[:, :2], box[:, 2:]
        if taken == 5:
            turned, centre = read[:, 4:].isfinite(), low if self.space.five == "le90" else (low + high) / 2
            low, high = torch.where(turned, centre, low), torch.where(turned, centre, high)
        else:
            self._count("turned-answers", (numbers == 5) | (numbers == 8), numbers >= 4)
        # [0, 0, 1, 1] is a poor answer rather than one in 0..1
        in_unit = (box.abs() <= 1).all(1) & (box != box.round()).any(1)
        full = from_pixels(size.repeat(1, 2), self.space, *size.T)[:, :2]
        beyond = _outside(low, high, full, SLACK * full)
        self._count("answers-in-unit", in_unit, is_box if self.space.scale != 1 else in_unit & False)
        self._count("answers-outside-space", beyond, is_box & full.isfinite().all(1))
        self._note("answers-in-unit", in_unit, box, size)
        self._note("answers-outside-space", beyond, box, size)
        return read

    def _count(self, name: str, shown: Tensor, of: Tensor) -> None:
        self.rows[name] += int((shown & of).sum())
        self.of[name] += int(of.sum())

    def _note(self, name: str, shown: Tensor, boxes: Tensor, image: Tensor) -> None:
        """Keep the first example."""
        if name not in self.examples and shown.any():
            at = int(shown.nonzero()[0, 0])
            where = f" in an image of {_size(image[at])}" if image[at].isfinite().all() else ""
            self.examples[name] = f"[{', '.join(f'{number:.4g}' for number in boxes[at].tolist())}]{where}"

    def _shown(self, name: str) -> int:
        return self.rows[name] + (self.rows["flat"] if name == "targets-without-extent" else 0)

    def _message(self, name: str) -> str:
        count, like = f"{self._shown(name)} of {self.of[name]}", self.examples.get(name, "")
        if name == "targets-outside-image":
            hint = "are they in 0..1000 (tell target_space), or are the sizes not those of the images?"
            if self.rows["exchanged"] > self.of["exchanged"] / 2:
                hint = "are x and y, or width and height, exchanged?"
            elif self.furthest > 1020:
                hint = "are they in pixels of another size of the image?"
            return f"{count} targets leave their image, such as {like}: {hint}"
        if name == "targets-without-extent":
            hint = "are they in 0..1? Tell target_space." if self.rows[name] else "boxes need x1 < x2 and y1 < y2."
            return f"{count} targets have no extent in pixels, such as {like}: {hint}"
        if name == "angles-in-degrees":
            return f"{count} targets have angles beyond a full turn, such as {like}: are they degrees, not radians?"
        if name == "size-not-of-image":
            return f"{count} sizes are not those of the image files, such as {like}: correct width and height."
        if name == "answers-in-unit":
            now, unit = mean_overlap(self.sample, self.space, self.kind), mean_overlap(self.sample, "unit", self.kind)
            known = now is not None and unit is not None and unit >= now + GAIN
            figures = f" Their mean IoU would be {unit:.2f}, not {now:.2f}." if known else ""
            return f"{count} answers lie within 0..1, such as {like}: are they in the space 'unit'?{figures}"
        if name == "answers-outside-space":
            return f"{count} answers lie outside the space {self.space.name!r}, such as {like}: is it another space?"
        return f"{count} answers are turned boxes or have four corners: score them as oriented boxes, or by their hull."


def frame_findings(
    answers: Sequence[Answer],
    targets: Tensor | Sequence[Tensor],
    *,
    space: str | Space,
    width: Sizes = None,
    height: Sizes = None,
    kind: BoxKind = "horizontal",
    convention: str = "plain",
    image_width: Sizes = None,
    image_height: Sizes = None,
) -> list[Finding]:
    """What does not fit between answers, true boxes, image sizes and the space: a `FrameCheck` of one batch.

    Args and errors as in `FrameCheck` and its `update`.

    >>> from rsreward import parse_answer
    >>> targets = torch.tensor([[137.0, 582.0, 413.0, 847.0]])
    >>> for finding in frame_findings([parse_answer("none")], targets, space="qwen3-vl", width=597, height=640):
    ...     print(finding.finding, finding.rows, finding.of)
    targets-outside-image 1 1
    """
    check = FrameCheck(space, kind, convention)
    check.update(answers, targets, width, height, image_width=image_width, image_height=image_height)
    return check.findings()


def _flat(targets: Tensor | Sequence[Tensor], rows: int) -> tuple[Tensor, Tensor]:
    """All true boxes, `(M, 4)` or `(M, 5)` in float64, and the row of each. Rows of NaN are left out."""
    if isinstance(targets, Tensor):
        boxes, counts = targets, torch.ones(len(targets), dtype=torch.int64)
    else:
        counts = torch.tensor([len(each) for each in targets], dtype=torch.int64)
        boxes = torch.cat([each for each in targets if len(each)] or [torch.empty(0, 4)])
    if len(counts) != rows or boxes.dim() != 2 or boxes.shape[1] not in (4, 5):
        raise ValueError(
            f"targets must be boxes of 4 or 5 numbers for each of {rows} answers, got {len(counts)} of shape "
            f"{tuple(boxes.shape)}."
        )
    boxes = boxes.detach().to("cpu", torch.float64)
    row = torch.arange(rows).repeat_interleave(counts)
    known = boxes.isfinite().all(1)
    return boxes[known], row[known]


def _padded(box: tuple[float, ...], numbers: int) -> tuple[float, ...]:
    return (*box, nan) if len(box) == 4 < numbers else (nan,) * numbers


def _outside(low: Tensor, high: Tensor, full: Tensor, slack: Tensor) -> Tensor:
    """Which boxes leave an area of size `full` by more than the slack. None do if the size is unknown."""
    return ((torch.minimum(low, high) < -slack) | (torch.maximum(low, high) > full + slack)).any(1)


def _size(size: Tensor) -> str:
    return " x ".join(f"{side:g}" for side in size.tolist())
