"""Horizontal boxes `[x1, y1, x2, y2]`: areas, overlaps, and what counts as a box at all.

The plain formulas are written in ratios of lengths (a side of a box over a side of the overlap), never in areas, so
that coordinates near the largest or the smallest float neither overflow nor vanish; the fast paths do so where it
matters.
"""

import torch
from torch import Tensor

from . import cpu, kernels
from .paths import broadcast, check_tensors


def fitting(pred: Tensor, target: Tensor, last: int = 4) -> tuple[Tensor, Tensor]:
    """Both as they are.

    Raises:
        ValueError: if a last dimension is not `last`, or the leading ones do not broadcast.
    """
    p, t = pred.shape, target.shape
    if p[-1:] != (last,) or t[-1:] != (last,):
        raise ValueError(
            f"pred and target need {last} numbers a box in their last dimension, got shapes {tuple(p)} and {tuple(t)}."
        )
    try:
        broadcast(p, t)
    except ValueError:
        raise ValueError(
            f"pred and target are compared row by row, but their shapes {tuple(p)} and {tuple(t)} do not broadcast."
        ) from None
    return pred, target


def paired(pred: Tensor, target: Tensor, last: int = 4) -> tuple[Tensor, Tensor, torch.dtype]:
    """Check two box tensors against each other and promote them to the dtype to compute in.

    Returns:
        `pred`, `target` in float32 or float64 and the dtype that results are given in: the promoted dtype of both,
        the default dtype for integers. Half precisions are computed in float32.

    Raises:
        ValueError: as `fitting`.
    """
    pred, target = fitting(pred, target, last)
    dtype = pred.dtype
    if dtype == target.dtype and dtype in (torch.float32, torch.float64):
        return pred, target, dtype
    dtype = torch.promote_types(dtype, target.dtype)
    if not dtype.is_floating_point:
        dtype = torch.get_default_dtype()
    compute = torch.promote_types(dtype, torch.float32)
    return pred.to(compute), target.to(compute), dtype


def is_box(boxes: Tensor) -> Tensor:
    """Which rows are boxes: finite and not inverted. Boxes without area are boxes.

    Args:
        boxes: `(..., 4)`.

    Returns:
        `(...)`, bool.

    >>> is_box(torch.tensor([[0, 0, 2, 1], [2, 0, 0, 1], [0, 0, float("nan"), 1], [3, 3, 3, 3]]))
    tensor([ True, False, False,  True])
    """
    if boxes.shape[-1:] != (4,):
        raise ValueError(f"boxes need 4 numbers each in their last dimension, got shape {tuple(boxes.shape)}.")
    if not boxes.dtype.is_signed:
        boxes = boxes.long()
    sides = boxes[..., 2:] - boxes[..., :2]
    return ((sides >= 0) & (sides < torch.inf)).all(-1)


def area(boxes: Tensor) -> Tensor:
    """Area, `(x2 - x1)(y2 - y1)`, in square pixels; 0 for what is not a box, the largest float if it is larger.

    Args:
        boxes: `(..., 4)`.

    Returns:
        `(...)`.

    >>> area(torch.tensor([[0.0, 0.0, 2.0, 3.0], [2.0, 0.0, 0.0, 3.0]]))
    tensor([6., 0.])
    """
    check_tensors(boxes)
    boxes, _, dtype = paired(boxes, boxes)
    counts = is_box(boxes)
    boxes, _ = replace_missing(boxes, boxes, counts)
    size = (boxes[..., 2:] - boxes[..., :2]).prod(-1).to(dtype)
    return torch.where(counts, size.clamp(max=torch.finfo(dtype).max), 0)


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
    check_tensors(pred, target)
    if kernels.usable(pred, target):
        return kernels.iou(*fitting(pred, target))
    pred, target, dtype = paired(pred, target)
    overlap = cpu.iou(pred, target) if cpu.usable(pred, target) else _iou(pred, target)
    return overlap.to(dtype)


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


