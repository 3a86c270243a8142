"""`rsreward compare`: two files of completions for the same rows, and how sure the difference is."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rsreward import Space, Tally, paired_differences
from rsreward.answers import BoxKind

from ..errors import InputError
from .broken import BrokenRows
from .rows import Broken, Reader, Row, Source
from .scored import clusters_of, ratios_of, score_rows
from .totals import Progress, chunks, reader_of


def compare_files(
    a: Path,
    b: Path,
    *,
    spaces: tuple[str | Space, str | Space] = ("pixel", "pixel"),
    kind: BoxKind = "horizontal",
    convention: str = "plain",
    completion: str | None = None,
    target: str | None = None,
    cluster: str | None = None,
    progress: Progress = lambda done, size: None,
) -> dict[str, Any]:
    """Metrics of two files and of their difference, over the rows that can be scored in both.

    Args:
        a, b: the same rows in the same order, with other completions.
        spaces: the coordinate spaces of their completions.
        kind, convention, completion, target, cluster, progress: as in `score_file`.

    Returns:
        `rows`, `broken_rows`, `broken`, `broken_reasons`; `a` and `b` with the metrics of each; `differences`: for each
        metric b - a and the bounds of its paired 95 % bootstrap interval.

    Raises:
        InputError: as `score_file`, and if the files do not hold the same rows.
    """
    readers = [reader_of(space, kind, convention, (), completion, target, cluster) for space in spaces]
    sources = [Source(file) for file in (a, b)]
    tallies: list[Tally] = []
    clusters: dict[str, int] = {}
    broken = BrokenRows()
    for chunk in chunks(_pairs(readers, sources)):
        pairs = [pair for pair in chunk if all(isinstance(row, Row) for row in pair)]
        for pair in chunk:
            for row in [row for row in pair if isinstance(row, Broken)][:1]:
                broken.add(row)
        for i, rows in enumerate(zip(*pairs, strict=True)):
            if len(tallies) == i:
                tallies.append(Tally(ratios_of(readers[i], rows[0].several), empty=float(rows[0].several)))
            tallies[i].update(score_rows(list(rows), readers[i]).columns, clusters_of(list(rows), clusters))
        progress(sum(source.done for source in sources), sum(source.size for source in sources))
    if not tallies:
        raise InputError(broken.first[0] if broken.count else f"{a} holds no rows.")
    return {
        "rows": tallies[0].rows,
        **broken.result(),
        "a": tallies[0].compute(),
        "b": tallies[1].compute(),
        "differences": paired_differences(*tallies),
    }


def _pairs(readers: list[Reader], sources: list[Source]) -> Iterator[tuple[Row | Broken, Row | Broken]]:
    """The rows of both files side by side."""
    for pair in zip_longest(*(reader.read(source) for reader, source in zip(readers, sources, strict=True))):
        first, second = pair
        if first is None or second is None:
            longer, shorter = sources if second is None else reversed(sources)
            raise InputError(f"{longer.path} holds more rows than {shorter.path}: compare files of the same rows.")
        if isinstance(first, Row) and isinstance(second, Row) and first.target != second.target:
            raise InputError(
                f"{first.file}, line {first.line} and {second.file}, line {second.line} have different targets: "
                f"compare files of the same rows in the same order."
            )
        yield first, second
