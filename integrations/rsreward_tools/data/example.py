"""The one form that every data set is brought to, in memory and as Parquet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from ..errors import InputError
from ..files import part_of


@dataclass(frozen=True)
class Example:
    """One question about one image, and the boxes that answer it.

    Attributes:
        image: path of the image below the data set's root, with "/".
        width, height: of the image in pixels.
        query: the referring expression.
        boxes: horizontal boxes `[x1, y1, x2, y2]` in pixels, the question's objects.
        oriented: the same objects as `[cx, cy, w, h, angle]`, radians from +x towards +y; None where not known.
        category: the object's class; None where not known.
        unique: whether the class occurs once in the image; None where not known.
        split: "train", "val" or "test".
        dataset: a key of `DATASETS`.
        source_id: which annotation of the data set this is.
    """

    image: str
    width: int
    height: int
    query: str
    boxes: list[list[float]]
    oriented: list[list[float]] | None
    category: str | None
    unique: bool | None
    split: str
    dataset: str
    source_id: str


@dataclass(frozen=True)
class Flaw:
    """Something wrong in the published files: where, what, and whether the example was kept with a repair."""

    where: str
    what: str
    repaired: bool


class LayoutError(InputError):
    """Something that a data set's root folder should hold is not there."""


SPLITS = ("train", "val", "test")
SCHEMA = pa.schema(
    [
        ("image", pa.string()), ("width", pa.int32()), ("height", pa.int32()), ("query", pa.string()),
        ("boxes", pa.list_(pa.list_(pa.float64()))), ("oriented", pa.list_(pa.list_(pa.float64()))),
        ("category", pa.string()), ("unique", pa.bool_()), ("split", pa.string()), ("dataset", pa.string()),
        ("source_id", pa.string()),
    ]
)  # fmt: skip


def write_examples(path: Path, examples: Iterable[Example]) -> int:
    """Write one Parquet file, whole or not at all; returns the number of examples."""
    rows = pa.Table.from_pylist([asdict(example) for example in examples], schema=SCHEMA)
    partial = part_of(path)
    pq.write_table(rows, partial)
    partial.replace(path)
    return int(rows.num_rows)


def read_examples(path: Path) -> Iterator[Example]:
    """The examples of a Parquet file that `write_examples` wrote.

    Raises:
        InputError: if there is none, or it is another file.
    """
    file = parquet(path, "rsreward data prepare")
    missing = [name for name in SCHEMA.names if name not in file.schema_arrow.names]
    if missing:
        raise InputError(f"{path} has no column {missing[0]}: make it with `rsreward data prepare`.")
    return (Example(**row) for batch in file.iter_batches(columns=SCHEMA.names) for row in batch.to_pylist())


def parquet(path: Path, command: str) -> pq.ParquetFile:
    """A Parquet file that this command makes.

    Raises:
        InputError: if there is none, or it is no Parquet.
    """
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError:
        raise InputError(f"there is no file {path}: make it with `{command}`.") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{path} cannot be read as Parquet ({error}): make it with `{command}`.") from None


def inside(root: Path, name: str) -> Path:
    """The path of a file below `root` that data names.

    Raises:
        InputError: if the name leads out of it.
    """
    relative = PurePosixPath(name.replace("\\", "/"))
    if not relative.parts or relative.is_absolute() or ".." in relative.parts or ":" in relative.parts[0]:
        raise InputError(f"the file name {name!r} leads out of {root}.")
    return root.joinpath(*relative.parts)


def mend(box: Sequence[float], width: int, height: int, where: str) -> tuple[list[float] | None, list[Flaw]]:
    """A published box with its corners in order and inside the image, and what had to be mended.

    >>> mend([30.0, 10.0, 20.0, 900.0], 800, 800, "line 3")[0]
    [20.0, 10.0, 30.0, 800.0]
    >>> mend([30.0, 10.0, 30.0, 20.0], 800, 800, "line 4")[1]
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
