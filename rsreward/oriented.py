"""Oriented boxes `[cx, cy, w, h, angle]` and convex quads: overlaps, corners, the conventions in use.

Angles are radians, positive from +x towards +y (clockwise on a screen, where y points down). The same box can be
written with the angle turned by 180 degrees, or with its sides swapped and the angle turned by 90: every function here
gives the same for all of these. Areas of overlap come from edge integrals, without a sort, a branch or an epsilon, so
nearly equal boxes are as exact as any others. They are computed in float64 (on CUDA the shares of the edges in
float32): in float32 throughout, a thin box across a thick one is off by more than 1e-5.
"""

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor

from . import cpu, cpu_oriented, kernels
from .boxes import fitting, paired
from .paths import broadcast, check_tensors


def is_oriented_box(boxes: Tensor) -> Tensor:
    """Which rows are oriented boxes: finite, no negative side. `(..., 5)` -> `(...)`, bool.

    >>> is_oriented_box(torch.tensor([[0.0, 0.0, 2.0, 1.0, 9.0], [0.0, 0.0, -2.0, 1.0, 0.0]]))
    tensor([ True, False])
    """
    if boxes.shape[-1:] != (5,):
        raise ValueError(f"oriented boxes need 5 numbers each in their last dimension, got shape {tuple(boxes.shape)}.")
    return boxes.isfinite().all(-1) & (boxes[..., 2:4] >= 0).all(-1)


