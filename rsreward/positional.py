"""The positional reward: IoU plus a Gaussian of the normalised centre distance (RSGround-R1, arXiv 2601.21634)."""

from math import inf, pi, sqrt
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from .boxes import centre_offset, has_area, iou, is_box
from .checks import check_pair
from .dispatch import fast
from .fast import cpu, triton
from .oriented import oriented_iou, unit_frame

Proximity = Literal["center", "region", "keypoints"]
PROXIMITIES = ("center", "region", "keypoints")


def _check_proximity(pred: Tensor, target: Tensor, *, alpha: float, over: str) -> None:
    if not 1e-6 <= alpha <= 1e6:
        raise ValueError(f"alpha must be positive, between 1e-6 and 1e6, got {alpha}.")
    if over not in PROXIMITIES:
        raise ValueError(f"the proximity must be one of {', '.join(map(repr, PROXIMITIES))}, got {over!r}.")
    check_pair(pred, target, 5 if target.shape[-1:] == (5,) else 4)


def _check_reward(pred: Tensor, target: Tensor, *, alpha: float, beta: float, proximity: str) -> None:
    if not 0 <= beta < inf:
        raise ValueError(f"beta must be finite and not negative, got {beta}.")
    _check_proximity(pred, target, alpha=alpha, over=proximity)


@fast(_check_reward, cpu=cpu.positional_reward, cuda=triton.positional_reward)
def positional_reward(
    pred: Tensor, target: Tensor, *, alpha: float = 2.5, beta: float = 0.1, proximity: Proximity = "center"
) -> Tensor:
    """The reward of a predicted box, in [0, 1 + beta].

        R = IoU + beta * K

    with K from `gaussian_proximity`. The paper gives beta = 0.1 and alpha = 2.5. A missing prediction scores 0.

    Args:
        pred: `(..., 4)`, `[x1, y1, x2, y2]` in pixels; or `(..., 5)`, `[cx, cy, w, h, angle]` in pixels and radians.
        target: of the same kind, broadcast against `pred`.
        alpha: width of the Gaussian, in halves of the true box's sides.
        beta: weight of the proximity.
        proximity: where the Gaussian is taken, see `gaussian_proximity`.

    Returns:
        `(...)`, in the dtype of the inputs.

    Raises:
        ValueError: if the shapes do not fit, alpha is not positive, beta is negative, or the proximity is unknown.

    A perfect answer, one off by a width, and none at all:

    >>> target = torch.tensor([10.0, 10.0, 20.0, 20.0])
    >>> pred = torch.tensor([[10.0, 10.0, 20.0, 20.0], [20.0, 10.0, 30.0, 20.0], [torch.nan] * 4])
    >>> positional_reward(pred, target)
    tensor([1.1000, 0.0726, 0.0000])
    """
    overlap = oriented_iou(pred, target) if target.shape[-1] == 5 else iou(pred, target)
    return overlap + beta * gaussian_proximity(pred, target, alpha=alpha, over=proximity)


@fast(_check_proximity, rows=(is_box, has_area), cpu=cpu.gaussian_proximity, cuda=triton.gaussian_proximity)
def gaussian_proximity(pred: Tensor, target: Tensor, *, alpha: float = 2.5, over: Proximity = "center") -> Tensor:
    """How near a prediction is to the true box, in [0, 1], by a Gaussian around it and as wide as it.

        K(x, y) = exp(-(x - cx)^2 / (2 sx^2) - (y - cy)^2 / (2 sy^2)),    sx = alpha W / 2,    sy = alpha H / 2

    with centre (cx, cy), width W and height H of the true box. `over` says where on the prediction K is taken:

    * `"center"`: at its centre. Largest exactly where the centres meet.
    * `"region"`: the mean of K over the box, in closed form. Per axis, for a side [a, b] and centre c,

          sqrt(pi / 2) s / (b - a) (erf((b - c) / (sqrt(2) s)) - erf((a - c) / (sqrt(2) s)))

      A smaller box at the centre scores slightly above the perfect one.
    * `"keypoints"`: the mean of K over its four corners and its centre.

    The paper's abstract settles K; how it becomes one number is inferred, and `"region"` is its likely form.

    For oriented boxes K is the true box's own Gaussian, turned with it; the region's mean is closed along the longer
    side and a sum over 32 nodes along the other, within 1e-4 of the exact mean.

    Args:
        pred: `(..., 4)` or `(..., 5)`. A row that is not finite or inverted scores 0.
        target: of the same kind, broadcast against `pred`. Without area there is no scale: everything scores 0.
        alpha: width of the Gaussian, in halves of the true box's sides.

    Returns:
        `(...)`, in the dtype of the inputs.

    Raises:
        ValueError: if the shapes do not fit, alpha is not positive, or `over` is unknown.

    >>> target = torch.tensor([0.0, 0.0, 1.0, 1.0])
    >>> shifted = torch.tensor([1.0, 0.0, 2.0, 1.0])
    >>> [round(gaussian_proximity(shifted, target, over=over).item(), 3) for over in ("center", "region", "keypoints")]
    [0.726, 0.7, 0.666]
    """
    oriented = target.shape[-1] == 5
    frame = unit_frame(pred.movedim(-1, 0), target.movedim(-1, 0)) if oriented else _upright_frame(pred, target)
    centre, u, v = (vector / alpha for vector in frame)  # K's sigma is alpha of the true box's half sides
    if over == "center":
        return _gaussian(centre)
    if over == "keypoints":
        signs = [(a, b) for a in (-1, 1) for b in (-1, 1)]
        corners = [centre + a * u + b * v for a, b in signs] if oriented else _upright_corners(pred, target, alpha)
        return sum(map(_gaussian, corners), _gaussian(centre)) / 5
    if oriented:
        return _mean_over_parallelogram(centre, u, v)
    return _mean_gaussian(centre[0], u[0]) * _mean_gaussian(centre[1], v[1])


