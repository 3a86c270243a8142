"""The coordinate spaces that models answer in, and the way to pixels of the original image and back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, floor, sqrt
from typing import Any, Literal

import torch
from torch import Tensor

Sizes = Sequence[float | None] | Tensor | float | None
MAX_SIDE = 10**7


@dataclass(frozen=True)
class Space:
    """A coordinate space.

    Attributes:
        name: what it is called.
        scale: the number that stands for the full width and the full height, such as 1000. None: absolute pixels.
        factor, min_pixels, max_pixels: the bounds by which the family's processor resizes an image, see `smart_resize`;
            factor 0 where it does not do so. In a space without a scale coordinates are pixels of that resized image
            (factor 0: of the original), so the bounds must be those that the rollouts were made with.
        five: what five numbers are. "corners-cw": x1, y1, x2, y2 of the box before it is turned about its centre, and
            degrees from +x towards +y, clockwise as one looks at the image. "corners-ccw": the same, towards -y.
            "le90": cx, cy, w, h before it is turned, and degrees from +x towards +y. All are turned in pixels.
    """

    name: str
    scale: float | None = None
    factor: int = 0
    min_pixels: int = 0
    max_pixels: int = 0
    five: Literal["corners-cw", "corners-ccw", "le90"] = "corners-cw"

    @property
    def needs_size(self) -> bool:
        """Whether the image's width and height are needed to reach pixels."""
        return self.scale is not None or self.factor > 0

    def bounded(self, min_pixels: int, max_pixels: int) -> "Space":
        """The same space under other bounds of the processor."""
        return replace(self, min_pixels=min_pixels, max_pixels=max_pixels)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """The size `(height, width)` that the family's processor gives an image; its own where factor is 0.

        >>> SPACES["qwen3-vl"].resized(1080, 1920)
        (1088, 1920)
        """
        if not self.factor:
            return height, width
        bounds = {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels}
        return smart_resize(height, width, factor=self.factor, **bounds)


SPACES = {
    space.name: space
    for space in (
        Space("pixel"),
        Space("qwen2.5-vl", factor=28, min_pixels=4 * 28 * 28, max_pixels=16384 * 28 * 28),
        Space("qwen2-vl", scale=1000, factor=28, min_pixels=4 * 28 * 28, max_pixels=16384 * 28 * 28),
        Space("qwen3-vl", scale=1000, factor=32, min_pixels=64 * 32 * 32, max_pixels=16384 * 32 * 32),
        Space("internvl", scale=1000),
        Space("deepseek-vl2", scale=999),
        Space("rex-omni", scale=999),
        Space("geochat", scale=100, five="corners-ccw"),  # as mbzuai-oryx/GeoChat geochat_demo.py draws them
        Space("earthdial", scale=100, five="corners-ccw"),  # as hiyamdebary/EarthDial rs_detection evaluates them
        Space("norm1000", scale=1000),
        Space("norm999", scale=999),
        Space("norm100", scale=100),
        Space("unit", scale=1),
    )
}


# What models of a family have in their names, in lower case.
FAMILIES = {
    r"qwen2[-_.]?5[-_.]?vl": "qwen2.5-vl",
    r"qwen2[-_.]?vl": "qwen2-vl",
    r"qwen3[-_.]?vl": "qwen3-vl",
    r"internvl": "internvl",
    r"deepseek[-_.]?vl2": "deepseek-vl2",
    r"rex[-_.]?omni": "rex-omni",
    r"geochat": "geochat",
    r"earthdial": "earthdial",
}


def space_for(model: str) -> Space:
    """The coordinate space that a model answers in, by its name on Hugging Face or the name of its folder.

    A fine-tune answers as it was trained to, whatever it is called: if that is not as its family does, name the space.

    Args:
        model: such as "Qwen/Qwen2.5-VL-7B-Instruct" or "checkpoints/internvl3-8b". Only the last part counts.

    Raises:
        ValueError: if the name holds none of the families known here, or two of them.

    >>> space_for("Qwen/Qwen2.5-VL-7B-Instruct").name
    'qwen2.5-vl'
    """
    name = re.split(r"[/\\]", model.rstrip("/\\"))[-1].lower()
    found = [family for pattern, family in FAMILIES.items() if re.search(pattern, name)]
    if len(found) != 1:
        problem = f"names two families, {' and '.join(found)}" if found else "names no family that is known here"
        raise ValueError(
            f"the model {model!r} {problem}: name its coordinate space. Families: {', '.join(FAMILIES.values())}; "
            f"spaces: {', '.join(SPACES)}."
        )
    return SPACES[found[0]]


def space_named(space: str | Space) -> Space:
    """The preset of that name; a `Space` is passed through.

    Raises:
        ValueError: if there is none.
    """
    if isinstance(space, Space):
        return space
    if space not in SPACES:
        raise ValueError(
            f"unknown coordinate space {space!r}: use one of {', '.join(SPACES)}, or space_for(the model's name)."
        )
    return SPACES[space]


