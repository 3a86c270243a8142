"""What `rsreward data prepare` writes: a table for each split, and a report of the flaws of the files."""

import json
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..files import alone_in, file_to_write, folder_to_write, refuse_file_as_folder, refuse_foreign_folder, writing
from .example import SPLITS, Example, Flaw, inside, write_rows

SHOWN = 200
Report = dict[str, Any]


def check_out(out: Path, inputs: Iterable[Path] = ()) -> None:
    """Refuse an output folder whose tables another program wrote, or that are inputs of this command.

    Raises:
        InputError: naming the folder or the file.
    """
    refuse_file_as_folder("--out", out)
    tables = [f"{split}.parquet" for split in SPLITS]
    for name in (*tables, "report.json"):
        file_to_write("--out", out / name, inputs)
    refuse_foreign_folder("--out", out, "report.json", *tables)


def sort_out(
    items: Iterable[Example | Flaw], root: Path, about: Report, progress: Callable[[int], None]
) -> tuple[list[Example], Report]:
    """The examples, and the report: `about`, then counts of examples, images and flaws, and the first flaws."""
    examples: list[Example] = []
    flaws: list[Flaw] = []
    for count, item in enumerate(items):
        if isinstance(item, Flaw):
            flaws.append(item)
        else:
            examples.append(item)
        progress(count)
    images = sorted({example.image for example in examples})
    absent = [image for image in images if not inside(root, image).is_file()]
    return examples, about | {
        "examples": {s: n for s in SPLITS if (n := sum(example.split == s for example in examples))},
        "images": len(images),
        "images_without_file": len(absent),
        "repaired": sum(flaw.repaired for flaw in flaws),
        "dropped": sum(not flaw.repaired for flaw in flaws),
        "first_images_without_file": absent[:SHOWN],
        "first_flaws": [f"{flaw.where}: {flaw.what}{'' if flaw.repaired else ' (dropped)'}" for flaw in flaws[:SHOWN]],
    }


def write_tables(out: Path, examples: list[Example], report: Report) -> None:
    """Write a table for each split that has examples, and `report.json`; remove those of an earlier run.

    Earlier tables stay as they are until all new ones are complete.

    Raises:
        InputError: if the folder or a file cannot be written.
    """
    folder_to_write("--out", out)
    report_file, tables = out / "report.json", {split: out / f"{split}.parquet" for split in SPLITS}
    with alone_in(out, wait=True), ExitStack() as whole:  # all get their names at its end, or none
        for split in report["examples"]:
            write_rows(whole.enter_context(writing(tables[split])), [e for e in examples if e.split == split])
        whole.enter_context(writing(report_file)).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
        whole.pop_all().close()
        for split in tables.keys() - report["examples"].keys():
            tables[split].unlink(missing_ok=True)
