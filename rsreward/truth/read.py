"""The true boxes of one row, of any form, in pixels of the original image.

A truth is a box, a list of boxes, or the text of either. A box is `[x1, y1, x2, y2]`, `[cx, cy, w, h, angle]` in
radians, or a polygon: `[x1, y1, x2, y2, x3, y3, ...]` or `[[x1, y1], [x2, y2], [x3, y3], ...]`, from any corner, either
way round, the first corner repeated at the end or not. For other numbers tell `format`, for other coordinates `space`.
With a space, and in texts that are not JSON, numbers are read like those of an answer.
"""

import json
from dataclasses import replace
from math import degrees, isfinite, radians
from typing import Any, Literal, NamedTuple, get_args

import torch

from ..answers import LARGEST, BoxKind, check_kind, parse_answer
from ..checks import shown
from ..coordinates import SPACES, Space, oriented_to_pixels, space_named, to_pixels
from ..polygons import bounding_box, hull_of_oriented, rectangle

Format = Literal["xyxy", "xywh", "cxcywh", "quad", "oriented", "oriented-degrees"]
FORMS = {
    "horizontal": "[x1, y1, x2, y2] with x1 <= x2 and y1 <= y2",
    "oriented": "[cx, cy, w, h, angle in radians]",
}


_COUNTS = {"xyxy": (4,), "xywh": (4,), "cxcywh": (4,), "oriented": (5,), "oriented-degrees": (5,), "answer": (4, 5)}
_PLAIN_NUMBERS = frozenset((int, float))


class TruthError(ValueError):
    """A truth that cannot be read; the message says why.

    >>> try:
    ...     read_truth([1, 2, 3])
    ... except TruthError as error:
    ...     print(error)
    [1, 2, 3] has 3 numbers, not 5.
    """


class Truth(NamedTuple):
    """The true boxes of a row.

    Attributes:
        boxes: in pixels, `[x1, y1, x2, y2]` or `[cx, cy, w, h, angle]`.
        kind: which of the two.
        several: whether the value was a list of boxes, of any length, and not one box.

    >>> read_truth([[0, 0, 1, 1], [2, 2, 3, 3]])
    Truth(boxes=[[0.0, 0.0, 1.0, 1.0], [2.0, 2.0, 3.0, 3.0]], kind='horizontal', several=True)
    """

    boxes: list[list[float]]
    kind: BoxKind
    several: bool


def read_truth(
    value: Any,
    *,
    kind: BoxKind | None = None,
    format: Format | None = None,
    space: str | Space | None = None,
    width: float | None = None,
    height: float | None = None,
) -> Truth:
    """The true boxes of one row.

    Args:
        value: numbers in lists, an array or a tensor; an object that holds them under `bbox`; or a text, which is JSON
            or an answer as a model writes it.
        kind: what the boxes become. A polygon becomes its bounding box ("horizontal") or a rectangle ("oriented"): a
            convex quad that of its mean sides, any other polygon the smallest one around it. None: "horizontal" if all
            boxes are written as four numbers, else "oriented".
        format: what the numbers are. None: as the module says.
        space: the coordinate space of the numbers. None: pixels of the original image.
        width, height: size of the original image, if the space needs it.

    Raises:
        TruthError: if the value is not a box or a list of boxes of this kind.
        ValueError: if the kind, the format or the space is unknown.

    >>> read_truth("[80, 160, 240, 400]")
    Truth(boxes=[[80.0, 160.0, 240.0, 400.0]], kind='horizontal', several=False)
    >>> read_truth([4, 0, 4, 2, 0, 2, 0, 0]).boxes
    [[2.0, 1.0, 4.0, 2.0, 0.0]]
    >>> read_truth("{<25><40><50><50>}", space="norm100", width=400, height=400).boxes
    [[100.0, 160.0, 200.0, 200.0]]
    """
    if format is not None and format not in get_args(Format):
        raise ValueError(f"unknown format of true boxes {format!r}: use one of {', '.join(get_args(Format))}.")
    if kind is not None:
        check_kind(kind)
    if space is None and format is None and kind != "oriented" and is_corners(value):  # most rows
        return Truth([[*map(float, value)]], "horizontal", False)
    where = None if space is None else space_named(space)
    boxes, several, as_answer = _written(value, where, format)
    if kind is None:
        kind = "horizontal" if boxes and all(len(box) == 4 and not _is_list(box[0]) for box in boxes) else "oriented"
    form = format or ("answer" if as_answer else "oriented" if kind == "oriented" else "xyxy")
    if as_answer and where is None:
        where = SPACES["pixel"]
    read = [_in_pixel_form(box, kind, form, format is None, where, width, height) for box in boxes]
    if where is not None and not all(isfinite(number) for box in read for number in box):
        raise TruthError(f"the space {where.name!r} needs the width and height of the image, and they are not known.")
    return Truth(read, kind, several)


