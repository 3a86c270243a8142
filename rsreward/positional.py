"""The positional reward: IoU plus a Gaussian of the normalised centre distance (RSGround-R1, arXiv 2601.21634)."""

from collections.abc import Callable
from math import inf, pi, sqrt
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from . import cpu, kernels
from .boxes import centre_offset, fitting, iou, is_box, paired, replace_missing
from .oriented import is_oriented_box, oriented_iou, unit_frame
from .paths import check_tensors

Proximity = Literal["center", "region", "keypoints"]


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
    if not 0 <= beta < inf:
        raise ValueError(f"beta must be finite and not negative, got {beta}.")
    check_tensors(pred, target)
    _check(alpha, proximity)
    numbers = _numbers(target)
    if kernels.usable(pred, target) and (proximity != "region" or numbers == 4):
        return kernels.positional_reward(*fitting(pred, target, numbers), alpha, beta, proximity)
    pred, target, dtype = paired(pred, target, numbers)
    if numbers == 4 and proximity == "center" and cpu.usable(pred, target):
        return cpu.positional_reward(pred, target, alpha, beta).to(dtype)
    overlap = iou(pred, target) if numbers == 4 else oriented_iou(pred, target)
    return (overlap + beta * gaussian_proximity(pred, target, alpha=alpha, over=proximity)).to(dtype)


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
    check_tensors(pred, target)
    _check(alpha, over)
    if _numbers(target) == 5:
        return _oriented_proximity(pred, target, 1 / alpha, over)
    if kernels.usable(pred, target):
        return kernels.gaussian_proximity(*fitting(pred, target), alpha, over)
    pred, target, dtype = paired(pred, target)
    if over == "center" and cpu.usable(pred, target):
        return cpu.proximity(pred, target, alpha).to(dtype)
    size = target[..., 2:] - target[..., :2]
    counts = is_box(pred) & is_box(target) & (size > 0).all(-1)
    pred, target = replace_missing(pred, target, counts)
    size = target[..., 2:] - target[..., :2]
    sigmas = 2 / alpha  # sigma itself could overflow or vanish: lengths are divided by the side first
    low = ((pred[..., :2] - target[..., :2] - size / 2) / size * sigmas).clamp(-_FAR, _FAR)
    high = ((pred[..., 2:] - target[..., :2] - size / 2) / size * sigmas).clamp(-_FAR, _FAR)
    middle = (centre_offset(pred, target) / size * sigmas).clamp(-_FAR, _FAR)
    length = ((pred[..., 2:] - pred[..., :2]) / size * sigmas).clamp(max=_HUGE)
    return torch.where(counts, _OVER[over](low, middle, high, length), 0).to(dtype)


def _check(alpha: float, over: str) -> None:
    if not 1e-6 <= alpha <= 1e6:
        raise ValueError(f"alpha must be positive, between 1e-6 and 1e6, got {alpha}.")
    if over not in _OVER:
        raise ValueError(f"the proximity must be one of {', '.join(map(repr, _OVER))}, got {over!r}.")


def _numbers(target: Tensor) -> int:
    """Of how many numbers the boxes are, 4 or 5; anything else is for `paired` to refuse."""
    return 5 if target.shape[-1:] == (5,) else 4


_FAR = 1e4  # sigmas; K is 0 well before, in float64 too
_HUGE = 1e15  # sigmas; the mean over so long a side is 0 to float precision


def _at_centre(low: Tensor, middle: Tensor, high: Tensor, length: Tensor) -> Tensor:
    return torch.exp(-0.5 * middle.square().sum(-1))


def _over_keypoints(low: Tensor, middle: Tensor, high: Tensor, length: Tensor) -> Tensor:
    """K splits into x and y, so the four corners are the product of the sums over the two ends of each side."""
    ends = torch.exp(-0.5 * low.square()) + torch.exp(-0.5 * high.square())
    return (ends.prod(-1) + _at_centre(low, middle, high, length)) / 5


def _over_region(low: Tensor, middle: Tensor, high: Tensor, length: Tensor) -> Tensor:
    """The mean over x times the mean over y."""
    return _mean_gaussian(low, middle, high, length).prod(-1)


def _mean_gaussian(low: Tensor, middle: Tensor, high: Tensor, length: Tensor) -> Tensor:
    """Mean of exp(-t^2 / 2) over [low, high]; by its Taylor series about the middle where that is short."""
    long = length > 0.2
    erf = torch.erf(high / sqrt(2)) - torch.erf(low / sqrt(2))
    closed = sqrt(pi / 2) / torch.where(long, length, 1) * erf
    m2, h2 = middle.clamp(-40, 40).square(), torch.where(long, 0, length / 2).square()
    series = 1 + h2 / 6 * (m2 - 1 + h2 / 20 * ((m2 - 6) * m2 + 3 + h2 / 42 * (((m2 - 15) * m2 + 45) * m2 - 15)))
    return torch.where(long, closed, torch.exp(-0.5 * m2) * series).clamp(0, 1)


_OVER: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "center": _at_centre,
    "region": _over_region,
    "keypoints": _over_keypoints,
}


def _oriented_proximity(pred: Tensor, target: Tensor, sigmas: float, over: Proximity) -> Tensor:
    pred, target, dtype = paired(pred, target, 5)
    counts = is_oriented_box(pred) & is_oriented_box(target) & (target[..., 2:4] > 0).all(-1)
    pred, target = torch.broadcast_tensors(pred, target)  # type: ignore[no-untyped-call]
    planes = [box.double().movedim(-1, 0).masked_fill(~counts, 1) for box in (pred, target)]
    centre, u, v = (sigmas * vector for vector in unit_frame(*planes))
    centre, u, v = (vector.clamp(-1e100, 1e100) for vector in (centre, u, v))
    if over == "region":
        kernel = _over_parallelogram(*(vector.clamp(-_HUGE, _HUGE) for vector in (centre, u, v)))
    else:
        points = [centre]
        if over == "keypoints":
            points += [centre + a * u + b * v for a in (-1, 1) for b in (-1, 1)]
        kernel = torch.stack([torch.exp(-0.5 * p.clamp(-_FAR, _FAR).square().sum(0)) for p in points]).mean(0)
    return (torch.nan_to_num(kernel, nan=0.0) * counts).to(dtype)


_NODES = [n.tolist() for n in np.polynomial.legendre.leggauss(32)]  # with their weights


def _over_parallelogram(centre: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Mean of exp(-|p|^2 / 2) over the p = centre + s u + t v with s, t in [-1, 1]; vectors `(2, ...)`, in sigmas.

    Along u, the longer, it is closed; along t it is Gauss-Legendre over the part where K is more than 1e-17.
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
        middle = (a + t * a_t).clamp(-_HUGE, _HUGE)
        mean = _mean_gaussian(middle - length, middle, middle + length, 2 * length)
        total = total + weight / 2 * torch.exp(-0.5 * (b + t * b_t).clamp(-_FAR, _FAR).square()) * mean
    return total * span
