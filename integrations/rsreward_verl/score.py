"""The grounding reward of one rollout, as verl asks for it. Nothing of verl is imported here."""

import json
import warnings
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from threading import Lock
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor

from rsreward import (
    Space,
    format_reward,
    parse_answer,
    parse_box_sets,
    parse_boxes,
    positional_reward,
    set_reward,
    space_named,
)
from rsreward.answers import Answer, BoxKind, Select
from rsreward.coordinates import Five, Order
from rsreward.polygons import hull_of_oriented
from rsreward.positional import Proximity, positional_parts
from rsreward.truth import FORMS, Format, as_tensor, check_area, read_sized_truth, read_truth
from rsreward.watch import RewardWatch


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: dict[str, Any] | None = None,
    *,
    space: str = "pixel",
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    five: Five | None = None,
    order: Order | None = None,
    think_in_prompt: bool = False,
    select: Select = "first",
    kind: BoxKind | None = None,
    hull: bool = False,
    target_space: str | None = None,
    target_format: Format | None = None,
    alpha: float = 2.5,
    beta: float = 0.1,
    proximity: Proximity = "center",
    format_weight: float = 1.0,
    watch: bool = True,
) -> dict[str, Any]:
    """The reward of one rollout and what it is made of.

        R = positional_reward + format_weight * format_reward

    with `set_reward` in place of `positional_reward` where there are several true boxes. RSGround-R1's reward is that
    of the defaults.

    Args:
        data_source: named in errors.
        solution_str: the completion, special tokens removed.
        ground_truth: JSON `{"bbox": ..., "width": ..., "height": ...}` with what `rsreward.truth.read_truth` takes for
            a box, such as `[x1, y1, x2, y2]` in pixels of the original image, or for a list of boxes (empty: there is
            nothing to find), and the original image's size.
        extra_info: `cut_off` is used, by the watch alone: whether the completion was cut off, where that is known.
        space: the coordinate space the model answers in, such as "qwen2.5-vl".
        min_pixels, max_pixels, five, order: where these are not as the space has them, see `rsreward.Space`.
        think_in_prompt: the chat template has opened the `<think>` element in the prompt.
        select: which box of an answer with several, where there is one true box.
        kind: "horizontal" or "oriented". If not given, that in which the true boxes are written.
        hull: read turned boxes too, and score their bounding boxes against the horizontal true ones.
        target_space, target_format: what the true boxes are written in, see `rsreward.truth.read_truth`.
        alpha, beta, proximity: as in `rsreward.positional_reward`.
        format_weight: what a well-formed completion is worth.
        watch: warn where answers, true boxes and the space do not fit together or the reward runs idle, of each
            such finding now and then in each worker; see `rsreward.watch`.

    Returns:
        `score`, and for the logs `iou`, `proximity` (what beta multiplies), `format`, `parsed` (1 where the answer
        holds a box or rightly none), all finite, and `box`, the predicted box or boxes in pixels as a string, empty
        without one. `watch` is a string too: JSON with a name of this worker and what its watch has counted so far,
        empty where that is nothing. The same keys for every rollout, for verl takes them from the first.

    Raises:
        ValueError: if the ground truth or an option is wrong.

    >>> truth = '{"bbox": [80, 160, 240, 400], "width": 800, "height": 800}'
    >>> text = "<think>Left of the pier.</think><answer>[100, 200, 300, 400]</answer>"
    >>> compute_score("dior", text, truth, space="qwen3-vl")["box"]
    '[80.0, 160.0, 240.0, 320.0]'
    >>> compute_score("dior", "I see no ship.", truth)["score"]
    0.0
    """
    if hull and kind == "oriented":
        raise ValueError("hull scores bounding boxes, which are horizontal: leave out hull or kind='oriented'.")
    if not isinstance(ground_truth, str):
        raise ValueError(
            f"the ground truth of {data_source!r} must be a JSON string with bbox, width and height, "
            f"got {type(ground_truth).__name__}."
        )
    where, target_where = _spaces(space, min_pixels, max_pixels, five, order, target_space)
    truth = _read_ground_truth(ground_truth, data_source, "horizontal" if hull else kind, target_format, target_where)
    read_as: BoxKind = "oriented" if hull else truth.kind
    sizes = {"width": truth.width, "height": truth.height}
    read: dict[str, Any] = {"kind": read_as, "space": where, **sizes}
    shape: dict[str, Any] = {"alpha": alpha, "proximity": proximity}
    answer = parse_answer(solution_str, think_in_prompt)
    pred = parse_box_sets([answer], **read)[0] if truth.several else parse_boxes([answer], select=select, **read)
    if hull:
        pred = hull_of_oriented(pred)
    if truth.several:
        sets = [pred], [truth.boxes]
        score, overlap, one = torch.stack([set_reward(*sets, beta=b, **shape) for b in (beta, 0.0, 1.0)]).numpy()
        near = one - overlap
    else:
        score, overlap, near = positional_parts(pred, truth.boxes, beta=beta, **shape).numpy()
    well_formed = format_reward(
        [solution_str], require_box=not truth.several, kind=read_as, think_in_prompt=think_in_prompt, answers=[answer]
    ).numpy()  # whose calls cost a third of torch's
    counts = ""
    if watch:
        cut = extra_info.get("cut_off") if isinstance(extra_info, dict) else None
        counts = _watch(where, read_as, think_in_prompt).add(solution_str, answer, truth, pred, cut)
    boxes = [[round(v, 1) for v in box] for box in pred.tolist() if all(map(isfinite, box))]
    rightly_none = truth.several and len(pred) == len(truth.boxes) == 0
    return {
        "score": (score + format_weight * well_formed).item(),
        "iou": overlap.item(),
        "proximity": near.item(),
        "format": well_formed.item(),
        "parsed": float(bool(boxes) or rightly_none),
        "box": str(boxes if truth.several else boxes[0]) if boxes else "",
        "watch": counts,
    }