def is_corners(value: Any) -> bool:
    """Whether this is a list of the corners of a horizontal box, in plain finite numbers."""
    if type(value) is not list or len(value) != 4 or not _PLAIN_NUMBERS.issuperset(map(type, value)):
        return False
    x1, y1, x2, y2 = value
    return bool(-LARGEST <= x1 <= x2 <= LARGEST and -LARGEST <= y1 <= y2 <= LARGEST)


def _written(value: Any, space: Space | None, format: Format | None) -> tuple[list[list[Any]], bool, bool]:
    """The boxes as written, whether they are a list of boxes, and whether to read their numbers like an answer's."""
    if isinstance(value, str):
        found = None if space is not None and format is None else _json(value)
        if found is None:
            answer = parse_answer(value)
            if answer.says_none:
                return [], True, False
            if not answer.boxes or answer.kind == "point":
                raise TruthError(f"no box can be read in the text {shown(value)}.")
            return [list(box) for box in answer.boxes], len(answer.boxes) > 1, format is None
        value = found
    if isinstance(value, dict):
        if "bbox" not in value:
            raise TruthError(
                f"an object needs its box under 'bbox', and this one has {', '.join(map(str, value)):.100}."
            )
        if format is None and not {"area", "category_id"}.isdisjoint(value):
            raise TruthError("this looks like a record of COCO, whose boxes are [x, y, w, h]: say the format 'xywh'.")
        value = value["bbox"]
    value = _lists(value)
    if not _is_list(value):
        raise TruthError(f"{shown(value)} is not a box.")
    several = not value or (_is_list(value[0]) and not (len(value[0]) == 2 and not _is_list(value[0][0])))
    boxes = value if several else [value]
    if not all(map(_is_list, boxes)):
        raise TruthError(f"{shown(value)} is neither a box nor a list of boxes.")
    return boxes, several, space is not None and format is None


def _json(text: str) -> Any:
    """The lists of numbers, or the object with `bbox`, that the text holds as JSON; else None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        return value if "bbox" in value else None
    return value if isinstance(value, list) and all(isinstance(each, int | float | list) for each in value) else None


def _lists(value: Any, depth: int = 3) -> Any:
    """Arrays, tensors and tuples as lists."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return [_lists(each, depth - 1) for each in value] if depth and isinstance(value, list | tuple) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _in_pixel_form(
    box: list[Any], kind: BoxKind, form: str, any_form: bool, space: Space | None, width: Any, height: Any
) -> list[float]:
    """One box, given as written, in pixels and of this kind."""
    points = len(box) > 0 and all(map(_is_list, box))
    numbers = _numbers([number for point in box for number in point] if points else box, box)
    if points or form == "quad" or (any_form and len(numbers) >= 8 and len(numbers) % 2 == 0):
        if len(numbers) < 6 or len(numbers) % 2 or (points and any(len(point) != 2 for point in box)):
            raise TruthError(f"a polygon needs at least three corners of two numbers each, got {shown(box)}.")
        polygon = torch.tensor(numbers, dtype=torch.float64).view(-1, 2)
        if space is not None:
            polygon = to_pixels(polygon.repeat(1, 2), space, width, height)[:, :2]
        return bounding_box(polygon) if kind == "horizontal" else rectangle(polygon)
    if len(numbers) not in _COUNTS[form]:
        hint = " Are they turned boxes (kind 'oriented')?" if len(numbers) == 5 and kind == "horizontal" else ""
        wanted = " or ".join(map(str, _COUNTS[form]))
        raise TruthError(f"{shown(box)} has {len(numbers)} numbers, not {wanted}.{hint}")
    turned = len(numbers) == 5
    x, y, w, h = numbers[:4]
    if form == "xywh":
        numbers = [x, y, x + w, y + h]
    elif form == "cxcywh":
        numbers = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
    elif form == "oriented-degrees":
        numbers[4] = radians(numbers[4])
    if space is not None:
        if turned and form != "answer":
            space, numbers[4] = replace(space, five="le90"), degrees(numbers[4])
        in_pixels = oriented_to_pixels if turned else to_pixels
        numbers = in_pixels(torch.tensor(numbers, dtype=torch.float64), space, width, height).tolist()
    if turned:
        if min(numbers[2:4]) < 0:
            raise TruthError(f"{shown(box)} has a negative side.")
        if kind == "oriented":
            return numbers
        if form == "answer":
            raise TruthError(
                f"{shown(box)} is a turned box, and horizontal ones are asked for: say which format it has."
            )
        hull: list[float] = hull_of_oriented(torch.tensor(numbers, dtype=torch.float64)).tolist()
        return hull
    x1, y1, x2, y2 = numbers
    if x2 < x1 or y2 < y1:
        raise TruthError(f"{shown(box)} has x2 < x1 or y2 < y1.")
    return numbers if kind == "horizontal" else [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, 0.0]


def _numbers(values: list[Any], box: list[Any]) -> list[float]:
    try:
        numbers = [torch.nan if isinstance(value, bool) else float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        numbers = [torch.nan]
    if not all(abs(number) <= LARGEST for number in numbers):
        raise TruthError(f"{shown(box)} holds something that is not a finite number.")
    return numbers
