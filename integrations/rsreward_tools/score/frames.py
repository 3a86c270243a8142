"""The frame that a file of completions brings with it, in `frame.json` beside it."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from rsreward import Space

from ..errors import InputError
from ..files import regular_file
from .options import Options

FRAME = "frame.json"  # {"space": the fields of a Space, "think_in_prompt": whether, "template": what was asked}
_NAMES = {each.name for each in fields(Space)}
_TOLD = ("min_pixels", "max_pixels", "five", "order")


def framed(file: Path, options: Options) -> tuple[Options, str]:
    """The options with what the file's frame says and they do not, and a sentence about it; "" without a frame.

    An option that is told wins. A space of another name, or a `Space`, stands for itself: then nothing of the file's
    space is taken.

    Args:
        file: of completions, or a folder with several; the frame lies beside the file or in the folder.

    Raises:
        InputError: if the frame is not one that can be read, or does not go together with what is told.
    """
    path = (file if file.is_dir() else file.parent) / FRAME
    found = _read(path)
    if found is None:
        _ = options.coordinates  # refuses what does not go together
        return options, ""
    space, thinks = found
    told = options.space
    same = told is None or (isinstance(told, str) and options.coordinates.name == space.name)
    read = replace(options, space=space) if same else options  # and with the bounds and the like that are told
    if options.think_in_prompt is None:
        read = replace(read, think_in_prompt=thinks)
    of_each = [(name, getattr(read.coordinates, name), getattr(space, name)) for name in (_TOLD if same else ("name",))]
    differing = [f"{name} {mine!r}, not {its!r}" for name, mine, its in of_each if mine != its]
    if read.think_in_prompt != thinks:
        differing.append(f"think_in_prompt {read.think_in_prompt}, not {thinks}")
    said = f"read in the frame of {path}: {describe(read)}."
    return read, f"{said} Told otherwise: {'; '.join(differing)}." if differing else said


def describe(options: Options) -> str:
    """The frame in words."""
    space = options.coordinates
    bounds = f", min_pixels {space.min_pixels}, max_pixels {space.max_pixels}" if space.depends_on_bounds else ""
    order = ", order yx" if space.order == "yx" else ""
    five = f", five {space.five}" if options.answer_kind == "oriented" else ""
    return f"space {space.name}{bounds}{order}{five}{', think_in_prompt' if options.think_in_prompt else ''}"


def _read(path: Path) -> tuple[Space, bool] | None:
    """The space and whether thoughts begin in the prompt; None where there is no such file, or one of another kind."""
    if not path.exists():
        return None
    try:
        found: Any = json.loads(regular_file(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON: mend it, or move it away and tell the frame by --space.") from None
    if not isinstance(found, dict) or not isinstance(found.get("space"), dict):
        return None
    try:
        if unknown := found["space"].keys() - _NAMES:
            raise ValueError(f"unknown fields {', '.join(sorted(unknown))}")
        return Space(**found["space"]), bool(found.get("think_in_prompt", False))
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{path} does not hold a space: {error}. Move it away and tell the frame by --space."
        ) from None
