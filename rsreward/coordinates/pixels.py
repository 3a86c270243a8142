"""Coordinates from the space that a model answers in to pixels of the original image, and back."""

from collections.abc import Sequence
from functools import lru_cache
from math import nan
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from ..checks import shown
from .spaces import Space, space_named

Sizes = Sequence[float | None] | Tensor | float | None
MAX_SIDE = 10**7


def is_side(value: Any) -> bool:
    """Whether this is a width or a height: a number of pixels from 1 to `MAX_SIDE`.

    >>> [is_side(value) for value in (800, 0, "800", None)]
    [True, False, False, False]
    """
    return issubclass(type(value), Real) and bool(1 <= value <= MAX_SIDE)


def to_pixels(boxes: Tensor, space: str | Space, width: Sizes = None, height: Sizes = None) -> Tensor:
    """Boxes of a coordinate space, in pixels of the original image.

    Args:
        boxes: `(N, 4)`, or any `(..., 4)` with one image size for all, in the order of the axes that the space has.
        space: a `Space` or the name of one.
        width, height: of the original images in pixels, N of each or one for all. None or NaN: unknown.

    Returns:
        The same shape, x first. Integers become the default dtype. Images of unknown size give rows of NaN.

    Raises:
        ValueError: if the space is unknown, or needs sizes that are missing, not positive or of another number.

    >>> to_pixels(torch.tensor([[0.0, 0.0, 966.0, 546.0]]), "qwen2.5-vl", 1920, 1080)
    tensor([[  0.,   0., 960., 540.]])
    >>> to_pixels(torch.tensor([[100.0, 200.0, 300.0, 400.0]]), "gemini", 1000, 1000)
    tensor([[200., 100., 400., 300.]])
    """
    space = space_named(space)
    unit = _pixels_per_unit(boxes, space, width, height)
    return ((_in_order(boxes.double(), space) + space.offset) * unit).to(_float(boxes))


def from_pixels(boxes: Tensor, space: str | Space, width: Sizes = None, height: Sizes = None) -> Tensor:
    """The inverse of `to_pixels`, not rounded.

    >>> from_pixels(torch.tensor([[0.0, 0.0, 400.0, 400.0]]), "qwen3-vl", 800, 800)
    tensor([[  0.,   0., 500., 500.]])
    """
    space = space_named(space)
    unit = _pixels_per_unit(boxes, space, width, height)
    return _in_order(boxes.double() / unit - space.offset, space).to(_float(boxes))


def oriented_to_pixels(boxes: Tensor, space: str | Space, width: Sizes = None, height: Sizes = None) -> Tensor:
    """Answers of five numbers as oriented boxes in pixels of the original image.

    The space's `five` says what the five numbers are:

    * `"corners-cw"`: x1, y1, x2, y2 of the box before it is turned about its centre, and degrees from +x towards +y:
      clockwise as one looks at the image.
    * `"corners-ccw"`: the same, towards -y.
    * `"le90"`: cx, cy, w, h of the box before it is turned, and degrees from +x towards +y, of any range.

    Corners are scaled to pixels, x by the width and y by the height, and then the box is turned, so it stays a
    rectangle. The centre of "le90" is scaled in the same way. Its w and h lie along the turned sides, not along an
    axis, so both are scaled by the width: GeoBox-R1 found that this gives GeoGround's published figures.

    Args:
        boxes: `(..., 5)`.
        space, width, height: as in `to_pixels`.

    Returns:
        `(..., 5)`, `[cx, cy, w, h, radians]`, float64 (float32 cannot hold a right angle).

    >>> oriented_to_pixels(torch.tensor([50.0, 50.0, 20.0, 10.0, -90.0]), Space("own", 100, five="le90"), 1000, 500)
    tensor([500.0000, 250.0000, 200.0000, 100.0000,  -1.5708], dtype=torch.float64)
    """
    space = space_named(space)
    if boxes.shape[-1:] != (5,):
        raise ValueError(f"turned boxes need 5 numbers each in their last dimension, got {tuple(boxes.shape)}.")
    numbers, degrees = torch.split(boxes.double(), [4, 1], -1)
    angle = (-degrees if space.five == "corners-ccw" else degrees).deg2rad()
    if space.five == "le90":
        unit = _pixels_per_unit(numbers, space, width, height)
        centre = (numbers[..., :2] + space.offset) * unit[..., :2]
        return torch.cat([centre, numbers[..., 2:] * unit[..., :1], angle], -1)
    low, high = torch.split(to_pixels(numbers, space, width, height), 2, -1)
    return torch.cat([(low + high) / 2, high - low, angle], -1)


