"""Groups of rollouts: their weight, and their agreement without a table of all pairs."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .paired import is_box, power_of_two_over
from .rows import block_of, load_four, load_packed

BLOCK = 512


@triton.jit
def _load_ious(ious, group, rollout, size):
    """The IoUs of some rollouts of some groups, 0 for what is not finite."""
    there = (rollout < size)[None, :]
    given = tl.load(ious + group[:, None] * size + rollout[None, :], mask=there, other=0.0).to(tl.float32)
    return tl.where(tl.abs(given) < float("inf"), tl.minimum(tl.maximum(given, -1e6), 1e6), 0.0)


@triton.jit
def weight_kernel(
    ious, out, groups, size, lambda_mean, lambda_var, w_min, w_max, GROUPS: tl.constexpr, ROLLOUTS: tl.constexpr
):
    index = tl.program_id(0).to(tl.int64) * GROUPS + tl.arange(0, GROUPS)
    group = tl.minimum(index, groups - 1)
    mean, var = tl.zeros([GROUPS], tl.float32), tl.zeros([GROUPS], tl.float32)
    for start in range(0, size, ROLLOUTS):
        mean += tl.sum(_load_ious(ious, group, start + tl.arange(0, ROLLOUTS), size), 1)
    mean /= size
    for start in range(0, size, ROLLOUTS):
        rollout = start + tl.arange(0, ROLLOUTS)
        away = _load_ious(ious, group, rollout, size) - mean[:, None]
        var += tl.sum(tl.where((rollout < size)[None, :], away * away, 0.0), 1)
    weight = tl.exp(lambda_mean * (1 - mean) + lambda_var * (var / size))
    tl.store(out + index, tl.minimum(tl.maximum(weight, w_min), w_max), mask=index < groups)


@triton.jit
def agreement_kernel(boxes, out, rows, size, BLOCK: tl.constexpr):
    """The mean IoU of each rollout with the others of its group, `size` to a group, one after the other.

    A program has a block of rollouts and walks once over the members of their groups, each rollout over its own: the
    others' boxes come from the cache, a sum stays in a register, and no table of pairs is ever written.

    The areas of a pair are scaled by the sides of the row's own box, so that they are of like size where it counts: a
    box far smaller vanishes, one far larger becomes infinite, and both leave the quotient 0. What is not a box overlaps
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


@torch.library.custom_op("rsreward::group_weight", mutates_args=())
def group_weight(ious: Tensor, lambda_mean: float, lambda_var: float, w_min: float, w_max: float) -> Tensor:
    """`(..., G)` -> `(...)`, float32."""
    out, size = ious.new_empty(ious.shape[:-1], dtype=torch.float32), ious.shape[-1]
    if out.numel():
        rollouts = min(triton.next_power_of_2(size), 256)
        groups = max(1, 512 // rollouts)
        grid, options = (triton.cdiv(out.numel(), groups),), (lambda_mean, lambda_var, w_min, w_max, groups, rollouts)
        with torch.cuda.device_of(out):
            weight_kernel[grid](ious.contiguous(), out, out.numel(), size, *options, enable_fp_fusion=False)
    return out


@group_weight.register_fake
def _(ious: Tensor, lambda_mean: float, lambda_var: float, w_min: float, w_max: float) -> Tensor:
    return ious.new_empty(ious.shape[:-1], dtype=torch.float32)


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
