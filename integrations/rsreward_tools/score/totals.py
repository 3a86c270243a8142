"""`rsreward score`: rewards and metrics for a file of completions with their targets.

Rows are read, scored, summed and written chunk by chunk: memory does not grow with their number.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from rsreward import CONVENTIONS, Tally
from rsreward.answers import READ_AS
from rsreward.frame import FrameCheck
from rsreward.watch import Signs

from ..errors import InputError
from ..files import file_to_write, writing
from .broken import BrokenRows
from .frames import framed
from .measure import Measured, Scored, measure, numbered, ratios_of, tensors
from .options import Options
from .processes import in_order
from .records import RecordFiles, natural
from .rows import first_several

MOST_GROUPS, GROUP_BUCKETS = 1000, 256
OTHER_KIND = "other kind"  # numbers were read, such as a point, and they are no box of the kind that is asked for
C = TypeVar("C", FrameCheck, Signs)
Report = Callable[[int, int], None]  # of the bytes read, and of their number in all


@dataclass
class Totals:
    """Everything that is summed over the rows.

    Attributes:
        options: how they are counted.
        tally: over all rows.
        groups: by name, over the rows of each.
        clusters: the number of each cluster of rows.
        problems: of each dialect, how many answers were in it and how often each problem was met.
        broken: the rows that could not be scored.
        unsized: how many scored rows have no width and height, where these would have counted.
        frame: whether sizes, targets and answers fit together.
        signs: of answers that say nothing, or all the same.
    """

    options: Options
    tally: Tally | None = None
    groups: dict[str, Tally] = field(default_factory=dict)
    clusters: dict[str, int] = field(default_factory=dict)
    problems: dict[str, Counter[str]] = field(default_factory=dict)
    broken: BrokenRows = field(default_factory=BrokenRows)
    unsized: int = 0
    frame: FrameCheck | None = None
    signs: Signs | None = None

    def add(self, measured: Measured) -> None:
        """Add a chunk."""
        self.broken.extend(measured.broken)
        if not measured.columns:
            return
        several = "set_reward" in measured.columns
        ratios, empty = ratios_of(self.options, several), float(several)  # nothing to find and nothing found is right
        self.tally = self.tally or Tally(ratios, empty=empty)
        columns = tensors(measured.columns)
        clusters = numbered(measured.clusters, self.clusters) if measured.clusters else None
        self.tally.update(columns, clusters)
        for name, members in measured.groups.items():
            if name not in self.groups:
                if len(self.groups) == MOST_GROUPS:
                    raise InputError(
                        f"--by {' --by '.join(self.options.by)} gives more than {MOST_GROUPS} groups: choose another."
                    )
                self.groups[name] = Tally(ratios, empty=empty, buckets=GROUP_BUCKETS)
            theirs = None if clusters is None else clusters[members]
            self.groups[name].update({column: values[members] for column, values in columns.items()}, theirs)
        for (dialect, kind, problems), count in measured.answers.items():
            other = (OTHER_KIND,) if kind != "none" and kind not in READ_AS[self.options.answer_kind] else ()
            named = dict.fromkeys(("answers", *problems, *other), count)
            self.problems.setdefault(dialect, Counter()).update(named)
        if self.options.assumes_sizes:
            self.unsized += measured.unsized
        self.frame, self.signs = merged(self.frame, measured.frame), merged(self.signs, measured.signs)

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
            "frame": findings(self.frame, self.options),
            "watch": [finding.as_dict() for finding in self.signs.findings()] if self.signs else [],
            "metrics": {"rows": tally.rows} | tally.compute(),
            "intervals": tally.intervals(),
            "groups": {name: {"rows": group.rows} | group.compute() for name, group in groups.items()},
            "group_intervals": {name: group.intervals() for name, group in groups.items()},
            "problems": {name: dict(counts) for name, counts in sorted(self.problems.items())},
        }


def merged(check: C | None, other: C | None) -> C | None:
    """The checks of two parts as one."""
    if check is None or other is None:
        return check or other
    check.merge(other)
    return check


def findings(check: FrameCheck | None, options: Options) -> list[dict[str, Any]]:
    """What does not fit, in the form of JSON.

    Raises:
        InputError: if it leaves nothing to count.
    """
    try:
        found = [finding.as_dict() for finding in check.findings()] if check else []
    except ValueError as error:
        raise InputError(f"{error}") from None
    return [each for each in found if not (options.hull and each["finding"] == "turned-answers")]


def score_file(
    file: Path,
    options: Options = Options(),  # noqa: B008
    *,
    out: Path | None = None,
    workers: int = 1,
    watch: Callable[[Scored], None] | None = None,
    report: Report = lambda done, size: None,
) -> dict[str, Any]:
    """Score every row of a file or of a folder of rollout dumps.

    Args:
        file: what to read, see `rows`.
        options: how to read and count it. What they leave open of the frame is taken from the file's, see `framed`.
        out: where to write one line a row with its box, its rewards and its IoU. A run that is cut off leaves those it
            has written in `OUT.XXXXXXXX.part`. Rows that cannot be scored are there with their error.
        workers: how many processes score; the results are the same. A script that asks for several must be one that
            can be imported: `if __name__ == "__main__":` before what it does.
        watch: called with every chunk.
        report: called with the bytes read and their number in all.

    Returns:
        `rows` that were scored, `broken_rows` that were not, `broken` with what is wrong with the first ten,
        `broken_reasons` with the rows and the first places of each reason, `rows_without_size`; `frame` with what
        `rsreward.frame` finds and `watch` with the signs of `rsreward.watch`, each with `finding`, `rows`, `of` and
        `message`; `metrics` and their 95 % `intervals` over all rows; `groups` and `group_intervals` for each value of
        `by` ("all" without it; "field=value" where there are several): the rows, the convention's metrics,
        `positional_reward` and `format_reward`, for sets
        `precision@k`, `recall@k`, `f1@k`, `none_precision`, `none_recall`, `set_reward`, `format_reward` and
        `parse_rate`; `problems` by dialect.

    Raises:
        InputError: naming the option or the file that is wrong, or what is wrong with the first row if all are broken.
    """
    options, _ = framed(file, options)
    files, totals = RecordFiles(file), Totals(options)
    if out:
        file_to_write("--out", out, files.files)
    several = first_several(files, options)
    work = partial(measure, options=options, several=several, whole=file, write=out is not None, keep=watch is not None)
    with ExitStack() as stack:
        sink = stack.enter_context(stack.enter_context(writing(out)).open("wb")) if out else None
        for measured in in_order(work, files.chunks(options), workers):
            totals.add(measured)
            if watch and measured.scored:
                watch(measured.scored)
            if sink:
                sink.write(measured.written)
            report(files.done, files.size)
        if not totals.tally and not totals.broken.count:
            raise InputError(f"{file} holds no rows.")
        return totals.result()


def describe_unsized(result: dict[str, Any], convention: str) -> str:
    """A sentence about the rows whose image has no size; nothing where there are none."""
    count, side = result.get("rows_without_size"), CONVENTIONS[convention].side
    if not count:
        return ""
    where = f", in an image of {side:g} x {side:g}" if side else ""
    return (
        f"{count} of {result['rows']} rows have no width and height: "
        f"their boxes were taken for pixels of the original image{where}."
    )
