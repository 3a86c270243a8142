"""Core rewards as TRL reward functions: called with the completions and the dataset's columns."""

import inspect
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from math import isfinite
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

import rsreward
from rsreward import (
    Space,
    gaussian_proximity,
    iou,
    oriented_iou,
    parse_answer,
    parse_box_sets,
    parse_boxes,
    set_reward,
    space_named,
)
from rsreward.answers import Answer, BoxKind, Select, check_texts, completion_text
from rsreward.coordinates import Five, Order
from rsreward.polygons import hull_of_oriented
from rsreward.truth import Column, Format, read_truth, target_boxes, target_sets
from rsreward.watch import NAMES, RewardWatch, cut_off

from .columns import Reading, read_columns

Log = Callable[[str, Any], None] | None


def _all_log() -> bool:
    """TRL before 1.14 hangs unless every process logs the same names, so there one without targets logs NaN."""
    try:
        return tuple(map(int, version("trl").split(".")[:2])) < (1, 14)
    except PackageNotFoundError:  # the reward functions are for other trainers too
        return False


_ALL_LOG = _all_log()


def as_reward_func(
    reward: Callable[..., Tensor],
    *,
    space: str | Space = "pixel",
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    five: Five | None = None,
    order: Order | None = None,
    think_in_prompt: bool = False,
    select: Select = "first",
    kind: BoxKind | None = None,
    hull: bool = False,
    target: str = "target",
    target_space: str | Space | None = None,
    target_format: Format | None = None,
    watch: bool = True,
    name: str | None = None,
    **options: Any,
) -> "BoxReward | SetReward | TextReward":
    """A core reward as a reward function for TRL's trainers, and for others that hand over columns in the same way.

    Args:
        reward: a function of `(pred, target)` boxes such as `rsreward.positional_reward` or `rsreward.iou`, one of
            `(preds, targets)` sets of boxes such as `rsreward.set_reward`, or one of `(completions)` such as
            `rsreward.format_reward`. What follows is for rewards of boxes; `kind` and `think_in_prompt` are for all.
        space: the coordinate space the model answers in, such as "qwen2.5-vl".
        min_pixels, max_pixels, five, order: where these are not as the space has them, see `rsreward.Space`.
        think_in_prompt: the chat template has opened the `<think>` element in the prompt.
        select: which box of an answer with several; only for rewards of one box.
        kind: "horizontal" or "oriented": what is read out of the answers. If not given, "horizontal" for rewards of
            boxes, and either for the format reward.
        hull: read turned boxes too, and score their bounding boxes against the horizontal true ones.
        target: the column of the true boxes.
        target_space, target_format: what they are written in, see `rsreward.truth.read_truth`.
        watch: warn where answers, true boxes and the space do not fit together or the reward runs idle, of each such
            finding now and then, and log a count; see `rsreward.watch`.
        name: what it is logged as; the function's own name if not given.
        **options: passed on to the reward, such as `alpha` and `beta`.

    Returns:
        A picklable callable with a `__name__`. A reward of boxes reads the dataset's column `target` (a box, for a
        reward of sets a list of boxes; None where a row has none: its reward is None, which TRL leaves out) and, where
        a space needs them, `width` and `height` of the original images. It logs its IoU, its parse rate and, for the
        positional reward, its proximity.

    Raises:
        ValueError: if the reward takes neither boxes nor completions, or the space or an option is wrong.
        TypeError: if the reward does not know an option.

    >>> from rsreward import positional_reward
    >>> reward = as_reward_func(positional_reward, space="qwen3-vl", beta=0.5)
    >>> reward(completions=["<answer>[0, 0, 500, 500]</answer>"], target=[[0, 0, 400, 400]], width=[800], height=[800])
    [1.5]
    """
    space = space_named(space, min_pixels=min_pixels, max_pixels=max_pixels, five=five, order=order)
    parameters = list(inspect.signature(reward).parameters)
    name = name or str(getattr(reward, "__name__", type(reward).__name__))
    if parameters[:1] == ["completions"]:
        options |= {"kind": kind} if kind is not None else {}
        options |= {"think_in_prompt": True} if think_in_prompt else {}
        reward([""], **options)
        return TextReward(reward, name, options)
    if hull and kind == "oriented":
        raise ValueError("hull scores bounding boxes, which are horizontal: leave out hull or kind='oriented'.")
    kind = kind or "horizontal"
    # Wrong options are refused now, not after the first rollouts.
    read_truth([], format=target_format, space=target_space)
    example = parse_boxes(["[1, 2, 3, 4]"], select=select, kind=kind)
    truth_space = None if target_space is None else space_named(target_space)
    reading = Reading(space, select, kind, hull, think_in_prompt, target, truth_space, target_format)
    if parameters[:2] == ["pred", "target"]:
        reward(example, example, **options)
        return BoxReward(reward, reading, name, options, watch=watch)
    if parameters[:2] == ["preds", "targets"]:
        reward([example], [example], **options)
        return SetReward(reward, reading, name, options, watch=watch)
    raise ValueError(
        f"as_reward_func needs a function of (pred, target), of (preds, targets) or of (completions), and {name} takes "
        f"({', '.join(parameters)})."
    )


