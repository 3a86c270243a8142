"""The commands `rsreward data`: published data sets to Parquet, and a look at them."""

from pathlib import Path
from typing import Annotated

import typer

from ..errors import InputError
from ..files import file_to_write, folder_to_write, same
from .terminal import console, printable, say

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="markdown", help="Data sets: prepare, scenes, verl, inspect, overlap."
)
PICTURES = (".png", ".jpg", ".jpeg")


@app.command()
def prepare(
    name: Annotated[str, typer.Argument(help="dior_rsvg, opt_rsvg, vrsbench, rrsis_d, rsvg_hr, fast_t or sota_t.")],
    root: Annotated[Path, typer.Argument(help="The folder with the data set as its authors publish it.")],
    out: Annotated[Path, typer.Option(help="Where train.parquet, val.parquet, test.parquet and report.json go.")],
) -> None:
    """Bring a published data set to one schema, and say what is wrong with its files.

    Example: `rsreward data prepare dior_rsvg ~/DIOR-RSVG --out data/dior_rsvg`
    """
    from ..data.published import prepare as run

    with console.status(f"reading {name}") as status:
        report = run(name, root, out, progress=lambda n: None if n % 1000 else status.update(f"reading {name}: {n:,}"))
    for split, count in report["examples"].items():
        console.print(f"{split:>6} {count:>8,} examples -> {out / split}.parquet")
    for split, (found, published) in report["differs_from_published"].items():
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
        write_scenes(out, counts, level=level, size=size, seed=seed)
    console.print(f"{sum(counts.values()):,} scenes of level {level} -> {out}")


@app.command()
def verl(
    file: Annotated[Path, typer.Argument(help="A Parquet file of `rsreward data`.")],
    images: Annotated[Path, typer.Option(help="The data set's root folder.")],
    out: Annotated[Path, typer.Option(help="The Parquet file to write.")],
    paths: Annotated[bool, typer.Option("--paths", help="Store where the images lie, not the images.")] = False,
    template: Annotated[str, typer.Option(help="What the user says, with {query} in it.")] = "",
) -> None:
    """Rows for verl.

    Example: `rsreward data verl data/dior_rsvg/train.parquet --images ~/DIOR-RSVG --out data/verl/train.parquet`
    """
    from ..data.example import read_examples
    from ..data.prompts import TEMPLATE, template_holding_query
    from ..data.verl_rows import verl_rows, write_parquet

    asked = template_holding_query(template or TEMPLATE)
    file_to_write("--out", out, [file])
    examples = read_examples(file)
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
    contact_sheet(chosen, images).save(out)
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
