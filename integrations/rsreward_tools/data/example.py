"""The one form that every data set is brought to, in memory and as Parquet."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rsreward.checks import shown

from ..errors import InputError
from ..files import regular_file, writing

Boxes = list[list[float]]


@dataclass(frozen=True)
class Example:
    """One question about one image, and the boxes that answer it.

    Attributes:
        image: path of the image below the data set's root, with "/".
        width, height: of the image in pixels.
        query: the referring expression.
        boxes: horizontal boxes `[x1, y1, x2, y2]` in pixels, the question's objects.
        oriented: the same objects as `[cx, cy, w, h, angle]`, radians from +x towards +y; None where unknown.
        category: the object's class; None where unknown.
        unique: whether the class occurs once in the image; None where unknown.
        split: "train", "val" or "test".
        dataset: a key of `DATASETS`, "scenes", or the name of the file or folder that it was read from.
        source_id: which annotation of the data set this is.
    """

    image: str
    width: int
    height: int
    query: str
    boxes: Boxes
    oriented: Boxes | None
    category: str | None
    unique: bool | None
    split: str
    dataset: str
    source_id: str


@dataclass(frozen=True)
class Record:
    """A question as the files of a data set hold it. Its image and its values are not checked yet.

    Attributes:
        where: which annotation this is, as flaws name it.
        size: width and height as the files say; None where they do not.
        boxes: the horizontal and the oriented boxes in pixels of an image of this width and height. It raises a
            ValueError that says what is wrong with them.
        image, query, category, unique, split, source_id: as in `Example`.
    """

    where: str
    image: str
    size: tuple[Any, Any] | None
    query: str
    boxes: Callable[[int, int], tuple[Boxes, Boxes | None]]
    split: str
    source_id: str
    category: Any = None
    unique: bool | None = None


@dataclass(frozen=True)
class Flaw:
    """Something wrong in the files: where, what, and whether the example was kept with a repair."""

    where: str
    what: str
    repaired: bool


def in_pixels(box: list[float]) -> Callable[[int, int], tuple[Boxes, Boxes | None]]:
    """`Record.boxes` of one horizontal box that is in pixels already."""
    return lambda width, height: ([box], None)


# What reading a record raises if it does not have the layout of its data set. The record is counted as a flaw.
WILD = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError, RecursionError)


def unusable(where: str, error: Exception) -> Flaw:
    """The flaw of a record that raised one of `WILD`."""
    return Flaw(where, f"it has no usable {str(error)[:200] or type(error).__name__}", False)


class LayoutError(InputError):
    """Something is missing in the root folder of a data set."""


SPLITS = ("train", "val", "test")
SCHEMA = pa.schema(
    [
        ("image", pa.string()), ("width", pa.int32()), ("height", pa.int32()), ("query", pa.string()),
        ("boxes", pa.list_(pa.list_(pa.float64()))), ("oriented", pa.list_(pa.list_(pa.float64()))),
        ("category", pa.string()), ("unique", pa.bool_()), ("split", pa.string()), ("dataset", pa.string()),
        ("source_id", pa.string()),
    ]
)  # fmt: skip


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """Write one Parquet file, whole or not at all."""
    with writing(path) as part:
        write_rows(part, examples)


def write_rows(file: Path, examples: Iterable[Example]) -> None:
    """Write the rows of one Parquet file."""
    pq.write_table(pa.Table.from_pylist([asdict(example) for example in examples], schema=SCHEMA), file)


def read_examples(path: Path) -> Iterator[Example]:
    """The examples of a Parquet file that `write_examples` wrote.

    Raises:
        InputError: if the file does not exist or was written by something else, or if a row has a wrong value.
    """
    file = parquet(path, "rsreward data prepare")
    missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}: make it with `rsreward data prepare`.")
    return (_checked(row, number, path) for number, row in enumerate(rows_of(file, path, SCHEMA.names)))


def rows_of(file: pq.ParquetFile, path: Path, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a Parquet file.

    Raises:
        InputError: if it is damaged.
    """
    try:
        for batch in file.iter_batches(columns=columns):
            yield from batch.to_pylist()
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"{path} is damaged, it cannot be read as Parquet: {str(error)[:200]}.") from None


