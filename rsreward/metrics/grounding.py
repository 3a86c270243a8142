"""Acc@k, mean IoU and cumIoU under the named conventions of the benchmarks, and what to break them down by."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..boxes import area, iou
from ..checks import check_tensors
from ..coordinates import Sizes, to_pixels
from ..oriented import oriented_iou
from .conventions import Convention, convention_named, is_readable
from .tally import Tally

SMALL, MEDIUM = 32**2, 96**2
REGIONS = tuple(f"{row} {column}" for row in ("top", "middle", "bottom") for column in ("left", "centre", "right"))


def grounding_metrics(
    pred: Tensor, target: Tensor, *, convention: str = "plain", width: Sizes = None, height: Sizes = None
) -> dict[str, float]:
    """Acc@k, mean IoU and the share of predictions that could be read. Missing predictions count as IoU 0.

        Acc@k = mean(IoU >= k)    (> k where not closed),    mIoU = mean(IoU),    cumIoU = sum |P & T| / sum |P | T|

    Args:
        pred: `(N, 4)` or `(N, 5)`, pixels, rows of NaN where there is no prediction.
        target: of the same kind.
        convention: a key of `CONVENTIONS`; docs/score.md says where each comes from.
        width, height: of the images in pixels, N of each or one for all, for the conventions that need them.

    Returns:
        `rows`, `acc@k` for each threshold, `miou`, `cum_iou` where the convention has it, and `parse_rate`; 0 where N
        is 0.

    Raises:
        ValueError: if the shapes do not fit, the convention is unknown, or it needs sizes, horizontal or several boxes.

    >>> target = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0]])
    >>> pred = torch.tensor([[0.0, 0.0, 10.0, 6.0], [torch.nan] * 4])
    >>> {name: round(value, 2) for name, value in grounding_metrics(pred, target).items()}
    {'rows': 2, 'acc@0.5': 0.5, 'acc@0.7': 0.0, 'miou': 0.3, 'parse_rate': 0.5}
    """
    columns = grounding_columns(pred, target, convention=convention, width=width, height=height)
    return _metrics(columns, convention)


def grounding_breakdown(
    pred: Tensor,
    target: Tensor,
    by: Sequence[Any],
    *,
    convention: str = "plain",
    width: Sizes = None,
    height: Sizes = None,
) -> dict[Any, dict[str, float]]:
    """`grounding_metrics` of each group of rows.

    Args:
        by: the group of each of the N rows: a category, unique or not, or from `size_class` or `image_region`.
        pred, target, convention, width, height: as in `grounding_metrics`.

    Returns:
        The metrics of each group, in the order in which the groups first appear.

    Raises:
        ValueError: as `grounding_metrics`, and if `by` is not as long as the rows.

    >>> target = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 90.0, 90.0]])
    >>> metrics = grounding_breakdown(target, target, size_class(target))
    >>> {group: values["rows"] for group, values in metrics.items()}
    {'small': 1, 'medium': 1}
    """
    columns = grounding_columns(pred, target, convention=convention, width=width, height=height)
    if len(by) != len(columns["iou"]):
        raise ValueError(f"by needs the group of each of the {len(columns['iou'])} rows, got {len(by)}.")
    groups: dict[Any, list[int]] = {}
    for row, group in enumerate(by):
        groups.setdefault(group, []).append(row)
    return {
        group: _metrics({name: column[rows] for name, column in columns.items()}, convention)
        for group, rows in groups.items()
    }


def grounding_columns(
    pred: Tensor, target: Tensor, *, convention: str = "plain", width: Sizes = None, height: Sizes = None
) -> dict[str, Tensor]:
    """What each row adds to the sums of a `Tally(convention_named(convention).ratios)`.

    Args and errors as in `grounding_metrics`.

    Returns:
        `read`, `iou` (to nine decimals), `hits@k` for each threshold and, where the convention has cumIoU,
        `intersection` and `union`; `(N,)` each.

    >>> box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    >>> columns = grounding_columns(box / 2, box, convention="vrsbench", width=10, height=10)
    >>> columns["union"]  # on the grid of 0..100, with the last row and column
    tensor([10201.], dtype=torch.float64)
    """
    check_tensors(pred, target)
    rule = convention_named(convention)
    if rule.any_true:
        raise ValueError(f"the convention {convention!r} is for several boxes a row: use set_metrics.")
    if rule.horizontal_only and target.shape[-1:] != (4,):
        raise ValueError(f"the convention {convention!r} is for horizontal boxes, got shape {tuple(target.shape)}.")
    read = is_readable(pred)
    if rule.horizontal_only:
        image = _compared_sizes(target, rule, convention, width, height)
        pred = rule.compared(pred.double(), image, predicted=True)
        target = rule.compared(target.double(), image, predicted=False)
    overlaps = counted_iou(pred, target)
    columns = {"read": read.expand(overlaps.shape), "iou": overlaps}
    columns |= {f"hits@{k}": rule.hits(overlaps, k) for k in rule.thresholds}
    if rule.cum_iou:
        corners = torch.maximum(pred[..., :2], target[..., :2]), torch.minimum(pred[..., 2:], target[..., 2:])
        intersection = area(torch.cat(corners, -1))
        union = area(pred) + area(target) - intersection
        columns |= {"intersection": intersection, "union": union * (columns["read"] | rule.failures_in_union)}
    return columns


def size_class(target: Tensor) -> list[str]:
    """COCO's size of each true box: "small" below 32^2 square pixels, "medium" below 96^2, else "large".

    Args:
        target: `(N, 4)` or `(N, 5)`, pixels.

    >>> size_class(torch.tensor([[0.0, 0.0, 31.0, 32.0], [0.0, 0.0, 32.0, 32.0], [0.0, 0.0, 96.0, 96.0]]))
    ['small', 'medium', 'large']
    """
    check_tensors(target)
    areas = area(target) if target.shape[-1:] == (4,) else target[..., 2:4].prod(-1)
    return ["small" if size < SMALL else "medium" if size < MEDIUM else "large" for size in areas.tolist()]


def image_region(target: Tensor, width: Sizes, height: Sizes) -> list[str]:
    """Where in its image the centre of each true box lies: one of the nine `REGIONS`, "top left" to "bottom right".

    Args:
        target: `(N, 4)` or `(N, 5)`, pixels.
        width, height: of the images in pixels, N of each or one for all.

    Raises:
        ValueError: if a size is missing.

    >>> image_region(torch.tensor([[0.0, 0.0, 30.0, 30.0], [50.0, 30.0, 90.0, 60.0]]), 90, 90)
    ['top left', 'middle right']
    """
    check_tensors(target)
    image = _image_sizes(target, width, height)
    if image.isnan().any():
        raise ValueError("the region of a box needs the width and height of every image.")
    centre = (target[..., :2] + target[..., 2:4]) / 2 if target.shape[-1:] == (4,) else target[..., :2]
    cells = (centre / image * 3).floor().clamp(0, 2).long()
    return [REGIONS[3 * row + column] for column, row in cells.tolist()]


def counted_iou(pred: Tensor, target: Tensor) -> Tensor:
    """IoU in float64 to nine decimals, so that one of just 7/10 is neither above nor below 0.7. `(..., 4)` or 5."""
    overlap = oriented_iou if target.shape[-1:] == (5,) else iou
    return overlap(pred.double(), target.double()).round(decimals=9)


def _image_sizes(boxes: Tensor, width: Sizes, height: Sizes) -> Tensor:
    """Width and height of the image of each box, `(..., 2)`, float64; NaN where they are not given."""
    if width is None or height is None:
        width = height = torch.nan
    whole_image = torch.ones(*boxes.shape[:-1], 4, dtype=torch.float64, device=boxes.device)
    return to_pixels(whole_image, "unit", width, height)[..., 2:]


def _compared_sizes(target: Tensor, rule: Convention, convention: str, width: Sizes, height: Sizes) -> Tensor:
    """As `_image_sizes`; the benchmark's own where they are not given."""
    image = _image_sizes(target, width, height)
    if rule.needs_size and image.isnan().any():
        raise ValueError(f"the convention {convention!r} needs the width and height of every image.")
    return image.nan_to_num(rule.side)


def _metrics(columns: dict[str, Tensor], convention: str) -> dict[str, float]:
    tally = Tally(convention_named(convention).ratios)
    tally.update({name: column.flatten() for name, column in columns.items()})
    return {"rows": tally.rows} | tally.compute()
