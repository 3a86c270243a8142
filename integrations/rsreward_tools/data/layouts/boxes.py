"""Boxes of one's own files, by `rsreward.truth`, and the questions that labels alone can ask."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from rsreward import Space
from rsreward.truth import Format, read_truth

from ..example import Boxes, Record


@dataclass(frozen=True)
class Reading:
    """What the numbers of a file are.

    Attributes:
        format: of a box. None: x1, y1, x2, y2, or corners where there are eight numbers or more.
        space: in which they are written. None: pixels of the original image.
    """

    format: Format | None = None
    space: Space | None = None


def read_boxes(value: Any, reading: Reading, width: int, height: int) -> tuple[Boxes, Boxes | None]:
    """The horizontal boxes of a truth, and its oriented ones where it is written in five numbers or in corners.

    Raises:
        ValueError: if it is not a box or a list of boxes, or lies within one pixel.

    >>> read_boxes([[10, 20, 30, 40]], Reading("xywh"), 100, 100)
    ([[10.0, 20.0, 40.0, 60.0]], None)
    """
    options: Any = {"format": reading.format, "space": reading.space, "width": width, "height": height}
    boxes = read_truth(value, kind="horizontal", **options).boxes
    if not boxes:
        raise ValueError("it has no box")
    small = next((box for box in boxes if all(0 <= v <= 1 for v in box)), None)
    if small and max(width, height) > 2:
        raise ValueError(f"its box {small} lies within one pixel: if it is written in 0..1, say --target-space unit")
    written = read_truth(value, **options)
    return boxes, written.boxes if written.kind == "oriented" else None


def by_category(
    things: Iterable[tuple[str, Any]], image: str, size: tuple[Any, Any] | None, reading: Reading, split: str
) -> Iterator[Record]:
    """The questions that labelled boxes of an image can ask without a referring expression: its categories by name.

    A category that occurs once has one box as its answer, and any other the list of all its boxes.
    """
    found: dict[str, list[Any]] = {}
    for category, box in things:
        found.setdefault(category, []).append(box)
    for category, boxes in found.items():
        name, read = f"{image}: {category}", partial(read_boxes, boxes, reading)
        yield Record(name, image, size, category, read, split, name, category, len(boxes) == 1)
