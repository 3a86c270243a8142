"""Horizontal boxes `[x1, y1, x2, y2]`: areas, overlaps, and what counts as a box at all.

The formulas are computed in float64, so results are exact to the rounding of their dtype for the coordinates of any
image (up to 1e7 pixels wide, sides down to a thousandth) and for nearly all of float32. For other coordinates they are
finite and within the range that is stated, no more.
"""

import torch
from torch import Tensor

from .checks import check_pair, check_tensors
from .dispatch import fast
from .fast import cpu, triton


def is_box(boxes: Tensor) -> Tensor:
    """Which rows are boxes: finite and not inverted. Boxes without area are boxes.

    Args:
        boxes: `(..., 4)`, or oriented `(..., 5)`, where no side may be negative.

    Returns:
        `(...)`, bool.

    >>> is_box(torch.tensor([[0, 0, 2, 1], [2, 0, 0, 1], [0, 0, float("nan"), 1], [3, 3, 3, 3]]))
    tensor([ True, False, False,  True])
    """
    sides = _sides(boxes)
    return boxes.isfinite().all(-1) & ((sides >= 0) & (sides < torch.inf)).all(-1)


def has_area(boxes: Tensor) -> Tensor:
    """Which rows are boxes with area; arguments as in `is_box`."""
    return is_box(boxes) & (_sides(boxes) > 0).all(-1)


def _sides(boxes: Tensor) -> Tensor:
    """Width and height, `(..., 2)`, negative where inverted, also of unsigned integers."""
    if boxes.shape[-1:] == (5,):
        return boxes[..., 2:4]
    if boxes.shape[-1:] != (4,):
        raise ValueError(f"boxes need 4 or 5 numbers each in their last dimension, got shape {tuple(boxes.shape)}.")
    if not boxes.dtype.is_signed:
        boxes = boxes.long()
    return boxes[..., 2:] - boxes[..., :2]


def _check_horizontal(boxes: Tensor) -> None:
    if boxes.shape[-1:] != (4,):
        raise ValueError(f"boxes need 4 numbers each in their last dimension, got shape {tuple(boxes.shape)}.")


@fast(_check_horizontal, rows=(is_box,))
def area(boxes: Tensor) -> Tensor:
    """Area, `(x2 - x1)(y2 - y1)`, in square pixels; 0 for what is not a box, the largest float if it is larger.

    Args:
        boxes: `(..., 4)`.

    Returns:
        `(...)`.

    >>> area(torch.tensor([[0.0, 0.0, 2.0, 3.0], [2.0, 0.0, 0.0, 3.0]]))
    tensor([6., 0.])
    """
    return _sides(boxes).prod(-1)


@fast(check_pair, rows=(has_area, has_area), cpu=cpu.iou, cuda=triton.iou)
def iou(pred: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of paired boxes, in [0, 1].

        IoU = |P & T| / |P | T|

    Args:
        pred: `(..., 4)`, `[x1, y1, x2, y2]`. A row that is not finite or inverted scores 0, as does one without area.
        target: `(..., 4)`, broadcast against `pred`.

    Returns:
        `(...)`, in the dtype of the inputs.

    Raises:
        ValueError: if the shapes do not fit.

    >>> iou(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 0.0, 3.0, 2.0]]))
    tensor([0.3333])
    """
    return _intersection(pred, target) / _union(pred, target)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of every box of `a` with every box of `b`.

    Args:
        a: `(..., N, 4)`.
        b: `(..., M, 4)`.

    Returns:
        `(..., N, M)`.

    Raises:
        ValueError: if the shapes do not fit.

    >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0], [1.0, 0.0, 3.0, 2.0]])
    >>> pairwise_iou(boxes, boxes)
    tensor([[1.0000, 0.3333],
            [0.3333, 1.0000]])
    """
    check_tensors(a, b)
    if a.dim() < 2 or b.dim() < 2:
        raise ValueError(f"pairwise_iou needs (..., N, 4) and (..., M, 4), got {tuple(a.shape)} and {tuple(b.shape)}.")
    return iou(a.unsqueeze(-2), b.unsqueeze(-3))


@fast(check_pair, rows=(is_box, is_box))
def giou(pred: Tensor, target: Tensor) -> Tensor:
    """Generalised IoU of paired boxes, in [-1, 1]: IoU less the empty share of the box C around both.

        GIoU = IoU - (|C| - |P | T|) / |C|                                    (Rezatofighi et al., CVPR 2019)

    A missing prediction gives 0 here as everywhere, which is more than a miss gives: as a reward use `(1 + giou) / 2`
    on answers that could be read.

    Args and errors as in `iou`.

    >>> giou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
    tensor([-0.3333])
    """
    hull = _hull(pred, target).prod(-1)
    return iou(pred, target) - (1 - _ratio(_union(pred, target), hull))


@fast(check_pair, rows=(is_box, is_box))
def diou(pred: Tensor, target: Tensor) -> Tensor:
    """Distance IoU of paired boxes, in [-1, 1]: IoU less the squared centre distance over the squared diagonal of C.

        DIoU = IoU - d^2 / c^2                                                (Zheng et al., AAAI 2020)

    A missing prediction gives 0, as in `giou`.

    Args and errors as in `iou`.

    >>> diou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
    tensor([-0.4000])
    """
    distance = centre_offset(pred, target).square().sum(-1)
    diagonal = _hull(pred, target).square().sum(-1)
    return iou(pred, target) - _ratio(distance, diagonal)


def centre_offset(pred: Tensor, target: Tensor) -> Tensor:
    """Centre of `pred` less centre of `target`, `(..., 2)`. Exact under a shift of both."""
    apart = (pred - target) / 2
    return apart[..., :2] + apart[..., 2:]


def _intersection(pred: Tensor, target: Tensor) -> Tensor:
    sides = torch.minimum(pred[..., 2:], target[..., 2:]) - torch.maximum(pred[..., :2], target[..., :2])
    return sides.clamp(min=0).prod(-1)


def _union(pred: Tensor, target: Tensor) -> Tensor:
    return _sides(pred).prod(-1) + _sides(target).prod(-1) - _intersection(pred, target)


def _hull(pred: Tensor, target: Tensor) -> Tensor:
    """Width and height of the smallest box around both."""
    return torch.maximum(pred[..., 2:], target[..., 2:]) - torch.minimum(pred[..., :2], target[..., :2])


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    """0 where there is no whole, without a gradient of NaN."""
    return part / torch.where(whole > 0, whole, 1)
