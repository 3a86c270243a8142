"""The boxes of your own files, read by `rsreward.truth`, and questions for files that only have labels."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from rsreward import Space
from rsreward.truth import Format, read_truth

from ..example import Boxes, Record


@dataclass(frozen=True)
class Reading:
    """What the numbers of a file mean.

    Attributes:
        format: of a box. None: x1, y1, x2, y2, or the corners of a polygon if there are eight numbers or more.
        space: the coordinate space of the numbers. None: pixels of the original image.
    """

    format: Format | None = None
    space: Space | None = None


def read_boxes(value: Any, reading: Reading, width: int, height: int) -> tuple[Boxes, Boxes | None]:
    """The horizontal boxes of a truth, and its oriented ones where it is written in five numbers or in corners.

    An empty list, or a text that says "none", is the truth of what is not in the image.

    Raises:
        ValueError: if it is not a box or a list of boxes, or lies within one pixel.

    >>> read_boxes([[10, 20, 30, 40]], Reading("xywh"), 100, 100)
    ([[10.0, 20.0, 40.0, 60.0]], None)
    """
    options: Any = {"format": reading.format, "space": reading.space, "width": width, "height": height}
    boxes = read_truth(value, kind="horizontal", **options).boxes
    if not boxes:
        return [], None
    small = next((box for box in boxes if all(0 <= v <= 1 for v in box)), None)
    if small and max(width, height) > 2:
        raise ValueError(f"its box {small} lies within one pixel: if it is written in 0..1, say --target-space unit")
    written = read_truth(value, **options)
    return boxes, written.boxes if written.kind == "oriented" else None


def by_category(
    things: Iterable[tuple[str, Any]], image: str, size: tuple[Any, Any] | None, reading: Reading, split: str
) -> Iterator[Record]:
    """Questions for labelled boxes without referring expressions: one for each category of an image, by its name.

    If the category occurs once, the answer is its box, else the list of all its boxes.
    """
    found: dict[str, list[Any]] = {}
    for category, box in things:
        found.setdefault(category, []).append(box)
    for category, boxes in found.items():
        name, read = f"{image}: {category}", partial(read_boxes, boxes, reading)
        yield Record(name, image, size, category, read, split, name, category, len(boxes) == 1)
