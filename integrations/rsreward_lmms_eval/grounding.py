"""What the YAML files name: the questions of a table, how they are asked, and how answers are counted."""

import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from PIL import Image
from rsreward_tools.data.example import inside, read_examples
from rsreward_tools.data.images import open_image
from rsreward_tools.data.prompts import TEMPLATE, instruction, template_holding_query
from rsreward_tools.errors import InputError

from rsreward import Space, grounding_metrics, parse_answer, parse_boxes, space_named

CONVENTIONS = {"dior_rsvg": "dior_rsvg", "opt_rsvg": "opt_rsvg", "vrsbench": "vrsbench", "rrsis_d": "plain"}
_OPTIONS = ("min_pixels", "max_pixels", "order")
Doc = Mapping[str, Any]


def dior_rsvg(placeholder: Any) -> Dataset:
    return questions("dior_rsvg")


def opt_rsvg(placeholder: Any) -> Dataset:
    return questions("opt_rsvg")


def vrsbench(placeholder: Any) -> Dataset:
    return questions("vrsbench")


def rrsis_d(placeholder: Any) -> Dataset:
    return questions("rrsis_d")


def questions(name: str) -> Dataset:
    """The questions of RSREWARD_TABLES/name/test.parquet, whose images lie below RSREWARD_IMAGES/name.

    Raises:
        InputError: naming the variable, the file or the row that is wrong.
    """
    frame()  # what is wrong with it is told before the first answer
    table, images = _folder("RSREWARD_TABLES") / name / "test.parquet", _folder("RSREWARD_IMAGES") / name
    if not images.is_dir():
        raise InputError(f"{images} is not a folder: put the images of {name} there, or a link to them.")
    rows = []
    for example in read_examples(table):
        if len(example.boxes) != 1:
            raise InputError(f"{table}: the question {example.source_id} has several boxes or none: leave it out.")
        rows.append(
            {
                "image": str(inside(images, example.image)),
                "query": example.query,
                "answer": json.dumps(example.boxes[0]),
                "width": example.width,
                "height": example.height,
                "convention": CONVENTIONS[name],
            }
        )
    if not rows:
        raise InputError(f"{table} holds no question.")
    return Dataset.from_list(rows)


def visual(doc: Doc) -> list[Image.Image]:
    """The image of a question."""
    return [open_image(Path(doc["image"]))]


def text(doc: Doc, lmms_eval_specific_kwargs: Any = None) -> str:
    """What the model is asked: RSREWARD_TEMPLATE with the query in it, or the template that the recipe trains with."""
    return instruction(doc["query"], template_holding_query(os.environ.get("RSREWARD_TEMPLATE", TEMPLATE)))


def results(doc: Doc, answers: Sequence[str]) -> dict[str, Any]:
    """What is counted of an answer, for each metric: the box in pixels, None without one, and the truth."""
    space, think_in_prompt = frame()
    [pred] = parse_boxes(
        [parse_answer(answers[0], think_in_prompt)], space=space, width=doc["width"], height=doc["height"]
    )
    row = {name: doc[name] for name in ("width", "height", "convention")} | {"target": json.loads(doc["answer"])}
    row["box"] = pred.tolist() if pred.isfinite().all() else None
    return dict.fromkeys(METRICS, row)


@cache
def frame() -> tuple[Space, bool]:
    """The space that the model answers in, and whether the chat template opens its thought.

    Raises:
        InputError: if RSREWARD_SPACE is not set, or a variable is wrong.
    """
    told = {name: os.environ[key] for name in _OPTIONS if (key := f"RSREWARD_{name.upper()}") in os.environ}
    thinks = os.environ.get("RSREWARD_THINK_IN_PROMPT", "false")
    if "RSREWARD_SPACE" not in os.environ or thinks not in ("true", "false"):
        raise InputError(
            "set RSREWARD_SPACE to the coordinate space that the model answers in, such as qwen2.5-vl or qwen3-vl, and "
            "RSREWARD_THINK_IN_PROMPT to true or false."
        )
    try:
        options: dict[str, Any] = {name: value if name == "order" else int(value) for name, value in told.items()}
        return space_named(os.environ["RSREWARD_SPACE"], **options), thinks == "true"
    except ValueError as error:
        raise InputError(f"RSREWARD_SPACE and its options are wrong: {error}") from None


def metric(name: str, rows: Sequence[Doc]) -> float:
    """A metric of `grounding_metrics` over what `results` has made."""
    nothing = [torch.nan] * 4
    pred = torch.tensor([row["box"] or nothing for row in rows])
    target = torch.tensor([row["target"] for row in rows], dtype=pred.dtype)
    sizes = {side: [row[side] for row in rows] for side in ("width", "height")}
    return grounding_metrics(pred, target, convention=rows[0]["convention"], **sizes)[name]


def acc_0_5(rows: Sequence[Doc]) -> float:
    return metric("acc@0.5", rows)


def acc_0_6(rows: Sequence[Doc]) -> float:
    return metric("acc@0.6", rows)


def acc_0_7(rows: Sequence[Doc]) -> float:
    return metric("acc@0.7", rows)


def acc_0_8(rows: Sequence[Doc]) -> float:
    return metric("acc@0.8", rows)


def acc_0_9(rows: Sequence[Doc]) -> float:
    return metric("acc@0.9", rows)


def miou(rows: Sequence[Doc]) -> float:
    return metric("miou", rows)


def cum_iou(rows: Sequence[Doc]) -> float:
    return metric("cum_iou", rows)


def parse_rate(rows: Sequence[Doc]) -> float:
    return metric("parse_rate", rows)


METRICS = ("acc@0.5", "acc@0.6", "acc@0.7", "acc@0.8", "acc@0.9", "miou", "cum_iou", "parse_rate")


def _folder(variable: str) -> Path:
    if variable not in os.environ:
        raise InputError(f"set {variable}: see the README of rsreward_lmms_eval.")
    return Path(os.environ[variable]).expanduser()
