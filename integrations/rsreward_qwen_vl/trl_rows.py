"""Rows for TRL's trainers from the files of `rsreward data` and `rsreward cot`. Images are opened when needed."""

from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from rsreward_tools.data.example import inside, parquet
from rsreward_tools.data.images import open_image
from rsreward_tools.data.prompts import prompt
from rsreward_tools.errors import InputError

from rsreward import Space, iou, parse_boxes

from .asking import questions
from .cot import SCHEMA as COT_SCHEMA

Rows = dict[str, list[Any]]


def grpo_rows(path: Path, images: Path, template: str) -> Dataset:
    """Questions with their answers: images, prompt, target, width, height."""
    examples = questions(path)
    columns: Rows = {name: [getattr(e, name) for e in examples] for name in ("image", "query", "width", "height")}
    columns["target"] = [example.boxes[0] for example in examples]
    return _lazily(columns, images, template)


def sft_rows(path: Path, images: Path, template: str, space: Space) -> Dataset:
    """Questions with the chains to learn: images, prompt, completion.

    Raises:
        InputError: if it is not a file of chains, or its chains are written in another coordinate space.
    """
    file = parquet(path, "rsreward cot")
    missing = [name for name in COT_SCHEMA.names if name not in file.schema_arrow.names]
    if missing:
        raise InputError(f"{path} is not a file of chains, it lacks {missing[0]}: make it with `rsreward cot`.")
    columns: Rows = file.read(COT_SCHEMA.names).to_pydict()
    if not columns["image"]:
        raise InputError(f"{path} holds no chain.")
    pred = parse_boxes(columns["completion"], space=space, width=columns["width"], height=columns["height"])
    overlap = iou(pred, torch.tensor(columns["target"])).mean().item()
    if overlap < 0.5:
        raise InputError(
            f"the chains of {path} end in boxes that overlap the true ones by {overlap:.2f} when they are read as "
            f"{space.name}: make them with `rsreward cot --space` for the model to train."
        )
    return _lazily(columns, images, template)


def _lazily(columns: Rows, images: Path, template: str) -> Dataset:
    return Dataset.from_dict(columns).with_transform(partial(_opened, images=images, template=template))


def _opened(batch: Rows, images: Path, template: str) -> Rows:
    opened: Rows = {
        "images": [[open_image(inside(images, name))] for name in batch["image"]],
        "prompt": [prompt(query, template) for query in batch["query"]],
    }
    if "completion" in batch:
        opened["completion"] = [[{"role": "assistant", "content": text}] for text in batch["completion"]]
        return opened
    return opened | {name: batch[name] for name in ("target", "width", "height")}