def giou(pred: Tensor, target: Tensor) -> Tensor:
    """Generalised IoU of paired boxes, in [-1, 1]: IoU less the empty share of the box C around both.

        GIoU = IoU - (|C| - |P | T|) / |C|                                    (Rezatofighi et al., CVPR 2019)

    A missing prediction gives 0 here as everywhere, which is more than a miss gives: as a reward use `(1 + giou) / 2`
    on answers that could be read.

    Args and errors as in `iou`.

    >>> giou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
    tensor([-0.3333])
    """
    check_tensors(pred, target)
    pred, target, dtype = paired(pred, target)
    if cpu.usable(pred, target):
        return cpu.giou(pred, target).to(dtype)
    counts = is_box(pred) & is_box(target)
    pred, target = replace_missing(pred, target, counts)
    overlap, hull = _overlap(pred, target).clamp(min=0), _positive(_hull(pred, target))
    shares = [((box[..., 2:] - box[..., :2]) / hull).prod(-1) for box in (pred, target)]
    union = shares[0] + shares[1] - (overlap / hull).prod(-1)
    return torch.where(counts, _iou(pred, target) - 1 + union, 0).to(dtype)


def diou(pred: Tensor, target: Tensor) -> Tensor:
    """Distance IoU of paired boxes, in [-1, 1]: IoU less the squared centre distance over the squared diagonal of C.

        DIoU = IoU - d^2 / c^2                                                (Zheng et al., AAAI 2020)

    A missing prediction gives 0, as in `giou`.

    Args and errors as in `iou`.

    >>> diou(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.tensor([[2.0, 0.0, 3.0, 1.0]]))
    tensor([-0.4000])
    """
    check_tensors(pred, target)
    pred, target, dtype = paired(pred, target)
    if cpu.usable(pred, target):
        return cpu.diou(pred, target).to(dtype)
    counts = is_box(pred) & is_box(target)
    pred, target = replace_missing(pred, target, counts)
    hull = _hull(pred, target)
    longest = _positive(hull.amax(-1, keepdim=True))
    distance = (centre_offset(pred, target) / longest).clamp(-1, 1).square().sum(-1)
    diagonal = (hull / longest).square().sum(-1)
    return torch.where(counts, _iou(pred, target) - distance / _positive(diagonal), 0).to(dtype)


def centre_offset(pred: Tensor, target: Tensor) -> Tensor:
    """Centre of `pred` less centre of `target`, `(..., 2)`. Exact under a shift of both."""
    apart = (pred - target) / 2
    return apart[..., :2] + apart[..., 2:]


def replace_missing(pred: Tensor, target: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Both with a unit box in the rows that do not count, so that neither values nor gradients of those are NaN."""
    unit = target.new_tensor([0, 0, 1, 1])
    return torch.where(counts[..., None], pred, unit), torch.where(counts[..., None], target, unit)


def _iou(pred: Tensor, target: Tensor) -> Tensor:
    """1 / (|P| / |P & T| + |T| / |P & T| - 1), each ratio taken side by side. Below 1e-9 it is 0."""
    overlap = _overlap(pred, target)
    longest = torch.maximum(pred[..., 2:] - pred[..., :2], target[..., 2:] - target[..., :2])
    meets = ((overlap > 0) & (overlap >= 1e-9 * longest)).all(-1) & is_box(pred) & is_box(target)
    pred, target = replace_missing(pred, target, meets)
    overlap = _overlap(pred, target)
    ratios = [((box[..., 2:] - box[..., :2]) / overlap).prod(-1) for box in (pred, target)]
    return torch.where(meets, 1 / (ratios[0] + ratios[1] - 1), 0)


def _overlap(pred: Tensor, target: Tensor) -> Tensor:
    """Width and height of the intersection; not positive where the boxes do not meet."""
    return torch.minimum(pred[..., 2:], target[..., 2:]) - torch.maximum(pred[..., :2], target[..., :2])


def _hull(pred: Tensor, target: Tensor) -> Tensor:
    """Width and height of the smallest box around both."""
    hull = torch.maximum(pred[..., 2:], target[..., 2:]) - torch.minimum(pred[..., :2], target[..., :2])
    return hull.clamp(max=torch.finfo(hull.dtype).max)


def _positive(divisor: Tensor) -> Tensor:
    return torch.where(divisor > 0, divisor, 1)
