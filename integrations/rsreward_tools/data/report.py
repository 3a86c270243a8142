"""What `rsreward data prepare` writes: a table for each split, and a report of the flaws of the files."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ..cards import CARD
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
    for name in (*tables, "report.json", CARD):
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
    of = {split: [example for example in examples if example.split == split] for split in SPLITS}
    return examples, about | {
        "examples": {split: len(own) for split, own in of.items() if own},
        "splits": {
            split: {
                "questions": len(own),
                "images": len({e.image for e in own}),
                "boxes": sum(len(e.boxes) for e in own),
            }
            for split, own in of.items()
            if own
        },
        "images": len(images),
        "images_without_file": len(absent),
        "repaired": sum(flaw.repaired for flaw in flaws),
        "dropped": sum(not flaw.repaired for flaw in flaws),
        "reasons": [[*of, n] for of, n in Counter((reason(f.what), f.repaired) for f in flaws).most_common()],
        "first_images_without_file": absent[:SHOWN],
        "first_flaws": [f"{flaw.where}: {flaw.what}{'' if flaw.repaired else ' (dropped)'}" for flaw in flaws[:SHOWN]],
    }


def reason(what: str) -> str:
    """What is wrong, without the names and numbers that differ from one example to the next.

    >>> reason("the box [30.0, 10.0, 30.0, 20.0] has no area")
    'the box … has no area'
    >>> reason("a-1.jpg is 10 x 20, and the annotation says 800 x 800: the file counts")
    '… is … x …, and the annotation says … x …: the file counts'
    """
    return re.sub(r"\[[^\]]*\]|'[^']*'|\S*\.\w{3,4}\b|-?\b\d[\d.,]*\b", "…", what)


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