class TextReward:
    """A reward of the completions alone.

    >>> as_reward_func(rsreward.format_reward, think_in_prompt=True)(["Left.</think><answer>[0, 0, 8, 8]</answer>"])
    [1.0]
    """

    def __init__(self, reward: Callable[..., Tensor], name: str, options: dict[str, Any]) -> None:
        self.reward, self.__name__, self.options = reward, name, options

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        texts, read = _texts(completions), {}
        if self.reward is rsreward.format_reward:
            read["answers"] = _answers(texts, self.options.get("think_in_prompt", False))
        scores: list[float] = self.reward(texts, **self.options, **read).tolist()
        return scores


class BoxReward:
    """A reward of the predicted box against the true one.

    A row without a true box is left out. The weight takes the IoUs from `ious`:

    >>> reward = as_reward_func(iou)
    >>> reward(["[0, 0, 8, 8]", "[0, 0, 8, 4]"], target=[None, [0, 0, 8, 8]])
    [None, 0.5]
    >>> reward.ious(["[0, 0, 8, 8]", "[0, 0, 8, 4]"], target=[None, [0, 0, 8, 8]])
    tensor([   nan, 0.5000])
    """

    def __init__(
        self, reward: Callable[..., Tensor], reading: Reading, name: str, options: dict[str, Any], watch: bool = True
    ) -> None:
        self.reward, self.reading, self.__name__, self.options = reward, reading, name, options
        think = reading.think_in_prompt
        self.watch = RewardWatch(reading.space, reading.read_as, think_in_prompt=think) if watch else None
        self.measured: tuple[Sequence[Any], Tensor] | None = None  # completions and their IoUs, for `ious` to take

    def __call__(
        self,
        completions: Sequence[Any],
        *,
        width: Column = None,
        height: Column = None,
        log_metric: Log = None,
        log_extra: Log = None,
        **columns: Any,
    ) -> list[float | None]:
        target, ids = columns.get(self.reading.target), columns.get("completion_ids")
        cut = cut_off(ids) if ids is not None and len(ids) == len(completions) else None
        pred, truth = self.boxes(completions, target=target, width=width, height=height, watched=True, cut=cut)
        known = _known(target)
        scores = self.reward(pred, truth, **self.options)
        parts = self.parts(pred, truth) if log_metric or log_extra else {}
        if log_metric is not None and (known.any() or (_ALL_LOG and dist.is_initialized())):
            for part, value in parts.items():
                log_metric(f"{self.__name__}/{part}", value[known].mean().item())
        if log_metric is not None and self.watch is not None:
            counts = self.watch.counts
            for finding in NAMES if dist.is_initialized() else counts:
                log_metric(f"{self.__name__}/watch/{finding}", counts.get(finding, 0))
        if parts:
            self.measured = completions, torch.where(known, parts["iou"], torch.nan)
        if log_extra is not None:
            log_extra(f"{self.__name__}/box", _rounded(pred))
            log_extra(f"{self.__name__}/target", _rounded(truth))
            log_extra(f"{self.__name__}/iou", parts["iou"].tolist())
        return [score if ok else None for score, ok in zip(scores.tolist(), known.tolist(), strict=True)]

    def boxes(
        self,
        completions: Sequence[Any],
        *,
        target: Column,
        width: Column = None,
        height: Column = None,
        watched: bool = False,
        cut: Sequence[bool] | None = None,
    ) -> tuple[Any, Any]:
        """Predicted and true boxes in pixels, `(N, 4)` or `(N, 5)` each; rows of NaN where there is none.

        watched: these rows are new to the watch.
        cut: whether each completion was cut off, where that is known.

        Raises:
            ValueError: naming the reward and the column, or the row, that is wrong.
        """
        texts = _texts(completions)
        target, sizes = read_columns(self.reading, self.__name__, len(texts), target=target, width=width, height=height)
        truth = self.truth(target, sizes)
        answers = _answers(texts, self.reading.think_in_prompt)
        pred = self.predicted(answers, sizes)
        if watched and self.watch is not None:
            for message in self.watch.add(texts, answers, truth, pred, **sizes, cut=cut):
                if not dist.is_initialized() or dist.get_rank() == 0:  # the others see rows of the same kind
                    warnings.warn(f"{self.__name__}: {message}", stacklevel=3)
        return pred, truth

    def predicted(self, answers: list[Answer], sizes: dict[str, Any]) -> Any:
        """What the answers hold, in pixels."""
        boxes = parse_boxes(answers, select=self.reading.select, **self.reading.answers, **sizes)
        return hull_of_oriented(boxes) if self.reading.hull else boxes

    def truth(self, target: Sequence[Any], sizes: dict[str, Any]) -> Any:
        """The true boxes, in pixels."""
        return target_boxes(target, name=self._name_of_target, **self.reading.truth, **sizes)

    @property
    def _name_of_target(self) -> str:
        return f"{self.__name__}: the column {self.reading.target!r}"

    def ious(self, completions: Sequence[Any], **columns: Any) -> Tensor:
        """IoU of each completion, `(N,)`; NaN where the row has no target.

        Right after these completions were rewarded it is known from there. That is handed out once.
        """
        measured, self.measured = self.measured, None
        if measured is not None and measured[0] is completions:
            return measured[1]
        target = columns.pop(self.reading.target, None)
        pred, truth = self.boxes(completions, target=target, **columns)
        return torch.where(_known(target), self.overlap(pred, truth), torch.nan)

    def overlap(self, pred: Any, truth: Any) -> Tensor:
        """IoU of each row, `(N,)`."""
        return iou(pred, truth) if self.reading.kind == "horizontal" else oriented_iou(pred, truth)

    def parts(self, pred: Any, truth: Any) -> dict[str, Tensor]:
        """What the reward is made of, row by row, for the logs."""
        parts = {"iou": self.overlap(pred, truth), "parse_rate": pred.isfinite().all(-1).float()}
        if self.reward is rsreward.positional_reward:
            shape = {"alpha": self.options.get("alpha", 2.5), "over": self.options.get("proximity", "center")}
            parts["proximity"] = gaussian_proximity(pred, truth, **shape)
        return parts


