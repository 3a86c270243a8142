"""The grounding reward as EasyR1 asks for it: a batch of rollouts in, one dictionary of scores each out.

    worker.reward.reward_function=.../rsreward_easyr1/reward.py:compute_score
    worker.reward.reward_function_kwargs={"space":"qwen2.5-vl"}

EasyR1 loads this file by its path. Nothing of EasyR1 is imported.
"""

import warnings
from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from typing import Any

import torch

from rsreward import Space, format_reward, parse_answer, parse_boxes, space_named
from rsreward.answers import BoxKind, Select, completion_text
from rsreward.checks import shown
from rsreward.coordinates import Five, Order
from rsreward.positional import Proximity, positional_parts
from rsreward.truth import Format, SizedTruth, TruthError, read_sized_truth, target_boxes
from rsreward.watch import RewardWatch

REWARD_NAME = "rsreward"
REWARD_TYPE = "batch"


def compute_score(
    reward_inputs: Sequence[dict[str, Any]],
    *,
    space: str | Space,
    min_pixels: int | None = 262144,
    max_pixels: int | None = 4194304,
    five: Five | None = None,
    order: Order | None = None,
    think_in_prompt: bool = False,
    select: Select = "first",
    kind: BoxKind = "horizontal",
    target_space: str | Space | None = None,
    target_format: Format | None = None,
    alpha: float = 2.5,
    beta: float = 0.1,
    proximity: Proximity = "center",
    format_weight: float = 1.0,
    watch: bool = True,
) -> list[dict[str, float]]:
    """The rewards of a batch of rollouts and what they are made of.

        R = positional_reward + format_weight * format_reward

    Args:
        reward_inputs: N dictionaries with the completion under `response` and under `ground_truth` the object
            `{"bbox": ..., "width": ..., "height": ...}`, or its JSON: the box as `rsreward.truth.read_truth` takes it,
            such as `[x1, y1, x2, y2]` in pixels of the original image, and the size of that image.
        space: the coordinate space the model answers in, such as "qwen2.5-vl".
        min_pixels, max_pixels: EasyR1's own `data.min_pixels` and `data.max_pixels`, by which it resizes an image
            before the model's processor does; they count where the space is pixels of the resized image.
        five, order: where these are not as the space has them, see `rsreward.Space`.
        think_in_prompt: the chat template has opened the `<think>` element in the prompt.
        select: which box of an answer with several.
        kind: "horizontal" or "oriented".
        target_space, target_format: what the true boxes are written in, see `rsreward.truth.read_truth`.
        alpha, beta, proximity: as in `rsreward.positional_reward`.
        format_weight: what a well-formed completion is worth.
        watch: warn where answers, true boxes and the space do not fit together or the reward runs idle, of each such
            finding now and then; see `rsreward.watch`.

    Returns:
        N dictionaries: `overall`, the reward; `format`; `accuracy`, 1 where the IoU is at least 0.5; `iou`;
        `proximity`, what beta multiplies; `parsed`, 1 where the answer holds a box.

    Raises:
        ValueError: if a ground truth or an option is wrong.

    >>> truth = '{"bbox": [80, 160, 240, 400], "width": 800, "height": 800}'
    >>> text = "<think>Left of the pier.</think><answer>[100, 200, 300, 500]</answer>"
    >>> scores = compute_score([{"response": text, "ground_truth": truth}], space="qwen3-vl")[0]
    >>> {name: round(value, 4) for name, value in scores.items()}
    {'overall': 2.1, 'format': 1.0, 'accuracy': 1.0, 'iou': 1.0, 'proximity': 1.0, 'parsed': 1.0}
    """
    where = space_named(space, five=five, order=order)
    texts = [completion_text(row["response"]) for row in reward_inputs]
    boxes, *sides = zip(*[_read(row["ground_truth"]) for row in reward_inputs], strict=True) if texts else ((), (), ())
    sizes: dict[str, Any] = dict(zip(("width", "height"), sides, strict=True))
    target = target_boxes(boxes, kind, "ground_truth", space=target_space, format=target_format, **sizes)
    bounds = (min_pixels, max_pixels) if where.depends_on_bounds else (None, None)
    shown = [shown_size(width, height, *bounds) for width, height in zip(*sides, strict=True)]
    answers = [parse_answer(text, think_in_prompt) for text in texts]
    pred = parse_boxes(
        answers,
        select=select,
        kind=kind,
        space=where,
        width=[width for width, _ in shown],
        height=[height for _, height in shown],
    )
    if shown != list(zip(*sides, strict=True)):
        if kind == "oriented":
            raise ValueError(
                f"EasyR1 resizes images of this batch before the processor does, by {bounds}, after which turned boxes "
                f"cannot be brought back: resize them beforehand, or set data.min_pixels and data.max_pixels to null."
            )
        back = [[width / w, height / h] * 2 for width, height, (w, h) in zip(*sides, shown, strict=True)]
        pred = pred * torch.tensor(back, dtype=pred.dtype)
    if watch:
        for message in _watch(where, kind, think_in_prompt).add(texts, answers, target, pred, **sizes):
            warnings.warn(f"the reward of EasyR1: {message}", stacklevel=2)
    reward, iou, near = positional_parts(pred, target, alpha=alpha, beta=beta, proximity=proximity)
    well_formed = format_reward(texts, kind=kind, think_in_prompt=think_in_prompt, answers=answers)
    parts = {
        "overall": reward + format_weight * well_formed,
        "format": well_formed,
        "accuracy": (iou >= 0.5).float(),
        "iou": iou,
        "proximity": near,
        "parsed": pred.isfinite().all(-1).float(),
    }
    columns = [values.tolist() for values in parts.values()]
    return [dict(zip(parts, row, strict=True)) for row in zip(*columns, strict=True)]


def shown_size(width: float, height: float, min_pixels: int | None, max_pixels: int | None) -> tuple[float, float]:
    """The size `(width, height)` that EasyR1 gives an image before the model's processor sees it.

    >>> shown_size(5000, 4000, 262144, 4194304)
    (2289, 1831)
    """
    for bound, sign in ((max_pixels, 1), (min_pixels, -1)):
        if bound is not None and sign * width * height > sign * bound:
            scale = sqrt(bound / (width * height))
            width, height = int(width * scale), int(height * scale)
    return width, height


_watch = lru_cache(lambda space, kind, think: RewardWatch(space, kind, think_in_prompt=think))


def _read(ground_truth: Any) -> SizedTruth:
    try:
        truth = read_sized_truth(ground_truth)
    except TruthError as error:
        raise ValueError(
            f"a ground truth must be an object with bbox, width and height, or its JSON, in the column that "
            f"data.answer_key names, got {shown(ground_truth, 200)}: {error}"
        ) from None
    if truth.bbox is None:
        raise ValueError(f"a ground truth needs a box, got {shown(ground_truth, 200)}: leave such rows out.")
    return truth
