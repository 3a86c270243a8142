"""Groups of rollouts: their weight from IoUs or from boxes, and their agreement, without a table of all pairs."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ..paths import broadcast
from .paired import iou, is_box, power_of_two_over
from .rows import block_of, load_four, load_packed

BLOCK = 512


@triton.jit
def _load_boxes(boxes, there):
    """The numbers of rows of four in a row, float32, and whether each is a box."""
    x1 = tl.load(boxes, mask=there, other=0.0).to(tl.float32)
    y1 = tl.load(boxes + 1, mask=there, other=0.0).to(tl.float32)
    x2 = tl.load(boxes + 2, mask=there, other=0.0).to(tl.float32)
    y2 = tl.load(boxes + 3, mask=there, other=0.0).to(tl.float32)
    return x1, y1, x2, y2, there & is_box(x2 - x1, y2 - y1)


@triton.jit
def _overlaps(pred, target, group, rollout, size, FROM_BOXES: tl.constexpr):
    """One IoU a rollout: as given, what is not finite 0; or of its box with the group's true one."""
    there = (rollout < size)[None, :]
    row = group[:, None] * size + rollout[None, :]
    if FROM_BOXES:
        px1, py1, px2, py2, counts = _load_boxes(pred + row * 4, there)
        tx1, ty1, tx2, ty2, known = _load_boxes(target + group[:, None] * 4, there)
        return tl.where(counts & known, iou(px1, py1, px2, py2, tx1, ty1, tx2, ty2), 0.0)
    given = tl.load(pred + row, mask=there, other=0.0).to(tl.float32)
    return tl.where(tl.abs(given) < float("inf"), tl.minimum(tl.maximum(given, -1e6), 1e6), 0.0)


@triton.jit
def weight_kernel(
    pred, target, out, groups, size, lambda_mean, lambda_var, w_min, w_max,
    FROM_BOXES: tl.constexpr, GROUPS: tl.constexpr, ROLLOUTS: tl.constexpr,
):  # fmt: skip
    index = tl.program_id(0).to(tl.int64) * GROUPS + tl.arange(0, GROUPS)
    group = tl.minimum(index, groups - 1)
    mean, var = tl.zeros([GROUPS], tl.float32), tl.zeros([GROUPS], tl.float32)
    for start in range(0, size, ROLLOUTS):
        rollout = start + tl.arange(0, ROLLOUTS)
        mean += tl.sum(_overlaps(pred, target, group, rollout, size, FROM_BOXES), 1)
    mean /= size
    for start in range(0, size, ROLLOUTS):
        rollout = start + tl.arange(0, ROLLOUTS)
        away = _overlaps(pred, target, group, rollout, size, FROM_BOXES) - mean[:, None]
        var += tl.sum(tl.where((rollout < size)[None, :], away * away, 0.0), 1)
    weight = tl.exp(lambda_mean * (1 - mean) + lambda_var * (var / size))
    tl.store(out + index, tl.minimum(tl.maximum(weight, w_min), w_max), mask=index < groups)