class SetReward(BoxReward):
    """A reward of all predicted boxes against all true ones. Its IoU is the mean over the boxes of the larger set.

    >>> as_reward_func(set_reward, beta=0.0)(["[0, 0, 8, 8], [9, 9, 12, 12]", "[]"], target=[[[0, 0, 8, 8]], []])
    [0.5, 1.0]
    """

    def predicted(self, answers: list[Answer], sizes: dict[str, Any]) -> Any:
        preds = parse_box_sets(answers, **self.reading.answers, **sizes)
        return [hull_of_oriented(boxes) for boxes in preds] if self.reading.hull else preds

    def truth(self, target: Sequence[Any], sizes: dict[str, Any]) -> Any:
        sets = target_sets(target, name=self._name_of_target, **self.reading.truth, **sizes)
        none = torch.empty(0, 5 if self.reading.kind == "oriented" else 4)
        return [none if boxes is None else boxes for boxes in sets]

    def overlap(self, pred: Any, truth: Any) -> Tensor:
        return set_reward(pred, truth, beta=0.0)

    def parts(self, pred: Any, truth: Any) -> dict[str, Tensor]:
        counts = torch.tensor([boxes.isfinite().all(-1).sum().item() for boxes in pred], dtype=torch.float32)
        rightly_none = torch.tensor([len(p) == len(t) == 0 for p, t in zip(pred, truth, strict=True)], dtype=torch.bool)
        return {"iou": self.overlap(pred, truth), "parse_rate": ((counts > 0) | rightly_none).float(), "boxes": counts}


def _texts(completions: Sequence[Any]) -> list[str]:
    if isinstance(completions, str):
        check_texts(completions)
    return [completion_text(completion) for completion in completions]


_last_read: tuple[list[str], bool, list[Answer]] = [], False, []


def _answers(texts: list[str], think_in_prompt: bool) -> list[Answer]:
    """What is read of the texts. A trainer hands one batch to several reward functions: it is read for the first."""
    global _last_read
    known, thinks, answers = _last_read
    if thinks != think_in_prompt or known != texts:
        answers = [parse_answer(text, think_in_prompt) for text in texts]
        _last_read = texts, think_in_prompt, answers
    return answers


def _known(target: Any) -> Tensor:
    """Which rows have a target, `(N,)`, bool."""
    return torch.tensor([box is not None for box in target], dtype=torch.bool)


def _rounded(boxes: Any) -> list[Any]:
    """The box or the boxes of each row for the completions table; None where one is missing."""
    if not isinstance(boxes, Tensor):
        return [None if None in (rows := _rounded(of)) else rows for of in boxes]
    rows = boxes.double().round(decimals=1).tolist()
    return [row if isfinite(sum(row)) else None for row in rows]


positional_reward = as_reward_func(rsreward.positional_reward)
format_reward = as_reward_func(rsreward.format_reward)