def check_options(**options: Any) -> None:
    """Refuse options that `compute_score` does not know or that are wrong.

    Raises:
        TypeError, ValueError: naming the option.
    """
    compute_score("", "", '{"bbox": [], "width": 100, "height": 100}', **options | {"watch": False})
    box = parse_boxes(["[0, 0, 1, 1]"], select=options.get("select", "first"))
    positional_reward(box, box, **{name: options[name] for name in ("alpha", "beta", "proximity") if name in options})


@dataclass(frozen=True)
class _Truth:
    boxes: Tensor  # (1, 4) or (1, 5); for several any number of rows
    kind: BoxKind
    several: bool
    width: float
    height: float


class _Watch:
    """The watch of this process over rollouts that come one by one, from several threads."""

    def __init__(self, space: Space, kind: BoxKind, think_in_prompt: bool) -> None:
        self.watch = RewardWatch(space, kind, think_in_prompt=think_in_prompt)
        self.name, self.lock, self.counts = uuid4().hex[:8], Lock(), ""

    def add(self, text: str, answer: Answer, truth: _Truth, pred: Tensor, cut: bool | None) -> str:
        """The counts so far."""
        with self.lock:
            before = self.watch.seen
            sizes = [truth.width], [truth.height]
            new = self.watch.add([text], [answer], [truth.boxes], [pred], *sizes, None if cut is None else [cut])
            if self.watch.seen > before and self.watch.counts:
                self.counts = json.dumps({self.name: self.watch.counts})
        for message in new:
            warnings.warn(f"the reward of verl: {message}", stacklevel=3)
        return self.counts


_watch = lru_cache(_Watch)


@lru_cache
def _spaces(
    space: str,
    min_pixels: int | None,
    max_pixels: int | None,
    five: Five | None,
    order: Order | None,
    target_space: str | None,
) -> tuple[Space, Space | None]:
    answers = space_named(space, min_pixels=min_pixels, max_pixels=max_pixels, five=five, order=order)
    return answers, None if target_space is None else space_named(target_space)


@lru_cache(4096)  # every rollout of a group has the same
def _read_ground_truth(
    ground_truth: str, data_source: str, kind: BoxKind | None, format: Format | None, space: Space | None
) -> _Truth:
    read_truth([], kind=kind, format=format)  # a wrong option is not the truth's fault
    try:
        written, width, height = read_sized_truth(ground_truth)
        truth = read_truth(written, kind=kind, format=format, space=space, width=width, height=height)
        check_area(truth)
    except ValueError as error:
        raise ValueError(
            f"the ground truth of {data_source!r} must be a JSON string with bbox ({FORMS['horizontal']}; "
            f"{FORMS['oriented']}; a polygon; or a list of boxes of one kind), width and height of the image, "
            f"got {ground_truth!r:.200}: {error}"
        ) from None
    return _Truth(as_tensor(truth), truth.kind, truth.several, width, height)
