"""What the folder of a model says: its plan, its coordinate space, its newest checkpoint."""

import json
from pathlib import Path
from typing import Any

from rsreward_tools.errors import InputError

import rsreward
from rsreward import SPACES, Space

from ..arguments import FrameArguments


def plan_of(model: str) -> dict[str, Any]:
    """The plan that a model of this recipe was trained by. Empty for other models."""
    path = Path(model) / "plan.json"
    try:
        plan = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:
        plan = None
    if not isinstance(plan, dict):
        raise InputError(f"{path} is damaged: remove it, and give --space and --template yourself.")
    return plan


def space_of(model: str, told: FrameArguments | None = None, processor: Any = None) -> Space:
    """The space that a model answers in: the one that the user named, else the one it was trained in, or its family's.

    Args:
        model: its folder or its name, or the name of a space.
        told: what the user said about it.
        processor: the model's, if it was loaded. The space then takes its bounds, otherwise those that the user gave.

    Raises:
        InputError: if the space is unknown, or does not go with the model's processor.
    """
    told = told or FrameArguments()
    try:
        trained_in = plan_of(model).get("space")
        named = told.space or (Space(**trained_in) if trained_in else _family_of(model))
        space = rsreward.space_named(named, five=told.five or None, order=told.order or None)  # type: ignore[arg-type]
    except InputError:
        raise
    except (ValueError, TypeError) as error:
        raise InputError(f"--space: {error}") from None
    if processor is not None:
        return _with_bounds_of(space, processor)
    if told.min_pixels is None and told.max_pixels is None:
        return space
    if not space.factor:
        raise InputError(f"--min-pixels and --max-pixels mean nothing in the space {space.name}: leave them out.")
    low, high = told.min_pixels or space.min_pixels, told.max_pixels or space.max_pixels
    if not low <= high or high < space.factor**2:
        raise InputError(
            f"the space {space.name} cannot have --min-pixels {low} and --max-pixels {high}: give both, the second at "
            f"least {space.factor**2}."
        )
    return space.bounded(low, high)


def _family_of(model: str) -> Space:
    """The space of a model's family: by its name, else by `model_type` in the `config.json` of its folder."""
    folder = Path(model)
    if model in SPACES:
        return SPACES[model]
    try:
        return rsreward.space_for(model)
    except ValueError:
        if not folder.exists():
            raise InputError(
                f"there is no folder {model}, and the name does not contain a known family: give "
                f"the model's folder or name, or --space, one of {', '.join(SPACES)}."
            ) from None
        try:
            kind = str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
            return rsreward.space_for(kind)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise


def _with_bounds_of(space: Space, processor: Any) -> Space:
    """The space with the bounds of this processor, so that rollouts and rewards agree."""
    images = processor.image_processor
    if not space.factor or not hasattr(images, "merge_size"):
        return space
    factor, size = images.patch_size * images.merge_size, images.size
    if factor != space.factor:
        raise InputError(f"the space {space.name} has the factor {space.factor}, and the model's processor {factor}.")
    return space.bounded(size["shortest_edge"], size["longest_edge"])


def newest_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint. The trainer's state is the last file that is written."""
    whole = [state.parent for state in folder.glob("checkpoint-[0-9]*/trainer_state.json")]
    return str(max(whole, key=lambda p: int(p.name.split("-")[1]))) if whole else None
