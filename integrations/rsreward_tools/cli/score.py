"""The commands `rsreward score` and `rsreward compare`."""

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import InputError
from .frame_options import Five, Hull, ImageSize, MaxPixels, MinPixels, Order, TargetFormat, TargetSpace, ThinkInPrompt
from .terminal import ProgressBars, printable, say, table_of, wide_console

Kind = Annotated[str, typer.Option(help="'horizontal' or 'oriented'; targets may be lists of boxes.")]
Convention = Annotated[
    str,
    typer.Option(
        help="Count as this benchmark: plain, dior_rsvg, vrsbench, opt_rsvg, refgeo. To reproduce figures that others "
        "published: rsthinker, lhrs_bot, earthdial."
    ),
]
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
    space: Annotated[
        str | None,
        typer.Option(help="The completions' coordinate space, or the model's name; else as frame.json says, or pixel."),
    ] = None,
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    five: Five = None,
    order: Order = None,
    think_in_prompt: ThinkInPrompt = None,
    hull: Hull = False,
    image_size: ImageSize = None,
    target_space: TargetSpace = None,
    target_format: TargetFormat = None,
    kind: Kind = "horizontal",
    convention: Convention = "plain",
    by: Annotated[
        list[str] | None, typer.Option(help="A field to group by, or @size, @region of the true box; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write box, IoU and rewards of each row to this JSONL file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts, the worst and the best rows.")] = None,
    images: Annotated[
        Path | None, typer.Option(help="The folder that the field 'image' names: for the page, and to check sizes.")
    ] = None,
    completion_field: CompletionField = None,
    target_field: TargetField = None,
    cluster: Cluster = None,
    workers: Workers = 1,
    as_json: AsJson = False,
) -> None:
    """Rewards and metrics for a file of completions.

    Example: `rsreward score rollouts.jsonl --space qwen2.5-vl --by log --html report.html`
    """
    from rsreward import CONVENTIONS

    from ..files import file_to_write
    from ..score.broken import count_broken
    from ..score.frames import describe, framed
    from ..score.options import Options
    from ..score.records import RecordFiles
    from ..score.totals import describe_unsized, score_file
    from .score_table import score_tables

    groups = tuple(by or ())
    frame: Any = {
        "min_pixels": min_pixels, "max_pixels": max_pixels, "five": five, "order": order, "target_space": target_space,
        "target_format": target_format, "hull": hull, "image_size": image_size, "images": images,
    }  # fmt: skip
    fields = completion_field, target_field, cluster
    options, said = framed(file, Options(space, kind, convention, groups, *fields, think_in_prompt, **frame))  # type: ignore[arg-type]
    page = None
    if html:
        from ..pages.score import ScoreReport

        file_to_write("--html", html, RecordFiles(file).files, {"--out": out} if out else {})
        page = ScoreReport(html, images)
    elif images is not None and not images.is_dir():
        raise InputError(f"--images {images} is not a folder: name the one that the rows' 'image' names are in.")
    say(said)
    with ProgressBars() as bars:
        watch, bar = page.watch if page else None, partial(bars.show, file.name)
        result = score_file(file, options, out=out, workers=workers, watch=watch, report=bar)
    if page:
        about = {
            "file": file.name,
            "frame": describe(options),
            "kind": kind,
            "convention": convention,
            "by": ", ".join(groups),
        }
        about |= {"cluster": cluster or "", "without size": describe_unsized(result, convention)}
        say(page.write(result, about))
    _say_what_is_missing(result, convention)
    say_findings(result["frame"] + result["watch"])
    if as_json:
        print(json.dumps(result))
        return
    print(printable(f"{file.name}, {describe(options)}, {convention}"))
    for table in score_tables(result, groups, wide_console.width):
        wide_console.print(table)
    unread = round(result["rows"] * (1 - result["metrics"]["parse_rate"]))
    counted = "they count as IoU 0" if CONVENTIONS[convention].counts_unread else "this convention leaves them out"
    notes = [f"{unread} of {result['rows']} answers could not be read; {counted}."] if unread else []
    notes += [f"{count_broken(result['broken_rows'])}."] if result["broken_rows"] else []
    print(" ".join([*notes, "Below each value: its 95 % interval."]))


def compare(
    a: Annotated[Path, typer.Argument(help="What `rsreward score` reads.")],
    b: Annotated[Path, typer.Argument(help="The same rows in the same order, with other completions.")],
    space: Annotated[
        list[str] | None, typer.Option(help="The coordinate space of both; given twice, of A and of B.")
    ] = None,
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    five: Five = None,
    order: Order = None,
    think_in_prompt: ThinkInPrompt = None,
    hull: Hull = False,
    image_size: ImageSize = None,
    target_space: TargetSpace = None,
    target_format: TargetFormat = None,
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
    from ..score.frames import describe, framed
    from ..score.options import Options

    spaces = [*space] if space else [None]
    if len(spaces) > 2:
        raise InputError(f"--space is given once for both files or twice, got {len(spaces)} of them.")
    frame = {
        "five": five, "order": order, "target_space": target_space, "target_format": target_format, "hull": hull,
        "image_size": image_size,
    }  # fmt: skip
    bounds = {"min_pixels": min_pixels, "max_pixels": max_pixels}
    bounded = [Options(its).coordinates.depends_on_bounds for its in spaces]  # bounds are for these, of two
    sides: list[Options] = []
    for file, i in ((a, 0), (b, -1)):
        told: Any = frame | (bounds if bounded[i] or not any(bounded) else {})
        fields = completion_field, target_field, cluster
        options, said = framed(file, Options(spaces[i], kind, convention, (), *fields, think_in_prompt, **told))  # type: ignore[arg-type]
        sides.append(options)
        say(said)
    with ProgressBars() as bars:
        bar = partial(bars.show, f"{a.name}, {b.name}")
        result = compare_files(a, b, sides[0], options_of_b=sides[1], workers=workers, report=bar)
    _say_what_is_missing(result, convention)
    say_findings(result["frame"])
    if as_json:
        print(json.dumps(result))
        return
    left_out = f", {count_broken(result['broken_rows'])}" if result["broken_rows"] else ""
    print(printable(f"{result['rows']} rows, {convention}{left_out}"))
    for side, file, its in zip("AB", (a, b), sides, strict=True):
        print(printable(f"{side}: {file}, {describe(its)}"))
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
    """On stderr: rows that were left out, rows whose image has no size, and what the convention is for."""
    from rsreward import CONVENTIONS

    from ..score.broken import count_broken, describe_broken
    from ..score.totals import describe_unsized

    if result["broken_rows"]:
        say(f"{count_broken(result['broken_rows'])}: {'; '.join(describe_broken(result))}.")
    say(describe_unsized(result, convention))
    if CONVENTIONS[convention].to_reproduce:
        say(f"--convention {convention} reproduces published figures; docs/referee.md says what it does to them.")


def say_findings(found: list[dict[str, Any]]) -> None:
    """On stderr: what does not fit. What is said of both files is said once."""
    files: dict[str, list[str]] = {}
    for finding in found:
        files.setdefault(finding["message"], []).append(finding.get("file", "").upper())
    for message, of in files.items():
        where = f"{of[0]}: " if of in (["A"], ["B"]) else ""
        say(f"{where}{message}{'' if message[-1] in '.?' else '.'}")
