"""What is read of the dataset's columns: the options, and the checks."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from rsreward import Space
from rsreward.answers import BoxKind, Select
from rsreward.checks import as_column, shown
from rsreward.coordinates import MAX_SIDE
from rsreward.truth import Column, Format


@dataclass(frozen=True)
class Reading:
    """How answers and true boxes are read: the options of `as_reward_func`."""

    space: Space
    select: Select = "first"
    kind: BoxKind = "horizontal"
    hull: bool = False
    think_in_prompt: bool = False
    target: str = "target"
    target_space: Space | None = None
    target_format: Format | None = None

    @property
    def needs_size(self) -> str | None:
        """The name of a space that needs the images' sizes."""
        return next((s.name for s in (self.space, self.target_space) if s is not None and s.needs_size), None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the dataset that are needed."""
        return (self.target, "width", "height") if self.needs_size else (self.target,)

    @property
    def answers(self) -> dict[str, Any]:
        """The arguments of `parse_boxes` and `parse_box_sets` both."""
        return {"kind": self.read_as, "space": self.space}

    @property
    def read_as(self) -> BoxKind:
        """The kind of boxes that is read out of the answers."""
        return "oriented" if self.hull else self.kind

    @property
    def truth(self) -> dict[str, Any]:
        """The arguments of `target_boxes` and `target_sets`."""
        return {"kind": self.kind, "space": self.target_space, "format": self.target_format}


def read_columns(
    reading: Reading, name: str, count: int, *, target: Column, width: Column, height: Column
) -> tuple[Sequence[Any], dict[str, Any]]:
    """The true boxes as a list, and the sizes `width` and `height` as lists, None where no space needs them.

    Raises:
        ValueError: naming the reward and the column or the row that is wrong.
    """
    if target is None:
        raise ValueError(
            f"{name} needs the column {reading.target!r} with the true box of each row: add it to the dataset."
        )
    given = {reading.target: target, "width": width, "height": height}
    lists = {
        column: as_column(values, f"{name}: the column {column!r}", count)
        for column, values in given.items()
        if values is not None
    }
    boxes = lists[reading.target]
    if reading.needs_size is None:
        return boxes, {"width": None, "height": None}
    if width is None or height is None:
        raise ValueError(
            f"{name} reads boxes in the space {reading.needs_size!r} and needs the columns 'width' and 'height' of the "
            f"original images: add them to the dataset."
        )
    for row, (box, *sides) in enumerate(zip(boxes, lists["width"], lists["height"], strict=True)):
        if not all(side is None or isinstance(side, Real) for side in sides):
            raise ValueError(f"{name}: width and height must be numbers, and row {row} holds {shown(sides)}.")
        known = [side for side in sides if side is not None and side == side]
        if not all(1 <= side <= MAX_SIDE for side in known):
            raise ValueError(f"{name}: width and height must be from 1 to {MAX_SIDE} pixels, and in row {row} are not.")
        if box is not None and len(known) < 2:
            raise ValueError(f"{name}: row {row} of this batch has a target but no width or height.")
    return boxes, {"width": lists["width"], "height": lists["height"]}