def _checked(row: dict[str, Any], number: int, path: Path) -> Example:
    for name, value in row.items():
        fits, wanted = _COLUMNS[name]
        if not fits(value):
            raise InputError(
                f"{path}, row {number}: the column {name} holds {shown(value, 80)}, which is not {wanted}: "
                "make the file with `rsreward data prepare`."
            )
    return Example(**row)


def _boxes_of(sides: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        return isinstance(value, list) and all(
            isinstance(box, list) and len(box) == sides and all(isinstance(v, int | float) and isfinite(v) for v in box)
            for box in value
        )

    return fits


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != ""


def _side(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _or_null(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


_TEXTS = ("image", "query", "split", "dataset", "source_id")
_COLUMNS: dict[str, tuple[Callable[[Any], bool], str]] = dict.fromkeys(_TEXTS, (_text, "a text")) | {
    "width": (_side, "a number of pixels"),
    "height": (_side, "a number of pixels"),
    "boxes": (_boxes_of(4), "a list of boxes of four finite numbers"),
    "oriented": (_or_null(_boxes_of(5)), "a list of boxes of five finite numbers"),
    "category": (_or_null(lambda value: isinstance(value, str)), "a text"),
    "unique": (_or_null(lambda value: isinstance(value, bool)), "true or false"),
}


def parquet(path: Path, command: str) -> pq.ParquetFile:
    """Open a Parquet file that this command makes.

    Raises:
        InputError: if it does not exist or is not Parquet.
    """
    try:
        return pq.ParquetFile(regular_file(path))
    except FileNotFoundError:
        raise InputError(f"there is no file {path}: make it with `{command}`.") from None
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"{path} cannot be read as Parquet ({error}): make it with `{command}`.") from None


def inside(root: Path, name: str) -> Path:
    """The path of a file that a data set names, below its root folder.

    Raises:
        InputError: if the name leads out of the root, also through a link, or cannot be the name of a file.
    """
    relative = PurePosixPath(name.replace("\\", "/"))
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or ":" in relative.parts[0]:
        raise InputError(f"the file name {name!r} leads out of {root}.")
    path = root.joinpath(*relative.parts)
    try:
        real, top = os.path.realpath(path), os.path.realpath(root)
        known = max(len(os.fsencode(part)) for part in relative.parts) < 256 and len(os.fsencode(path)) < 4096
    except ValueError:  # a NUL, half a character
        known = False
    if not known:
        raise InputError(f"the file name {name!r:.200} cannot be the name of a file.")
    if os.path.commonpath((real, top)) != top:
        raise InputError(f"the file name {name!r} leads out of {root} by a link, to {real}: name the folder it is in.")
    return path


def repair_box(box: Sequence[float], width: int, height: int, where: str) -> tuple[list[float] | None, list[Flaw]]:
    """A box with its corners in order and inside the image, and what had to be repaired.

    >>> repair_box([30.0, 10.0, 20.0, 900.0], 800, 800, "line 3")[0]
    [20.0, 10.0, 30.0, 800.0]
    >>> repair_box([30.0, 10.0, 30.0, 20.0], 800, 800, "line 4")[1]
    [Flaw(where='line 4', what='the box [30.0, 10.0, 30.0, 20.0] has no area', repaired=False)]
    """
    if not all(map(isfinite, box)):
        return None, [Flaw(where, f"the box {list(box)} is not finite", False)]
    flaws = []
    x1, x2 = sorted((box[0], box[2]))
    y1, y2 = sorted((box[1], box[3]))
    if [x1, y1, x2, y2] != list(box):
        flaws.append(Flaw(where, f"the corners of {list(box)} are not in order", True))
    sides = (float(width), float(height))
    clipped = [min(max(v, 0.0), side) for v, side in zip((x1, y1, x2, y2), sides * 2, strict=True)]
    if clipped != [x1, y1, x2, y2]:
        flaws.append(Flaw(where, f"the box {list(box)} leaves the image of {width} x {height}", True))
    if clipped[0] == clipped[2] or clipped[1] == clipped[3]:
        return None, [Flaw(where, f"the box {list(box)} has no area", False)]
    return clipped, flaws