def _upright_frame(pred: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """As `oriented.unit_frame`, of horizontal boxes `(..., 4)`."""
    halves = (target[..., 2:] - target[..., :2]) / 2
    centre, (w, h) = centre_offset(pred, target) / halves, ((pred[..., 2:] - pred[..., :2]) / 2 / halves).unbind(-1)
    return centre.movedim(-1, 0), torch.stack([w, w * 0]), torch.stack([h * 0, h])


def _upright_corners(pred: Tensor, target: Tensor, alpha: float) -> list[Tensor]:
    """`centre +- u +- v` of horizontal boxes, without the rounding of that sum where `pred` is far larger."""
    low, high = target[..., :2], target[..., 2:]
    ends = [((end - low) + (end - high)) / (high - low) / alpha for end in (pred[..., :2], pred[..., 2:])]
    return [torch.stack([x[..., 0], y[..., 1]]) for x in ends for y in ends]


def _gaussian(point: Tensor) -> Tensor:
    """exp(-|p|^2 / 2) of points `(2, ...)`, in sigmas."""
    return torch.exp(-0.5 * point.square().sum(0))


def _mean_gaussian(middle: Tensor, half: Tensor) -> Tensor:
    """Mean of exp(-t^2 / 2) over middle +- half; by its Taylor series where the difference of erf would cancel."""
    long = half > 5e-4
    erf = torch.erf((middle + half) / sqrt(2)) - torch.erf((middle - half) / sqrt(2))
    closed = sqrt(pi / 2) * erf / (2 * torch.where(long, half, 1))
    m2 = middle.square()
    series = torch.exp(-0.5 * m2) * (1 + half.square() / 6 * (m2 - 1))
    return torch.where(long, closed, series).clamp(0, 1)


_NODES = [n.tolist() for n in np.polynomial.legendre.leggauss(32)]  # with their weights


def _mean_over_parallelogram(centre: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Mean of exp(-|p|^2 / 2) over the p = centre + s u + t v with s, t in [-1, 1]; vectors `(2, ...)`, in sigmas.

    The parallelogram is a stack of segments along u, its longer side. K is round, so the mean over a segment is that of
    a Gaussian along it, which is closed, times one of its distance from the origin. Over t it is a Gauss-Legendre sum,
    taken only where a segment comes within 9 sigmas: elsewhere K is below 1e-17, and the nodes would be wasted.
    """
    swap = u.square().sum(0) < v.square().sum(0)
    u, v = torch.where(swap, v, u), torch.where(swap, u, v)
    length = u.square().sum(0).clamp(min=1e-60).sqrt()
    along = u / length
    across = torch.stack([-along[1], along[0]])
    a, a_t = (centre * along).sum(0), (v * along).sum(0)
    b, b_t = (centre * across).sum(0), (v * across).sum(0)
    first, last = torch.full_like(a, -1), torch.ones_like(a)
    for at, slope, reach in ((b, b_t, 9.0), (a, a_t, length + 9.0)):
        slope = torch.where(slope.abs() < 1e-30, 1e-30, slope)
        ends = (-reach - at) / slope, (reach - at) / slope
        first = torch.maximum(first, torch.minimum(*ends)).clamp(max=1)
        last = torch.minimum(last, torch.maximum(*ends)).clamp(min=-1)
    span = (last - first).clamp(min=0) / 2
    total = torch.zeros_like(a)
    for node, weight in zip(*_NODES, strict=True):
        t = first + span * (1 + node)
        total = total + weight / 2 * torch.exp(-0.5 * (b + t * b_t).square()) * _mean_gaussian(a + t * a_t, length)
    return total * span


@fast(_check_reward, cpu=cpu.positional_parts)
def positional_parts(
    pred: Tensor, target: Tensor, *, alpha: float = 2.5, beta: float = 0.1, proximity: Proximity = "center"
) -> Tensor:
    """`positional_reward`, `iou` or `oriented_iou`, and `gaussian_proximity`, to the bit; of few boxes at once.

        R = IoU + beta * K

    Args and errors as in `positional_reward`.

    Returns:
        R, IoU and K, `(3, ...)`.

    >>> positional_parts(*torch.tensor([[[0.0, 0.0, 2.0, 1.0]], [[0.0, 0.0, 2.0, 2.0]]]))
    tensor([[0.5980],
            [0.5000],
            [0.9802]])
    """
    reward = positional_reward(pred, target, alpha=alpha, beta=beta, proximity=proximity)
    overlap = oriented_iou(pred, target) if target.shape[-1] == 5 else iou(pred, target)
    return torch.stack([reward, overlap, gaussian_proximity(pred, target, alpha=alpha, over=proximity)])
