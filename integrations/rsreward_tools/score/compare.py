"""`rsreward compare`: two files of completions for the same rows, and how sure the difference is."""

from collections.abc import Sequence
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any

from rsreward import Tally, paired_differences
from rsreward.frame import FrameCheck

from ..errors import InputError
from .broken import BrokenRows
from .frames import framed
from .measure import Columns, numbered, ratios_of, score_rows, tensors
from .options import Options
from .processes import in_order
from .records import Record, RecordFiles
from .rows import Broken, Row, first_several, read_rows
from .totals import Report, findings, merged


def compare_files(
    a: Path,
    b: Path,
    options: Options = Options(),  # noqa: B008
    *,
    options_of_b: Options | None = None,
    workers: int = 1,
    report: Report = lambda done, size: None,
) -> dict[str, Any]:
    """Metrics of two files and of their difference, over the rows that can be scored in both.

    Args:
        a, b: the same rows in the same order, with other completions.
        options: how to read and count them.
        options_of_b: how to read `b`, where its frame is another. In both what is left open is taken from the file's
            frame, see `framed`.
        workers, report: as in `score_file`.

    Returns:
        `rows`, `broken_rows`, `broken`, `broken_reasons`; `frame`, the findings as in `score_file`, each
        with its `file`, "a" or "b"; `a` and `b` with the metrics of each; `differences`: for each
        metric b - a and the bounds of its paired 95 % bootstrap interval.

    Raises:
        InputError: as `score_file`, and if the files do not hold the same rows.
    """
    sides = framed(a, options)[0], framed(b, options_of_b or options)[0]
    files = RecordFiles(a), RecordFiles(b)
    several = first_several(files[0], sides[0])
    tallies = [Tally(ratios_of(options, bool(several)), empty=float(bool(several))) for _ in sides]
    clusters: dict[str, int] = {}
    broken = BrokenRows()
    checks: list[FrameCheck | None] = [None, None]
    work = partial(_compare, sides=sides, several=several, names=(a, b))
    pairs = zip_longest(*(of.chunks(side) for of, side in zip(files, sides, strict=True)), fillvalue=())
    for bad, named, both in in_order(work, pairs, workers):
        broken.extend(bad)
        for i, (columns, frame) in enumerate(both):
            tallies[i].update(tensors(columns), numbered(named, clusters) if named else None)
            checks[i] = merged(checks[i], frame)
        report(sum(of.done for of in files), sum(of.size for of in files))
    if not tallies[0].rows:
        raise InputError(broken.first[0] if broken.count else f"{a} holds no rows.")
    return {
        "rows": tallies[0].rows,
        **broken.result(),
        "frame": [
            {"file": file} | finding
            for file, check, side in zip("ab", checks, sides, strict=True)
            for finding in findings(check, side)
        ],
        "a": tallies[0].compute(),
        "b": tallies[1].compute(),
        "differences": paired_differences(*tallies),
    }


def _compare(
    chunks: tuple[Sequence[Record], Sequence[Record]],
    sides: tuple[Options, Options],
    several: bool | None,
    names: tuple[Path, Path],
) -> tuple[list[Broken], list[str], list[tuple[Columns, FrameCheck]]]:
    """Of two chunks: the pairs that are broken, the clusters of the others, and what those add to the totals."""
    broken: list[Broken] = []
    pairs: list[tuple[Row, Row]] = []
    for first, second in zip_longest(*(read_rows(of, side, several) for of, side in zip(chunks, sides, strict=True))):
        if first is None or second is None:
            longer, shorter = names if second is None else reversed(names)
            raise InputError(f"{longer} holds more rows than {shorter}: compare files of the same rows.")
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
    scored = [score_rows(list(rows), side) for rows, side in zip(zip(*pairs, strict=True), sides, strict=False)]
    both = [(of.columns, of.frame) for of in scored]
    return broken, [row.cluster for row, _ in pairs if row.cluster is not None], both
