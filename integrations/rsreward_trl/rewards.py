"""Core rewards as TRL reward functions: called by keyword with completions and the dataset's columns."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

import rsreward
from rsreward import Space, gaussian_proximity, iou, oriented_iou, parse_box_sets, parse_boxes, set_reward, space_named
from rsreward.answers import BoxKind, Select

from .columns import Column, check_lengths, completion_text, target_boxes, target_sets

Log = Callable[[str, Any], None] | None


def as_reward_func(
    reward: Callable[..., Tensor],
    *,
    space: str | Space = "pixel",
    select: Select = "first",
    kind: BoxKind | None = None,
    name: str | None = None,
    **options: Any,
) -> "BoxReward | SetReward | TextReward":
    """A core reward as a reward function for TRL's trainers.

    Args:
        reward: a function of `(pred, target)` boxes such as `rsreward.positional_reward` or `rsreward.iou`, one of
            `(preds, targets)` sets of boxes such as `rsreward.set_reward`, or one of `(completions)` such as
            `rsreward.format_reward`.
        space: the coordinate space the model answers in, such as "qwen2.5-vl"; only for rewards of boxes.
        select: which box of an answer with several; only for rewards of one box.
        kind: "horizontal" or "oriented": what is read out of the answers. If not given, "horizontal" for rewards of
            boxes, and either for the format reward.
        name: what it is logged as; the function's own name if not given.
        **options: passed on to the reward, such as `alpha` and `beta`.

    Returns:
        A picklable callable with a `__name__`. A reward of boxes reads the dataset's columns `target` (pixels of the
        original image: a box, for a reward of sets a list of boxes; None where a row has none: its reward is None,
        which TRL leaves out) and, where the space needs them, `width` and `height`. It logs its IoU, its parse rate
        and, for the positional reward, its proximity.

    Raises:
        ValueError: if the reward takes neither boxes nor completions, or the space or an option is wrong.
        TypeError: if the reward does not know an option.

    >>> from rsreward import positional_reward
    >>> reward = as_reward_func(positional_reward, space="qwen3-vl", beta=0.5)
    >>> reward(completions=["<answer>[0, 0, 500, 500]</answer>"], target=[[0, 0, 400, 400]], width=[800], height=[800])
    [1.5]
    """
    space = space_named(space)
    parameters = list(inspect.signature(reward).parameters)
    name = name or str(getattr(reward, "__name__", type(reward).__name__))
    if parameters[:1] == ["completions"]:
        if kind is not None:
            options["kind"] = kind
        reward([""], **options)
        return TextReward(reward, name, options)
    kind = kind or "horizontal"
    # Wrong options are refused now, not after the first rollouts.
    example = parse_boxes(["[1, 2, 3, 4]"], select=select, kind=kind)
    if parameters[:2] == ["pred", "target"]:
        reward(example, example, **options)
        return BoxReward(reward, space, select, kind, name, options)
    if parameters[:2] == ["preds", "targets"]:
        reward([example], [example], **options)
        return SetReward(reward, space, select, kind, name, options)
    raise ValueError(
        f"as_reward_func needs a function of (pred, target), of (preds, targets) or of (completions), and {name} takes "
        f"({', '.join(parameters)})."
    )


class TextReward:
    """A reward of the completions alone."""

    def __init__(self, reward: Callable[..., Tensor], name: str, options: dict[str, Any]) -> None:
        self.reward, self.__name__, self.options = reward, name, options

    def __call__(self, *, completions: Sequence[Any], **columns: Any) -> list[float]:
        scores: list[float] = self.reward([completion_text(c) for c in completions], **self.options).tolist()
        return scores


class BoxReward:
    """A reward of the predicted box against the true one."""

    def __init__(
        self,
        reward: Callable[..., Tensor],
        space: Space,
        select: Select,
        kind: BoxKind,
        name: str,
        options: dict[str, Any],
    ) -> None:
        self.reward, self.space, self.select, self.kind = reward, space, select, kind
        self.__name__, self.options = name, options

    def __call__(
        self,
        *,
        completions: Sequence[Any],
        target: Column = None,
        width: Column = None,
        height: Column = None,
        log_metric: Log = None,
        log_extra: Log = None,
        **columns: Any,
    ) -> list[float | None]:
        pred, truth = self.boxes(completions, target=target, width=width, height=height)
        known = torch.tensor([box is not None for box in _rows(target)])
        scores = self.reward(pred, truth, **self.options)
        parts = self.parts(pred, truth) if log_metric or log_extra else {}
        if log_metric is not None and (known.any() or dist.is_initialized()):
            # TRL before 1.14 hangs unless every process logs the same names: one without targets logs NaN then.
            for part, value in parts.items():
                log_metric(f"{self.__name__}/{part}", value[known].mean().item())
        if log_extra is not None:
            log_extra(f"{self.__name__}/box", [_rounded(box) for box in pred])
            log_extra(f"{self.__name__}/target", [_rounded(box) for box in truth])
            log_extra(f"{self.__name__}/iou", parts["iou"].tolist())
        return [score if ok else None for score, ok in zip(scores.tolist(), known.tolist(), strict=True)]

    def boxes(
        self, completions: Sequence[Any], *, target: Column, width: Column = None, height: Column = None
    ) -> tuple[Any, Any]:
        """Predicted and true boxes in pixels, `(N, 4)` or `(N, 5)` each; rows of NaN where there is none."""
        truth = target_boxes(target, self.kind, self.__name__)
        self.check_sizes(completions, target, width, height)
        texts = [completion_text(c) for c in completions]
        sizes = {"width": width, "height": height}
        return parse_boxes(texts, select=self.select, kind=self.kind, space=self.space, **sizes), truth

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the dataset that are needed."""
        return ("target", "width", "height") if self.space.needs_size else ("target",)

    def check_sizes(self, completions: Sequence[Any], target: Column, width: Column, height: Column) -> None:
        """Refuse columns of other lengths, and rows with a target whose image has no size where the space needs one."""
        check_lengths(completions, self.__name__, target=target, width=width, height=height)
        if not self.space.needs_size:
            return
        if width is None or height is None:
            raise ValueError(
                f"{self.__name__} reads answers in the space {self.space.name!r} and needs the columns 'width' and "
                f"'height' of the original images: add them to the dataset."
            )
        for row, (box, *sizes) in enumerate(zip(_rows(target), width, height, strict=True)):
            if any(isinstance(side, str) for side in sizes):
                raise ValueError(f"{self.__name__}: width and height must be numbers, and row {row} holds {sizes}.")
            if box is not None and any(side is None or side != side for side in sizes):
                raise ValueError(f"{self.__name__}: row {row} of this batch has a target but no width or height.")

    def ious(self, completions: Sequence[Any], **columns: Any) -> Tensor:
        """IoU of each completion, `(N,)`; NaN where the row has no target."""
        known = torch.tensor([box is not None for box in columns["target"]])
        return torch.where(known, self.overlap(*self.boxes(completions, **columns)), torch.nan)

    def overlap(self, pred: Any, truth: Any) -> Tensor:
        """IoU of each row, `(N,)`."""
        return iou(pred, truth) if self.kind == "horizontal" else oriented_iou(pred, truth)

    def parts(self, pred: Any, truth: Any) -> dict[str, Tensor]:
        """What the reward is made of, row by row, for the logs."""
        parts = {"iou": self.overlap(pred, truth), "parse_rate": pred.isfinite().all(-1).float()}
        if self.reward is rsreward.positional_reward:
            shape = {"alpha": self.options.get("alpha", 2.5), "over": self.options.get("proximity", "center")}
            parts["proximity"] = gaussian_proximity(pred, truth, **shape)
        return parts


