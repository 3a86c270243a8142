"""Core rewards as TRL reward functions: called by keyword with completions and the dataset's columns."""

import inspect
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

import rsreward
from rsreward import Space, gaussian_proximity, iou, parse_boxes, space_named
from rsreward.answers import Select

Column = Sequence[Any] | None
Log = Callable[[str, Any], None] | None


def as_reward_func(
    reward: Callable[..., Tensor],
    *,
    space: str | Space = "pixel",
    select: Select = "first",
    name: str | None = None,
    **options: Any,
) -> "BoxReward | TextReward":
    """A core reward as a reward function for TRL's trainers.

    Args:
        reward: a function of `(pred, target)` boxes such as `rsreward.positional_reward` or `rsreward.iou`, or one
            of `(completions)` such as `rsreward.format_reward`.
        space: the coordinate space the model answers in, such as "qwen2.5-vl"; only for box rewards.
        select: which box of an answer with several; only for box rewards.
        name: what it is logged as; the function's own name if not given.
        **options: passed on to the reward, such as `alpha` and `beta`.

    Returns:
        A picklable callable with a `__name__`. A box reward reads the dataset's columns `target` (pixels of the
        original image; None where a row has no box: its reward is None, which TRL leaves out) and, where the space
        needs them, `width` and `height`. It logs its IoU, its proximity and its parse rate.

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
    if parameters[:2] == ["pred", "target"]:
        parse_boxes([], select=select)
        reward(torch.zeros(1, 4), torch.zeros(1, 4), **options)  # wrong options are refused now, not after a rollout
        return BoxReward(reward, space, select, name, options)
    if parameters[:1] == ["completions"]:
        reward([""], **options)
        return TextReward(reward, name, options)
    raise ValueError(
        f"as_reward_func needs a function of (pred, target) or of (completions), and {name} takes "
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
        self, reward: Callable[..., Tensor], space: Space, select: Select, name: str, options: dict[str, Any]
    ) -> None:
        self.reward, self.space, self.select, self.__name__, self.options = reward, space, select, name, options

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
        scores = self.reward(pred, truth, **self.options)
        known = truth.isfinite().all(-1)
        if log_metric is not None and (known.any() or dist.is_initialized()):
            # TRL before 1.14 hangs unless every process logs the same names: one without targets logs NaN then.
            for part, value in self.parts(pred[known], truth[known]).items():
                log_metric(f"{self.__name__}/{part}", value.mean().item())
        if log_extra is not None:
            found = pred.isfinite().all(-1).tolist()
            rounded = [[round(v, 1) for v in row] if ok else None for row, ok in zip(pred.tolist(), found, strict=True)]
            log_extra(f"{self.__name__}/box", rounded)
        return [score if ok else None for score, ok in zip(scores.tolist(), known.tolist(), strict=True)]

    def boxes(
        self, completions: Sequence[Any], *, target: Column, width: Column = None, height: Column = None
    ) -> tuple[Tensor, Tensor]:
        """Predicted and true boxes, `(N, 4)` each, in pixels; rows of NaN where there is none."""
        texts = [completion_text(c) for c in completions]
        truth = _targets(target, len(texts), self.__name__)
        if self.space.needs_size and (width is None or height is None):
            raise ValueError(
                f"{self.__name__} reads answers in the space {self.space.name!r} and needs the columns 'width' and "
                f"'height' of the original images: add them to the dataset."
            )
        if self.space.needs_size and width is not None and height is not None:
            for row, sizes in enumerate(zip(target or (), width, height, strict=True)):
                if sizes[0] is not None and None in sizes[1:]:
                    raise ValueError(f"{self.__name__}: row {row} of this batch has a target but no width or height.")
        return parse_boxes(texts, select=self.select, space=self.space, width=width, height=height), truth

    def ious(self, completions: Sequence[Any], **columns: Any) -> Tensor:
        """IoU of each completion, `(N,)`; NaN where the row has no target."""
        pred, truth = self.boxes(completions, **columns)
        return torch.where(truth.isfinite().all(-1), iou(pred, truth), torch.nan)

    def parts(self, pred: Tensor, target: Tensor) -> dict[str, Tensor]:
        """What the reward is made of, for the logs."""
        parts = {"iou": iou(pred, target), "parse_rate": pred.isfinite().all(-1).float()}
        if self.reward is rsreward.positional_reward:
            shape = {"alpha": self.options.get("alpha", 2.5), "over": self.options.get("proximity", "center")}
            parts["proximity"] = gaussian_proximity(pred, target, **shape)
        return parts


def completion_text(completion: Any) -> str:
    """The text of a completion: a string, or a list of messages as TRL gives it for chats.

    Reasoning that a response parser has put in a field of its own comes back in its `<think>` element.

    >>> completion_text([{"role": "assistant", "content": [{"type": "text", "text": "[1, 2, 3, 4]"}]}])
    '[1, 2, 3, 4]'
    """
    if isinstance(completion, str):
        return completion
    text = ""
    for message in completion:
        thought = message.get("reasoning_content") or message.get("thinking")
        content = message.get("content") or ""
        if not isinstance(content, str):
            content = "".join(part if isinstance(part, str) else part.get("text") or "" for part in content)
        text += (f"<think>{thought}</think>" if thought else "") + content
    return text


def _targets(column: Column, rows: int, name: str) -> Tensor:
    """The target column as `(N, 4)`, rows of NaN for None."""
    if column is None:
        raise ValueError(
            f"{name} needs the column 'target' with the true box [x1, y1, x2, y2] of each row: add it to the dataset."
        )
    boxes = []
    for box in column:
        if box is None:
            boxes.append([torch.nan] * 4)
            continue
        try:
            values = [] if isinstance(box, str) else [float(v) for v in box]
        except (TypeError, ValueError):
            values = []
        if len(values) != 4 or not all(map(isfinite, values)) or values[2] < values[0] or values[3] < values[1]:
            raise ValueError(
                f"{name}: the column 'target' must hold finite boxes [x1, y1, x2, y2] with x1 <= x2 and y1 <= y2, "
                f"or None, and row {len(boxes)} of this batch holds {box!r}."
            )
        boxes.append(values)
    return torch.tensor(boxes, dtype=torch.float32).view(rows, 4)


positional_reward = as_reward_func(rsreward.positional_reward)
format_reward = as_reward_func(rsreward.format_reward)
