"""The commands `rsreward score` and `rsreward compare`."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from ..score.broken import count_of_broken, said_of_broken
from .terminal import ProgressBars, printable, say, table_of, wide_console

Space = Annotated[str, typer.Option(help="The coordinate space of the completions, or the model's name.")]
Kind = Annotated[str, typer.Option(help="'horizontal' or 'oriented'; targets may be lists of boxes.")]
Convention = Annotated[str, typer.Option(help="Count as this benchmark: plain, dior_rsvg, vrsbench, opt_rsvg, refgeo.")]
CompletionField = Annotated[str | None, typer.Option(help="The field of the completions, if not 'completion'.")]
TargetField = Annotated[str | None, typer.Option(help="The field of the true boxes, if not 'target'.")]
Cluster = Annotated[
    str | None, typer.Option(help="A field that rollouts of one prompt share: intervals draw its values, not rows.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


def score(
    file: Annotated[
        Path, typer.Argument(help="JSONL, Parquet or a folder of dumps: completion, target, width, height.")
    ],
    space: Space = "pixel",
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
    as_json: AsJson = False,
) -> None:
    """Rewards and metrics for a file of completions.

    Example: `rsreward score rollouts.jsonl --space qwen2.5-vl --by log --html report.html`
    """
    from ..files import file_to_write
    from ..score.rows import Source
    from ..score.totals import said_of_unsized, score_file
    from .score_table import score_tables

    options: dict[str, Any] = {"completion": completion_field, "target": target_field, "cluster": cluster, "out": out}
    if html:
        from ..pages.score import ScoreReport

        file_to_write("--html", html, Source(file).files, {"--out": out} if out else {})
        report = ScoreReport(html, images)
        options["watch"] = report.watch
    elif images:
        raise InputError("--images is for the page: name it with --html.")
    by = by or []
    with ProgressBars() as bars:
        bar = partial(bars.show, file.name)
        result = score_file(file, space=space, kind=kind, convention=convention, by=by, progress=bar, **options)  # type: ignore[arg-type]
    if html:
        about = {"file": file.name, "space": space, "kind": kind, "convention": convention, "by": ", ".join(by)}
        about |= {"cluster": cluster or "", "without size": said_of_unsized(result, convention)}
        say(report.write(result, about))
    _say_what_is_missing(result, convention)
    if as_json:
        print(json.dumps(result))
        return
    _print(f"{file.name}, space {space}, {convention}")
    for table in score_tables(result, by, wide_console.width):
        wide_console.print(table)
    unread = round(result["rows"] * (1 - result["metrics"]["parse_rate"]))
    told = [f"{unread} of {result['rows']} answers could not be read; they count as IoU 0."] if unread else []
    told += [f"{count_of_broken(result['broken_rows'])}."] if result["broken_rows"] else []
    _print(" ".join([*told, "Below each value: its 95 % interval."]))


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
    as_json: AsJson = False,
) -> None:
    """Two files of completions for the same rows: how much better B is, with paired 95 % intervals.

    Example: `rsreward compare before.jsonl after.jsonl --space qwen2.5-vl`
    """
    from ..score.compare import compare_files

    spaces = space or ["pixel"]
    if len(spaces) > 2:
        raise InputError(f"--space is given once for both files or twice, got {len(spaces)} of them.")
    options: dict[str, Any] = {"completion": completion_field, "target": target_field, "cluster": cluster}
    with ProgressBars() as bars:
        bar = partial(bars.show, f"{a.name}, {b.name}")
        result = compare_files(
            a, b, spaces=(spaces[0], spaces[-1]), kind=kind, convention=convention, progress=bar, **options  # type: ignore[arg-type]
        )  # fmt: skip
    _say_what_is_missing(result, convention)
    if as_json:
        print(json.dumps(result))
        return
    left_out = f", {count_of_broken(result['broken_rows'])}" if result["broken_rows"] else ""
    _print(f"{result['rows']} rows, {convention}{left_out}")
    for side, file, its in (("A", a, spaces[0]), ("B", b, spaces[-1])):
        _print(f"{side}: {file}, space {its}")
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


def _print(line: str) -> None:
    """A line on stdout, whole: a terminal folds it."""
    print(printable(line))


def _say_what_is_missing(result: dict[str, Any], convention: str) -> None:
    """On stderr: rows that were left out, and rows whose image has no size."""
    from ..score.totals import said_of_unsized

    if result["broken_rows"]:
        say(f"{count_of_broken(result['broken_rows'])}: {'; '.join(said_of_broken(result))}.")
    say(said_of_unsized(result, convention))
