"""The reward functions, called as ms-swift calls them: with the texts, and the dataset's columns by name.

Nothing of swift is imported here.
"""

import os
import warnings
from collections.abc import Sequence
from typing import Any

import torch.distributed as dist
from torch import Tensor

from rsreward import format_reward, parse_answer, parse_boxes
from rsreward.answers import completion_text
from rsreward.checks import as_column, shown
from rsreward.coordinates import MAX_SIDE, is_side
from rsreward.positional import positional_parts
from rsreward.truth import target_boxes
from rsreward.watch import RewardWatch

from .options import Options, check_bounds


class RSFormat:
    """`rsreward.format_reward`; swift logs it by the name of this class.

    >>> from rsreward_swift.options import read_options
    >>> reward = RSFormat(read_options({"RSREWARD_SPACE": "qwen3-vl"}))
    >>> reward(["<think>Left.</think><answer>[0, 0, 500, 500]</answer>", "[0, 0, 500, 500]"])
    [1.0, 0.0]
    """

    def __init__(self, options: Options, args: Any = None) -> None:
        self.options = options

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float]:
        texts = [completion_text(completion) for completion in completions]
        options = self.options
        scores: list[float] = format_reward(texts, kind=options.kind, think_in_prompt=options.think_in_prompt).tolist()
        return scores


class RSPositional:
    """`rsreward.positional_reward` of the box in the answer; None where a row has no true box, which swift leaves out.

    Args:
        options: of the plug-in.
        args: swift's own, not used.

    Raises:
        ValueError: if swift resizes images otherwise than the space says.

    >>> from rsreward_swift.options import read_options
    >>> reward = RSPositional(read_options({"RSREWARD_SPACE": "qwen3-vl", "RSREWARD_BETA": "0.5"}))
    >>> reward(["<answer>[0, 0, 500, 500]</answer>"], target=[[0, 0, 400, 400]], width=[800], height=[800])
    [1.5]
    """

    def __init__(self, options: Options, args: Any = None) -> None:
        check_bounds(options.space, os.environ)
        self.options = options
        self.watch = RewardWatch(options.space, options.kind, think_in_prompt=options.think_in_prompt)

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        return self._known(self.parts(completions, columns, watched=self.options.watch)[0], columns)

    def parts(
        self, completions: Sequence[Any], columns: dict[str, Any], watched: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Reward and IoU of each completion, `(N,)` each; `watched` tells that the watch looks at these rows.

        Raises:
            ValueError: naming the column that is missing, or the row that is wrong.
        """
        options = self.options
        needed = [options.target]
        spaces = [s for s in (options.space, options.target_space) if s is not None]
        if any(space.needs_size for space in spaces):
            needed += ["width", "height"]
        missing = [name for name in needed if columns.get(name) is None]
        if missing:
            raise ValueError(
                f"rs_positional needs the columns {', '.join(needed)}, and the dataset has no {', '.join(missing)}: "
                f"add them, or name the column of the true boxes by RSREWARD_TARGET."
            )
        count = len(completions)
        target, *sides = (as_column(columns[name], f"rs_positional: the column {name!r}", count) for name in needed)
        sizes: dict[str, Any] = dict(zip(needed[1:], sides, strict=True))
        for name, sides in sizes.items():
            for row, side in enumerate(sides):
                if target[row] is not None and not is_side(side):
                    raise ValueError(
                        f"rs_positional: {name} must be from 1 to {MAX_SIDE} pixels, and row {row} of this batch has "
                        f"{shown(side)}."
                    )
        truth = target_boxes(
            target,
            options.kind,
            f"rs_positional: the column {options.target!r}",
            space=options.target_space,
            format=options.target_format,
            **sizes,
        )
        texts = [completion_text(completion) for completion in completions]
        answers = [parse_answer(text, options.think_in_prompt) for text in texts]
        pred = parse_boxes(answers, select=options.select, kind=options.kind, space=options.space, **sizes)
        if watched:
            ended = None not in columns.get("finish_reason", [None])
            for message in self.watch.add(
                texts, answers, truth, pred, **sizes, cut=columns.get("is_truncated") if ended else None
            ):
                if not dist.is_initialized() or dist.get_rank() == 0:  # the others see rows of the same kind
                    warnings.warn(f"rs_positional: {message}", stacklevel=3)
        reward, iou, _ = positional_parts(
            pred, truth, alpha=options.alpha, beta=options.beta, proximity=options.proximity
        )
        return reward, iou

    def _known(self, values: Tensor, columns: dict[str, Any]) -> list[float | None]:
        target = columns[self.options.target]
        return [None if box is None else value for value, box in zip(values.tolist(), target, strict=True)]


class RSIoU(RSPositional):
    """The IoU of `rs_positional`, worth nothing itself: what the consistency weight is computed from.

    Args:
        options: of the plug-in.
        args: swift's own, for its `reward_weights`.

    Raises:
        ValueError: if swift would add the IoU to the reward.

    >>> from rsreward_swift.options import read_options
    >>> reward = RSIoU(read_options({"RSREWARD_SPACE": "qwen3-vl"}))
    >>> reward(["<answer>[0, 0, 500, 250]</answer>"], target=[[0, 0, 400, 400]], width=[800], height=[800])
    [0.5]
    """

    def __init__(self, options: Options, args: Any = None) -> None:
        super().__init__(options, args)
        if args is not None and not getattr(args, "reward_weights", None):
            raise ValueError(
                "rs_iou is there for the consistency weight alone: give --reward_weights with 0 in its place, such as "
                "--reward_funcs rs_positional rs_format rs_iou --reward_weights 1 1 0."
            )

    def __call__(self, completions: Sequence[Any], **columns: Any) -> list[float | None]:
        return self._known(self.parts(completions, columns)[1], columns)


REWARDS = {"rs_positional": RSPositional, "rs_format": RSFormat, "rs_iou": RSIoU}
