"""The coordinate spaces that models answer in, by their names and by the names of the models."""

import re
from dataclasses import dataclass, replace
from math import ceil, floor, sqrt
from typing import Any, Literal, get_args

from ..checks import shown

Five = Literal["corners-cw", "corners-ccw", "le90"]
Order = Literal["xy", "yx"]


@dataclass(frozen=True)
class Space:
    """A coordinate space.

    Attributes:
        name: its name.
        scale: the number that stands for the full width and the full height, such as 1000. None: absolute pixels.
        factor, min_pixels, max_pixels: how the family's processor resizes an image, see `smart_resize`; factor 0 if it
            does not. In a space without a scale coordinates are pixels of that resized image (factor 0: of the original
            one), so the bounds must be those of the rollouts.
        five: what five numbers are, see `oriented_to_pixels`.
        order: "yx" if y comes before x: y1, x1, y2, x2.
        offset: added to every coordinate before it is scaled: 0.5 if a number names a bin and means the middle of it.

    Raises:
        ValueError: if the scale, `five` or `order` is not a known value, or `five` does not go with the order.

    A known one, and one of your own:

    >>> SPACES["qwen3-vl"].scale, SPACES["gemini"].order
    (1000, 'yx')
    >>> Space("own", scale=500).needs_size
    True
    """

    name: str
    scale: float | None = None
    factor: int = 0
    min_pixels: int = 0
    max_pixels: int = 0
    five: Five = "corners-cw"
    order: Order = "xy"
    offset: float = 0.0

    def __post_init__(self) -> None:
        for option, known in (("five", get_args(Five)), ("order", get_args(Order))):
            if getattr(self, option) not in known:
                raise ValueError(f"{option} must be one of {', '.join(known)}, got {shown(getattr(self, option))}.")
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise ValueError(f"the scale of the space {self.name!r} must be positive or None, got {self.scale}.")
        if self.order == "yx" and self.five == "le90":
            raise ValueError("five='le90' names a centre and two sides: its order must be 'xy'.")

    @property
    def needs_size(self) -> bool:
        """Whether the image's width and height are needed to reach pixels."""
        return self.scale is not None or self.factor > 0

    @property
    def depends_on_bounds(self) -> bool:
        """Whether min_pixels and max_pixels change what coordinates mean."""
        return self.scale is None and self.factor > 0

    def bounded(self, min_pixels: int, max_pixels: int) -> "Space":
        """The same space under other bounds of the processor."""
        return replace(self, min_pixels=min_pixels, max_pixels=max_pixels)

    def resized(self, height: int, width: int) -> tuple[int, int]:
        """The size `(height, width)` that the family's processor gives an image. Unchanged if factor is 0.

        >>> SPACES["qwen3-vl"].resized(1080, 1920)
        (1088, 1920)
        """
        if not self.factor:
            return height, width
        bounds = {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels}
        return smart_resize(height, width, factor=self.factor, **bounds)


def _qwen(name: str, factor: int, fewest: int, most: int = 16384, scale: float | None = None) -> Space:
    """A family with the processor of Qwen-VL, whose bounds are numbers of patches of factor x factor pixels."""
    return Space(name, scale, factor, fewest * factor**2, most * factor**2)


