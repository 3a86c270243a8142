"""The positional reward: IoU plus a proximity that has a slope where boxes do not meet (RSGround-R1, arXiv 2601.21634).

The proximity is the paper's Gaussian around the true box, or GeoBox-R1's Wasserstein distance of the boxes' Gaussians.
"""

from math import inf, pi, sqrt
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from .boxes import centre_offset, has_area, iou, is_box
from .checks import check_pair
from .dispatch import fast
from .fast import cpu, triton
from .oriented import oriented_iou, unit_frame

Proximity = Literal["center", "region", "keypoints", "wasserstein"]
PROXIMITIES = get_args(Proximity)
ALPHA = 2.5


def _check_proximity(pred: Tensor, target: Tensor, *, alpha: float, over: str) -> None:
    if not 1e-6 <= alpha <= 1e6:
        raise ValueError(f"alpha must be positive, between 1e-6 and 1e6, got {alpha}.")
    if over not in PROXIMITIES:
        raise ValueError(f"the proximity must be one of {', '.join(map(repr, PROXIMITIES))}, got {over!r}.")
    if over == "wasserstein" and alpha != ALPHA:
        raise ValueError(f"the proximity 'wasserstein' has no alpha, got {alpha}: leave it at {ALPHA}.")
    check_pair(pred, target, 5 if target.shape[-1:] == (5,) else 4)


def _check_reward(pred: Tensor, target: Tensor, *, alpha: float, beta: float, proximity: str) -> None:
    if not 0 <= beta < inf:
        raise ValueError(f"beta must be finite and not negative, got {beta}.")
    _check_proximity(pred, target, alpha=alpha, over=proximity)


@fast(_check_reward, cpu=cpu.positional_reward, cuda=triton.positional_reward)
def positional_reward(
    pred: Tensor, target: Tensor, *, alpha: float = ALPHA, beta: float = 0.1, proximity: Proximity = "center"
) -> Tensor:
    """The reward of a predicted box, in [0, 1 + beta].

        R = IoU + beta * K

    with K from `gaussian_proximity`. The paper gives beta = 0.1 and alpha = 2.5. A missing prediction scores 0.

    Args:
        pred: `(..., 4)`, `[x1, y1, x2, y2]` in pixels; or `(..., 5)`, `[cx, cy, w, h, angle]` in pixels and radians.
        target: of the same kind, broadcast against `pred`.
        alpha: width of the Gaussian, in halves of the true box's sides; `"wasserstein"` has none.
        beta: weight of the proximity.
        proximity: where the Gaussian is taken, or `"wasserstein"`, see `gaussian_proximity`.

    Returns:
        `(...)`, in the dtype of the inputs.

    Raises:
        ValueError: if the shapes do not fit, alpha is not positive or not used, beta is negative, or the proximity is
            unknown.

    A perfect answer, one off by a width, and none at all:

    >>> target = torch.tensor([10.0, 10.0, 20.0, 20.0])
    >>> pred = torch.tensor([[10.0, 10.0, 20.0, 20.0], [20.0, 10.0, 30.0, 20.0], [torch.nan] * 4])
    >>> positional_reward(pred, target)
    tensor([1.1000, 0.0726, 0.0000])
    """
    overlap = oriented_iou(pred, target) if target.shape[-1] == 5 else iou(pred, target)
    return overlap + beta * gaussian_proximity(pred, target, alpha=alpha, over=proximity)