def oriented_iou(pred: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of paired oriented boxes, in [0, 1].

        IoU = |P & T| / |P | T|

    Args:
        pred: `(..., 5)`, `[cx, cy, w, h, angle]`. A row that is not finite or has a negative side scores 0.
        target: `(..., 5)`, broadcast against `pred`.

    Returns:
        `(...)`, in the dtype of the inputs. Computed in float64: float32 results are exact to their rounding, float64
        ones within 1e-12, also for sides 100,000 times as long as the other.

    Raises:
        ValueError: if the shapes do not fit.

    A square against itself turned by 45 degrees, which leaves an octagon:

    >>> square = torch.tensor([0.0, 0.0, 2.0, 2.0, 0.0])
    >>> oriented_iou(square, torch.tensor([0.0, 0.0, 2.0, 2.0, torch.pi / 4]))
    tensor(0.7071)
    """
    check_tensors(pred, target)
    if kernels.usable(pred, target):
        return kernels.oriented_iou(*fitting(pred, target, 5))
    pred, target, dtype = paired(pred, target, 5)
    shape = broadcast(pred.shape, target.shape)[:-1]
    rows = [box.expand(*shape, 5).reshape(-1, 5) for box in (pred, target)]
    overlap = cpu_oriented.oriented_iou(*rows) if cpu.usable(*rows) else _oriented_iou(*rows)
    return overlap.view(shape).to(dtype)


def pairwise_oriented_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of every oriented box of `a`, `(..., N, 5)`, with every one of `b`, `(..., M, 5)`: `(..., N, M)`.

    >>> boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0, 0.0], [1.0, 0.0, 2.0, 2.0, torch.pi / 2]])
    >>> pairwise_oriented_iou(boxes, boxes)
    tensor([[1.0000, 0.3333],
            [0.3333, 1.0000]])
    """
    check_tensors(a, b)
    if a.dim() < 2 or b.dim() < 2:
        raise ValueError(f"needed are (..., N, 5) and (..., M, 5), got {tuple(a.shape)} and {tuple(b.shape)}.")
    return oriented_iou(a.unsqueeze(-2), b.unsqueeze(-3))


def _oriented_iou(pred: Tensor, target: Tensor) -> Tensor:
    """`(N, 5)` each -> `(N,)`, float64."""
    pred, target = (b.new_empty(b.shape[::-1], dtype=torch.float64).copy_(b.T) for b in (pred, target))  # to planes
    counts = torch.minimum(pred[2:4], target[2:4]).amin(0) > 0  # of what is not finite there comes 0 or NaN
    if pred.requires_grad or target.requires_grad:  # without it a NaN goes no further than its row
        counts &= (pred + target).sum(0).isfinite()
        pred, target = pred.masked_fill(~counts, 1), target.masked_fill(~counts, 1)
    overlap = _area_in_unit_square(*unit_frame(pred, target)) / 4
    ratio = (pred[2:4] / target[2:4]).prod(0)
    overlap = torch.minimum(overlap.clamp(max=1), ratio)
    iou: Tensor = torch.nan_to_num(overlap / (ratio + 1 - overlap), nan=0.0) * counts
    return iou


def unit_frame(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`pred` where `target` is the square [-1, 1]^2: its centre and the halves of its sides as vectors.

    Args:
        pred, target: planes `(5, ...)`, not rows.

    Returns:
        Centre, half of w and half of h: `(2, ...)` each.
    """
    px, py, pw, ph, pa = pred
    tx, ty, _, _, ta = target
    cos, sin, dx, dy, turn = ta.cos(), ta.sin(), px - tx, py - ty, pa - ta
    c, s, sides = turn.cos(), turn.sin(), target[2:4]
    centre = torch.stack([torch.addcmul(dx * cos, dy, sin), torch.addcmul(dy * cos, dx, sin, value=-1)])
    u, v = torch.stack([c, s]), torch.stack([-s, c])
    return centre.mul_(2).div_(sides), u.mul_(pw).div_(sides), v.mul_(ph).div_(sides)


def _area_in_unit_square(centre: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Area of the intersection of the parallelogram centre +- u +- v with [-1, 1]^2; vectors `(2, N)` -> `(N,)`.

    Minus the sum over its directed edges of the integral of c(x) = clamp(y(x), -1, 1) dx with x clipped to [-1, 1].
    The ends of an edge slide along it until x is clipped, to y0 and y1. The integral of c over y is c y - c^2 / 2, so
    the doubled mean of c between them is
        c0 + c1 + (y0 + y1 - c0 - c1) (c1 - c0) / (y1 - y0)
    whose quotient lies in [0, 1] and whose bracket is exactly 0 inside: nearly equal boxes lose nothing.
    """
    low, high = centre - u, centre + u
    first = low - v
    x, y = torch.stack([first, high - v, high + v, low + v, first], 1)
    clipped = x.clamp(-1, 1)
    slide = clipped - x
    slope = torch.stack([side[1] / (side[0] + 1e-100) for side in (u, v)] * 2)
    y0, y1 = torch.addcmul(y[:-1], slope, slide[:-1]), torch.addcmul(y[1:], slope, slide[1:])
    c0, c1 = y0.clamp(-1, 1), y1.clamp(-1, 1)
    doubled = c0 + c1
    beyond = (y0 + y1).sub_(doubled).mul_(c1 - c0)
    doubled = doubled.addcdiv_(beyond, (y1 - y0).add_(1e-150))
    area: Tensor = (clipped[1:] - clipped[:-1]).mul_(doubled).sum(0).abs() / 2
    return area


def corners(boxes: Tensor) -> Tensor:
    """The four corners `[x, y]` of oriented boxes, in order around them; at angle 0 from the upper left, clockwise.

    Args:
        boxes: `(..., 5)`.

    Returns:
        `(..., 4, 2)`.

    >>> corners(torch.tensor([5.0, 5.0, 4.0, 2.0, 0.0])).tolist()
    [[3.0, 4.0], [7.0, 4.0], [7.0, 6.0], [3.0, 6.0]]
    """
    cx, cy, w, h, angle = boxes.unbind(-1)
    cos, sin = angle.cos(), angle.sin()
    u = torch.stack([w * cos, w * sin], -1) / 2
    v = torch.stack([-h * sin, h * cos], -1) / 2
    centre = torch.stack([cx, cy], -1)
    return torch.stack([centre - u - v, centre + u - v, centre + u + v, centre - u + v], -2)


def from_corners(quads: Tensor) -> Tensor:
    """The oriented box of four corners in order around it, the inverse of `corners`.

    A quad that is no rectangle gives the box of its mean sides.

    Args:
        quads: `(..., 4, 2)`.

    Returns:
        `(..., 5)`, in `le90` form.

    >>> from_corners(torch.tensor([[3.0, 4.0], [7.0, 4.0], [7.0, 6.0], [3.0, 6.0]]))
    tensor([5., 5., 4., 2., 0.])
    """
    if quads.shape[-2:] != (4, 2):
        raise ValueError(f"corners need the shape (..., 4, 2), got {tuple(quads.shape)}.")
    if not quads.is_floating_point():
        quads = quads.to(torch.get_default_dtype())
    a, b, c, d = quads.unbind(-2)
    u, v = (b - a + c - d) / 2, (d - a + c - b) / 2
    angle = torch.atan2(u[..., 1], u[..., 0])
    sides = torch.stack([torch.linalg.vector_norm(u, dim=-1), torch.linalg.vector_norm(v, dim=-1), angle], -1)
    return canonical(torch.cat([quads.mean(-2), sides], -1))


@dataclass(frozen=True)
class AngleConvention:
    """How a tool writes the angle.

    Attributes:
        lowest: the least angle, in radians. None: any.
        long_side: whether w is the longer side, and the angle spans 180 degrees. Else it spans 90.
        open_below: whether `lowest` itself is excluded and the other end is not.
        degrees: degrees instead of radians.
    """

    lowest: float | None = None
    long_side: bool = False
    open_below: bool = False
    degrees: bool = False


ANGLES = {
    "le90": AngleConvention(-pi / 2, long_side=True),  # mmrotate
    "le135": AngleConvention(-pi / 4, long_side=True),  # mmrotate
    "oc": AngleConvention(0.0, open_below=True),  # mmrotate, after OpenCV 4.5.1
    "opencv": AngleConvention(0.0, open_below=True, degrees=True),  # minAreaRect since 4.5.1
    "long-side": AngleConvention(0.0, long_side=True, degrees=True),  # DOTA devkit and others: [0, 180)
    "degrees": AngleConvention(degrees=True),
    "radians": AngleConvention(),
}


def convert_angles(boxes: Tensor, source: str, target: str) -> Tensor:
    """The same boxes written in another convention, `(..., 5)`; see `ANGLES` for the names.

    Computed in float64, so that a float32 angle is rounded once.

    >>> convert_angles(torch.tensor([0.0, 0.0, 4.0, 2.0, -30.0]), "degrees", "opencv")
    tensor([ 0.,  0.,  2.,  4., 60.])
    """
    for name in (source, target):
        if name not in ANGLES:
            raise ValueError(f"unknown angle convention {name!r}: use one of {', '.join(ANGLES)}.")
    if boxes.shape[-1:] != (5,):
        raise ValueError(f"oriented boxes need 5 numbers each in their last dimension, got shape {tuple(boxes.shape)}.")
    dtype = boxes.dtype if boxes.is_floating_point() else torch.get_default_dtype()
    cx, cy, w, h, angle = boxes.double().unbind(-1)
    if ANGLES[source].degrees:
        angle = angle.deg2rad()
    to = ANGLES[target]
    if to.lowest is not None:
        if to.long_side:
            swap, span = w < h, pi
            angle = angle + swap.to(angle.dtype) * (pi / 2)
        else:
            quarters = torch.div(angle - to.lowest, pi / 2, rounding_mode="floor").remainder(2)
            swap, span = quarters == 1, pi / 2
        turned = (angle - to.lowest).remainder(span)
        if to.open_below:
            swap = torch.where(turned == 0, ~swap, swap)
            turned = torch.where(turned == 0, span, turned)
        w, h = torch.where(swap, h, w), torch.where(swap, w, h)
        angle = turned + to.lowest
    return torch.stack([cx, cy, w, h, angle.rad2deg() if to.degrees else angle], -1).to(dtype)


def canonical(boxes: Tensor) -> Tensor:
    """The `le90` form of oriented boxes: w >= h, angle in [-pi/2, pi/2).

    >>> canonical(torch.tensor([0.0, 0.0, 2.0, 4.0, 0.0]))
    tensor([ 0.0000,  0.0000,  4.0000,  2.0000, -1.5708])
    """
    return convert_angles(boxes, "radians", "le90")


def quad_iou(pred: Tensor, target: Tensor) -> Tensor:
    """IoU of paired convex quads, each four corners in order around it, either way round.

        |P & T| = |sum over edges p of P, t of T of the integral of sign(p) sign(t) min(y_p(x), y_t(x)) dx|

    over the x that both edges span, with the sign of the direction in which an edge runs.

    Args:
        pred: `(..., 4, 2)`.
        target: `(..., 4, 2)`, broadcast against `pred`.

    Returns:
        `(...)`, in the dtype of the inputs; 0 where a number is not finite or a quad has no area.

    >>> quad = corners(torch.tensor([0.0, 0.0, 2.0, 2.0, 0.0]))
    >>> quad_iou(quad, quad + torch.tensor([1.0, 0.0]))
    tensor(0.3333)
    """
    if pred.shape[-2:] != (4, 2) or target.shape[-2:] != (4, 2):
        raise ValueError(f"quads need the shape (..., 4, 2), got {tuple(pred.shape)} and {tuple(target.shape)}.")
    p, t, dtype = paired(pred.flatten(-2), target.flatten(-2), 8)
    shape = broadcast(p.shape, t.shape)
    p, t = (q.expand(shape).reshape(-1, 4, 2).double() for q in (p, t))
    counts = p.isfinite().all(-1).all(-1) & t.isfinite().all(-1).all(-1) & (_area(p) != 0) & (_area(t) != 0)
    square = p.new_tensor([[0, 0], [1, 0], [1, 1], [0, 1]])
    p, t = (torch.where(counts[:, None, None], q, square) for q in (p, t))
    corner = torch.minimum(p.amin(-2), t.amin(-2))[:, None]
    overlap = _polygon_overlap(p - corner, t - corner)
    union = _area(p).abs() + _area(t).abs() - overlap
    return torch.where(counts, torch.nan_to_num(overlap / union, nan=0.0).clamp(0, 1), 0).view(shape[:-1]).to(dtype)


def _polygon_overlap(p: Tensor, t: Tensor) -> Tensor:
    """Area of the intersection of simple polygons `(N, K, 2)` and `(N, M, 2)` without negative coordinates."""
    p_low, p_high, p_y, p_slope, p_sign = (v[:, :, None] for v in _edges(p))
    t_low, t_high, t_y, t_slope, t_sign = (v[:, None, :] for v in _edges(t))
    low = torch.maximum(p_low, t_low)
    width = (torch.minimum(p_high, t_high) - low).clamp(min=0)
    f, g = p_y + p_slope * (low - p_low), t_y + t_slope * (low - t_low)
    d0 = g - f
    d1 = d0 + (t_slope - p_slope) * width
    crosses = d0 * d1 < 0
    lowest = torch.minimum(d0, d1)
    below = torch.where(
        crosses,
        lowest * lowest / torch.where(crosses, -2 * (d0 - d1).abs(), 1),
        (d0.clamp(max=0) + d1.clamp(max=0)) / 2,
    )
    return ((f + p_slope * width / 2 + below) * width * p_sign * t_sign).sum((1, 2)).abs()


def _edges(polygon: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Of each edge: least and greatest x, y at the least x, slope, and the sign of its direction along x."""
    (x, y), (next_x, next_y) = polygon.unbind(-1), polygon.roll(-1, -2).unbind(-1)
    dx = next_x - x
    slope = (next_y - y) / torch.where(dx == 0, 1, dx)
    return torch.minimum(x, next_x), torch.maximum(x, next_x), torch.where(dx >= 0, y, next_y), slope, dx.sign()


def _area(polygon: Tensor) -> Tensor:
    """Signed area of `(N, K, 2)`, by the shoelace formula about the first corner."""
    x, y = (polygon - polygon[:, :1]).unbind(-1)
    return (x * y.roll(-1, -1) - x.roll(-1, -1) * y).sum(-1) / 2
