"""The options of the plug-in: from a YAML file and from the environment, checked when the plug-in is loaded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch

from rsreward import Space, consistency_weight, parse_boxes, positional_reward, space_named
from rsreward.answers import BoxKind, Select
from rsreward.positional import Proximity
from rsreward.truth import Format, read_truth

PREFIX = "RSREWARD_"
FILE = "RSREWARD_CONFIG"
_SPACE = ("min_pixels", "max_pixels", "five", "order")
_WEIGHT = ("lambda_mean", "lambda_var", "clip", "normalize")
_TYPES = {
    "a number": (int | float, ("alpha", "beta", "lambda_mean", "lambda_var")),
    "true or false": (bool, ("think_in_prompt", "normalize", "watch")),
    "a text": (str, ("space", "select", "kind", "target", "target_space", "target_format", "proximity")),
}


@dataclass(frozen=True)
class Options:
    """How answers and true boxes are read and what they are worth.

    Attributes:
        space: the coordinate space the model answers in.
        think_in_prompt: the chat template has opened the `<think>` element in the prompt.
        select: which box of an answer with several.
        kind: "horizontal" or "oriented".
        target: the column of the true boxes.
        target_space, target_format: what they are written in, see `rsreward.truth.read_truth`.
        alpha, beta, proximity: as in `rsreward.positional_reward`.
        watch: warn where something is off, see `rsreward.watch`.
        weight: options of `rsreward.consistency_weight`, those that are told.
    """

    space: Space
    think_in_prompt: bool = False
    select: Select = "first"
    kind: BoxKind = "horizontal"
    target: str = "target"
    target_space: Space | None = None
    target_format: Format | None = None
    alpha: float = 2.5
    beta: float = 0.1
    proximity: Proximity = "center"
    watch: bool = True
    weight: dict[str, Any] = field(default_factory=dict)


NAMES = (*(f.name for f in fields(Options) if f.name != "weight"), *_SPACE, *_WEIGHT)


def read_options(environment: Mapping[str, str]) -> Options:
    """The options that stand in the file that RSREWARD_CONFIG names, and in variables such as RSREWARD_SPACE.

    Args:
        environment: such as `os.environ`. A variable wins over the file. Its value is JSON or a bare word.

    Raises:
        ValueError: if an option is unknown or wrong, or the space is not named.

    >>> options = read_options({"RSREWARD_SPACE": "qwen3-vl", "RSREWARD_BETA": "0.2", "RSREWARD_CLIP": "[1, 2]"})
    >>> options.space.scale, options.beta, options.weight
    (1000, 0.2, {'clip': [1, 2]})
    """
    told = _from_file(environment[FILE]) if FILE in environment else {}
    for name, text in environment.items():
        if name.startswith(PREFIX) and name != FILE:
            told[name.removeprefix(PREFIX).lower()] = _value(text)
    unknown = told.keys() - set(NAMES)
    if unknown:
        raise ValueError(f"rsreward has no options {', '.join(sorted(map(str, unknown)))}: use {', '.join(NAMES)}.")
    if "space" not in told:
        raise ValueError(
            "rsreward needs the coordinate space that the model answers in: set RSREWARD_SPACE, for example to "
            "qwen2.5-vl, qwen3-vl or pixel."
        )
    for form, (kind, names) in _TYPES.items():
        for name in names:
            value = told.get(name)
            if value is not None and (not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool)):
                raise ValueError(f"the option {name} of rsreward must be {form}, got {value!r}.")
    try:
        return _checked({name: value for name, value in told.items() if value is not None})
    except (TypeError, ValueError) as error:
        raise ValueError(f"the options of rsreward are wrong: {error}") from None


def check_bounds(space: Space, environment: Mapping[str, str]) -> None:
    """Refuse bounds of the image processor that are not those of the space, where coordinates depend on them.

    swift reads MIN_PIXELS and MAX_PIXELS and rounds them down to whole patches; 4 and 16384 patches are its own.

    Raises:
        ValueError: naming the variable and the value that fits.

    >>> check_bounds(space_named("qwen2.5-vl", max_pixels=401408), {"MAX_PIXELS": "401408"})
    """
    if not space.depends_on_bounds:
        return
    for end, patches, bound in (("MIN", 4, space.min_pixels), ("MAX", 16384, space.max_pixels)):
        told = environment.get(f"{end}_PIXELS")
        patches = int(environment.get(f"IMAGE_{end}_TOKEN_NUM") or (int(told) // space.factor**2 if told else patches))
        if patches * space.factor**2 != bound:
            raise ValueError(
                f"swift resizes images by the bound {end}_PIXELS={patches * space.factor**2}, and the space "
                f"{space.name!r} of the rewards has {bound}: set {end}_PIXELS and RSREWARD_{end}_PIXELS to the same "
                f"multiple of {space.factor**2}."
            )


def _checked(told: dict[str, Any]) -> Options:
    weight = {name: told.pop(name) for name in _WEIGHT if name in told}
    told["space"] = space_named(told["space"], **{name: told.pop(name) for name in _SPACE if name in told})
    if "target_space" in told:
        told["target_space"] = space_named(told["target_space"])
    options = Options(**told, weight=weight)
    box = parse_boxes(["[0, 0, 1, 1]"], select=options.select, kind=options.kind)
    positional_reward(box, box, alpha=options.alpha, beta=options.beta, proximity=options.proximity)
    read_truth([], format=options.target_format)
    consistency_weight(torch.zeros(1, 1), **weight)
    return options


def _from_file(path: str) -> dict[str, Any]:
    import yaml

    try:
        told = yaml.safe_load(Path(path).read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{FILE}={path} cannot be read: {error}") from None
    if not isinstance(told, dict):
        raise ValueError(f"{FILE}={path} must hold options, one `name: value` a line.")
    return told


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
