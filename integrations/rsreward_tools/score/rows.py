"""The rows that `rsreward score` reads: one's own, those of trainers and of benchmarks; docs/score.md lists them."""

import json
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from rsreward import Space
from rsreward.answers import completion_text
from rsreward.checks import shown
from rsreward.coordinates import MAX_SIDE
from rsreward.truth import Truth, is_corners, read_truth

from ..errors import InputError
from .options import FROM_TARGET, Options
from .records import COMPLETIONS, FOR_PAGE, SIZES, TARGETS, Record, RecordFiles

LARGEST = 1e30  # of a coordinate, as for answers
PLAIN_NUMBERS = frozenset((int, float))


class Row(NamedTuple):
    """A row that can be scored: boxes in pixels, sizes None where unknown; `as_text`: the target was a text."""

    file: Path
    line: int
    completion: str
    target: list[list[float]]
    several: bool
    as_text: bool
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
    """Whether targets are lists of boxes, as the first row tells that can be read; None where none can.

    A text with one box tells nothing, for the next may hold two: then the first row counts that does tell.
    """
    found = None
    for chunk in RecordFiles(files.path).chunks(options):
        for row in read_rows(chunk, options, None):
            if isinstance(row, Row):
                found = row.several
                if found or not row.as_text:
                    return found
    return found


def read_rows(records: Iterable[Record], options: Options, several: bool | None) -> Iterator[Row | Broken]:
    """The checked fields of rows; `several` tells whether targets are lists of boxes, None where nothing tells.

    A record of ms-swift holds the rows of a step, a list for each field.
    """
    for found in records:
        own = _json(found.content) if isinstance(found.content, bytes) else found.content
        for record in _of_step(own, options) if isinstance(own, dict) else [own]:
            try:
                yield _row(found, record, options, several)
            except InputError as error:
                yield Broken(found.file, found.line, str(error))


def _of_step(own: dict[str, Any], options: Options) -> Sequence[Any]:
    texts = own.get(options.completion or COMPLETIONS[0])
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        return [own]
    columns = {name: values for name, values in own.items() if isinstance(values, list)}
    if any(len(values) != len(texts) for values in columns.values()):
        return [InputError(" holds columns, and they are not of one length: give one JSON object for each completion.")]
    return [own | {name: values[i] for name, values in columns.items()} for i in range(len(texts))]


def _row(found: Record, own: Any, options: Options, several: bool | None) -> Row:
    """A row.

    Raises:
        InputError: what is wrong, to be put behind the name of the line.
    """
    if not isinstance(own, dict):
        if isinstance(own, InputError):
            raise own
        raise InputError(" is not a JSON object: give an object with the fields 'completion' and 'target'.")
    said_in, true_in = _field(own, options.completion, COMPLETIONS), _field(own, options.target, TARGETS)
    completion = _completion(own[said_in], said_in)
    boxes, beside = _truth(own[true_in])
    record = beside | own if beside else own
    groups = tuple([None if by in FROM_TARGET else record[_field(record, by, (), own)] for by in options.by])
    width, height = _sides(record, options)
    if width is None or height is None:
        width = height = None
        if options.needs_sizes:
            raise InputError(
                f" has no 'width' and 'height', which the {options.needs_sizes} needs: add them, or give --image-size."
            )
    elif int(max(width, height)) > 200 * int(min(width, height)):
        raise InputError(f": no model reads an image of {width:g} x {height:g}, more than 200 times as long as wide.")
    elif "input_size" in record and options.coordinates.scale is None:
        _check_seen(record["input_size"], width, height, options.coordinates)
    target = _true_boxes(boxes, options, several, true_in, width, height)
    image, query = map(record.get, FOR_PAGE)
    image, query = image if isinstance(image, str) else None, query if isinstance(query, str) else None
    cluster = str(record[_field(record, options.cluster, (), own)]) if options.cluster else None
    as_text = isinstance(boxes, str)
    where = found.file, found.line
    return Row(*where, completion, target.boxes, target.several, as_text, width, height, image, query, groups, cluster)


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


def _truth(value: Any) -> tuple[Any, dict[str, Any] | None]:
    """The box or boxes of a target, and the object that holds them and more, such as the size, if one does.

    A target may be such an object or its JSON text.
    """
    if isinstance(value, str) and value.lstrip().startswith("{") and '"bbox"' in value:
        known = _json(value)
        value = known if isinstance(known, dict) and "bbox" in known else value
    if isinstance(value, dict) and "bbox" in value:
        coco = not {"area", "category_id"}.isdisjoint(value)
        return value if coco else value["bbox"], value
    return value, None


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST and isfinite(value)


def _sides(record: dict[str, Any], options: Options) -> tuple[float | None, float | None]:
    """Width and height: fields of their own, `image_size` with both, or what the options tell."""
    width, height = record.get("width"), record.get("height")
    if type(width) is int and type(height) is int and 1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE:  # most
        return width, height
    sides = width, height
    if width is None or height is None:
        sides = _size_in_one(record) or options.size or sides
    for side, value in zip(SIZES, sides, strict=True):
        if value is not None and not (_number(value) and 1 <= value <= MAX_SIDE):
            raise InputError(f": {side!r} must be a number of pixels, got {shown(value, 200)}.")
    return sides


def _size_in_one(record: dict[str, Any]) -> tuple[Any, Any] | None:
    """Width and height from `image_size`, which VLM-R1 writes beside `input_size`, and both height first."""
    both = record.get("image_size")
    if not isinstance(both, list) or len(both) != 2:
        return None
    if both[0] != both[1] and "input_size" not in record:
        raise InputError(f": 'image_size' {both} may begin with the width or the height: give 'width' and 'height'.")
    return both[1], both[0]


def _check_seen(seen: Any, width: float, height: float, space: Space) -> None:
    """Refuse a row that was seen in another size than the space makes of its image: its pixels are not those."""
    made = list(space.resized(int(height), int(width)))
    if isinstance(seen, list) and len(seen) == 2 and seen != made:
        raise InputError(
            f" was seen at a height and width of {seen} ('input_size'), and the space {space.name!r} makes {made} of "
            "its image: tell --space, and --min-pixels or --max-pixels."
        )


def _true_boxes(
    value: Any, options: Options, several: bool | None, name: str, width: float | None, height: float | None
) -> Truth:
    """The true boxes of a row; whether they are a list is as it is in all rows."""
    if options.plain_targets and isinstance(value, list) and value:  # most; what `read_truth` gives, in less time
        is_plain = is_corners if options.kind == "horizontal" else _is_turned
        if not several and is_plain(value):
            return Truth([value], options.kind, False)
        if several is not False and all(map(is_plain, value)):
            return Truth(value, options.kind, True)
    try:
        truth = read_truth(
            value, kind=options.kind, format=options.target_format, space=options.target_coordinates,
            width=width, height=height,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(f": {name!r}: {error}") from None
    if several is None or several == truth.several or (several and isinstance(value, str)):
        return truth._replace(several=truth.several if several is None else several)
    form = "a list of boxes, as in the first row" if several else "one box"
    raise InputError(f": {name!r} must be {form}, got {shown(value, 200)}.")


def _is_turned(box: Any) -> bool:
    """Whether these are centre, sides and angle in plain numbers."""
    if not isinstance(box, list) or len(box) != 5 or not PLAIN_NUMBERS.issuperset(map(type, box)):
        return False
    return max(map(abs, box)) < LARGEST and min(box[2:4]) >= 0 and all(map(isfinite, box))