def image_sizes(width: Sizes, height: Sizes, rows: int | Sequence[int], device: Any = None) -> Tensor:
    """Columns of widths and heights as one tensor.

    Args:
        width, height: in pixels, one for each row or one for all. None or NaN: unknown.
        rows: the number of rows, or their shape.
        device: of the result.

    Returns:
        `(rows, 2)`, float64; NaN where a size is unknown.

    Raises:
        ValueError: naming a size that is not a number from 1 to `MAX_SIDE`, or if there is not one for each row.

    >>> image_sizes([640, None], 480, 2)
    tensor([[640., 480.],
            [ nan, 480.]], dtype=torch.float64)
    """
    shape = (rows,) if isinstance(rows, int) else tuple(rows)
    return torch.stack([_side(side, name, shape, device) for side, name in ((width, "width"), (height, "height"))], -1)


def _side(side: Any, name: str, shape: tuple[int, ...], device: Any) -> Tensor:
    """Widths or heights as float64, one for each row; NaN for None."""
    several = isinstance(side, Sequence) and not isinstance(side, str)
    values = [torch.nan if value is None else value for value in side] if several else side
    try:
        sizes = torch.as_tensor(torch.nan if values is None else values, dtype=torch.float64, device=device)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise ValueError(_wrong_size(name, values if several else [values])) from None
    if sizes.dim() and sizes.shape != shape:
        raise ValueError(
            f"{name} must be one number, or one for each of the {shape} boxes, got {tuple(sizes.shape)}."
        )  # fmt: skip
    wrong = (sizes < 1) | (sizes > MAX_SIDE)
    if wrong.any():
        raise ValueError(_wrong_size(name, [sizes[wrong][0].item()]))
    return sizes.expand(shape)


def _wrong_size(name: str, values: Sequence[Any]) -> str:
    """The message about the first value that is not a size."""
    wrong = next((v for v in values if not (isinstance(v, int | float) and not v > MAX_SIDE)), values[0])
    if isinstance(wrong, int) and wrong > 10**30:
        got = "a whole number of more than 30 digits"  # Python refuses to write very long ones out
    else:
        got = f"{wrong:g}" if isinstance(wrong, int | float) else shown(wrong, 40)
    return f"{name} must be positive, a number of pixels from 1 to {MAX_SIDE} or None where unknown, got {got}."


def _float(boxes: Tensor) -> torch.dtype:
    return boxes.dtype if boxes.dtype.is_floating_point else torch.get_default_dtype()


def _in_order(boxes: Tensor, space: Space) -> Tensor:
    """From the space's order of the axes to x first, and back."""
    return boxes if space.order == "xy" else boxes[..., [1, 0, 3, 2]]


def _pixels_per_unit(boxes: Tensor, space: Space, width: Sizes, height: Sizes) -> Tensor:
    """`(..., 4)`, float64: pixels per unit of x, y, x, y; NaN for images of unknown size."""
    if not space.needs_size:
        return torch.ones(4, dtype=torch.float64, device=boxes.device)
    if width is None or height is None:
        raise ValueError(f"the coordinate space {space.name!r} needs the width and height of the images.")
    if isinstance(width, int | float) and isinstance(height, int | float):
        return torch.tensor(_ratio(space, width, height) * 2, dtype=torch.float64, device=boxes.device)
    original = image_sizes(width, height, boxes.shape[:-1], boxes.device)
    ratio = original / (space.scale or _resized(original, space))
    return torch.cat([ratio, ratio], -1)


@lru_cache(4096)  # a trainer that asks for one rollout at a time has the same image many times
def _ratio(space: Space, width: float, height: float) -> tuple[float, float]:
    """Pixels per unit of x and of y in one image."""
    for name, side in (("width", width), ("height", height)):
        if side < 1 or side > MAX_SIDE:
            raise ValueError(_wrong_size(name, [side]))
    if space.scale:
        return width / space.scale, height / space.scale
    if width != width or height != height:
        return nan, nan
    rows, columns = space.resized(int(height), int(width))
    return width / columns, height / rows


def _resized(original: Tensor, space: Space) -> Tensor:
    """`(..., 2)`: widths and heights after the processor, NaN where unknown. Each different size is resized once."""
    sides = original.reshape(-1, 2).nan_to_num(0).long()
    codes, where = torch.unique(sides[:, 0] * 2**32 + sides[:, 1], return_inverse=True)
    sizes = [divmod(code, 2**32) for code in codes.tolist()]
    resized = [space.resized(h, w)[::-1] if w and h else (torch.nan, torch.nan) for w, h in sizes]
    return original.new_tensor(resized).view(-1, 2)[where].view_as(original)
