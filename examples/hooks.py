"""The consistency weight through the official advantage hooks of five more trainers.

Each function below has the arguments that its trainer gives, read in the trainer's source in August 2026, and has not
been run there. Copy the one you need. All of them call `weighted_advantages` and need the IoU of every rollout
(`rsreward.positional.positional_parts` gives it with the reward); where it stands is said at each.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from rsreward import consistency_weight_from_statistics


def weighted_advantages(rewards: Any, iou: Any, groups: Any, **weights: Any) -> Tensor:
    """Advantages that carry the consistency weight of their group, for groups of any sizes in any order.

        A_i = w(m, v) (r_i - mean of r over the group),    m, v: mean and variance of the group's IoUs

    Args:
        rewards, iou: N numbers each.
        groups: N names, one for all rollouts of a prompt.
        **weights: options of `rsreward.consistency_weight_from_statistics`.

    Returns:
        `(N,)`, float64.

    >>> weighted_advantages([0.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0], ["a", "a", "b", "b"])
    tensor([-1.1698,  1.1698,  0.0000,  0.0000], dtype=torch.float64)
    """
    rewards, iou = (torch.as_tensor(values, dtype=torch.float64) for values in (rewards, iou))
    which = torch.as_tensor(np.unique(np.asarray(groups), return_inverse=True)[1])

    def mean(values: Tensor) -> Tensor:
        return torch.bincount(which, values) / torch.bincount(which)

    m = mean(iou)
    v = mean((iou - m[which]).square())
    w = consistency_weight_from_statistics(m, v, **weights)
    advantages: Tensor = w[which] * (rewards - mean(rewards)[which])
    return advantages


def slime(args: Any, samples: list[Any]) -> tuple[list[float], list[float]]:
    """`--custom-reward-post-process-path hooks.slime`; a reward function that returns {"score": ..., "iou": ...} and
    `--reward-key score`. slime hands over whole groups, one after the other.
    """
    raw = [sample.get_reward_value(args) for sample in samples]
    groups = [i // args.n_samples_per_prompt for i in range(len(samples))]
    return raw, weighted_advantages(raw, [sample.reward["iou"] for sample in samples], groups).tolist()


def skyrl(token_level_rewards: Tensor, response_mask: Tensor, index: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    """`register_advantage_estimator("consistency")(skyrl)`, then `trainer.algorithm.advantage_estimator=consistency`.

    SkyRL gives an estimator nothing but the rewards, so the IoU must be the reward: beta = 0 and no format reward.
    """
    iou = token_level_rewards.sum(-1)
    advantages = weighted_advantages(iou, iou, index).to(token_level_rewards)[:, None] * response_mask
    return advantages, advantages


def rllm(rewards: list[Any], algorithm_config: Any, *, traj_groups: list[Any], **kwargs: Any) -> tuple[list[Any], Any]:
    """`register_rllm_adv_estimator("consistency")(rllm)`, then `rllm.algorithm.adv_estimator=consistency`.

    The reward function puts the IoU into `trajectory.signals["iou"]`.
    """
    advantages = [
        weighted_advantages(group, [t.signals["iou"] for t in trajectories.trajectories], [0] * len(group)).numpy()
        for group, trajectories in zip(rewards, traj_groups, strict=True)
    ]
    return advantages, advantages


class NemoRL:
    """`nemo_rl.algorithms.grpo.GRPOAdvantageEstimator = NemoRL` before `grpo_train`, with `adv_estimator.name=grpo`.

    The environment returns several named rewards, one of them the IoU, under "reward/iou".
    """

    def __init__(self, estimator_config: Any, loss_config: Any) -> None:
        pass

    def compute_advantage(
        self, prompt_ids: Tensor, rewards: Tensor, mask: Tensor, *, repeated_batch: Any, **kwargs: Any
    ) -> Tensor:
        groups = np.unique(prompt_ids.cpu().numpy(), axis=0, return_inverse=True)[1].ravel()
        advantages = weighted_advantages(rewards.cpu(), repeated_batch["reward/iou"].cpu(), groups)
        return advantages.to(rewards)[:, None].expand(mask.shape)


async def prime_rl(self: Any, episodes: list[Any], assign_advantages: Any) -> None:
    """The body of `score_group` of an `Algorithm` of prime-rl, which is registered in its `ALGORITHM_CLASSES`.

        class Consistency(Algorithm):
            async def score_group(self, episodes):
                await prime_rl(self, episodes, assign_advantages)

    A group is one call. The rubric has a metric "iou" of weight 0.
    """
    traces = [trace for episode in episodes for trace in episode.traces]
    iou = [trace.metrics["iou"] for trace in traces]
    advantages = weighted_advantages([trace.reward for trace in traces], iou, [0] * len(traces))
    for trace, advantage in zip(traces, advantages.tolist(), strict=True):
        assign_advantages(trace, advantage)
