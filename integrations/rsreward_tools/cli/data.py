"""The commands `rsreward data`: published data sets to Parquet, and a look at them."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from ..files import file_to_write, folder_to_write, same, writing
from .terminal import console, printable, say

if TYPE_CHECKING:
    from ..data.layouts.boxes import Reading

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="Data sets: prepare, scenes, verl, inspect, overlap."
)
PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
FORMATS = ("xyxy", "xywh", "cxcywh", "quad", "oriented", "oriented-degrees")
SPLITS = ("train", "val", "test")


@app.command()
def prepare(
    name: Annotated[
        str, typer.Argument(help="dior_rsvg, opt_rsvg, vrsbench, rrsis_d, rsvg_hr, fast_t, sota_t or own.")
    ],
    root: Annotated[Path, typer.Argument(help="The folder as its authors publish it; with own, a file or a folder.")],
    out: Annotated[Path, typer.Option(help="Where train, val, test.parquet, report.json and README.md go.")],
    images: Annotated[Path | None, typer.Option(help="own: the folder below which the images lie.")] = None,
    target_format: Annotated[str | None, typer.Option(help=f"own: what a box is: {', '.join(FORMATS)}.")] = None,
    target_space: Annotated[str | None, typer.Option(help="own: the space of the boxes, if not pixels.")] = None,
    min_pixels: Annotated[int | None, typer.Option(help="own: the processor's, if the space depends on it.")] = None,
    max_pixels: Annotated[int | None, typer.Option(help="own: the same.")] = None,
    query_pattern: Annotated[
        str | None, typer.Option(help='own: finds the expression in a question, such as "Locate (.*)"')
    ] = None,
    one_box: Annotated[
        bool, typer.Option("--one-box", help="own: leave out questions with several boxes or none.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="own: train, val or test, for all.")] = None,
    val_share: Annotated[float | None, typer.Option(min=0, max=1, help="own: of the images without a split.")] = None,
    test_share: Annotated[float | None, typer.Option(min=0, max=1, help="own: the same.")] = None,
    seed: Annotated[int | None, typer.Option(help="own: of the draw of the splits.")] = None,
    group: Annotated[
        str | None, typer.Option(help='own: finds what images that stay in one split share, such as "^[A-Z]+".')
    ] = None,
) -> None:
    """Bring a data set to one schema, and say what is wrong with its files.

    `own` reads JSONL, JSON, Parquet, COCO and DOTA's label folders, see docs/data.md.

    Example: `rsreward data prepare dior_rsvg ~/DIOR-RSVG --out data/dior_rsvg`
    """
    of_own = {
        "--images": images, "--target-format": target_format, "--target-space": target_space,
        "--min-pixels": min_pixels, "--max-pixels": max_pixels, "--query-pattern": query_pattern,
        "--one-box": one_box or None, "--split": split, "--val-share": val_share, "--test-share": test_share,
        "--seed": seed, "--group": group,
    }  # fmt: skip
    from ..cards import write_card
    from ..data.card import data_card

    home = None
    with console.status(f"reading {name}") as status:

        def progress(n: int) -> None:
            if not n % 1000:
                status.update(f"reading {name}: {n:,}")

        if name == "own":
            from ..data.own import Splitting, prepare_own

            splitting = Splitting(
                _one_of("--split", split, SPLITS), val_share or 0.0, test_share or 0.0, seed or 0,
                _pattern("--group", group),
            )  # fmt: skip
            if splitting.val + splitting.test > 1:
                raise InputError("--val-share and --test-share are more than all together.")
            report = prepare_own(
                root, images, out, reading=_reading(target_format, target_space, min_pixels, max_pixels),
                pattern=_pattern("--query-pattern", query_pattern, groups=1), splitting=splitting, one_box=one_box,
                progress=progress,
            )  # fmt: skip
        else:
            from ..data.published import DATASETS
            from ..data.published import prepare as run

            if given := [option for option, value in of_own.items() if value is not None]:
                raise InputError(f"{given[0]} is for one's own data: `rsreward data prepare own`.")
            report = run(name, root, out, progress=progress)
            home = DATASETS[name].home
    _print_report(report, out)
    say(write_card(out, data_card(report, home)))


def _one_of(option: str, value: str | None, known: Sequence[str]) -> Any:
    if value is not None and value not in known:
        raise InputError(f"{option} must be one of {', '.join(known)}, got {value!r}.")
    return value


def _pattern(option: str, pattern: str | None, groups: int = 0) -> re.Pattern[str] | None:
    try:
        found = None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise InputError(f"{option} {pattern!r} is not a regular expression: {error}.") from None
    if found and found.groups < groups:
        raise InputError(f"{option} {pattern!r} needs a group in parentheses: what it finds there is taken.")
    return found


def _reading(target_format: str | None, target_space: str | None, low: int | None, high: int | None) -> "Reading":
    from rsreward import SPACES, space_for, space_named

    from ..data.layouts.boxes import Reading

    _one_of("--target-format", target_format, FORMATS)
    if target_space is None:
        if low or high:
            raise InputError("--min-pixels and --max-pixels need --target-space.")
        return Reading(target_format)  # type: ignore[arg-type]
    try:
        space = space_named(target_space) if target_space in SPACES else space_for(target_space)
    except ValueError as error:
        raise InputError(f"--target-space: {error}") from None
    if low or high:
        space = space.bounded(low or space.min_pixels, high or space.max_pixels)
    return Reading(target_format, space)  # type: ignore[arg-type]


def _print_report(report: dict[str, Any], out: Path) -> None:
    for split, count in report["examples"].items():
        console.print(f"{split:>6} {count:>8,} examples -> {out / split}.parquet")
    for split, (found, published) in report.get("differs_from_published", {}).items():
        console.print(f"{split:>6} {found:,} where {published:,} are published: is the download complete?")
    if report["repaired"] or report["dropped"]:
        console.print(f"{report['repaired']:,} examples were repaired, {report['dropped']:,} dropped; the first:")
        for flaw in report["first_flaws"][:5]:
            console.print(printable(f"  {flaw}"))
    if report["images_without_file"]:
        console.print(
            f"{report['images_without_file']:,} of {report['images']:,} images have no file, such as "
            f"{printable(report['first_images_without_file'][0])}."
        )
    for note in report.get("notes", ()):
        console.print(printable(note))
    console.print(f"All of it is in {out / 'report.json'}.")


@app.command()
def scenes(
    out: Annotated[Path, typer.Argument(help="The folder to write.")],
    train: Annotated[int, typer.Option(min=0, max=999_999, help="How many to train on.")] = 1000,
    val: Annotated[int, typer.Option(min=0, max=999_999, help="How many to choose by.")] = 100,
    test: Annotated[int, typer.Option(min=0, max=999_999, help="How many to test on.")] = 200,
    level: Annotated[int, typer.Option(help="How hard, 1 to 4.")] = 2,
    size: Annotated[int, typer.Option(min=32, max=4096, help="Width and height in pixels.")] = 256,
    seed: Annotated[int, typer.Option(min=0, max=999, help="Of the scenes.")] = 0,
    absent: Annotated[float, typer.Option(min=0, max=1, help="Share that asks for what is not there.")] = 0.0,
) -> None:
    """Draw synthetic aerial scenes, in the same schema.

    Example: `rsreward data scenes data/scenes --train 200 --level 3`
    """
    from ..data.scenes import LEVELS
    from ..data.scenes.dataset import write_scenes

    if level not in LEVELS:
        raise InputError(f"--level must be one of {', '.join(map(str, LEVELS))}, got {level}.")
    folder_to_write("the folder", out)
    counts = {"train": train, "val": val, "test": test}
    with console.status("drawing"):
        write_scenes(out, counts, level=level, size=size, seed=seed, absent=absent)
    console.print(f"{sum(counts.values()):,} scenes of level {level} -> {out}")


@app.command()
def verl(
    file: Annotated[Path, typer.Argument(help="A Parquet file of `rsreward data`.")],
    images: Annotated[Path, typer.Option(help="The data set's root folder.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    paths: Annotated[bool, typer.Option("--paths", help="Store where the images lie, not the images.")] = False,
    template: Annotated[str, typer.Option(help="What the user says, with {query} in it.")] = "",
) -> None:
    """Rows for verl. If something asked for is not there, the question says what to write then.

    Example: `rsreward data verl data/dior_rsvg/train.parquet --images ~/DIOR-RSVG --out data/verl/train.parquet`
    """
    from ..data.example import inside, read_examples
    from ..data.prompts import TEMPLATE, TEMPLATE_OR_NONE, template_holding_query
    from ..data.verl_rows import verl_rows, write_parquet

    asked = template_holding_query(template or TEMPLATE)
    file_to_write("--out", out, [file])
    examples = list(read_examples(file))
    if out.exists() and any(same(out, inside(images, example.image)) for example in examples):
        raise InputError(f"--out {out} is an image of the data set: choose another file.")
    if not template and not all(example.boxes for example in examples):
        asked = TEMPLATE_OR_NONE  # for all of them: who is asked otherwise where nothing is there need not look
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out.parent}: {error.strerror}.") from None
    rows = verl_rows(examples, images, template=asked, embed=not paths)
    with console.status("writing rows"):
        console.print(f"{write_parquet(rows, out):,} rows -> {out}")


@app.command()
def inspect(
    file: Annotated[Path, typer.Argument(help="A Parquet file of `rsreward data prepare`.")],
    images: Annotated[Path, typer.Option(help="The data set's root folder.")],
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("contact_sheet.png"),
    count: Annotated[int, typer.Option(min=1, max=200, help="How many examples.")] = 12,
    seed: Annotated[int, typer.Option(help="Which ones.")] = 0,
) -> None:
    """Draw some examples with their boxes.

    Example: `rsreward data inspect data/dior_rsvg/test.parquet --images ~/DIOR-RSVG`
    """
    from ..data.contact_sheet import choose, contact_sheet
    from ..data.example import inside, read_examples

    file_to_write("--out", out, [file])
    if out.suffix.lower() not in PICTURES:
        raise InputError(f"--out {out} must be a picture: let its name end in {', '.join(PICTURES)}.")
    if not images.is_dir():
        raise InputError(f"--images {images} is not a folder: name the data set's root folder.")
    examples = list(read_examples(file))
    if not examples:
        raise InputError(f"{file} holds no example.")
    if out.exists() and any(same(out, inside(images, example.image)) for example in examples):
        raise InputError(f"--out {out} is an image of the data set: choose another file.")
    chosen = choose(examples, count=count, seed=seed)
    missing = [example.image for example in chosen if not inside(images, example.image).is_file()]
    if len(missing) == len(chosen):
        raise InputError(f"none of the {len(chosen)} images is in {images}, such as {missing[0]}: is --images right?")
    sheet = contact_sheet(chosen, images)
    with writing(out) as part:
        sheet.save(part, PICTURES[out.suffix.lower()])
    console.print(f"{len(chosen)} of {len(examples):,} examples -> {out}")
    if missing:
        say(f"{len(missing)} of the {len(chosen)} images are not in {images}, such as {missing[0]}.")


@app.command()
def overlap(
    first: Annotated[Path, typer.Argument(help="A Parquet file, such as one to train on.")],
    second: Annotated[Path, typer.Argument(help="Another, such as one to test on.")],
) -> None:
    """Report the photographs that two data sets share: what is trained on is no test.

    Example: `rsreward data overlap data/dior_rsvg/train.parquet data/vrsbench/test.parquet`
    """
    from ..data.published import shared_photographs

    shared = shared_photographs(first, second)
    console.print(
        f"{len(shared):,} photographs of {second} are in {first} too, with {shared.total():,} of its examples."
    )
    if shared:
        console.print(printable(f"Such as {', '.join(sorted(shared)[:10])}."))
