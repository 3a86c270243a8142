"""RSVG-HR (lines of text) and GeoPixInstruct's annotations (Parquet)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...files import read_file
from ..example import SPLITS, WILD, Flaw, LayoutError, Record, in_pixels, parquet, rows_of, unusable

SIDE_HR = 1024
GEOPIX = ["image_id", "image_path", "instances"]


def load_lines(root: Path, dataset: str) -> Iterator[Record | Flaw]:
    """`image.jpg,xmin,ymin,xmax,ymax,text`: the text may hold commas, and a few numbers hold one too many."""
    files = [(split, root / f"{split}.txt") for split in SPLITS]
    if not any(path.exists() for _, path in files):
        raise LayoutError("there is neither train.txt nor val.txt nor test.txt")
    for split, path in files:
        lines = read_file(path).decode("utf-8-sig", "replace").splitlines() if path.exists() else []
        for number, line in enumerate(lines, 1):
            where = f"{path.name}, line {number}"
            name, *parts = line.split(",", 5)
            try:
                box = [float(part) for part in parts[:4]]
                query = parts[4].strip()
                if not query:
                    raise ValueError
            except (ValueError, IndexError):
                yield Flaw(where, f"{line[:60]!r} is not an image, four numbers and a text", False)
                continue
            if query.partition(",")[0].strip().isdigit():
                yield Flaw(where, f"there are five numbers in {line[:60]!r}", False)
                continue
            yield Record(where, f"images/{name.strip()}", (SIDE_HR, SIDE_HR), query, in_pixels(box), split, where)


def load_geopix(root: Path, dataset: str) -> Iterator[Record | Flaw]:
    """`data/{train,valid}.{FAST_T,SOTA_T}-*.parquet`: an image a row, with its instances and their descriptions."""
    subset = {"fast_t": "FAST_T", "sota_t": "SOTA_T"}[dataset]
    published = (("train", "train"), ("test", "valid"))
    files = [(s, path) for s, name in published for path in sorted(root.glob(f"data/{name}.{subset}-*.parquet"))]
    if not files:
        raise LayoutError(f"there is no data/train.{subset}-*.parquet nor data/valid.{subset}-*.parquet")
    for split, path in files:
        file = parquet(path, "the authors' download")
        missing = [name for name in GEOPIX if name not in file.schema_arrow.names]
        if missing:
            raise InputError(f"{path} is not a file of GeoPixInstruct's annotations: it has no column {missing[0]}.")
        for number, row in enumerate(rows_of(file, path, GEOPIX)):
            if isinstance(row["instances"], list | None):
                yield from _instances(row, split)
            else:
                yield Flaw(f"{path.name}, row {number}", "its instances are not a list", False)


def _instances(row: dict[str, Any], split: str) -> Iterator[Record | Flaw]:
    for number, instance in enumerate(row["instances"] or ()):
        where = f"{row['image_id']!s:.40}, instance {number}"
        try:
            image, query = str(row["image_path"] or ""), str(instance["description"] or "").strip()
            height, width = instance["mask"]["size"]
            box = [float(v) for v in instance["bbox"]]
            if len(box) != 4 or not query or not image:
                raise ValueError("bbox, description or image_path")
            source_id = f"{row['image_id']}.{instance['instance_id']}"
            yield Record(where, image, (width, height), query, in_pixels(box), split, source_id, instance["category"])
        except WILD as error:
            yield unusable(where, error)
