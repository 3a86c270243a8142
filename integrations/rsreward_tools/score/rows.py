"""The rows that `rsreward score` reads: JSONL, Parquet, and the rollout dumps of verl and TRL, one row at a time.

- One's own files: `completion` (a text or chat messages), `target`, `width` and `height` in pixels where known, `image`
  (the name of a file) and `query` for the page.
- verl's `trainer.rollout_data_dir` and `validation_data_dir`, files `STEP.jsonl`: `output`, and `gts`, the JSON text of
  an object with `bbox`, `width`, `height`.
- TRL's `log_completions`, files `completions/completions_STEP.parquet`: `completion`, and what a reward function logs.
"""

import json
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from rsreward.answers import BoxKind, completion_text
from rsreward.coordinates import MAX_SIDE

from ..errors import InputError
from .options import FROM_TARGET, Options
from .records import COMPLETIONS, FOR_PAGE, TARGETS, Record, RecordFiles

LARGEST = 1e30  # of a coordinate, as for answers
PLAIN_NUMBERS = frozenset((int, float))


class Row(NamedTuple):
    """A row that can be scored: boxes in pixels, sizes None where unknown."""

    file: Path
    line: int
    completion: str
    target: list[list[float]]
    several: bool
    width: float | None
    height: float | None
    image: str | None
    query: str | None
    groups: tuple[Any, ...]
    cluster: str | None


class Broken(NamedTuple):
    """A row that cannot be scored, and why, to be put behind the name of the line."""

    file: Path
    line: int
    reason: str

    @property
    def error(self) -> str:
        """The sentence that names its file and line."""
        return f"{self.file}, line {self.line}{self.reason}"


def first_several(files: RecordFiles, options: Options) -> bool | None:
    """Whether targets are lists of boxes, as the first row tells that can be read; None where none can."""
    for chunk in RecordFiles(files.path).chunks(options):
        for record in chunk:
            row = read_row(record, options, None)
            if isinstance(row, Row):
                return row.several
    return None


def read_row(record: Record, options: Options, several: bool | None) -> Row | Broken:
    """The checked fields of a row; `several` tells whether targets are lists of boxes, None where nothing tells."""
    try:
        return _row(record, options, several)
    except InputError as error:
        return Broken(record.file, record.line, str(error))


def _row(found: Record, options: Options, several: bool | None) -> Row:
    """A row.

    Raises:
        InputError: what is wrong, to be put behind the name of the line.
    """
    own = _json(found.content) if isinstance(found.content, bytes) else found.content
    if not isinstance(own, dict):
        if isinstance(own, InputError):
            raise own
        raise InputError(" is not a JSON object: give an object with the fields 'completion' and 'target'.")
    said_in, true_in = _field(own, options.completion, COMPLETIONS), _field(own, options.target, TARGETS)
    completion = _completion(own[said_in], said_in)
    boxes, beside = _truth(own[true_in], true_in)
    record = beside | own if beside else own
    groups = tuple(None if by in FROM_TARGET else record[_field(record, by, (), own)] for by in options.by)
    width, height = _size(record, "width"), _size(record, "height")
    if width is None or height is None:
        width = height = None
        if options.needs_sizes:
            raise InputError(f" has no 'width' and 'height', which the {options.needs_sizes} needs.")
    elif int(max(width, height)) > 200 * int(min(width, height)):
        raise InputError(f": no model reads an image of {width:g} x {height:g}, more than 200 times as long as wide.")
    target, several = _true_boxes(boxes, options.kind, several, true_in)
    image, query = (value if isinstance(value := record.get(name), str) else None for name in FOR_PAGE)
    cluster = str(record[_field(record, options.cluster, (), own)]) if options.cluster else None
    where = found.file, found.line
    return Row(*where, completion, target, several, width, height, image, query, groups, cluster)


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except UnicodeDecodeError:
        return InputError(" is not UTF-8 text: give one JSON object a line.")
    except (ValueError, RecursionError):
        return InputError(" is not JSON: give one JSON object a line.")


def _field(record: dict[str, Any], chosen: str | None, known: Iterable[str], own: dict[str, Any] | None = None) -> str:
    """The name of a field that the record has; `own` are those to name where it has none."""
    names = (chosen,) if chosen else known
    for name in names:
        if name in record:
            return name
    raise InputError(f" has no field {next(iter(names))!r}; it has {', '.join(map(repr, own or record))}.")


def _completion(value: Any, name: str) -> str:
    """A text; of chat messages that of all of them."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise InputError(f": {name!r} must be a text, not {type(value).__name__}.")
    try:
        return completion_text(value)
    except ValueError as error:
        raise InputError(f": {error}") from None


def _truth(value: Any, name: str) -> tuple[Any, dict[str, Any] | None]:
    """The box or boxes of a target, and the object that holds them under `bbox`, if one does.

    A target may be the box or boxes, such an object, or the JSON text of either.
    """
    if isinstance(value, str):
        value = _json(value)
    if isinstance(value, dict):
        if "bbox" not in value:
            raise InputError(f": {name!r} must hold 'bbox', and holds {', '.join(map(repr, value))}.")
        return value["bbox"], value
    if isinstance(value, InputError):
        raise InputError(f": {name!r} is a text that is not JSON.")
    return value, None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST and isfinite(value)


def _size(record: dict[str, Any], side: str) -> float | None:
    value = record.get(side)
    if value is not None and not (_number(value) and 1 <= value <= MAX_SIDE):
        raise InputError(f": {side!r} must be a number of pixels, got {value!r:.200}.")
    return value


def _true_boxes(value: Any, kind: BoxKind, several: bool | None, name: str) -> tuple[list[list[float]], bool]:
    """The true boxes of a row, and whether they are a list; one box where targets are not lists of boxes."""
    is_list = isinstance(value, list) and all(isinstance(box, list) for box in value)
    if not isinstance(value, list) or several not in (None, is_list):
        form = "a list of boxes, as in the first row" if several else "one box"
        raise InputError(f": {name!r} must be {form}, got {value!r:.200}.")
    return [_box(box, kind, name) for box in (value if is_list else [value])], is_list


def _box(box: list[Any], kind: BoxKind, name: str) -> list[float]:
    if kind == "horizontal" and len(box) == 4 and PLAIN_NUMBERS.issuperset(map(type, box)):  # most
        x1, y1, x2, y2 = box
        if -LARGEST < x1 <= x2 < LARGEST and -LARGEST < y1 <= y2 < LARGEST:
            return box
    form, count = ("[x1, y1, x2, y2]", "four") if kind == "horizontal" else ("[cx, cy, w, h, angle]", "five")
    if len(box) != (4 if kind == "horizontal" else 5) or not all(map(_number, box)):
        raise InputError(f": {name!r} must be {count} finite numbers {form}, got {box!r:.200}.")
    if kind == "horizontal" and (box[2] < box[0] or box[3] < box[1]):
        raise InputError(f": {name!r} must have x1 <= x2 and y1 <= y2, got {box!r:.200}.")
    if kind == "oriented" and min(box[2:4]) < 0:
        raise InputError(f": {name!r} must have no negative side, got {box!r:.200}.")
    return box
