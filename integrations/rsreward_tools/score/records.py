"""The files that `rsreward score` reads, record by record: JSONL, Parquet, and folders of either."""

import json
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import InputError
from ..files import size_of_input
from .options import Options

# The names of these fields in the files of trainers and benchmarks; the first that a row has counts.
COMPLETIONS = ("completion", "output", "predict", "response", "model_output", "answer")
TARGETS = ("target", "gts", "label", "labels", "ground_truth", "gt_bbox", "solution")
SIZES, FOR_PAGE = ("width", "height"), ("image", "query")
NOT_ROWS = ("frame.json",)  # in a folder of rows
SUFFIXES = (".jsonl", ".json", ".ndjson", ".parquet")
CHUNK, PARQUET_BATCH = 1024, 128  # rows
LONGEST_LINE = 1 << 24  # bytes: of the texts of a row, not of its picture
LARGEST_OBJECT = 1 << 28  # bytes of a file that is one JSON object
COMPRESSED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ")  # gzip, zstd, bzip2, xz
TOO_LONG = f" is longer than {LONGEST_LINE >> 20} MiB: leave out of it what is not a text."
ARRAY = re.compile(rb"(?:\xef\xbb\xbf)?\s*\[\s*(?:\{|$)")  # of objects, in one line or in many


class Record(NamedTuple):
    """A row as it was found.

    Attributes:
        file, line: where; lines count from 1, in Parquet rows do.
        content: its JSON text, its fields, or the mistake that is in their place.
    """

    file: Path
    line: int
    content: bytes | dict[str, Any] | InputError


class RecordFiles:
    """A file, or a folder with the files of a dump in the order of the numbers in their names.

    Attributes:
        size: in bytes.
        done: how many of them have been read, about.

    Raises:
        InputError: if there is nothing there to read, or something that is not a regular file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.files, self.done = path, [path], 0
        try:
            if path.is_dir():
                self.files = sorted(
                    (f for f in path.iterdir() if f.suffix in SUFFIXES and f.name not in NOT_ROWS),
                    key=lambda file: natural(file.name),
                )
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror}.") from None
        self.size = sum(map(size_of_input, self.files))
        if not self.files:
            raise InputError(f"the folder {path} holds no file that ends in {', '.join(SUFFIXES)}.")

    def chunks(self, options: Options) -> Iterator[list[Record]]:
        """Every record, in lists of `CHUNK`."""
        records = self._records(options)
        while chunk := list(islice(records, CHUNK)):
            yield chunk

    def _records(self, options: Options) -> Iterator[Record]:
        chosen = {options.completion, options.target, options.cluster}
        fields = {*COMPLETIONS, *TARGETS, *SIZES, "image_size", "input_size", *FOR_PAGE} | chosen
        for file in self.files:
            before = self.done
            try:
                yield from (
                    self._parquet(file, fields | {*options.by}) if file.suffix == ".parquet" else self._lines(file)
                )
                self.done = before + file.stat().st_size
            except OSError as error:
                raise InputError(f"cannot read {file}: {error.strerror}.") from None

    def _lines(self, file: Path) -> Iterator[Record]:
        with file.open("rb") as stream:
            first, long = True, False
            number = 0
            for line in iter(partial(stream.readline, LONGEST_LINE), b""):
                self.done += len(line)
                rest, long = long, len(line) == LONGEST_LINE and not line.endswith(b"\n")
                if rest:
                    continue
                number += 1
                if line.isspace():
                    continue
                if first and line.startswith(COMPRESSED):
                    raise InputError(f"{file} is compressed: gunzip it, or whatever undoes it.")
                if first and ARRAY.match(line):
                    yield Record(
                        file, number, InputError(f" opens a JSON array: `jq -c '.[]' {file}` makes lines of it.")
                    )
                    return
                if first and file.suffix == ".json" and (line.strip() == b"{" or b'"results"' in line):
                    rows = _results(file)
                    yield from (Record(file, i, row) for i, row in enumerate(rows, 1))
                    if rows:
                        return
                first = False
                yield Record(file, number, InputError(TOO_LONG) if long else line)

    def _parquet(self, file: Path, fields: set[str | None]) -> Iterator[Record]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        number, before, share = 0, self.done, 0.0
        try:
            table = pq.ParquetFile(file, buffer_size=1 << 16, pre_buffer=False)  # else row groups are held whole
            texts = [f.name for f in table.schema_arrow if f.type in (pa.string(), pa.large_string())]
            names = fields.intersection(table.schema_arrow.names)
            wanted = [name for name in names if name in texts or name not in FOR_PAGE]  # pictures are not read
            for batch in table.iter_batches(PARQUET_BATCH, columns=wanted, use_threads=False):
                share += len(batch) / max(table.metadata.num_rows, 1)
                self.done = before + int(share * file.stat().st_size)
                pa.default_memory_pool().release_unused()
                for fields_of_row in batch.to_pylist():
                    number += 1
                    yield Record(file, number, fields_of_row)
        except (pa.ArrowException, OSError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            yield Record(file, number + 1, InputError(f" and what follows cannot be read as Parquet: {reason}."))


def _results(file: Path) -> list[Any]:
    """The rows that a JSON object holds under `results`, as VLM-R1 writes them."""
    if file.stat().st_size > LARGEST_OBJECT:
        raise InputError(
            f"{file} is one JSON object and too large for that: `jq -c '.results[]' {file}` makes lines of it."
        )
    try:
        found = json.loads(file.read_bytes())
    except (ValueError, RecursionError):
        return []
    rows = found.get("results") if isinstance(found, dict) else None
    return rows if isinstance(rows, list) else []


def natural(name: str) -> list[Any]:
    """For sorting names so that 2.jsonl comes before 10.jsonl: numbers by their length, then by their digits."""
    digits = (part.lstrip("0") or "0" if part.isdecimal() else part for part in re.split(r"(\d+)", name))
    return [(len(part), part) if part.isdecimal() else part for part in digits]
