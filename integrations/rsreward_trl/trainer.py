"""The spatial-consistency weight inside TRL's GRPOTrainer.

TRL has no hook for advantages. Two methods are wrapped: after `_calculate_rewards` the IoU of every rollout is gathered
from all processes, so that groups are whole; after `_generate_and_score_completions` the advantages of this process are
multiplied by the weight of their group, as are those that TRL has logged. Both names and signatures stand from TRL
0.20 to 1.16.
"""

import inspect
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import gather
from torch import Tensor
from trl import GRPOTrainer

from rsreward import consistency_weight, group_statistics

from .rewards import BoxReward

_WRAPPED = {
    "_calculate_rewards": ["inputs", "prompts", "completions", "completion_ids_list"],
    "_generate_and_score_completions": ["inputs"],
}


class SpatialConsistencyMixin:
    """Put before a GRPO trainer: `class MyTrainer(SpatialConsistencyMixin, GMPOTrainer): ...`.

    Args:
        consistency: options of `rsreward.consistency_weight`, such as `{"normalize": True}`.

    All other arguments are the trainer's own.
    """

    def __init__(self, *args: Any, consistency: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        attach_spatial_consistency(self, **(consistency or {}))


class SpatialConsistencyGRPOTrainer(SpatialConsistencyMixin, GRPOTrainer):
    """TRL's GRPOTrainer whose advantages carry the weight of their group.

    Takes what GRPOTrainer takes, and `consistency`, the options of `rsreward.consistency_weight`. One of its
    `reward_funcs` must be made by `as_reward_func` from a reward of boxes: the IoUs come from there.
    """


def attach_spatial_consistency(trainer: Any, **weights: Any) -> None:
    """Give a GRPO trainer that is built already the spatial-consistency weight.

        A'_i = w(group of i) A_i,    w = consistency_weight(IoUs of the group, **weights)

    It works with every `scale_rewards`, `loss_type` and `multi_objective_aggregation`, since it comes after the
    advantages and before the loss. With a KL coefficient (`beta` above 0) the KL term is not weighted. Groups that
    hold a row without a target keep weight 1.

    Among TRL's metrics stand then the mean weight, IoU and variance (`consistency/...`) and the seconds that a batch of
    rollouts costs beside its generation (`rsreward/rewards_time` for all reward functions, `gather_time`,
    `weight_time`), to be held against TRL's `step_time`.

    Raises:
        TypeError: if the trainer lacks the two methods, or they have other parameters than TRL 1.x gives them.
        ValueError: if no reward function knows the IoU, its columns are missing from the trainer's `train_dataset`, the
            options are wrong, or the trainer has the weight already.
    """
    for name, expected in _WRAPPED.items():
        method = getattr(trainer, name, None)
        found = list(inspect.signature(method).parameters) if method else None
        if found != expected:
            what = "does not exist" if found is None else f"takes ({', '.join(found)})"
            raise TypeError(
                f"the consistency weight wraps {type(trainer).__name__}.{name}({', '.join(expected)}), which {what} "
                "here: use trl >= 1.0, < 2, and report it if that is what you have."
            )
    if getattr(trainer, "_has_spatial_consistency", False):
        raise ValueError("this trainer has the consistency weight already: attach it once.")
    consistency_weight(torch.zeros(1, 1), **weights)  # options are checked now, not after the first generation
    rewards = [r for r in trainer.reward_funcs if isinstance(r, BoxReward)]
    if not rewards:
        raise ValueError(
            "the consistency weight needs the IoU of every rollout: make one of reward_funcs with "
            "as_reward_func(positional_reward, ...)."
        )
    _check_columns(getattr(trainer, "train_dataset", None), rewards)
    calculate_rewards = trainer._calculate_rewards
    generate_and_score = trainer._generate_and_score_completions
    ious = torch.empty(0)

    def with_ious(inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        nonlocal ious
        with _timed(trainer, "rewards"):
            scores: Tensor = calculate_rewards(inputs, prompts, completions, completion_ids_list)
        with _timed(trainer, "gather"):
            columns = {c: [row[c] for row in inputs] for c in ("target", "width", "height") if c in inputs[0]}
            ious = gather(rewards[0].ious(completions, **columns).to(trainer.accelerator.device))
        return scores

    def with_weights(inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = generate_and_score(inputs)
        with _timed(trainer, "weight"):
            weigh(output)
        return output

    def weigh(output: dict[str, Any]) -> None:
        mode = _mode(trainer)
        groups = ious.view(-1, trainer.num_generations if mode == "train" else trainer.num_generations_eval)
        known = ~groups.isnan().any(-1)
        weight = torch.ones_like(groups[:, 0])
        weight[known] = consistency_weight(groups[known], **weights)
        _log(trainer._metrics[mode], groups[known], weight[known])
        each = weight.repeat_interleave(groups.shape[1])
        _rescale_logged(trainer._logs["advantages"], each.tolist())
        advantages = output["advantages"]
        start = trainer.accelerator.process_index * len(advantages)
        local = each[start : start + len(advantages)].to(advantages)
        output["advantages"] = advantages * local.view(-1, *[1] * (advantages.dim() - 1))

    trainer._has_spatial_consistency = True
    trainer._calculate_rewards = with_ious
    trainer._generate_and_score_completions = with_weights


def _check_columns(dataset: Any, rewards: list[BoxReward]) -> None:
    """Refuse a dataset whose first row lacks what the rewards read; one that is only streamed shows it later."""
    try:
        row = dataset[0]
    except (TypeError, LookupError, NotImplementedError):
        return
    for reward in rewards if isinstance(row, dict) else ():
        missing = [name for name in reward.columns if name not in row]
        if missing:
            raise ValueError(
                f"{reward.__name__} in the space {reward.space.name!r} needs the columns {', '.join(missing)} of "
                f"train_dataset, which has {', '.join(row)}: add them."
            )


def _mode(trainer: Any) -> str:
    return "train" if trainer.model.training else "eval"


@contextmanager
def _timed(trainer: Any, name: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    trainer._metrics[_mode(trainer)][f"rsreward/{name}_time"].append(time.perf_counter() - start)


def _log(metrics: Any, groups: Tensor, weight: Tensor) -> None:
    if len(groups):
        mean, var = group_statistics(groups)
        for name, value in (("weight_mean", weight), ("iou_mean", mean), ("iou_var", var)):
            metrics[f"consistency/{name}"].append(value.mean().item())


def _rescale_logged(logged: Any, weight: list[float]) -> None:
    """Multiply the newest entries of TRL's log of advantages, a deque that may be shorter than a batch."""
    kept = min(len(logged), len(weight))
    newest = [logged.pop() for _ in range(kept)][::-1]
    logged.extend(a * w for a, w in zip(newest, weight[len(weight) - kept :], strict=True))
