"""The formulas of paired boxes on the CPU, many times faster: chunks that stay in the cache, planes, steps in place.

A torch call on a few thousand numbers costs more than its arithmetic, and one on a million waits for memory. Here rows
`(n, 4)` become planes `(4, n)`, a chunk at a time, and NumPy, whose calls cost a third of torch's, works on them.
Results differ from those of the plain formulas by some units in the last place of 1, and by 1e-9 where those call a
smaller overlap 0. Tensors that need a derivative take the plain formulas, as do those inside `torch.vmap` and whatever
records what is done (`torch.compile`, `make_fx`, `torch.jit.trace`).
"""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from .paths import broadcast, only_values

Array = NDArray[Any]
CHUNK = 12_000  # pairs at a time
BROADCAST_CHUNK = 32_000  # the same where few boxes make many pairs
SMALL, LARGE = 1e-9, 1e18  # ordinary boxes have longer sides and, both together, less area: float32 holds their squares
ZERO = np.zeros((), np.float32)  # an array: a number would be converted in each call


def usable(*boxes: Tensor) -> bool:
    """Whether all are ordinary tensors in this machine's memory, of which values alone are asked for."""
    if torch.compiler.is_compiling() or _get_current_dispatch_mode() is not None or not only_values(*boxes):
        return False
    for each in boxes:
        if type(each) is not Tensor or not each.is_cpu or each.layout is not torch.strided or each.is_neg():
            return False
    return not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


class _Pair(NamedTuple):
    """Corners and sizes of the boxes as planes `(2, ...)`, which broadcast, and the sum of their areas.

    Attributes:
        ordinary: no side is missing, negative, nothing, or so small or large that its area is no number.
    """

    ordinary: bool
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


def giou(pred: Tensor, target: Tensor) -> Tensor:
    """`rsreward.giou`."""
    return _in_chunks(pred, target, _giou)


def diou(pred: Tensor, target: Tensor) -> Tensor:
    """`rsreward.diou`."""
    return _in_chunks(pred, target, _diou)


def proximity(pred: Tensor, target: Tensor, alpha: float) -> Tensor:
    """`rsreward.gaussian_proximity` at the centre."""
    return _in_chunks(pred, target, lambda pair: _proximity(pair, alpha))


def positional_reward(pred: Tensor, target: Tensor, alpha: float, beta: float) -> Tensor:
    """`rsreward.positional_reward` at the centre."""

    def reward(pair: _Pair) -> Array:
        near = _proximity(pair, alpha)
        near *= beta
        near += _iou(pair)
        return near

    return _in_chunks(pred, target, reward)


def _iou(pair: _Pair) -> Array:
    return _iou_of(_overlap(pair), pair)


def _iou_of(overlap: Array, pair: _Pair) -> Array:
    if pair.ordinary:
        shared: Array = overlap[0] * overlap[1]
        shared /= pair.area_sum - shared
        return shared
    p_ratio, t_ratio = pair.p_size / overlap, pair.t_size / overlap
    inverse: Array = p_ratio[0] * p_ratio[1]
    inverse += t_ratio[0] * t_ratio[1]
    inverse -= 1
    np.reciprocal(inverse, out=inverse)
    return np.fmax(inverse, 0, out=inverse)  # of what is missing or empty there came NaN


def _proximity(pair: _Pair, alpha: float) -> Array:
    offset = _doubled_offset(pair, pair.t_size)
    offset *= offset
    kernel: Array = offset[0]
    kernel += offset[1]
    kernel *= -0.5 / alpha**2
    np.exp(kernel, out=kernel)
    return kernel if pair.ordinary else _of_boxes(kernel, pair)


def _giou(pair: _Pair) -> Array:
    hull, overlap = _positive(_hull(pair)), _overlap(pair)
    giou: Array = _iou_of(overlap, pair)
    for sign, side in ((1, pair.p_size), (1, pair.t_size), (-1, overlap)):
        share = side / hull
        giou += sign * (share[0] * share[1])
    giou -= 1
    return giou if pair.ordinary else _of_boxes(giou, pair)


def _diou(pair: _Pair) -> Array:
    hull, diou = _hull(pair), _iou(pair)
    longest = _positive(np.maximum(hull[0], hull[1]))
    offset = _doubled_offset(pair, longest)
    if not pair.ordinary:
        np.clip(offset, -2, 2, out=offset)
    hull /= longest
    offset *= offset
    hull *= hull
    diou -= (offset[0] + offset[1]) / _positive(4 * (hull[0] + hull[1]))
    return diou if pair.ordinary else _of_boxes(diou, pair)


def _overlap(pair: _Pair) -> Array:
    """Width and height of the intersection, 0 where the boxes do not meet."""
    overlap: Array = np.minimum(pair.p_high, pair.t_high)
    overlap -= np.maximum(pair.p_low, pair.t_low)
    return np.maximum(overlap, ZERO, out=overlap)


def _doubled_offset(pair: _Pair, unit: Array) -> Array:
    """Twice the way from the true centre to the predicted one, in these units."""
    offset: Array = pair.p_low - pair.t_low
    other = pair.p_high - pair.t_high
    if pair.ordinary:
        offset += other
        offset /= unit
        return offset
    return (offset * 0.5 + other * 0.5) / unit * 2  # whole their sum might be more than the largest float


def _hull(pair: _Pair) -> Array:
    """Width and height of the smallest box around both."""
    hull: Array = np.maximum(pair.p_high, pair.t_high)
    hull -= np.minimum(pair.p_low, pair.t_low)
    if not pair.ordinary:
        np.minimum(hull, np.finfo(hull.dtype).max, out=hull)
    return hull


def _positive(divisor: Array) -> Array:
    """The same array, 1 in it where it was 0."""
    divisor[divisor == 0] = 1
    return divisor


def _of_boxes(values: Array, pair: _Pair) -> Array:
    """0 where a box is missing, inverted or endless, and where there was nothing to divide by."""
    sides = np.concatenate([pair.p_size, pair.t_size])
    values[~((sides >= 0) & (sides < np.inf)).all(0) | np.isnan(values)] = 0
    return values


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


def _pair(p: Array, t: Array, ordinary: bool = True) -> _Pair:
    p_low, p_high, t_low, t_high = p[:2], p[2:], t[:2], t[2:]
    p_size, t_size = p_high - p_low, t_high - t_low
    area_sum = p_size[0] * p_size[1] + t_size[0] * t_size[1]
    return _Pair(ordinary, p_low, p_high, p_size, t_low, t_high, t_size, area_sum)


def _values(p: Array, t: Array, formula: Callable[[_Pair], Array]) -> Array:
    pair, least, largest = _pair(p, t), np.minimum.reduce, np.maximum.reduce
    values = formula(pair)
    if least(pair.p_size, None) > SMALL and least(pair.t_size, None) > SMALL and largest(pair.area_sum, None) < LARGE:
        return values
    odd = ~((np.minimum(pair.p_size, pair.t_size) > SMALL).all(0) & (pair.area_sum < LARGE))
    p_few, t_few = (np.broadcast_to(box, (4, *odd.shape))[:, odd] for box in (p, t))
    values[odd] = formula(_pair(p_few, t_few, ordinary=False))
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