def smart_resize(
    height: int, width: int, *, factor: int = 28, min_pixels: int = 4 * 28 * 28, max_pixels: int = 16384 * 28 * 28
) -> tuple[int, int]:
    """The size `(height, width)` that a Qwen-VL processor gives an image.

    Both sides become multiples of `factor`, their product stays between `min_pixels` and `max_pixels`, and the aspect
    ratio is kept as nearly as that allows.

    Raises:
        ValueError: if a side is not positive, the aspect ratio is above 200, or the bounds leave no size.

    >>> smart_resize(1080, 1920)
    (1092, 1932)
    """
    if min(height, width) <= 0:
        raise ValueError(f"an image needs a positive height and width, got {height} x {width}.")
    if max(height, width) / min(height, width) > 200:
        raise ValueError(f"the aspect ratio must be at most 200, got {height} x {width}.")
    if not 0 < factor**2 <= max_pixels or min_pixels > max_pixels:
        raise ValueError(
            f"a processor needs a positive factor and factor^2, min_pixels <= max_pixels, "
            f"got {factor}, {min_pixels} and {max_pixels}."
        )
    new = round(height / factor) * factor, round(width / factor) * factor
    if new[0] * new[1] > max_pixels:
        shrink = sqrt(height * width / max_pixels)
        return tuple(max(factor, floor(side / shrink / factor) * factor) for side in (height, width))  # type: ignore[return-value]
    if new[0] * new[1] < min_pixels:
        grow = sqrt(min_pixels / (height * width))
        return tuple(ceil(side * grow / factor) * factor for side in (height, width))  # type: ignore[return-value]
    return max(factor, new[0]), max(factor, new[1])


def to_pixels(boxes: Tensor, space: str | Space, width: Sizes = None, height: Sizes = None) -> Tensor:
    """Boxes of a space in pixels of the original image.

    Args:
        boxes: `(N, 4)` or any `(..., 4)` with one image size for all.
        space: a `Space` or the name of one.
        width, height: of the original images in pixels, N of each or one for all. None or NaN: unknown.

    Returns:
        As `boxes`; integers become the default dtype. Rows of NaN for images of unknown size.

    Raises:
        ValueError: if the space is unknown, or needs sizes that are not given, not positive or not as many.

    >>> to_pixels(torch.tensor([[0.0, 0.0, 966.0, 546.0]]), "qwen2.5-vl", 1920, 1080)
    tensor([[  0.,   0., 960., 540.]])
    """
    return (boxes.double() * _pixels_per_unit(boxes, space_named(space), width, height)).to(_float(boxes))


def from_pixels(boxes: Tensor, space: str | Space, width: Sizes = None, height: Sizes = None) -> Tensor:
    """The inverse of `to_pixels`; not rounded.

    >>> from_pixels(torch.tensor([[0.0, 0.0, 400.0, 400.0]]), "qwen3-vl", 800, 800)
    tensor([[  0.,   0., 500., 500.]])
    """
    return (boxes.double() / _pixels_per_unit(boxes, space_named(space), width, height)).to(_float(boxes))


def _float(boxes: Tensor) -> torch.dtype:
    return boxes.dtype if boxes.dtype.is_floating_point else torch.get_default_dtype()


def _pixels_per_unit(boxes: Tensor, space: Space, width: Sizes, height: Sizes) -> Tensor:
    """`(..., 4)`, float64: pixels per unit of x, y, x, y; NaN for images of unknown size."""
    if not space.needs_size:
        return torch.ones(4, dtype=torch.float64, device=boxes.device)
    if width is None or height is None:
        raise ValueError(f"the coordinate space {space.name!r} needs the width and height of the images.")
    original = torch.stack(
        [_side(side, name, boxes) for side, name in ((width, "width"), (height, "height"))], -1
    )  # fmt: skip
    ratio = original / (space.scale or _resized(original, space))
    return torch.cat([ratio, ratio], -1)


def _side(side: Any, name: str, boxes: Tensor) -> Tensor:
    """Widths or heights as float64, one for each box; NaN for None."""
    if isinstance(side, Sequence):
        side = [torch.nan if value is None else value for value in side]
    sizes = torch.as_tensor(side, dtype=torch.float64, device=boxes.device)
    if sizes.dim() and sizes.shape != boxes.shape[:-1]:
        raise ValueError(
            f"{name} must be one number, or one for each of the {tuple(boxes.shape[:-1])} boxes, "
            f"got {tuple(sizes.shape)}."
        )
    if ((sizes < 1) | (sizes > MAX_SIDE)).any():
        raise ValueError(
            f"{name} must be positive, from 1 to {MAX_SIDE} pixels, "
            f"got {sizes.min().item():g} to {sizes.max().item():g}."
        )
    return sizes.expand(boxes.shape[:-1])


def _resized(original: Tensor, space: Space) -> Tensor:
    """`(..., 2)`: widths and heights after the processor."""
    sizes, resized = [], cache(space.resized)
    for width, height in original.reshape(-1, 2).tolist():
        known = width == width and height == height
        sizes.append(resized(int(height), int(width))[::-1] if known else (torch.nan, torch.nan))
    return original.new_tensor(sizes).view_as(original)
