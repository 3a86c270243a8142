"""`rsreward score` and `rsreward compare`: rewards and metrics for files of completions with their targets.

Rows are read, scored, summed and written chunk by chunk: memory does not grow with their number.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from rsreward import CONVENTIONS, SPACES, Space, Tally, space_for, space_named
from rsreward.answers import READ_AS, BoxKind

from ..errors import InputError
from ..files import file_to_write, part_of
from .broken import BrokenRows
from .rows import PLACES, Broken, Reader, Row, Source, natural
from .scored import Scored, clusters_of, members_of, ratios_of, score_rows

CHUNK = 1024
MOST_GROUPS, GROUP_BUCKETS = 1000, 256
OTHER_KIND = "other kind"  # numbers were read, such as a point, and they are no box of the kind that is asked for
Progress = Callable[[int, int], None]


@dataclass
class Totals:
    """Everything that is summed over the rows.

    Attributes:
        tally: over all rows.
        groups: by name, over the rows of each.
        clusters: the number of each cluster of rows.
        problems: of each dialect, how many answers were in it and how often each problem was met.
        broken: the rows that could not be scored.
        unsized: how many scored rows have no width and height, where these would have counted.
    """

    tally: Tally | None = None
    groups: dict[str, Tally] = field(default_factory=dict)
    clusters: dict[str, int] = field(default_factory=dict)
    problems: dict[str, Counter[str]] = field(default_factory=dict)
    broken: BrokenRows = field(default_factory=BrokenRows)
    unsized: int = 0

    def add(self, scored: Scored, reader: Reader) -> None:
        """Add a chunk."""
        ratios = ratios_of(reader, scored.rows[0].several)
        empty = float("set_reward" in ratios)  # nothing to find and nothing found is right
        self.tally = self.tally or Tally(ratios, empty=empty)
        clusters = clusters_of(scored.rows, self.clusters)
        self.tally.update(scored.columns, clusters)
        for name, members in members_of(scored.rows, reader.by).items():
            if name not in self.groups:
                if len(self.groups) == MOST_GROUPS:
                    raise InputError(
                        f"--by {' --by '.join(reader.by)} gives more than {MOST_GROUPS} groups: choose another."
                    )
                self.groups[name] = Tally(ratios, empty=empty, buckets=GROUP_BUCKETS)
            theirs = None if clusters is None else clusters[members]
            self.groups[name].update({column: values[members] for column, values in scored.columns.items()}, theirs)
        for answer in scored.answers:
            other = (OTHER_KIND,) if answer.boxes and answer.kind not in READ_AS[reader.kind] else ()
            self.problems.setdefault(answer.dialect, Counter()).update(("answers", *answer.problems, *other))
        if reader.space.needs_size or CONVENTIONS[reader.convention].side:
            self.unsized += sum(row.width is None for row in scored.rows)

    def result(self) -> dict[str, Any]:
        """As `score_file` returns it."""
        tally = self.tally
        if tally is None:
            raise InputError(self.broken.first[0])
        groups = {name: self.groups[name] for name in sorted(self.groups, key=natural)} or {"all": tally}
        return {
            "rows": tally.rows,
            **self.broken.result(),
            "rows_without_size": self.unsized,
            "metrics": {"rows": tally.rows} | tally.compute(),
            "intervals": tally.intervals(),
            "groups": {name: {"rows": group.rows} | group.compute() for name, group in groups.items()},
            "group_intervals": {name: group.intervals() for name, group in groups.items()},
            "problems": {name: dict(counts) for name, counts in sorted(self.problems.items())},
        }


def score_file(
    file: Path,
    *,
    space: str | Space = "pixel",
    kind: BoxKind = "horizontal",
    convention: str = "plain",
    by: Sequence[str] = (),
    completion: str | None = None,
    target: str | None = None,
    cluster: str | None = None,
    out: Path | None = None,
    watch: Callable[[Scored], None] = lambda scored: None,
    progress: Progress = lambda done, size: None,
) -> dict[str, Any]:
    """Score every row of a file or of a folder of rollout dumps.

    Args:
        file: what to read, see `rows`.
        space: the coordinate space of the completions. Rows without a size can only be in pixels: under "qwen2.5-vl"
            they are taken for images that were not resized, and counted; in any other space they are broken.
        kind: "horizontal" targets are `[x1, y1, x2, y2]`, "oriented" ones `[cx, cy, w, h, angle]` in radians. Where the
            first row's target is a list of boxes all are, and the completions are scored as sets.
        convention: how to count, see docs/score.md; other than "plain" only for one horizontal box a row.
        by: fields to group by, each on its own; "@size" and "@region" group by the true box.
        completion, target: the fields of these, where they are called otherwise.
        cluster: a field that rows which are not independent share, such as the rollouts of one prompt: intervals draw
            its values instead of rows.
        out: where to write one line a row with its box, its rewards and its IoU. They are written to `OUT.part` as they
            come; a run that is cut off leaves that. Rows that cannot be scored are there with their error.
        watch: called with every chunk.
        progress: called with the bytes read and their number in all.

    Returns:
        `rows` that were scored, `broken_rows` that were not, `broken` with what is wrong with the first ten,
        `broken_reasons` with the rows and the first places of each reason, `rows_without_size`; `metrics` and their
        95 % `intervals` over all rows; `groups` and `group_intervals` for each value of `by` ("all" without it;
        "field=value" where there are several): the rows, the convention's metrics, `positional_reward` and
        `format_reward`, for sets `precision@k`, `recall@k`, `f1@k`, `set_reward`, `format_reward` and `parse_rate`;
        `problems` by dialect.

    Raises:
        InputError: naming the option or the file that is wrong, or what is wrong with the first row if all are broken.
    """
    reader = reader_of(space, kind, convention, by, completion, target, cluster)
    source, totals = Source(file), Totals()
    with _results(out, source) as write:
        for chunk in chunks(reader.read(source)):
            rows = [row for row in chunk if isinstance(row, Row)]
            lines: Iterator[dict[str, Any]] = iter(())
            if rows:
                scored = score_rows(rows, reader)
                totals.add(scored, reader)
                watch(scored)
                lines = _lines(scored, by)
            for row in chunk:
                if isinstance(row, Broken):
                    totals.broken.add(row)
                    write({"line": row.line, "error": row.error}, row.file)
                else:
                    write(next(lines), row.file)
            progress(source.done, source.size)
        if not totals.tally and not totals.broken.count:
            raise InputError(f"{file} holds no rows.")
        return totals.result()


def said_of_unsized(result: dict[str, Any], convention: str) -> str:
    """A sentence about the rows whose image has no size; nothing where there are none."""
    count, side = result.get("rows_without_size"), CONVENTIONS[convention].side
    if not count:
        return ""
    where = f", in an image of {side:g} x {side:g}" if side else ""
    return (
        f"{count} of {result['rows']} rows have no width and height: "
        f"their boxes were taken for pixels of the original image{where}."
    )


def reader_of(
    space: str | Space,
    kind: BoxKind,
    convention: str,
    by: Sequence[str] = (),
    completion: str | None = None,
    target: str | None = None,
    cluster: str | None = None,
) -> Reader:
    """The reader with these options.

    Raises:
        InputError: naming the option that is wrong.
    """
    if isinstance(space, str) and space not in SPACES:
        try:
            space = space_for(space)
        except ValueError:
            known = ", ".join(SPACES)
            raise InputError(
                f"unknown coordinate space {space!r}: use one of {known}, or the name of a model of their families."
            ) from None
    if kind not in ("horizontal", "oriented"):
        raise InputError(f"--kind must be horizontal or oriented, got {kind!r}.")
    if convention not in CONVENTIONS:
        raise InputError(f"--convention must be one of {', '.join(CONVENTIONS)}, got {convention!r}.")
    if kind == "oriented" and CONVENTIONS[convention].horizontal_only:
        raise InputError(f"--convention {convention} is for horizontal boxes: leave it out with --kind oriented.")
    unknown = [name for name in by if name.startswith("@") and name not in PLACES]
    if unknown:
        raise InputError(f"--by {unknown[0]} is not known: use a field or one of {', '.join(PLACES)}.")
    return Reader(space_named(space), kind, convention, tuple(by), completion, target, cluster)


def chunks(rows: Iterable[Any]) -> Iterator[list[Any]]:
    """The rows in lists of `CHUNK`."""
    rows = iter(rows)
    while chunk := list(islice(rows, CHUNK)):
        yield chunk


def _lines(scored: Scored, by: Sequence[str]) -> Iterator[dict[str, Any]]:
    """What is written of each row."""
    several = scored.rows[0].several
    names = {"read": "parsed"}
    if not several:
        names |= {name: name.replace("hits", "acc") for name in scored.columns if name.startswith("hits@")}
    table = zip(*(values.tolist() for values in scored.columns.values()), strict=True)
    for row, answer, pred, values in zip(scored.rows, scored.answers, scored.preds, table, strict=True):
        line: dict[str, Any] = {"line": row.line} | (dict(zip(by, row.groups, strict=True)) if by else {"group": "all"})
        line["box"] = pred.tolist() if several else pred[0].tolist() if len(pred) else None
        line |= {names.get(name, name): value for name, value in zip(scored.columns, values, strict=True)}
        yield line | {"kind": answer.kind, "dialect": answer.dialect, "problems": answer.problems}


@contextmanager
def _results(out: Path | None, source: Source) -> Iterator[Callable[[dict[str, Any], Path], None]]:
    """A function that writes a row, with its file where there are several; `out` appears when all is done."""
    if out is None:
        yield lambda line, file: None
        return
    file_to_write("--out", out, source.files)
    part = part_of(out)
    try:
        with part.open("w", encoding="utf-8") as sink:
            yield lambda line, file: _write(sink, line if file == source.path else {"file": file.name} | line)
        part.replace(out)
    except InputError:
        part.unlink(missing_ok=True)
        raise
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}.") from None


def _write(sink: TextIO, line: dict[str, Any]) -> None:
    sink.write(json.dumps(line) + "\n")