# Behind each family stands the source for its space.
SPACES = {
    space.name: space
    for space in (
        Space("pixel"),
        _qwen("qwen2.5-vl", 28, 4),  # QwenLM/Qwen3-VL issues 721, 866
        _qwen("qwen2-vl", 28, 4, scale=1000),  # QwenLM/Qwen3-VL issue 866, arXiv 2409.12191
        _qwen("qwen3-vl", 32, 64, scale=1000),  # QwenLM/Qwen3-VL issue 1927
        _qwen("qwen3.5", 32, 64, scale=1000),  # its authors in QwenLM/Qwen3.8-Flash-Next issue 4
        _qwen("mimo-vl", 28, 4, 4096),  # XiaomiMiMo/MiMo-VL issue 16; pixels: ms-swift, template of mimo_vl
        Space("internvl", scale=1000),  # internvl.readthedocs.io, chat data format
        Space("glm-4.5v", scale=1000),  # its authors in zai-org/GLM-V issue 161
        Space("minicpm-v", scale=1000),  # its authors in OpenBMB/MiniCPM-V issues 982, 772
        Space("kimi-vl", scale=1),  # MoonshotAI/Kimi-VL issues 56, 52, and its demo
        Space("moondream", scale=1),  # x_min .. y_max of its detect, docs.moondream.ai
        Space("deepseek-vl2", scale=999),  # its authors in deepseek-ai/DeepSeek-VL2 issue 100
        Space("rex-omni", scale=999),
        Space("florence-2", scale=1000, offset=0.5),  # transformers, processing_florence2.py: dequantize
        Space("gemini", scale=1000, order="yx"),  # docs.cloud.google.com, bounding box detection
        Space("gemma4", scale=1000, order="yx"),  # box_2d of ai.google.dev's Gemma 4 examples
        Space("paligemma", scale=1024, order="yx"),  # <loc0000> .. <loc1023>, big_vision; supervision's from_vlm
        Space("geochat", scale=100),  # which way it turns: docs/frame.md
        Space("earthdial", scale=100),
        Space("teochat", scale=100),  # ermongroup/TEOChat eval_geochat_referring.py turns x towards y
        Space("skysensegpt", scale=100, five="le90"),  # Luo-Z13/SkySenseGPT process_data_RS_Object_Detection.py
        Space("norm1000", scale=1000),
        Space("norm999", scale=999),
        Space("norm100", scale=100),
        Space("unit", scale=1),
    )
}


# What the names of a family's models contain, in lower case.
FAMILIES = {
    r"qwen2[-_.]?5[-_.]?vl": "qwen2.5-vl",
    r"qwen2[-_.]?vl": "qwen2-vl",
    r"qwen3[-_.]?vl": "qwen3-vl",
    r"qwen3[._][568](?!\d*b)(?!.*omni)": "qwen3.5",  # Qwen3-8B reads no images
    r"mimo[-_.]?vl": "mimo-vl",
    r"internvl": "internvl",
    r"glm[-_.]?4[-_.]?[156]v|^glm4v(?:_moe)?$": "glm-4.5v",  # the model_type of GLM-4.1V and GLM-4.5V is glm4v
    r"minicpm(?:-llama3)?[-_.]?[vo](?![a-z])": "minicpm-v",
    r"kimi[-_.]?vl": "kimi-vl",
    r"moondream": "moondream",
    r"deepseek[-_.]?vl2": "deepseek-vl2",
    r"rex[-_.]?omni": "rex-omni",
    r"florence[-_.]?2": "florence-2",
    r"gemini": "gemini",
    r"(?<![a-z0-9])gemma[-_.]?4(?!\d*b|\d)": "gemma4",  # gemma-4b is a size of an older one
    r"paligemma": "paligemma",
    r"geochat": "geochat",
    r"earthdial": "earthdial",
    r"teochat": "teochat",
    r"skysensegpt": "skysensegpt",
}
# Names of folders that trainers and hubs create below the one that is named after the model.
_STAGE = re.compile(
    r"(?:checkpoint|global_step|epoch)[-_]?\d+(?:-merged|-hf)?|merged|lora|adapter|final|best|actor|hf|huggingface"
    r"|snapshots|[0-9a-f]{40}|v\d+-\d{8}-\d{6}"
)


