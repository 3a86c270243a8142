"""The functions of paired boxes on the CPU, many times faster: chunks that stay in the cache, planes, steps in place.

A torch call on a few thousand numbers costs more than its arithmetic, and one on a million waits for memory. Here rows
`(n, 4)` become planes `(4, n)`, a chunk at a time, and NumPy, whose calls cost a third of torch's, works on them in
the dtype of the boxes. Rows for which float32 does not do (sides or areas too small or large, or no box) are few; they
are computed again in float64. Results differ from those of the plain formulas by some units in the last place of 1.
"""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..checks import broadcast

Array = NDArray[Any]
CHUNK = 12_000  # pairs at a time
FEW = 64  # boxes whose planes are not worth a copy
BROADCAST_CHUNK = 32_000  # the same where few boxes make many pairs
LARGEST = 1e150  # coordinates count up to here, as in `dispatch`
LEAST = 5e-324  # in place of an area of 0, which nothing can be divided by
SMALL, LARGE = 1e-9, 1e18  # ordinary boxes have longer sides and, both together, less area: float32 holds their squares
ZERO = np.zeros((), np.float32)  # an array: a number would be converted in each call


class _Pair(NamedTuple):
    """Corners and sizes of the boxes as planes `(2, ...)`, which broadcast, and the sum of their areas."""

    p_low: Array
    p_high: Array
    p_size: Array
    t_low: Array
    t_high: Array
    t_size: Array
    area_sum: Array


def iou(pred: Tensor, target: Tensor) -> Tensor:
    """`rsreward.iou` of boxes in float32 or float64."""
    return _in_chunks(pred, target, _iou)


def gaussian_proximity(pred: Tensor, target: Tensor, *, alpha: float, over: str) -> Tensor | None:
    """`rsreward.gaussian_proximity` of horizontal boxes at the centre."""
    if over != "center" or target.shape[-1] != 4:
        return None
    return _in_chunks(pred, target, lambda pair: _proximity(pair, alpha))


def positional_reward(pred: Tensor, target: Tensor, *, alpha: float, beta: float, proximity: str) -> Tensor | None:
    """`rsreward.positional_reward` of horizontal boxes at the centre."""
    if proximity != "center" or target.shape[-1] != 4:
        return None

    def reward(pair: _Pair) -> Array:
        near = _proximity(pair, alpha)
        near *= beta
        near += _iou(pair)
        return near

    return _in_chunks(pred, target, reward)


def positional_parts(pred: Tensor, target: Tensor, *, alpha: float, beta: float, proximity: str) -> Tensor | None:
    """`rsreward.positional.positional_parts` of a few horizontal boxes at the centre."""
    if proximity != "center" or not pred.dim() == target.dim() == 2 or target.shape[1] != 4:
        return None
    if not (0 < len(pred) <= FEW and 0 < len(target) <= FEW):
        return None

    def parts(pair: _Pair) -> Array:
        overlap, near = _iou(pair), _proximity(pair, alpha)
        return np.array((near * beta + overlap, overlap, near))

    with np.errstate(all="ignore"):
        return torch.from_numpy(_values(_array(pred).T, _array(target).T, parts))


def _iou(pair: _Pair) -> Array:
    shared = _intersection(pair)
    shared /= pair.area_sum - shared
    return shared


def _proximity(pair: _Pair, alpha: float) -> Array:
    offset = _doubled_offset(pair)
    offset /= pair.t_size
    offset *= offset
    kernel: Array = offset[0]
    kernel += offset[1]
    kernel *= -0.5 / alpha**2
    return np.exp(kernel, out=kernel)


def _intersection(pair: _Pair) -> Array:
    sides: Array = np.minimum(pair.p_high, pair.t_high)
    sides -= np.maximum(pair.p_low, pair.t_low)
    np.maximum(sides, ZERO, out=sides)
    shared: Array = sides[0] * sides[1]
    return shared


def _doubled_offset(pair: _Pair) -> Array:
    """Twice the way from the true centre to the predicted one."""
    offset: Array = pair.p_low - pair.t_low
    offset += pair.p_high - pair.t_high
    return offset


