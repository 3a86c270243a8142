"""IoU, proximity and their sum of paired horizontal boxes in one pass. Bounded by memory: 36 bytes a pair."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .rows import as_rows, block_of, empty_rows, load_four, packed

BLOCK = 512


@triton.jit
def power_of_two_over(length):
    """The power of two that brings a positive length into [1, 2), or nearly so at the ends of float32.

    Sides are multiplied by it, which is exact, before they make areas, which then neither overflow nor vanish.
    """
    exponent = length.to(tl.int32, bitcast=True) >> 23
    return (tl.maximum(254 - exponent, 1) << 23).to(tl.float32, bitcast=True)


@triton.jit
def is_box(width, height):
    """Finite and not inverted: in the sum of the halves NaN and infinity stay, and nothing overflows."""
    return (tl.minimum(width, height) >= 0) & (width * 0.5 + height * 0.5 < float("inf"))


@triton.jit
def iou(px1, py1, px2, py2, tx1, ty1, tx2, ty2):
    """`boxes.iou` where both are boxes; exactly 1 for equal ones."""
    pw, ph, tw, th = px2 - px1, py2 - py1, tx2 - tx1, ty2 - ty1
    ow, oh = tl.minimum(px2, tx2) - tl.maximum(px1, tx1), tl.minimum(py2, ty2) - tl.maximum(py1, ty1)
    longest_w, longest_h = tl.maximum(pw, tw), tl.maximum(ph, th)
    meets = (ow > 1e-9 * longest_w) & (oh > 1e-9 * longest_h)
    x, y = power_of_two_over(longest_w), power_of_two_over(longest_h)
    overlap = (ow * x) * (oh * y)
    union = (pw * x) * (ph * y) + (tw * x) * (th * y) - overlap
    return tl.where(meets, tl.div_rn(overlap, union), 0.0)


@triton.jit
def _clamp(value, bound):
    return tl.minimum(tl.maximum(value, -bound), bound)


@triton.jit
def _sigmas(offset, side, sigmas):
    """An offset in sigmas; K is 0 well before the bound."""
    return _clamp(offset / side * sigmas, 1e4)


@triton.jit
def _ends(p1, p2, t1, tw, sigmas):
    """The sum of exp(-t^2 / 2) over both ends of a side."""
    low, high = _sigmas(p1 - t1 - tw * 0.5, tw, sigmas), _sigmas(p2 - t1 - tw * 0.5, tw, sigmas)
    return tl.exp(-0.5 * low * low) + tl.exp(-0.5 * high * high)


@triton.jit
def _mean(p1, p2, t1, tw, middle, sigmas):
    """`positional._mean_gaussian` of a side."""
    low, high = _sigmas(p1 - t1 - tw * 0.5, tw, sigmas), _sigmas(p2 - t1 - tw * 0.5, tw, sigmas)
    length = tl.minimum((p2 - p1) / tw * sigmas, 1e15)
    closed = 1.2533141373155003 / length * (tl.erf(high * 0.7071067811865476) - tl.erf(low * 0.7071067811865476))
    near = _clamp(middle, 40.0)
    m2, h2 = near * near, length * length * 0.25
    series = ((m2 - 6) * m2 + 3) * h2 * (1 / 20)  # the next term is below 1e-8
    series = 1 + h2 * (1 / 6) * (m2 - 1 + series)
    mean = tl.where(length > 0.2, closed, tl.exp(-0.5 * m2) * series)
    return tl.minimum(tl.maximum(mean, 0.0), 1.0)


@triton.jit
def _proximity(px1, py1, px2, py2, tx1, ty1, tx2, ty2, tw, th, sigmas, PROXIMITY: tl.constexpr):
    """`positional.gaussian_proximity` where both are boxes and the true one has area."""
    x = _sigmas((px1 - tx1) * 0.5 + (px2 - tx2) * 0.5, tw, sigmas)
    y = _sigmas((py1 - ty1) * 0.5 + (py2 - ty2) * 0.5, th, sigmas)
    if PROXIMITY == "region":
        return _mean(px1, px2, tx1, tw, x, sigmas) * _mean(py1, py2, ty1, th, y, sigmas)
    centre = tl.exp(-0.5 * (x * x + y * y))
    if PROXIMITY == "keypoints":
        return (_ends(px1, px2, tx1, tw, sigmas) * _ends(py1, py2, ty1, th, sigmas) + centre) * 0.2
    return centre


@triton.jit
def paired_kernel(
    pred, target, out, size, pred_stride, pred_step, pred_repeat, target_stride, target_step, target_repeat,
    sigmas, beta, IOU: tl.constexpr, PROXIMITY: tl.constexpr, PRED_PACKED: tl.constexpr, TARGET_PACKED: tl.constexpr,
    BLOCK: tl.constexpr,
):  # fmt: skip
    row, there = block_of(size, BLOCK)
    px1, py1, px2, py2 = load_four(pred, row, there, pred_stride, pred_step, pred_repeat, PRED_PACKED, BLOCK)
    tx1, ty1, tx2, ty2 = load_four(target, row, there, target_stride, target_step, target_repeat, TARGET_PACKED, BLOCK)
    tw, th = tx2 - tx1, ty2 - ty1
    counts = is_box(px2 - px1, py2 - py1) & is_box(tw, th)
    score = tl.zeros([BLOCK], tl.float32)
    if IOU:
        score = iou(px1, py1, px2, py2, tx1, ty1, tx2, ty2)
    if PROXIMITY != "none":
        near = _proximity(px1, py1, px2, py2, tx1, ty1, tx2, ty2, tw, th, sigmas, PROXIMITY)
        score += tl.where(tl.minimum(tw, th) > 0, beta * near, 0.0)
    tl.store(out + row, tl.where(counts, score, 0.0), mask=there)


@torch.library.custom_op("rsreward::paired", mutates_args=())
def paired(pred: Tensor, target: Tensor, overlap: bool, proximity: str, alpha: float, beta: float) -> Tensor:
    """IoU where `overlap`, plus beta times the proximity where one is named: `(..., 4)` and `(..., 4)` to `(...)`."""
    out = empty_rows(pred, target)
    if out.numel():
        p, t = (as_rows(boxes, out.shape) for boxes in (pred, target))
        with torch.cuda.device_of(out):
            paired_kernel[(triton.cdiv(out.numel(), BLOCK),)](
                p[0], t[0], out, out.numel(), *p[1:], *t[1:], 2 / alpha, beta, overlap, proximity, packed(p), packed(t),
                BLOCK, enable_fp_fusion=False,
            )  # fmt: skip
    return out


@paired.register_fake
def _(pred: Tensor, target: Tensor, overlap: bool, proximity: str, alpha: float, beta: float) -> Tensor:
    return empty_rows(pred, target)