@triton.jit
def agreement_kernel(boxes, out, rows, size, BLOCK: tl.constexpr):
    """The mean IoU of each rollout with the others of its group, `size` to a group, one after the other.

    The areas of a pair are scaled by the sides of the row's own box, so that they are of like size where it counts: a
    box far smaller vanishes, one far larger becomes infinite, and both leave the quotient 0. What is no box overlaps
    nothing or makes the quotient NaN.
    """
    row, there = block_of(rows, BLOCK)
    x1, y1, x2, y2 = load_four(boxes, row, there, 4, 1, 1, True, BLOCK)
    over_w, over_h = power_of_two_over(x2 - x1), power_of_two_over(y2 - y1)
    area = ((x2 - x1) * over_w) * ((y2 - y1) * over_h)
    start = tl.program_id(0).to(tl.int64) * BLOCK
    rollout = (start % size).to(tl.int32) + tl.arange(0, BLOCK)
    group, rollout = tl.minimum(start // size + rollout // size, rows // size - 1), rollout % size
    at = boxes + group[:, None] * size * 4 + tl.arange(0, 4)[None, :]
    total = tl.zeros([BLOCK], tl.float32)
    for other in range(size):
        ox1, oy1, ox2, oy2 = load_packed(at, None, BLOCK)
        at += 4
        w = tl.maximum(tl.minimum(x2, ox2) - tl.maximum(x1, ox1), 0.0)
        h = tl.maximum(tl.minimum(y2, oy2) - tl.maximum(y1, oy1), 0.0)
        overlap = (w * over_w) * (h * over_h)
        union = area + ((ox2 - ox1) * over_w) * ((oy2 - oy1) * over_h) - overlap
        quotient = overlap / union
        total += tl.where((quotient > 0) & (rollout != other), quotient, 0.0)
    counts = is_box(x2 - x1, y2 - y1) & (area > 0)
    tl.store(out + row, tl.where(counts, total / tl.maximum(size - 1, 1), 0.0), mask=there)


def _launch_weight(
    pred: Tensor,
    target: Tensor | None,
    shape: torch.Size,
    lambda_mean: float,
    lambda_var: float,
    clip: tuple[float, float],
) -> Tensor:
    out = pred.new_empty(shape[:-1], dtype=torch.float32)
    if out.numel():
        rollouts = min(triton.next_power_of_2(shape[-1]), 256)
        groups = max(1, 512 // rollouts)
        grid = (triton.cdiv(out.numel(), groups),)
        with torch.cuda.device_of(out):
            weight_kernel[grid](
                pred, pred if target is None else target, out, out.numel(), shape[-1], lambda_mean, lambda_var, *clip,
                target is not None, groups, rollouts, enable_fp_fusion=False,
            )  # fmt: skip
    return out


@torch.library.custom_op("rsreward::weight_from_iou", mutates_args=())
def weight_from_iou(iou: Tensor, lambda_mean: float, lambda_var: float, w_min: float, w_max: float) -> Tensor:
    """`(..., G)` -> `(...)`, float32."""
    return _launch_weight(iou.contiguous(), None, iou.shape, lambda_mean, lambda_var, (w_min, w_max))


@weight_from_iou.register_fake
def _(iou: Tensor, lambda_mean: float, lambda_var: float, w_min: float, w_max: float) -> Tensor:
    return iou.new_empty(iou.shape[:-1], dtype=torch.float32)


@torch.library.custom_op("rsreward::weight_from_boxes", mutates_args=())
def weight_from_boxes(
    pred: Tensor, target: Tensor, lambda_mean: float, lambda_var: float, w_min: float, w_max: float
) -> Tensor:
    """`(..., G, 4)` and `(..., 4)` -> `(...)`, float32."""
    shape = broadcast(pred.shape[:-2], target.shape[:-1])
    group = (*shape, pred.shape[-2])
    boxes = pred.expand(*group, 4).contiguous(), target.expand(*shape, 4).contiguous()
    return _launch_weight(*boxes, torch.Size(group), lambda_mean, lambda_var, (w_min, w_max))


@weight_from_boxes.register_fake
def _(pred: Tensor, target: Tensor, lambda_mean: float, lambda_var: float, w_min: float, w_max: float) -> Tensor:
    shape = broadcast(pred.shape[:-2], target.shape[:-1])
    return pred.new_empty(shape, dtype=torch.float32)


@torch.library.custom_op("rsreward::agreement", mutates_args=())
def agreement(boxes: Tensor) -> Tensor:
    """`(..., G, 4)` -> `(..., G)`."""
    out, size = boxes.new_empty(boxes.shape[:-1]), boxes.shape[-2]
    if out.numel():
        grid = (triton.cdiv(out.numel(), BLOCK),)
        with torch.cuda.device_of(out):
            agreement_kernel[grid](boxes.contiguous(), out, out.numel(), size, BLOCK)
    return out


@agreement.register_fake
def _(boxes: Tensor) -> Tensor:
    return boxes.new_empty(boxes.shape[:-1])