class SetReward(BoxReward):
    """A reward of all predicted boxes against all true ones. Its IoU is the mean over the boxes of the larger set."""

    def boxes(
        self, completions: Sequence[Any], *, target: Column, width: Column = None, height: Column = None
    ) -> tuple[Any, Any]:
        """Predicted and true boxes in pixels, N tensors `(n, 4)` or `(n, 5)` each."""
        sets = target_sets(target, self.kind, self.__name__)
        self.check_sizes(completions, target, width, height)
        texts = [completion_text(c) for c in completions]
        preds = parse_box_sets(texts, kind=self.kind, space=self.space, width=width, height=height)
        return preds, [pred[:0] if truth is None else truth for pred, truth in zip(preds, sets, strict=True)]

    def overlap(self, pred: Any, truth: Any) -> Tensor:
        return set_reward(pred, truth, beta=0.0)

    def parts(self, pred: Any, truth: Any) -> dict[str, Tensor]:
        counts = torch.tensor([float(len(boxes)) for boxes in pred])
        empty = torch.tensor([len(boxes) == 0 for boxes in truth])  # no box is the right answer there
        return {"iou": self.overlap(pred, truth), "parse_rate": ((counts > 0) | empty).float(), "boxes": counts}


def _rows(column: Column) -> Sequence[Any]:
    """A column that may be an array or missing."""
    return () if column is None else column


def _rounded(boxes: Tensor) -> list[Any] | None:
    """A box or several for the completions table; None for a missing one."""
    if not boxes.isfinite().all():
        return None
    return [[round(v, 1) for v in b] if isinstance(b, list) else round(b, 1) for b in boxes.tolist()]


positional_reward = as_reward_func(rsreward.positional_reward)
format_reward = as_reward_func(rsreward.format_reward)
