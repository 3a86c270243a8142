"""Rows of visual grounding as verl reads them: Parquet files with one schema, images embedded or by their paths."""

import io
import json
import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ..errors import InputError
from ..files import part_of
from .example import Example, inside
from .prompts import TEMPLATE, instruction

_TEXT, _WHOLE = {"dtype": "string", "_type": "Value"}, {"dtype": "int64", "_type": "Value"}
# How `datasets`, which verl reads with, writes the types of the columns: images are decoded by it.
_FEATURES = {
    "data_source": _TEXT,
    "prompt": {"feature": {"role": _TEXT, "content": _TEXT}, "_type": "List"},
    "images": {"feature": {"_type": "Image"}, "_type": "List"},
    "ability": _TEXT,
    "reward_model": {"style": _TEXT, "ground_truth": _TEXT},
    "extra_info": {"split": _TEXT, "index": _WHOLE, "query": _TEXT, "width": _WHOLE, "height": _WHOLE},
}
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
        ("images", pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())]))),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("split", pa.string()),
                    ("index", pa.int64()),
                    ("query", pa.string()),
                    ("width", pa.int64()),
                    ("height", pa.int64()),
                ]
            ),
        ),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)
ROWS_AT_ONCE = 256


def verl_row(
    image: Image.Image | Path,
    query: str,
    bbox: list[Any],
    *,
    data_source: str,
    split: str,
    index: int,
    template: str = TEMPLATE,
    embed: bool = False,
) -> dict[str, Any]:
    """One row.

    Args:
        image: as it is, to be embedded as PNG; or where it lies, which must be the same on every node.
        query: what is to be found, such as "the left ship".
        template: what the user says, with {query} in it.
        embed: whether the file of an image goes into the row.
        bbox: the true box in pixels of this image: `[x1, y1, x2, y2]`, `[cx, cy, w, h, angle]`, or a list of boxes.
        data_source: the data set; verl's validation metrics are by data set.

    >>> row = verl_row(Image.new("RGB", (64, 48)), "the pier", [1, 2, 3, 4], data_source="a", split="train", index=0)
    >>> row["reward_model"]["ground_truth"], row["prompt"][0]["content"][:24]
    ('{"bbox": [1, 2, 3, 4], "width": 64, "height": 48}', '<image>Locate the pier. ')
    """
    if isinstance(image, Path):
        with Image.open(image) as opened:
            width, height = opened.size
        path = os.fspath(image.resolve())
        stored: dict[str, Any] = {"bytes": image.read_bytes(), "path": None} if embed else {"bytes": None, "path": path}
    else:
        width, height = image.size
        png = io.BytesIO()
        image.save(png, "PNG")
        stored = {"bytes": png.getvalue(), "path": None}
    truth = {"bbox": bbox, "width": width, "height": height}
    # verl looks for this word, one for each image, so a query must not hold it.
    query_only = query.replace("<image>", "").replace("<video>", "").replace("<audio>", "")
    text = "<image>" + instruction(query_only, template)
    return {
        "data_source": data_source,
        "prompt": [{"role": "user", "content": text}],
        "images": [stored],
        "ability": "visual_grounding",
        "reward_model": {"style": "rule", "ground_truth": json.dumps(truth)},
        "extra_info": {"split": split, "index": index, "query": query, "width": width, "height": height},
    }


def write_parquet(rows: Iterable[dict[str, Any]], file: Path) -> int:
    """Write rows as they come, the file under its name only when it is whole; return how many."""
    written, part, rows = 0, part_of(file), iter(rows)
    with pq.ParquetWriter(part, SCHEMA) as writer:
        while some := list(islice(rows, ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(some, schema=SCHEMA))
            written += len(some)
    part.replace(file)
    return written


def verl_rows(
    examples: Iterable[Example], images: Path, *, template: str = TEMPLATE, embed: bool = True
) -> Iterator[dict[str, Any]]:
    """The rows of a data set's examples; a question with several boxes has a list of them as its truth.

    Raises:
        InputError: if an image cannot be read.
    """
    for index, example in enumerate(examples):
        bbox: list[Any] = example.boxes[0] if len(example.boxes) == 1 else example.boxes
        known = {"data_source": example.dataset, "split": example.split, "index": index}
        path = inside(images, example.image)
        try:
            yield verl_row(path, example.query, bbox, **known, template=template, embed=embed)  # type: ignore[arg-type]
        except OSError as error:
            raise InputError(f"the image {path} cannot be read: {error}. Is --images right?") from None