def space_for(model: str) -> Space:
    """The coordinate space that a model answers in, by its name on Hugging Face or the path of its folder.

    A fine-tune answers as it was trained to, whatever it is called. If that differs from its family, name the space.

    Args:
        model: such as "Qwen/Qwen2.5-VL-7B-Instruct" or "runs/internvl3-8b/checkpoint-500". Only the last part counts,
            without names of stages of training such as "checkpoint-500", "merged" or "lora".

    Raises:
        ValueError: if the name contains no known family, or two of them.

    >>> space_for("Qwen/Qwen2.5-VL-7B-Instruct").name
    'qwen2.5-vl'
    """
    found = _families(model)
    if len(found) != 1:
        problem = f"names two families, {' and '.join(found)}" if found else "names no family that is known here"
        raise ValueError(
            f"the model {shown(model)} {problem}: name its coordinate space. Families: {', '.join(FAMILIES.values())}; "
            f"spaces: {', '.join(SPACES)}."
        )
    return SPACES[found[0]]


def _families(model: str) -> list[str]:
    parts = [part for part in re.split(r"[/\\]", model.lower()) if part]
    named = [part for part in parts if not _STAGE.fullmatch(part)] or [""]
    return [family for pattern, family in FAMILIES.items() if re.search(pattern, named[-1])]


def space_named(
    space: str | Space,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    five: Five | None = None,
    order: Order | None = None,
) -> Space:
    """A space by its name or by the name of a model, with these options. A `Space` may be given too.

    Args:
        space: a key of `SPACES`, or what `space_for` takes.
        min_pixels, max_pixels: bounds of the image processor. None: the family's own.
        five, order: as in `Space`. None: the family's own.

    Raises:
        ValueError: if the space or an option is unknown, or they do not go together.
        TypeError: if the space is not a text or a `Space`, or a bound is not a whole number.

    >>> space_named("Qwen/Qwen2.5-VL-7B-Instruct", max_pixels=401408).resized(800, 800)
    (616, 616)
    """
    if isinstance(space, str):
        if space not in SPACES and not _families(space):
            raise ValueError(
                f"unknown coordinate space {shown(space)}: use one of {', '.join(SPACES)}, or the name of a model of "
                f"one of the families {', '.join(FAMILIES.values())}."
            )
        space = SPACES[space] if space in SPACES else space_for(space)
    elif not isinstance(space, Space):
        raise TypeError(f"a coordinate space must be a name or a Space, got {type(space).__name__}.")
    if min_pixels is not None or max_pixels is not None:
        space = _with_bounds(space, min_pixels, max_pixels)
    told: dict[str, Any] = {name: value for name, value in (("five", five), ("order", order)) if value is not None}
    return replace(space, **told) if told else space


def _with_bounds(space: Space, min_pixels: int | None, max_pixels: int | None) -> Space:
    if not space.depends_on_bounds:
        raise ValueError(f"min_pixels and max_pixels mean nothing in the space {space.name!r}: leave them out.")
    low = space.min_pixels if min_pixels is None else min_pixels
    high = space.max_pixels if max_pixels is None else max_pixels
    for name, bound in (("min_pixels", low), ("max_pixels", high)):
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise TypeError(f"{name} must be a whole number of pixels, got {shown(bound)}.")
    if not 0 <= low <= high or high < space.factor**2:
        raise ValueError(
            f"the space {space.name!r} needs 0 <= min_pixels <= max_pixels and max_pixels >= {space.factor**2} (one "
            f"patch), got {shown(low)} and {shown(high)}."
        )
    return space.bounded(low, high)


def smart_resize(
    height: int, width: int, *, factor: int = 28, min_pixels: int = 4 * 28 * 28, max_pixels: int = 16384 * 28 * 28
) -> tuple[int, int]:
    """The size `(height, width)` that a Qwen-VL processor gives an image.

    Both sides become multiples of `factor`. Their product stays between `min_pixels` and `max_pixels`. The aspect ratio
    is kept as nearly as that allows.

    Raises:
        ValueError: if a side is not positive, the aspect ratio is above 200, or the bounds leave no size.

    >>> smart_resize(1080, 1920)
    (1092, 1932)
    """
    if min(height, width) <= 0:
        raise ValueError(f"an image needs a positive height and width, got {height} x {width}.")
    if max(height, width) / min(height, width) > 200:
        raise ValueError(f"the aspect ratio must be at most 200, got height {height} and width {width}.")
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
