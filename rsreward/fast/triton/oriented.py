"""IoU of paired oriented boxes, and their reward, in one pass: 44 bytes a pair and 200 float64 instructions."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from .rows import as_rows, block_of, empty_rows, first_of

BLOCK = 128


@triton.jit
def _load(boxes, there, stride, step, repeat, BLOCK: tl.constexpr):
    """The numbers of each row, float64, whether they are finite and the sides not negative, and the lesser side.

    Angles of 1e15 and more, whose neighbours in float32 are millions of turns apart, count as 0.
    """
    at = first_of(boxes, stride, repeat, BLOCK)
    x = tl.load(at, mask=there).to(tl.float32)
    y = tl.load(at + step, mask=there).to(tl.float32)
    w = tl.load(at + step + step, mask=there).to(tl.float32)
    h = tl.load(at + step + step + step, mask=there).to(tl.float32)
    angle = tl.load(at + step + step + step + step, mask=there).to(tl.float32)
    counts = (x * 0 + y * 0 + w * 0 + h * 0 + angle * 0 == 0) & (w >= 0) & (h >= 0)
    angle = tl.where(tl.abs(angle) < 1e15, angle, 0.0).to(tl.float64)
    return x.to(tl.float64), y.to(tl.float64), w.to(tl.float64), h.to(tl.float64), angle, counts, tl.minimum(w, h)


@triton.jit
def _clamp(value, bound):
    """By comparisons: a float64 minimum takes twice as many instructions."""
    return tl.where(value > bound, bound, tl.where(value < -bound, -bound, value))


@triton.jit
def _cos_sin(angle):
    """By one reduction to [-pi/4, pi/4] and fdlibm's polynomials, right for angles below 1e15."""
    shifted = angle * 0.6366197723675814 + 6755399441055744.0
    turns = shifted - 6755399441055744.0
    half_pi = tl.full(angle.shape, 1.5707963267948966, tl.float64)
    r = tl.fma(-turns, half_pi, angle) - turns * 6.123233995736766e-17
    z = r * r
    s = -2.50507602534068634195e-08 + z * 1.58969099521155010221e-10
    s = 8.33333333332248946124e-03 + z * (-1.98412698298579493134e-04 + z * (2.75573137070700676789e-06 + z * s))
    s = r + r * z * (-1.66666666666666324348e-01 + z * s)
    c = -2.75573143513906633035e-07 + z * (2.08757232129817482790e-09 - z * 1.13596475577881948265e-11)
    c = 4.16666666666666019037e-02 + z * (-1.38888888888741095749e-03 + z * (2.48015872894767294178e-05 + z * c))
    c = 1 - z * (0.5 - z * c)
    quarter = shifted.to(tl.int64, bitcast=True)
    cos, sin = tl.where(quarter & 1 == 0, c, s), tl.where(quarter & 1 == 0, s, c)
    return tl.where((quarter + 1) & 2 == 0, cos, -cos), tl.where(quarter & 2 == 0, sin, -sin)


@triton.jit
def _under_edge(x0, y0, clipped0, x1, y1, clipped1, slope):
    """Twice the integral along an edge of clamp(y(x), -1, 1) dx, as in `oriented._area_in_unit_square`.

    The share inside the square is in float32: what it multiplies makes with it less than 2.
    """
    y0 += slope * (clipped0 - x0)
    y1 += slope * (clipped1 - x1)
    c0, c1 = _clamp(y0, 1.0), _clamp(y1, 1.0)
    inside = tl.abs((c1 - c0).to(tl.float32)) / tl.maximum(tl.abs((y1 - y0).to(tl.float32)), 1e-30)
    return (clipped1 - clipped0) * (c0 + c1 + (y0 + y1 - (c0 + c1)) * inside)


@triton.jit
def _gaussian(x, y, sigmas):
    """exp(-|p|^2 / 2) in float32; it is 0 well before the bound."""
    x, y = _clamp(x * sigmas, 1e4).to(tl.float32), _clamp(y * sigmas, 1e4).to(tl.float32)
    return tl.exp(-0.5 * (x * x + y * y))


@triton.jit
def oriented_kernel(
    pred, target, out, size, pred_stride, pred_step, pred_repeat, target_stride, target_step, target_repeat,
    sigmas, beta, PROXIMITY: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, there = block_of(size, BLOCK)
    px, py, pw, ph, pa, p_counts, p_side = _load(pred, there, pred_stride, pred_step, pred_repeat, BLOCK)
    tx, ty, tw, th, ta, t_counts, t_side = _load(target, there, target_stride, target_step, target_repeat, BLOCK)
    counts = p_counts & t_counts & (t_side > 0)

    cos, sin = _cos_sin(ta)
    turn_cos, turn_sin = _cos_sin(pa - ta)
    dx, dy, over_w, over_h = px - tx, py - ty, 1 / tw, 1 / th
    x, y = 2 * (dx * cos + dy * sin) * over_w, 2 * (dy * cos - dx * sin) * over_h
    ux, uy = turn_cos * pw * over_w, turn_sin * pw * over_h
    vx, vy = -turn_sin * ph * over_w, turn_cos * ph * over_h

    xa, ya, xb, yb = x - ux - vx, y - uy - vy, x + ux - vx, y + uy - vy
    xc, yc, xd, yd = x + ux + vx, y + uy + vy, x - ux + vx, y - uy + vy
    a, b, c, d = _clamp(xa, 1.0), _clamp(xb, 1.0), _clamp(xc, 1.0), _clamp(xd, 1.0)
    u_slope, v_slope = uy / (ux + 1e-100), vy / (vx + 1e-100)
    overlap = _under_edge(xa, ya, a, xb, yb, b, u_slope) + _under_edge(xb, yb, b, xc, yc, c, v_slope)
    overlap += _under_edge(xc, yc, c, xd, yd, d, u_slope) + _under_edge(xd, yd, d, xa, ya, a, v_slope)
    ratio = (pw * over_w) * (ph * over_h)
    overlap = tl.minimum(tl.minimum(tl.abs(overlap) * 0.125, 1.0), ratio)
    overlap = tl.where(overlap > 1e-14, overlap, 0.0)  # as `oriented.ROUNDING`
    score = tl.where(p_side > 0, (overlap / (ratio + 1 - overlap)).to(tl.float32), 0.0)

    if PROXIMITY != "none":
        near = _gaussian(x, y, sigmas)
        if PROXIMITY == "keypoints":
            near += _gaussian(xa, ya, sigmas) + _gaussian(xb, yb, sigmas)
            near += _gaussian(xc, yc, sigmas) + _gaussian(xd, yd, sigmas)
            near *= 0.2
        score += beta * near
    tl.store(out + row, tl.where(counts, score, 0.0), mask=there)


@torch.library.custom_op("rsreward::oriented", mutates_args=())
def oriented(pred: Tensor, target: Tensor, proximity: str, alpha: float, beta: float) -> Tensor:
    """IoU plus beta times the proximity where one is named: `(..., 5)` and `(..., 5)` to `(...)`."""
    out = empty_rows(pred, target)
    if out.numel():
        p, t = (as_rows(boxes, out.shape) for boxes in (pred, target))
        with torch.cuda.device_of(out):
            grid = (triton.cdiv(out.numel(), BLOCK),)
            oriented_kernel[grid](p[0], t[0], out, out.numel(), *p[1:], *t[1:], 1 / alpha, beta, proximity, BLOCK)
    return out


@oriented.register_fake
def _(pred: Tensor, target: Tensor, proximity: str, alpha: float, beta: float) -> Tensor:
    return empty_rows(pred, target)
