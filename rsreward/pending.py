"""STAND-INS UNTIL THE MERGE: what the core gets from other branches. Delete this file then and import from `rsreward`.

`space_named` with its options comes with `rsreward/coordinates.py`, `think_in_prompt` of `parse_boxes` and
`parse_box_sets` with `rsreward/answer_boxes.py`, `consistency_weight_from_statistics` with `rsreward/consistency.py`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from . import answer_boxes, coordinates
from .consistency import _check, _normalized
from .coordinates import SPACES, Space, space_for


def space_named(
    space: str | Space,
    *,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    five: Any = None,
    order: str | None = None,
) -> Space:
    if isinstance(space, str) and space not in SPACES and "/" in space:
        space = space_for(space)
    named = coordinates.space_named(space)
    if min_pixels is not None or max_pixels is not None:
        if named.scale is not None or not named.factor:
            raise ValueError(f"min_pixels and max_pixels mean nothing in the space {named.name!r}: leave them out.")
        low = named.min_pixels if min_pixels is None else min_pixels
        named = named.bounded(low, named.max_pixels if max_pixels is None else max_pixels)
    if five is not None:
        if five not in ("corners-cw", "corners-ccw", "le90"):
            raise ValueError(f"five must be 'corners-cw', 'corners-ccw' or 'le90', got {five!r}.")
        named = replace(named, five=five)
    if order not in (None, "xy"):
        raise ValueError(f"order must be 'xy', got {order!r}.")
    return named


def parse_boxes(completions: Sequence[str], *, think_in_prompt: bool = False, **options: Any) -> Tensor:
    return answer_boxes.parse_boxes(_opened(completions, think_in_prompt), **options)


def parse_box_sets(completions: Sequence[str], *, think_in_prompt: bool = False, **options: Any) -> list[Tensor]:
    return answer_boxes.parse_box_sets(_opened(completions, think_in_prompt), **options)


def _opened(completions: Sequence[str], think_in_prompt: bool) -> Sequence[str]:
    return ["<think>" + text for text in completions] if think_in_prompt else completions


def consistency_weight_from_statistics(
    mean: Tensor,
    var: Tensor,
    *,
    lambda_mean: float = 1.2,
    lambda_var: float = 1.0,
    clip: tuple[float, float] = (0.5, 3.0),
    normalize: bool = False,
) -> Tensor:
    _check(lambda_mean, lambda_var, clip)
    weight = torch.exp(lambda_mean * (1 - mean) + lambda_var * var).clamp(*clip)
    return _normalized(weight) if normalize else weight
