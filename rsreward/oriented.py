"""Oriented boxes `[cx, cy, w, h, angle]`: overlaps, corners, the conventions in use.

Angles are radians, positive from +x towards +y (clockwise on a screen, where y points down). The same box can be
written with the angle turned by 180 degrees, or with its sides swapped and the angle turned by 90: every function here
gives the same for all of these. Areas of overlap come from edge integrals, without a sort, a branch or an epsilon, so
nearly equal boxes are as exact as any others. They are computed in float64 (on CUDA the shares of the edges in
float32): in float32 throughout, a thin box across a thick one is off by more than 1e-5.
"""

from dataclasses import dataclass
from functools import partial
from math import pi

import torch
from torch import Tensor

from .boxes import has_area
from .checks import check_pair, check_tensors
from .dispatch import fast
from .fast import cpu_oriented, triton

ROUNDING = 1e-14  # shares of the true box: less overlap than this is what rounding leaves of boxes that do not meet


@fast(
    partial(check_pair, numbers=5), rows=(has_area, has_area), cpu=cpu_oriented.oriented_iou, cuda=triton.oriented_iou
)
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
    pred, target = pred.movedim(-1, 0), target.movedim(-1, 0)
    overlap = _area_in_unit_square(*unit_frame(pred, target)) / 4
    size = (pred[2:4] / target[2:4]).prod(0)
    overlap = torch.minimum(torch.where(overlap > ROUNDING, overlap, 0).clamp(max=1), size)
    return overlap / (size + 1 - overlap)  # the true box has area 1


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


def unit_frame(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`pred` where `target` is the square [-1, 1]^2: its centre and the halves of its sides as vectors.

    Args:
        pred, target: planes `(5, ...)`, not rows.

    Returns:
        Centre, half of w and half of h: `(2, ...)` each.
    """
    px, py, pw, ph, pa = pred
    tx, ty, tw, th, ta = target
    cos, sin, dx, dy, turn = ta.cos(), ta.sin(), px - tx, py - ty, pa - ta
    halves = torch.stack([tw, th]) / 2
    centre = torch.stack([dx * cos + dy * sin, dy * cos - dx * sin]) / halves
    u = torch.stack([turn.cos(), turn.sin()]) * (pw / 2) / halves
    v = torch.stack([-turn.sin(), turn.cos()]) * (ph / 2) / halves
    return centre, u, v


def _area_in_unit_square(centre: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Area of the intersection of the parallelogram centre +- u +- v with [-1, 1]^2; vectors `(2, ...)` -> `(...)`.

    Walking around a shape and summing the area under each edge gives its area (Green). Here an edge counts only over
    the x in [-1, 1], and only so much of the area under it as lies in the square:

        |sum over the edges of the integral of c(x) = clamp(y(x), -1, 1) dx, with x clipped to [-1, 1]|

    The ends of an edge slide along it until x is clipped, to y0 and y1. The integral of c over y is c y - c^2 / 2, so
    the doubled mean of c between them is
        c0 + c1 + (y0 + y1 - c0 - c1) (c1 - c0) / (y1 - y0)
    whose quotient lies in [0, 1] and whose bracket is exactly 0 inside: nearly equal boxes lose nothing.
    """
    flat, level = (1e-100, 1e-150) if u.dtype == torch.float64 else (1e-30, 1e-37)  # instead of a division by 0
    x, y = torch.stack([centre - u - v, centre + u - v, centre + u + v, centre - u + v, centre - u - v], 1)
    clipped = x.clamp(-1, 1)
    slope = torch.stack([side[1] / (side[0] + flat) for side in (u, v, u, v)])
    y0, y1 = (y[ends] + slope * (clipped - x)[ends] for ends in (slice(None, -1), slice(1, None)))
    c0, c1 = y0.clamp(-1, 1), y1.clamp(-1, 1)
    doubled_mean = c0 + c1 + (y0 + y1 - c0 - c1) * (c1 - c0) / (y1 - y0 + level)
    area: Tensor = ((clipped[1:] - clipped[:-1]) * doubled_mean).sum(0).abs() / 2
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

    >>> ANGLES["le135"].long_side, ANGLES["opencv"].degrees
    (True, True)
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
