"""The rows that `rsreward score` reads: JSONL, Parquet, and the rollout dumps of verl and TRL, one row at a time.

- One's own files: `completion` (a text or chat messages), `target`, `width` and `height` in pixels where known, `image`
  (the name of a file) and `query` for the page.
- verl's `trainer.rollout_data_dir` and `validation_data_dir`, files `STEP.jsonl`: `output`, and `gts`, the JSON text of
  an object with `bbox`, `width`, `height`.
- TRL's `log_completions`, files `completions/completions_STEP.parquet`: `completion`, and what a reward function logs.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from rsreward import CONVENTIONS, Space
from rsreward.answers import BoxKind
from rsreward.coordinates import MAX_SIDE

from ..errors import InputError

COMPLETIONS, TARGETS = ("completion", "output"), ("target", "gts")
SIZES, SHOWN = ("width", "height"), ("image", "query")
PLACES = ("@size", "@region")  # what --by can name beside fields: worked out from the target
SUFFIXES = (".jsonl", ".json", ".ndjson", ".parquet")
BATCH = 128
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")  # gzip, zstd, bzip2, xz
ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:\{|$)")  # of objects, in one line or in many


@dataclass(frozen=True)
class Row:
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


@dataclass(frozen=True)
class Broken:
    """A row that cannot be scored, and why, to be put behind the name of the line."""

    file: Path
    line: int
    reason: str

    @property
    def error(self) -> str:
        """The sentence that names its file and line."""
        return f"{self.file}, line {self.line}{self.reason}"


@dataclass(frozen=True)
class Reader:
    """What to read of each row.

    Attributes:
        space, kind, convention: as in `score_file`.
        by: the fields to group by; `PLACES` are worked out later.
        cluster: the field that tells which rows belong together in intervals.
        completion, target: the fields of these; the first of `COMPLETIONS` and `TARGETS` that is there if not given.
    """

    space: Space
    kind: BoxKind = "horizontal"
    convention: str = "plain"
    by: tuple[str, ...] = ()
    completion: str | None = None
    target: str | None = None
    cluster: str | None = None

    def read(self, source: "Source") -> Iterator[Row | Broken]:
        """Every row of the source, in order. The first target tells whether all are single boxes or lists of boxes."""
        several = None
        for file, line, record in source.records(self.fields):
            try:
                row = self.row(record, several)
            except InputError as error:
                yield Broken(file, line, str(error))
                continue
            several = row["several"]
            yield Row(file=file, line=line, **row)

    @property
    def fields(self) -> set[str]:
        """The fields that are read."""
        chosen = {self.completion, self.target, self.cluster, *self.by} - {None}
        return {*COMPLETIONS, *TARGETS, *SIZES, *SHOWN, *chosen}  # type: ignore[arg-type]

    def row(self, record: Any, several: bool | None) -> dict[str, Any]:
        """The checked fields of a row.

        Raises:
            InputError: what is wrong, to be put behind the name of the line.
        """
        if isinstance(record, InputError):
            raise record
        if not isinstance(record, dict):
            raise InputError(" is not a JSON object: give an object with the fields 'completion' and 'target'.")
        said_in, true_in = _field(record, self.completion, COMPLETIONS), _field(record, self.target, TARGETS)
        completion = _completion(record[said_in], said_in)
        truth = _truth(record[true_in], true_in)
        own, record = record, truth | record
        groups = tuple(record[_field(record, by, (), own)] if by not in PLACES else None for by in self.by)
        width, height = (_size(record.get(side), side) for side in SIZES)
        if width is None or height is None:
            width = height = None
            self._must_not_need_sizes()
        elif int(max(width, height)) > 200 * int(min(width, height)):
            raise InputError(
                f": no model reads an image of {width:g} x {height:g}, more than 200 times as long as wide."
            )
        if several is None:
            several = _is_set(truth["bbox"])
        image, query = (value if isinstance(value := record.get(name), str) else None for name in SHOWN)
        return {
            "completion": completion,
            "target": _targets(truth["bbox"], self.kind, several, true_in),
            "several": several,
            "width": width,
            "height": height,
            "image": image,
            "query": query,
            "groups": groups,
            "cluster": str(record[_field(record, self.cluster, (), own)]) if self.cluster else None,
        }

    def _must_not_need_sizes(self) -> None:
        for name, needed in (
            (f"space {self.space.name!r}", self.space.scale is not None),
            (f"convention {self.convention!r}", CONVENTIONS[self.convention].needs_size),
            ("breakdown '@region'", "@region" in self.by),
        ):
            if needed:
                raise InputError(f" has no 'width' and 'height', which the {name} needs.")


class Source:
    """A file, or a folder with the files of a dump in the order of the numbers in their names.

    Attributes:
        size: in bytes.
        done: how many of them have been read, about.

    Raises:
        InputError: if there is nothing there to read.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.files, self.done = path, [path], 0
        try:
            if path.is_dir():
                self.files = sorted(
                    (f for f in path.iterdir() if f.suffix in SUFFIXES), key=lambda file: natural(file.name)
                )
            self.size = sum(file.stat().st_size for file in self.files)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}.") from None
        if not self.files:
            raise InputError(f"the folder {path} holds no file that ends in {', '.join(SUFFIXES)}.")

    def records(self, fields: set[str]) -> Iterator[tuple[Path, int, Any]]:
        """File, line (from 1; in Parquet the row) and record of each row; an `InputError` in the place of a bad one."""
        for file in self.files:
            before = self.done
            read = self._parquet if file.suffix == ".parquet" else self._lines
            for line, record in read(file, fields):
                yield file, line, record
            self.done = before + file.stat().st_size

    def _lines(self, file: Path, fields: set[str]) -> Iterator[tuple[int, Any]]:
        try:
            stream = file.open("rb")
        except OSError as error:
            raise InputError(f"cannot read {file}: {error.strerror}.") from None
        with stream:
            first = True
            for number, line in enumerate(stream, 1):
                self.done += len(line)
                if line.isspace():
                    continue
                if first and line.startswith(COMPRESSED):
                    raise InputError(f"{file} is compressed: gunzip it, or whatever undoes it.")
                if first and ARRAY.match(line):
                    yield number, InputError(f" opens a JSON array: `jq -c '.[]' {file}` makes lines of it.")
                    return
                first = False
                yield number, _json(line)

    def _parquet(self, file: Path, fields: set[str]) -> Iterator[tuple[int, Any]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        number, before, share = 0, self.done, 0.0
        try:
            table = pq.ParquetFile(file, buffer_size=1 << 16, pre_buffer=False)  # else row groups are held whole
            texts = [f.name for f in table.schema_arrow if f.type in (pa.string(), pa.large_string())]
            names = fields.intersection(table.schema_arrow.names)
            wanted = [name for name in names if name in texts or name not in SHOWN]  # pictures themselves are not read
            for batch in table.iter_batches(BATCH, columns=wanted, use_threads=False):
                share += len(batch) / max(table.metadata.num_rows, 1)
                self.done = before + int(share * file.stat().st_size)
                pa.default_memory_pool().release_unused()
                for record in batch.to_pylist():
                    number += 1
                    yield number, record
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            yield number + 1, InputError(f" and what follows cannot be read as Parquet: {reason}.")


def natural(name: str) -> list[Any]:
    """For sorting names so that 2.jsonl comes before 10.jsonl."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]


def _json(text: bytes | str) -> Any:
    try:
        return json.loads(text)
    except UnicodeDecodeError:
        return InputError(" is not UTF-8 text: give one JSON object a line.")
    except (ValueError, RecursionError):
        return InputError(" is not JSON: give one JSON object a line.")


def _field(record: dict[str, Any], chosen: str | None, known: Iterable[str], own: dict[str, Any] | None = None) -> str:
    """The name of a field that the record has; `own` are those to name where it has none."""
    names = [chosen] if chosen else list(known)
    for name in names:
        if name in record:
            return name
    raise InputError(f" has no field {names[0]!r}; it has {', '.join(map(repr, own or record))}.")


def _completion(value: Any, name: str) -> str:
    """A text; of chat messages that of all of them."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list) or not all(isinstance(message, dict) for message in value):
        raise InputError(f": {name!r} must be a text, not {type(value).__name__}.")
    from rsreward_trl.columns import completion_text

    try:
        return completion_text(value)
    except ValueError as error:
        raise InputError(f": {error}") from None


def _truth(value: Any, name: str) -> dict[str, Any]:
    """A target as an object with `bbox`: it may be the box or boxes, such an object, or the JSON text of either."""
    if isinstance(value, str):
        value = _json(value)
    if isinstance(value, dict):
        if "bbox" not in value:
            raise InputError(f": {name!r} must hold 'bbox', and holds {', '.join(map(repr, value))}.")
        return value
    if isinstance(value, InputError):
        raise InputError(f": {name!r} is a text that is not JSON.")
    return {"bbox": value}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30 and isfinite(value)


def _size(value: Any, side: str) -> float | None:
    if value is not None and not (_number(value) and 1 <= value <= MAX_SIDE):
        raise InputError(f": {side!r} must be a number of pixels, got {value!r:.200}.")
    return value  # type: ignore[no-any-return]


def _targets(value: Any, kind: BoxKind, several: bool, name: str) -> list[list[float]]:
    """The true boxes of a row: one, or all of them where targets are lists of boxes."""
    if not isinstance(value, list) or several != _is_set(value):
        form = "a list of boxes, as in the first row" if several else "one box"
        raise InputError(f": {name!r} must be {form}, got {value!r:.200}.")
    return [_box(box, kind, name) for box in value] if several else [_box(value, kind, name)]


def _is_set(target: Any) -> bool:
    return isinstance(target, list) and all(isinstance(box, list) for box in target)


def _box(box: list[Any], kind: BoxKind, name: str) -> list[float]:
    form, count = ("[x1, y1, x2, y2]", "four") if kind == "horizontal" else ("[cx, cy, w, h, angle]", "five")
    if len(box) != (4 if kind == "horizontal" else 5) or not all(map(_number, box)):
        raise InputError(f": {name!r} must be {count} finite numbers {form}, got {box!r:.200}.")
    if kind == "horizontal" and (box[2] < box[0] or box[3] < box[1]):
        raise InputError(f": {name!r} must have x1 <= x2 and y1 <= y2, got {box!r:.200}.")
    if kind == "oriented" and min(box[2:4]) < 0:
        raise InputError(f": {name!r} must have no negative side, got {box!r:.200}.")
    return box
