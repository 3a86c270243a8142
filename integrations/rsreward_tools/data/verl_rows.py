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
from ..files import writing
from .example import Example, inside
from .images import check_image, image_bytes, image_size
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
        image: an image, which is embedded as PNG; or its path, which must be the same on every node.
        query: what to find, such as "the left ship".
        template: what the user says, with {query} in it.
        embed: whether an image that is given by its path goes into the row: its file, or a PNG of it if it has to be
            turned or scaled first.
        bbox: the true box in pixels of this image: `[x1, y1, x2, y2]`, `[cx, cy, w, h, angle]`, or a list of boxes.
        data_source: the data set; verl's validation metrics are by data set.

    Raises:
        InputError: if the image is missing or truncated.

    >>> row = verl_row(Image.new("RGB", (64, 48)), "the pier", [1, 2, 3, 4], data_source="a", split="train", index=0)
    >>> row["reward_model"]["ground_truth"], row["prompt"][0]["content"][:24]
    ('{"bbox": [1, 2, 3, 4], "width": 64, "height": 48}', '<image>Locate the pier. ')
    """
    if isinstance(image, Path):
        width, height = image_size(image)
        if embed:
            stored: dict[str, Any] = {"bytes": image_bytes(image)[0], "path": None}
        else:
            check_image(image)
            stored = {"bytes": None, "path": os.fspath(image.resolve())}
    else:
        width, height = image.size
        png = io.BytesIO()
        image.save(png, "PNG")
        stored = {"bytes": png.getvalue(), "path": None}
    truth = {"bbox": bbox, "width": width, "height": height}
    # verl looks for one such word for each image, so the query must not contain any.
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
    """Write rows as they come, and return how many. The file gets its name when it is complete."""
    written, rows = 0, iter(rows)
    with writing(file) as part, pq.ParquetWriter(part, SCHEMA) as writer:
        while some := list(islice(rows, ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(some, schema=SCHEMA))
            written += len(some)
    return written


def verl_rows(
    examples: Iterable[Example], images: Path, *, template: str = TEMPLATE, embed: bool = True
) -> Iterator[dict[str, Any]]:
    """The rows of a data set's examples; a question with several boxes has a list of them as its truth.

    Raises:
        InputError: if an image is missing or truncated, or has another size than the table says.
    """
    for index, example in enumerate(examples):
        bbox: list[Any] = example.boxes[0] if len(example.boxes) == 1 else example.boxes
        known: dict[str, Any] = {"data_source": example.dataset, "split": example.split, "index": index}
        row = verl_row(inside(images, example.image), example.query, bbox, **known, template=template, embed=embed)
        size = row["extra_info"]["width"], row["extra_info"]["height"]
        if size != (example.width, example.height):
            raise InputError(
                f"the image {example.image} is {size[0]} x {size[1]}, and the table says {example.width} x "
                f"{example.height}: is --images right? Else prepare the data again."
            )
        yield row
