"""`rsreward.oriented_iou` on the CPU: the steps of the plain formula, in NumPy, on planes in float64 and in place."""

import numpy as np
import torch
from torch import Tensor

from ..checks import broadcast
from .cpu import Array

ROUNDING = 1e-14  # as in `oriented.oriented_iou`
CHUNK = 4_096  # pairs at a time; twice as many, and glibc gives their memory back after every step


def oriented_iou(pred: Tensor, target: Tensor) -> Tensor:
    """`(..., 5)` each, of shapes that broadcast -> `(...)`, float64."""
    shape = broadcast(pred.shape, target.shape)[:-1]
    p, t = (boxes.detach().expand(*shape, 5).reshape(-1, 5).numpy() for boxes in (pred, target))
    out = np.empty(len(p))
    with np.errstate(all="ignore"):
        for start in range(0, len(p), CHUNK):
            part = slice(start, start + CHUNK)
            out[part] = _iou(*(rows[part].T.astype(np.float64, order="C") for rows in (p, t)))
    return torch.from_numpy(out).view(shape)


def _iou(p: Array, t: Array) -> Array:
    overlap = _share_of_unit_square(*_unit_frame(p, t))
    meets = overlap > ROUNDING
    ratio: Array = p[2:4] / t[2:4]
    ratio = ratio[0] * ratio[1]
    np.minimum(overlap, 1, out=overlap)
    np.minimum(overlap, ratio, out=overlap)
    ratio += 1
    ratio -= overlap
    overlap /= ratio
    shorter = np.minimum(p[2:4], t[2:4])
    overlap *= (np.minimum(shorter[0], shorter[1]) > 0) & meets
    return np.fmax(overlap, 0, out=overlap)  # of what is not finite there came NaN


def _unit_frame(p: Array, t: Array) -> tuple[Array, Array, Array]:
    """As `oriented.unit_frame`."""
    cos, sin = _cos_sin(t[4])
    turn = _cos_sin(p[4] - t[4])
    away = p[:2] - t[:2]
    away *= 2
    centre = away * cos
    away *= sin
    centre[0] += away[1]
    centre[1] -= away[0]
    sides = t[2:4]
    centre /= sides
    u, v = turn * p[2], turn[::-1] * p[3]
    np.negative(v[0], out=v[0])
    u /= sides
    v /= sides
    return centre, u, v


def _cos_sin(angle: Array) -> Array:
    """By torch: NumPy's take four times as long in float64."""
    both = np.empty((2, len(angle)))
    torch.cos(torch.from_numpy(angle), out=torch.from_numpy(both[0]))
    torch.sin(torch.from_numpy(angle), out=torch.from_numpy(both[1]))
    return both


def _share_of_unit_square(centre: Array, u: Array, v: Array) -> Array:
    """As `oriented._area_in_unit_square`, over 4. The first and third edge run along u, the others along v."""
    low, high = centre - u, centre + u
    corners = np.empty((2, 5, centre.shape[1]))
    np.subtract(low, v, out=corners[:, 0])
    np.subtract(high, v, out=corners[:, 1])
    np.add(high, v, out=corners[:, 2])
    np.add(low, v, out=corners[:, 3])
    corners[:, 4] = corners[:, 0]
    x, y = corners
    clipped = np.clip(x, -1, 1)
    slide = np.subtract(clipped, x, out=x)
    y0, y1 = y[:-1].copy(), y[1:].copy()
    for first, side in ((0, u), (1, v)):
        slope = side[1] / (side[0] + 1e-100)
        y0[first::2] += slide[first:4:2] * slope
        y1[first::2] += slide[first + 1 :: 2] * slope
    c0, c1 = np.clip(y0, -1, 1), np.clip(y1, -1, 1)
    change = y1 - y0
    change += 1e-150
    beyond = y0
    beyond += y1
    doubled = c0 + c1
    beyond -= doubled
    c1 -= c0
    beyond *= c1
    beyond /= change
    doubled += beyond
    doubled *= clipped[1:] - clipped[:-1]
    share: Array = doubled.sum(0)
    np.abs(share, out=share)
    share /= 8
    return share
