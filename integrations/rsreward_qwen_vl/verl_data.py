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
from datasets import Features, List, Value
from datasets import Image as ImageFeature
from PIL import Image

from .data import scene_row
from .errors import InputError
from .prompts import reasoned_instruction
from .scenes import generate_scene

FEATURES = Features(
    {
        "data_source": Value("string"),
        "prompt": List({"role": Value("string"), "content": Value("string")}),
        "images": List(ImageFeature()),
        "ability": Value("string"),
        "reward_model": {"style": Value("string"), "ground_truth": Value("string")},
        "extra_info": {
            "split": Value("string"),
            "index": Value("int64"),
            "query": Value("string"),
            "width": Value("int64"),
            "height": Value("int64"),
        },
    }
)
ROWS_AT_ONCE = 256
SEEDS_PER_RUN = 10**6  # scenes of one seed: those to train on, then those to validate on


def verl_row(
    image: Image.Image | Path, query: str, bbox: list[Any], *, data_source: str, split: str, index: int
) -> dict[str, Any]:
    """One row.

    Args:
        image: as it is, to be embedded as PNG; or where it lies, which must be the same on every node.
        query: what is to be found, such as "the left ship".
        bbox: the true box in pixels of this image: `[x1, y1, x2, y2]`, `[cx, cy, w, h, angle]`, or a list of boxes.
        data_source: the data set; verl's validation metrics are by data set.

    >>> row = verl_row(Image.new("RGB", (64, 48)), "the pier", [1, 2, 3, 4], data_source="a", split="train", index=0)
    >>> row["reward_model"]["ground_truth"], row["prompt"][0]["content"][:24]
    ('{"bbox": [1, 2, 3, 4], "width": 64, "height": 48}', '<image>Locate the pier. ')
    """
    if isinstance(image, Path):
        with Image.open(image) as opened:
            width, height = opened.size
        stored: dict[str, Any] = {"bytes": None, "path": os.fspath(image.resolve())}
    else:
        width, height = image.size
        png = io.BytesIO()
        image.save(png, "PNG")
        stored = {"bytes": png.getvalue(), "path": None}
    truth = {"bbox": bbox, "width": width, "height": height}
    # verl looks for this word, one for each image, so a query must not hold it.
    text = "<image>" + reasoned_instruction(query.replace("<image>", "").replace("<video>", "").replace("<audio>", ""))
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
    written, part, rows = 0, file.with_name(file.name + ".part"), iter(rows)
    with pq.ParquetWriter(part, FEATURES.arrow_schema) as writer:
        while some := list(islice(rows, ROWS_AT_ONCE)):
            writer.write_table(pa.Table.from_pylist(some, schema=FEATURES.arrow_schema))
            written += len(some)
    part.replace(file)
    return written


def write_scenes(
    out: Path, *, train: int, val: int, level: int = 2, size: int = 448, seed: int = 0, embed: bool = True
) -> dict[str, int]:
    """Synthetic scenes as `train.parquet` and `val.parquet`, and without `embed` their images beside them."""
    if train + val > SEEDS_PER_RUN:
        raise InputError(f"one seed has {SEEDS_PER_RUN} scenes, and {train} + {val} are more: take several seeds.")
    try:
        (out if embed else out / "images").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}.") from None
    first = seed * SEEDS_PER_RUN
    seeds = {"train": range(first, first + train), "val": range(first + train, first + train + val)}
    return {
        split: write_parquet(_scenes(out, split, some, level, size, embed), out / f"{split}.parquet")
        for split, some in seeds.items()
    }


def _scenes(out: Path, split: str, seeds: range, level: int, size: int, embed: bool) -> Iterator[dict[str, Any]]:
    for index, seed in enumerate(seeds):
        row = scene_row(seed, level, size)
        image: Image.Image | Path = row["images"][0]
        if not embed:
            path = out / "images" / f"{split}_{index:06d}.png"
            row["images"][0].save(path)
            image = path
        query = generate_scene(seed, level).query
        yield verl_row(image, query, row["target"], data_source=f"scenes/{level}", split=split, index=index)
