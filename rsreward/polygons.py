"""The boxes of polygons, and of turned boxes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .boxes import is_box
from .oriented import canonical, corners, from_corners


def hull_of_oriented(boxes: Tensor) -> Tensor:
    """The bounding boxes of oriented boxes. With them turned answers are scored against horizontal truth.

    Args:
        boxes: `(..., 5)`.

    Returns:
        `(..., 4)`; NaN for rows that are not oriented boxes.

    >>> hull_of_oriented(torch.tensor([[5.0, 5.0, 4.0, 2.0, 0.0]]))
    tensor([[3., 4., 7., 6.]])
    """
    points = corners(boxes)
    hull = torch.cat([points.amin(-2), points.amax(-2)], -1)
    return torch.where(is_box(boxes).unsqueeze(-1), hull, torch.nan)


def bounding_box(polygon: Tensor) -> list[float]:
    """The horizontal box around a polygon `(n, 2)`."""
    low, high = polygon.amin(0).tolist(), polygon.amax(0).tolist()
    return [*low, *high]


def rectangle(polygon: Tensor) -> list[float]:
    """The oriented box of a polygon `(n, 2)`, the same for every order in which its corners are written.

    The box of a convex quad has its mean sides, as in `from_corners`. The box of any other polygon is the smallest
    rectangle around it.

    >>> rectangle(torch.tensor([[0.0, 0.0], [4.0, 2.0], [4.0, 0.0], [0.0, 2.0]]))
    [2.0, 1.0, 4.0, 2.0, 0.0]
    """
    points = sorted(set(map(tuple, polygon.tolist())))
    hull = _convex_hull(points)
    if len(points) == len(hull) == 4:
        box = from_corners(torch.tensor(hull, dtype=torch.float64))
    else:
        box = canonical(_smallest_rectangle(np.array(hull)))
    numbers: list[float] = box.tolist()
    return numbers


def _convex_hull(points: list[Any]) -> list[Any]:
    """The corners of the convex hull of sorted points, in order around it (Andrew's monotone chain)."""
    hull: list[Any] = []
    for row in (points, points[::-1]):
        chain: list[Any] = []
        for x, y in row:
            while len(chain) > 1:
                (x0, y0), (x1, y1) = chain[-2:]
                if (x1 - x0) * (y - y0) - (y1 - y0) * (x - x0) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        hull += chain[:-1]
    return hull or points


def _smallest_rectangle(hull: Any) -> Tensor:
    """The rectangle of the least area around a convex polygon: one of its sides lies on a side of the polygon."""
    edges = np.roll(hull, -1, 0) - hull
    u = edges / np.maximum(np.hypot(*edges.T), 1e-300)[:, None]
    v = u[:, ::-1] * [-1, 1]
    low, high = (np.stack([ends(hull @ axis.T, 0) for axis in (u, v)]) for ends in (np.min, np.max))
    best = (high - low).prod(0).argmin()
    (along, across), (w, h) = (low + high)[:, best] / 2, (high - low)[:, best]
    cx, cy = along * u[best] + across * v[best]
    return torch.tensor([cx, cy, w, h, np.arctan2(u[best, 1], u[best, 0])], dtype=torch.float64)
