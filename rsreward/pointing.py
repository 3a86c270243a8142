"""Answers that are a point: whether it lies on the object."""

import torch
from torch import Tensor

from .boxes import has_area
from .checks import broadcast
from .dispatch import fast


def _check(points: Tensor, target: Tensor) -> None:
    p, t = points.shape, target.shape
    if p[-1:] != (2,) or t[-1:] not in ((4,), (5,)):
        raise ValueError(f"needed are points (..., 2) and boxes (..., 4) or (..., 5), got {tuple(p)} and {tuple(t)}.")
    try:
        broadcast(p[:-1], t[:-1])
    except ValueError as error:
        raise ValueError(f"points and boxes are compared row by row, and {error}") from None


@fast(_check)
def point_reward(points: Tensor, target: Tensor) -> Tensor:
    """1 for a point in the true box or on its edge, else 0.

        R = [x1 <= x <= x2 and y1 <= y <= y2]; for a turned box the same in its own axes

    All points of a box are paid alike, so the reward is a step and has no slope. Where a policy needs one, take the
    point for a box without area: `gaussian_proximity(torch.cat([points, points], -1), target)`. So few comparisons
    need no faster form.

    Args:
        points: `(..., 2)`, `[x, y]` in pixels, from `parse_points`. A row of NaN scores 0.
        target: `(..., 4)` or `(..., 5)`, broadcast against `points`. A box without area scores 0.

    Returns:
        `(...)`, in the dtype of the inputs.

    Raises:
        ValueError: if the shapes do not fit.

    >>> point_reward(torch.tensor([[5.0, 5.0], [9.0, 5.0], [torch.nan] * 2]), torch.tensor([0.0, 0.0, 8.0, 8.0]))
    tensor([1., 0., 0.])
    """
    if target.shape[-1] == 4:
        inside = (target[..., :2] <= points) & (points <= target[..., 2:])
    else:
        (dx, dy), cos, sin = (points - target[..., :2]).unbind(-1), target[..., 4].cos(), target[..., 4].sin()
        inside = 2 * torch.stack([dx * cos + dy * sin, dy * cos - dx * sin], -1).abs() <= target[..., 2:4]
    return (inside.all(-1) & has_area(target)).to(points.dtype)