def _in_chunks(pred: Tensor, target: Tensor, formula: Callable[[_Pair], Array]) -> Tensor:
    """`formula`, chunk by chunk, over rows that broadcast. The longest dimension of a chunk becomes its innermost."""
    p, t = _array(pred), _array(target)
    shape = broadcast(pred.shape, target.shape)
    with np.errstate(all="ignore"):
        if p.ndim == t.ndim > 1 and 0 < prod(shape[:-1]) <= CHUNK:
            return torch.from_numpy(_values(_planes(p), _planes(t), formula))
        out: Array = np.empty(shape[:-1], p.dtype)
        if p.shape == t.shape:
            chunks = _chunks(p.reshape(-1, 4), t.reshape(-1, 4), out.reshape(-1), CHUNK)
        else:
            p, t = (rows.reshape(*(1,) * (len(shape) - rows.ndim), *rows.shape) for rows in (p, t))
            chunks = _chunks(p, t, out, BROADCAST_CHUNK)
        for rows_p, rows_t, part in chunks:
            axes = sorted(range(part.ndim), key=part.shape.__getitem__)
            part.transpose(axes)[...] = _values(_planes(rows_p, axes), _planes(rows_t, axes), formula)
    return torch.from_numpy(out)


def _planes(rows: Array, axes: Sequence[int] | None = None) -> Array:
    """Rows `(..., 4)` as `(4, ...)`, those before in this order."""
    return np.ascontiguousarray(rows.transpose(-1, *(range(rows.ndim - 1) if axes is None else axes)))


def _array(boxes: Tensor) -> Array:
    array: Array = (boxes.detach() if boxes.requires_grad else boxes).numpy()
    return array


def _pair(p: Array, t: Array) -> _Pair:
    p_low, p_high, t_low, t_high = p[:2], p[2:], t[:2], t[2:]
    p_size, t_size = p_high - p_low, t_high - t_low
    area_sum = p_size[0] * p_size[1] + t_size[0] * t_size[1]
    return _Pair(p_low, p_high, p_size, t_low, t_high, t_size, area_sum)


def _values(p: Array, t: Array, formula: Callable[[_Pair], Array]) -> Array:
    pair, least, largest = _pair(p, t), np.minimum.reduce, np.maximum.reduce
    values = formula(pair)
    if least(pair.p_size, None) > SMALL and least(pair.t_size, None) > SMALL and largest(pair.area_sum, None) < LARGE:
        return values
    odd = ~((np.minimum(pair.p_size, pair.t_size) > SMALL).all(0) & (pair.area_sum < LARGE))
    few = [np.broadcast_to(box, (4, *odd.shape))[:, odd] for box in (p, t)]
    sides = np.concatenate([box[2:] - box[:2] for box in few])
    boxes = ((sides >= 0) & (sides < np.inf)).all(0)
    exact = np.zeros_like(values[..., odd])  # what is missing or inverted scores 0
    if boxes.any():
        pair = _pair(*(np.clip(box[:, boxes], -LARGEST, LARGEST, dtype=np.float64) for box in few))
        exact[..., boxes] = np.nan_to_num(formula(pair._replace(area_sum=np.maximum(pair.area_sum, LEAST))))
    values[..., odd] = exact
    return values


def _chunks(p: Array, t: Array, out: Array, most: int) -> Iterator[tuple[Array, Array, Array]]:
    """Parts of at most so many pairs. `p` and `t` have the dimensions of `out`, or 1 instead, and that of the box."""
    if out.size <= most:
        if out.size:
            yield p, t, out
        return
    step = most * len(out) // out.size
    if not step:
        for i, part in enumerate(out):
            yield from _chunks(p[i % len(p)], t[i % len(t)], part, most)
        return
    for start in range(0, len(out), step):
        some = slice(start, start + step)
        yield p[some] if len(p) > 1 else p, t[some] if len(t) > 1 else t, out[some]
