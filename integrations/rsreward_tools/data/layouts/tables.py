"""RSVG-HR (lines of text) and GeoPixInstruct's annotations (Parquet)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import InputError
from ..example import Example, Flaw, LayoutError, inside, mend

SIDE_HR = 1024


def load_lines(root: Path, dataset: str) -> Iterator[Example | Flaw]:
    """`image.jpg,xmin,ymin,xmax,ymax,text`: the text may hold commas, and a few numbers hold one too many."""
    files = [(split, root / f"{split}.txt") for split in ("train", "val", "test")]
    if not any(path.is_file() for _, path in files):
        raise LayoutError("there is neither train.txt nor val.txt nor test.txt")
    for split, path in files:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines() if path.is_file() else []
        for number, line in enumerate(lines, 1):
            where = f"{path.name}, line {number}"
            name, *parts = line.split(",", 5)
            try:
                box = [float(part) for part in parts[:4]]
                query = parts[4].strip()
                if not query:
                    raise ValueError
            except (ValueError, IndexError):
                yield Flaw(where, f"{line[:60]!r} is no image, four numbers and a text", False)
                continue
            if query.partition(",")[0].strip().isdigit():
                yield Flaw(where, f"there are five numbers in {line[:60]!r}", False)
                continue
            image = f"images/{name.strip()}"
            inside(root, image)
            kept, flaws = mend(box, SIDE_HR, SIDE_HR, where)
            yield from flaws
            if kept:
                yield Example(image, SIDE_HR, SIDE_HR, query, [kept], None, None, None, split, dataset, where)


def load_geopix(root: Path, dataset: str) -> Iterator[Example | Flaw]:
    """`data/{train,valid}.{FAST_T,SOTA_T}-*.parquet`: an image a row, with its instances and their descriptions."""
    subset = {"fast_t": "FAST_T", "sota_t": "SOTA_T"}[dataset]
    published = (("train", "train"), ("test", "valid"))
    files = [(s, path) for s, name in published for path in sorted(root.glob(f"data/{name}.{subset}-*.parquet"))]
    if not files:
        raise LayoutError(f"there is no data/train.{subset}-*.parquet nor data/valid.{subset}-*.parquet")
    for split, path in files:
        try:
            batches = pq.ParquetFile(path).iter_batches(columns=["image_id", "image_path", "instances"])
            rows = (row for batch in batches for row in batch.to_pylist())
            for row in rows:
                yield from _instances(row, root, split, dataset)
        except (OSError, pa.ArrowInvalid, KeyError) as error:
            raise InputError(f"{path} is no file of GeoPixInstruct's annotations: {error}.") from None


def _instances(row: dict[str, Any], root: Path, split: str, dataset: str) -> Iterator[Example | Flaw]:
    for number, instance in enumerate(row["instances"] or ()):
        where = f"{row['image_id']}, instance {number}"
        try:
            image, query = str(row["image_path"] or ""), str(instance["description"] or "").strip()
            height, width = instance["mask"]["size"]
            box = [float(v) for v in instance["bbox"]]
            if len(box) != 4 or not query or not image:
                raise ValueError("bbox, description or image_path")
        except (KeyError, TypeError, ValueError) as error:
            yield Flaw(where, f"it has no usable {error}", False)
            continue
        inside(root, image)
        kept, flaws = mend(box, width, height, where)
        yield from flaws
        if kept:
            yield Example(
                image, width, height, query, [kept], None, instance["category"], None, split, dataset,
                f"{row['image_id']}.{instance['instance_id']}",
            )  # fmt: skip
