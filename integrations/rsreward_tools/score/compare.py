"""`rsreward compare`: two files of completions for the same rows, and how sure the difference is."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rsreward import Tally, paired_differences

from ..errors import InputError
from .broken import BrokenRows
from .measure import Columns, numbered, ratios_of, score_rows, tensors
from .options import Options
from .processes import in_order
from .records import Record, RecordFiles
from .rows import Broken, Row, first_several, read_row
from .totals import Report


def compare_files(
    a: Path,
    b: Path,
    options: Options = Options(),  # noqa: B008
    *,
    space_of_b: str | None = None,
    workers: int = 1,
    report: Report = lambda done, size: None,
) -> dict[str, Any]:
    """Metrics of two files and of their difference, over the rows that can be scored in both.

    Args:
        a, b: the same rows in the same order, with other completions.
        options: how to read and count them.
        space_of_b: the coordinate space of the completions in `b`, where it is another.
        workers, report: as in `score_file`.

    Returns:
        `rows`, `broken_rows`, `broken`, `broken_reasons`; `a` and `b` with the metrics of each; `differences`: for each
        metric b - a and the bounds of its paired 95 % bootstrap interval.

    Raises:
        InputError: as `score_file`, and if the files do not hold the same rows.
    """
    sides = options, replace(options, space=space_of_b or options.space)
    files = RecordFiles(a), RecordFiles(b)
    several = first_several(files[0], options)
    tallies = [Tally(ratios_of(options, bool(several)), empty=float(bool(several))) for _ in sides]
    clusters: dict[str, int] = {}
    broken = BrokenRows()
    work = partial(_compare, sides=sides, several=several, names=(a, b))
    pairs = zip_longest(*(of.chunks(side) for of, side in zip(files, sides, strict=True)), fillvalue=())
    for bad, named, both in in_order(work, pairs, workers):
        broken.extend(bad)
        for tally, columns in zip(tallies, both, strict=False):
            tally.update(tensors(columns), numbered(named, clusters) if named else None)
        report(sum(of.done for of in files), sum(of.size for of in files))
    if not tallies[0].rows:
        raise InputError(broken.first[0] if broken.count else f"{a} holds no rows.")
    return {
        "rows": tallies[0].rows,
        **broken.result(),
        "a": tallies[0].compute(),
        "b": tallies[1].compute(),
        "differences": paired_differences(*tallies),
    }


def _compare(
    chunks: tuple[Sequence[Record], Sequence[Record]],
    sides: tuple[Options, Options],
    several: bool | None,
    names: tuple[Path, Path],
) -> tuple[list[Broken], list[str], list[Columns]]:
    """Of two chunks: the pairs that are broken, the clusters of the others, and what those add to the sums of each."""
    broken: list[Broken] = []
    pairs: list[tuple[Row, Row]] = []
    for records in zip_longest(*chunks):
        if None in records:
            longer, shorter = names if records[1] is None else reversed(names)
            raise InputError(f"{longer} holds more rows than {shorter}: compare files of the same rows.")
        first, second = (read_row(record, side, several) for record, side in zip(records, sides, strict=True))
        if isinstance(first, Broken):
            broken.append(first)
        elif isinstance(second, Broken):
            broken.append(second)
        elif first.target != second.target:
            raise InputError(
                f"{first.file}, line {first.line} and {second.file}, line {second.line} have different targets: "
                f"compare files of the same rows in the same order."
            )
        else:
            pairs.append((first, second))
    both = [score_rows(list(rows), side).columns for rows, side in zip(zip(*pairs, strict=True), sides, strict=False)]
    return broken, [row.cluster for row, _ in pairs if row.cluster is not None], both
