"""Other readings of the same numbers, tried on a sample of rows: do they fit far better under one of them?

This looks at the truth, so it may be reported and never be used for a score.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from typing import NamedTuple, get_args

import torch
from torch import Tensor

from ..answers import BoxKind
from ..boxes import iou
from ..coordinates import SPACES, Five, Order, Space, oriented_to_pixels, space_named, to_pixels
from ..oriented import oriented_iou

SAMPLE = 256  # rows
GAIN = 0.15  # of mean IoU: below it nothing is reported
LEAST = 0.3  # the mean IoU that another space must reach
LEAST_FITTED = 0.6  # and a fitted scale, under which a model that errs to one side looks better as well
CERTAIN = 3.0  # standard errors by which the gain must exceed 0.1
FEW = 8  # rows: below it the better reading must fit every row well
ENOUGH = 20  # rows, to fit a scale to them
# Bounds in use for Qwen2-VL and Qwen2.5-VL, in patches of 28 x 28 pixels; 512 are the 401408 of many scripts.
PATCHES = (64, 128, 256, 336, 448, 512, 576, 640, 768, 1024, 1280, 1536, 2048, 2560, 3072, 4096, 5120, 8192)


class Reading(NamedTuple):
    """The report on a reading under which a sample fits far better."""

    finding: str
    rows: int
    of: int
    message: str
    space: str


class Frame(NamedTuple):
    """The numbers of a sample, one row each."""

    answer: Tensor
    target: Tensor
    width: Tensor
    height: Tensor


class _Candidate(NamedTuple):
    finding: str
    said: str
    frame: Frame
    space: Space
    least: float = LEAST


def sampled(rows: Tensor) -> Tensor:
    """At most `SAMPLE` of the rows: those with the smallest hash of their numbers.

    The sample is the same in whatever order and in however many parts the rows come.
    """
    bits = rows.contiguous().view(torch.int64)
    mixed = (bits * torch.arange(1, 2 * bits.shape[1], 2) * 0x1E3779B97F4A7C15).sum(1)
    mixed = (mixed ^ (mixed >> 29)) * 0x3F58476D1CE4E5B9
    return rows[(mixed ^ (mixed >> 32)).topk(min(SAMPLE, len(rows)), largest=False).indices]


def mean_overlap(sample: Tensor, space: str | Space, kind: BoxKind) -> float | None:
    """The mean IoU of a sample of `FrameCheck` in a space. None if no row has the size that it needs."""
    overlap = _overlap(_frame(sample), space_named(space), kind)
    overlap = overlap[~overlap.isnan()]
    return overlap.mean().item() if len(overlap) else None


def better_reading(sample: Tensor, space: Space, kind: BoxKind, *, only_targets: bool = False) -> Reading | None:
    """The reading under which the mean IoU of a sample is far higher, if there is one.

    Far higher means by `GAIN`, with certainty (see `CERTAIN`), and because answers fit their own targets: against the
    target of another row they must do worse by `GAIN`. So a model that always answers the same box raises nothing.

    Args:
        sample: `(n, 12)`: five numbers of the answer, five of the target, width and height; NaN where there is none.
        space: the one that the answers are read in.
        kind: "horizontal" or "oriented".
        only_targets: the targets are known to be wrong, so other readings of the answers are not tried.
    """
    frame = _frame(sample)
    now = _overlap(frame, space, kind)
    if len(sample) < 3 or now.nanmean() > 0.7:
        return None
    candidates = list(_of_targets(frame, space)) if kind == "horizontal" else []
    if not only_targets:
        candidates = [*_of_answers(frame, space, kind), *candidates]
    best, best_mean, best_now = None, 0.0, 0.0
    for candidate in candidates:
        then = _overlap(candidate.frame, candidate.space, kind)
        both = then.isfinite() & now.isfinite()
        mean = then[both].mean().item() if both.sum() >= 3 else 0.0
        if mean > best_mean + 0.01 and _surely_better(candidate, now[both], then[both], both, kind):
            better = int((then > now)[both].sum())
            best, best_mean, best_now = (candidate, better, int(both.sum())), mean, now[both].mean().item()
    if best is None:
        return None
    candidate, better, of = best
    message = f"in a sample of {of} rows the mean IoU would be {best_mean:.2f}, not {best_now:.2f}, {candidate.said}"
    return Reading(candidate.finding, better, of, message, candidate.space.name)


def _surely_better(candidate: _Candidate, now: Tensor, then: Tensor, rows: Tensor, kind: BoxKind) -> bool:
    gain, count = then - now, len(now)
    if gain.mean() < GAIN or then.mean() < candidate.least:
        return False
    if count < FEW and (gain.min() <= 0 or then.mean() < 0.7):
        return False
    if gain.mean() - CERTAIN * gain.std().item() / sqrt(count) < 0.1:
        return False
    frame = Frame(*(column[rows] for column in candidate.frame))
    others = _overlap(frame._replace(target=frame.target.roll(1, 0)), candidate.space, kind)
    return bool(then.mean() - others.mean() >= GAIN)


def _of_answers(frame: Frame, space: Space, kind: BoxKind) -> Iterator[_Candidate]:
    """Other readings of the answers, the more frequent ones first."""

    def answers(said: str, other: Space, read: Frame = frame, least: float = LEAST) -> _Candidate:
        return _Candidate("better-space", said, read, other, least)

    wide, long = torch.minimum(frame.width, frame.height), torch.maximum(frame.width, frame.height)
    size = frame.width.where(long <= 200 * wide, torch.nan)  # processors refuse thinner images
    resizable = frame._replace(width=size)
    raw = "if the answers were in pixels (space 'pixel') or the targets in the space of the answers (tell target_space)"
    if space.needs_size:
        yield answers(raw, replace(SPACES["pixel"], five=space.five))
    for name in ("unit", "norm100", "norm1000", "qwen2.5-vl"):
        yield answers(f"if the answers were in the space {name!r}", replace(SPACES[name], five=space.five), resizable)
    bounded = space if space.depends_on_bounds else SPACES["qwen2.5-vl"]
    for patches in PATCHES:
        bound = patches * 28**2
        for other in (
            replace(bounded, max_pixels=bound, min_pixels=min(bound, bounded.min_pixels)),
            replace(bounded, min_pixels=bound, max_pixels=max(bound, bounded.max_pixels)),
        ):
            name = "max_pixels" if other.max_pixels == bound else "min_pixels"
            yield answers(
                f"if the answers were in the space {bounded.name!r} with {name} {bound}", other, resizable, LEAST_FITTED
            )
    if kind == "oriented":
        for five in get_args(Five):
            if space.order == "xy":
                yield answers(f"if five numbers were {five!r} (tell five)", replace(space, five=five))
        return
    for name in (space.name, "norm1000", "paligemma", "unit", "pixel"):
        other = space if name == space.name else SPACES[name]
        order: Order = "xy" if other is space and space.order == "yx" else "yx"
        said = f"if the answers were in the space {name!r} with order {order!r}"
        yield answers(said, replace(other, order=order, five="corners-cw"))
    yield answers("if width and height were exchanged", space, frame._replace(width=frame.height, height=frame.width))
    if len(frame.answer) >= ENOUGH:
        pixels = to_pixels(frame.answer[:, :4], space, frame.width, frame.height)
        centres = [boxes[:, :2] + boxes[:, 2:4] for boxes in (frame.target, pixels)]
        factor = (centres[0] / centres[1]).nanmedian(0).values
        times = "if the answers were {:.2f} times as far right and {:.2f} times as far down (another scale?)"
        stretched = torch.cat([pixels * factor.repeat(2), frame.answer[:, 4:]], 1)
        yield answers(times.format(*factor.tolist()), SPACES["pixel"], frame._replace(answer=stretched), LEAST_FITTED)
    for form, corners in _FORMS.items():
        yield answers(f"if the answers were {form}, not corners", space, frame._replace(answer=corners(frame.answer)))


def _of_targets(frame: Frame, space: Space) -> Iterator[_Candidate]:
    """Other readings of the targets."""

    def targets(said: str, read: Tensor) -> _Candidate:
        return _Candidate("better-target-format", said, frame._replace(target=read), space)

    for form, corners in _FORMS.items():
        yield targets(f"if the targets were {form}, not corners (tell target_format)", corners(frame.target))
    for name in ("unit", "norm100", "norm1000"):
        scaled = to_pixels(frame.target[:, :4], name, frame.width, frame.height)
        yield targets(f"if the targets were in 0..{SPACES[name].scale:g} (tell target_space)", scaled)


def _from_xywh(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4], boxes[:, 4:]], 1)


def _from_cxcywh(boxes: Tensor) -> Tensor:
    half = boxes[:, 2:4] / 2
    return torch.cat([boxes[:, :2] - half, boxes[:, :2] + half, boxes[:, 4:]], 1)


_FORMS = {"xywh": _from_xywh, "cxcywh": _from_cxcywh}


def _frame(sample: Tensor) -> Frame:
    return Frame(sample[:, :5], sample[:, 5:10], sample[:, 10], sample[:, 11])


def _overlap(frame: Frame, space: Space, kind: BoxKind) -> Tensor:
    """IoU of each row, `(n,)`, float64. NaN where the space needs a size that is unknown."""
    where = (space, frame.width, frame.height)
    four = to_pixels(frame.answer[:, :4], *where)
    if kind == "horizontal":
        overlap = iou(four, frame.target[:, :4])
    else:
        low, high = four[:, :2], four[:, 2:]
        upright = torch.cat([(low + high) / 2, high - low, torch.zeros_like(low[:, :1])], 1)
        five = oriented_to_pixels(frame.answer, *where)
        overlap = oriented_iou(torch.where(five[:, 4:].isfinite(), five, upright), frame.target)
    return overlap.masked_fill(four.isnan().any(1), torch.nan)