@fast(_check_proximity, rows=(is_box, has_area), cpu=cpu.gaussian_proximity, cuda=triton.gaussian_proximity)
def gaussian_proximity(pred: Tensor, target: Tensor, *, alpha: float = ALPHA, over: Proximity = "center") -> Tensor:
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

    `"wasserstein"` is GeoBox-R1's reward in place of K, after its code. Each box is a Gaussian with the mean and the
    covariance of its corners, for sides w and h turned by R: S = R diag(w^2, h^2) R' / 4. With the true box's S

        tau / (tau + W2),    tau = 8 sqrt(tr S),    W2 the 2-Wasserstein distance of the two Gaussians

    so that size and angle have a slope too where the boxes do not meet. It is 1 only for the true box.

    Args:
        pred: `(..., 4)` or `(..., 5)`. A row that is not finite or inverted scores 0.
        target: of the same kind, broadcast against `pred`. Without area there is no scale: everything scores 0.
        alpha: width of the Gaussian, in halves of the true box's sides. `"wasserstein"` has none.

    Returns:
        `(...)`, in the dtype of the inputs.

    Raises:
        ValueError: if the shapes do not fit, alpha is not positive or not used, or `over` is unknown.

    >>> target = torch.tensor([0.0, 0.0, 1.0, 1.0])
    >>> shifted = torch.tensor([1.0, 0.0, 2.0, 1.0])
    >>> [round(gaussian_proximity(shifted, target, over=over).item(), 3) for over in PROXIMITIES]
    [0.726, 0.7, 0.666, 0.85]
    """
    if over == "wasserstein":
        return 8 / (8 + _wasserstein(pred, target))
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


def _wasserstein(pred: Tensor, target: Tensor) -> Tensor:
    """The 2-Wasserstein distance of the boxes' Gaussians, in units of sqrt(tr S) of the true one.

        W2^2 = |m_p - m_t|^2 + tr S_p + tr S_t - 2 tr (S_p^1/2 S_t S_p^1/2)^1/2

    Of horizontal boxes that is half the squared distance of their four coordinates. Of oriented ones, with half sides
    a >= b of the true box, u >= v of the other and q between their long sides, the trace of the root is

        r = sqrt(cos^2 q (a u + b v)^2 + sin^2 q (a v + b u)^2)

    and what is left, written as a sum without a negative term, loses no digits where the boxes are nearly equal:

        W2^2 = |m_p - m_t|^2 + (a - u)^2 + (b - v)^2 + 2 sin^2 q (a^2 - b^2)(u^2 - v^2) / (a u + b v + r)

    This has no NumPy form and no kernel. The reward of 64 boxes takes 0.3 ms without (oriented 0.5), which is little
    beside a rollout, and `torch.compile` fuses it on a GPU.
    """
    if target.shape[-1] == 4:
        scale = torch.hypot(target[..., 2] - target[..., 0], target[..., 3] - target[..., 1]) / 2
        return _root(((pred - target) / scale[..., None]).square().sum(-1) / 2)
    px, py, pw, ph, pa = pred.unbind(-1)
    tx, ty, tw, th, ta = target.unbind(-1)
    scale = torch.hypot(tw, th) / 2
    a, b = _long_and_short(tw / 2 / scale, th / 2 / scale)
    u, v = _long_and_short(pw / 2 / scale, ph / 2 / scale)
    alike, sine, cosine = (pw < ph) == (tw < th), (pa - ta).sin(), (pa - ta).cos()
    sin2 = torch.where(alike, sine, cosine).square()
    cos2 = torch.where(alike, cosine, sine).square()
    r2 = cos2 * (a * u + b * v).square() + sin2 * (a * v + b * u).square()
    r = r2.clamp(min=torch.finfo(r2.dtype).tiny).sqrt()  # 0 for a point, where a root has no slope
    turn = 2 * sin2 * (a.square() - b.square()) * (u.square() - v.square()) / (a * u + b * v + r)
    moved = ((px - tx) / scale).square() + ((py - ty) / scale).square()
    return _root(moved + (a - u).square() + (b - v).square() + turn)


def _long_and_short(w: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """The longer side and the shorter one; of a square w and h, with a slope each, which `maximum` would share out."""
    return torch.where(w < h, h, w), torch.where(w < h, w, h)


def _root(square: Tensor) -> Tensor:
    """The root, with the slope 0 at 0, where W2 has a kink."""
    apart = square > 0
    return torch.where(apart, torch.where(apart, square, 1).sqrt(), 0)


@fast(_check_reward, cpu=cpu.positional_parts)
def positional_parts(
    pred: Tensor, target: Tensor, *, alpha: float = ALPHA, beta: float = 0.1, proximity: Proximity = "center"
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
