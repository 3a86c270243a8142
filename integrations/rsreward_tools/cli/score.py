"""The commands `rsreward score` and `rsreward compare`."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .terminal import ProgressBars, printable, say, table_of, wide_console

Kind = Annotated[str, typer.Option(help="'horizontal' or 'oriented'; targets may be lists of boxes.")]
Convention = Annotated[str, typer.Option(help="Count as this benchmark: plain, dior_rsvg, vrsbench, opt_rsvg, refgeo.")]
CompletionField = Annotated[str | None, typer.Option(help="The field of the completions, if not 'completion'.")]
TargetField = Annotated[str | None, typer.Option(help="The field of the true boxes, if not 'target'.")]
Cluster = Annotated[
    str | None, typer.Option(help="A field that rollouts of one prompt share: intervals draw its values, not rows.")
]
Workers = Annotated[int, typer.Option(help="How many processes score; the results are the same.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def score(
    file: Annotated[
        Path, typer.Argument(help="JSONL, Parquet or a folder of dumps: completion, target, width, height.")
    ],
    space: Annotated[str, typer.Option(help="The coordinate space of the completions, or the model's name.")] = "pixel",
    kind: Kind = "horizontal",
    convention: Convention = "plain",
    by: Annotated[
        list[str] | None, typer.Option(help="A field to group by, or @size, @region of the true box; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write box, IoU and rewards of each row to this JSONL file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts, the worst and the best rows.")] = None,
    images: Annotated[Path | None, typer.Option(help="For the page: the folder that the field 'image' names.")] = None,
    completion_field: CompletionField = None,
    target_field: TargetField = None,
    cluster: Cluster = None,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Rewards and metrics for a file of completions.

    Example: `rsreward score rollouts.jsonl --space qwen2.5-vl --by log --html report.html`
    """
    from ..files import file_to_write
    from ..score.broken import count_broken
    from ..score.options import Options
    from ..score.records import RecordFiles
    from ..score.totals import describe_unsized, score_file
    from .score_table import score_tables

    groups = tuple(by or ())
    options = Options(space, kind, convention, groups, completion_field, target_field, cluster)  # type: ignore[arg-type]
    page = None
    if html:
        from ..pages.score import ScoreReport

        file_to_write("--html", html, RecordFiles(file).files, {"--out": out} if out else {})
        page = ScoreReport(html, images)
    elif images:
        raise InputError("--images is for the page: name it with --html.")
    with ProgressBars() as bars:
        watch, bar = page.watch if page else None, partial(bars.show, file.name)
        result = score_file(file, options, out=out, workers=workers, watch=watch, report=bar)
    if page:
        about = {"file": file.name, "space": space, "kind": kind, "convention": convention, "by": ", ".join(groups)}
        about |= {"cluster": cluster or "", "without size": describe_unsized(result, convention)}
        say(page.write(result, about))
    _say_what_is_missing(result, convention)
    if as_json:
        print(json.dumps(result))
        return
    print(printable(f"{file.name}, space {space}, {convention}"))
    for table in score_tables(result, groups, wide_console.width):
        wide_console.print(table)
    unread = round(result["rows"] * (1 - result["metrics"]["parse_rate"]))
    notes = [f"{unread} of {result['rows']} answers could not be read; they count as IoU 0."] if unread else []
    notes += [f"{count_broken(result['broken_rows'])}."] if result["broken_rows"] else []
    print(" ".join([*notes, "Below each value: its 95 % interval."]))


def compare(
    a: Annotated[Path, typer.Argument(help="What `rsreward score` reads.")],
    b: Annotated[Path, typer.Argument(help="The same rows in the same order, with other completions.")],
    space: Annotated[
        list[str] | None, typer.Option(help="The coordinate space of both; given twice, of A and of B.")
    ] = None,
    kind: Kind = "horizontal",
    convention: Convention = "plain",
    completion_field: CompletionField = None,
    target_field: TargetField = None,
    cluster: Cluster = None,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Two files of completions for the same rows: how much better B is, with paired 95 % intervals.

    Example: `rsreward compare before.jsonl after.jsonl --space qwen2.5-vl`
    """
    from ..score.broken import count_broken
    from ..score.compare import compare_files
    from ..score.options import Options

    spaces = space or ["pixel"]
    if len(spaces) > 2:
        raise InputError(f"--space is given once for both files or twice, got {len(spaces)} of them.")
    options = Options(spaces[0], kind, convention, (), completion_field, target_field, cluster)  # type: ignore[arg-type]
    with ProgressBars() as bars:
        bar = partial(bars.show, f"{a.name}, {b.name}")
        result = compare_files(a, b, options, space_of_b=spaces[-1], workers=workers, report=bar)
    _say_what_is_missing(result, convention)
    if as_json:
        print(json.dumps(result))
        return
    left_out = f", {count_broken(result['broken_rows'])}" if result["broken_rows"] else ""
    print(printable(f"{result['rows']} rows, {convention}{left_out}"))
    for side, file, its in (("A", a, spaces[0]), ("B", b, spaces[-1])):
        print(printable(f"{side}: {file}, space {its}"))
    lines = [
        (
            name.replace("_", " "),
            *(f"{result[side][name]:.3f}" for side in ("a", "b")),
            f"{difference:+.3f}",
            f"{low:+.3f} to {high:+.3f}",
        )
        for name, (difference, low, high) in result["differences"].items()
    ]
    wide_console.print(table_of(["", "A", "B", "B - A", "95 % interval"], lines))


def _say_what_is_missing(result: dict[str, Any], convention: str) -> None:
    """On stderr: rows that were left out, and rows whose image has no size."""
    from ..score.broken import count_broken, describe_broken
    from ..score.totals import describe_unsized

    if result["broken_rows"]:
        say(f"{count_broken(result['broken_rows'])}: {'; '.join(describe_broken(result))}.")
    say(describe_unsized(result, convention))
