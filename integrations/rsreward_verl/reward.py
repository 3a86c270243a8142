"""The grounding reward for verl, one rollout at a time: as a function and as a reward manager.

    reward.custom_reward_function.path=pkg://rsreward_verl.reward

or, which also looks at the configuration before the first rollout,

    reward.reward_manager.source=importlib reward.reward_manager.name=GroundingRewardManager
    reward.reward_manager.module.path=pkg://rsreward_verl.reward
"""

import json
import math
from dataclasses import dataclass
from typing import Any

import torch
from rsreward_trl.columns import FORMS, box_numbers
from torch import Tensor
from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

from rsreward import (
    Space,
    format_reward,
    gaussian_proximity,
    iou,
    oriented_iou,
    parse_box_sets,
    parse_boxes,
    positional_reward,
    set_reward,
    space_named,
)
from rsreward.answers import BoxKind
from rsreward.positional import Proximity

from .settings import check_config, reward_options


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    *,
    space: str = "pixel",
    alpha: float = 2.5,
    beta: float = 0.1,
    proximity: Proximity = "center",
    format_weight: float = 1.0,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> dict[str, Any]:
    """The reward of one rollout and what it is made of.

        R = positional_reward + format_weight * format_reward

    with `set_reward` in place of `positional_reward` where there are several true boxes. RSGround-R1's reward is that
    of the defaults.

    Args:
        data_source: named in errors.
        solution_str: the completion, special tokens removed.
        ground_truth: JSON `{"bbox": ..., "width": ..., "height": ...}` with a box in pixels of the original image,
            `[x1, y1, x2, y2]` or, in pixels and radians, `[cx, cy, w, h, angle]`, or with a list of such boxes (empty:
            there is nothing to find), and the original image's size.
        extra_info: not used.
        space: the coordinate space the model answers in, such as "qwen2.5-vl".
        alpha, beta, proximity: as in `rsreward.positional_reward`.
        format_weight: what a well-formed completion is worth.
        min_pixels, max_pixels: bounds of the image processor, where they are not the model's own; only for spaces that
            depend on them.

    Returns:
        `score`, and for the logs `iou`, `proximity` (what beta multiplies), `format`, `parsed` (1 where the answer
        holds a box or rightly none), all finite, and `box`, the predicted box or boxes in pixels as a string, empty
        without one. The same keys for every rollout, for verl takes them from the first.

    Raises:
        ValueError: if the ground truth or an option is wrong.

    >>> truth = '{"bbox": [80, 160, 240, 400], "width": 800, "height": 800}'
    >>> text = "<think>Left of the pier.</think><answer>[100, 200, 300, 400]</answer>"
    >>> compute_score("dior", text, truth, space="qwen3-vl")["box"]
    '[80.0, 160.0, 240.0, 320.0]'
    >>> compute_score("dior", "I see no ship.", truth)["score"]
    0.0
    """
    where = _bounded(space_named(space), min_pixels, max_pixels)
    truth = _read_truth(ground_truth, data_source)
    read: dict[str, Any] = {"kind": truth.kind, "space": where, "width": truth.width, "height": truth.height}
    shape: dict[str, Any] = {"alpha": alpha, "proximity": proximity}
    preds: Any
    if truth.several:
        preds = parse_box_sets([solution_str], **read)
        box, target = preds[0], [truth.boxes]
        score = set_reward(preds, target, beta=beta, **shape)
        overlap = set_reward(preds, target, beta=0.0, **shape)
        near = set_reward(preds, target, beta=1.0, **shape) - overlap
        parsed = len(box) > 0 or len(truth.boxes) == 0
    else:
        preds = parse_boxes([solution_str], **read)
        box = preds[0]
        score = positional_reward(preds, truth.boxes, beta=beta, **shape)
        overlap = (iou if truth.kind == "horizontal" else oriented_iou)(preds, truth.boxes)
        near = gaussian_proximity(preds, truth.boxes, alpha=alpha, over=proximity)
        parsed = bool(box.isfinite().all())
    well_formed = format_reward([solution_str], require_box=not truth.several, kind=truth.kind)
    return {
        "score": (score + format_weight * well_formed).item(),
        "iou": overlap.item(),
        "proximity": near.item(),
        "format": well_formed.item(),
        "parsed": float(parsed),
        "box": json.dumps(_rounded(box)) if parsed and len(box) else "",
    }


class GroundingRewardManager(RewardManagerBase):
    """`compute_score` as verl's reward manager, with the options from `reward.reward_kwargs`.

    Over the function it has two things: a wrong configuration is refused before the first rollout, and of agents with
    several outputs the last one is read at its true length, where verl's own manager goes by a padded mask.
    """

    def __init__(self, config: Any, tokenizer: Any, compute_score: Any, **reward_model: Any) -> None:
        super().__init__(config, tokenizer, compute_score)
        check_config(config)
        self.options = reward_options(config)

    async def run_single(self, data: Any) -> dict[str, Any]:
        """The score of one rollout: `reward_score`, and all that `compute_score` returns as `reward_extra_info`."""
        row = data[-1]
        known = row.non_tensor_batch
        responses, mask = row.batch["responses"], row.batch["attention_mask"]
        length = known.get("response_len", mask[-len(responses) :].sum())
        truth = known["reward_model"]["ground_truth"]

        def score() -> dict[str, Any]:
            text = self.tokenizer.decode(responses[: int(length)], skip_special_tokens=True)
            return compute_score(known["data_source"], text, truth, **self.options)

        parts = await self.loop.run_in_executor(None, score)
        return {"reward_score": parts["score"], "reward_extra_info": parts}


@dataclass(frozen=True)
class _Truth:
    boxes: Tensor  # (1, 4) or (1, 5); for several any number of rows
    kind: BoxKind
    several: bool
    width: float
    height: float


def _read_truth(ground_truth: str, data_source: str) -> _Truth:
    try:
        fields = json.loads(ground_truth)
        boxes, width, height = (fields[name] for name in ("bbox", "width", "height"))
        several = not boxes or isinstance(boxes[0], list)
        rows = boxes if several else [boxes]
        # Where there is nothing to find a box of any kind is a mistake, and the oriented reading takes all kinds.
        kind: BoxKind = "horizontal" if rows and len(rows[0]) == 4 else "oriented"
        numbers = [box_numbers(row, kind) for row in rows]
        if all(numbers) and isinstance(boxes, list) and all(math.isfinite(s) and s >= 1 for s in (width, height)):
            return _Truth(
                torch.tensor(numbers).view(-1, 4 if kind == "horizontal" else 5), kind, several, width, height
            )
    except (TypeError, ValueError, KeyError, RecursionError):
        pass
    raise ValueError(
        f"the ground truth of {data_source!r} must be a JSON string with bbox ({FORMS['horizontal']}; "
        f"{FORMS['oriented']}; or a list of boxes of one kind), width and height of the image, "
        f"got {ground_truth!r:.200}."
    )


def _bounded(space: Space, min_pixels: int | None, max_pixels: int | None) -> Space:
    if min_pixels is None and max_pixels is None:
        return space
    if space.scale is not None or not space.factor:
        raise ValueError(f"min_pixels and max_pixels mean nothing in the space {space.name!r}: leave them out.")
    low = space.min_pixels if min_pixels is None else min_pixels
    return space.bounded(low, space.max_pixels if max_pixels is None else max_pixels)


def _rounded(boxes: Tensor) -> list[Any]:
    """A box or several, to a tenth of a pixel."""
    values: list[Any] = (boxes.double() * 10).round().div(10).tolist()
    return values
