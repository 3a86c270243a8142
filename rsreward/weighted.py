"""The spatial-consistency weight for trainers that have no place for it: in the rewards."""

from typing import Any

from torch import Tensor

from .consistency import scale_advantages


def weighted_rewards(
    rewards: Tensor, iou: Tensor, *, scale_rewards: str | bool, group_size: int | None = None, **weights: Any
) -> Tensor:
    """Rewards whose advantages carry the `consistency_weight` of their group.

        R'_i = w R_i,    so that    R'_i - mean(R') = w (R_i - mean(R))

    The same holds where the mean leaves the rollout itself out (RLOO). It holds only for trainers that do not divide by
    the deviation of the rewards: that would divide the weight out again. The rewards must be all that the trainer adds
    up: one weighted sum, not one of several reward functions.

    Args:
        rewards: grouped, `(..., G)`; or, with `group_size`, flat `(N,)`, the rollouts of a group next to each other.
        iou: one IoU a rollout, of the same shape.
        scale_rewards: the trainer's setting of that name, as TRL and ms-swift have it: "none" or False.
        group_size: G, for flat tensors.
        **weights: options of `consistency_weight`.

    Returns:
        As `rewards`.

    Raises:
        ValueError: if the trainer divides by the deviation, or the shapes do not fit.

    >>> import torch
    >>> weighted_rewards(torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.0]]), scale_rewards="none")
    tensor([[0.0000, 2.3396]])
    """
    if scale_rewards not in ("none", False):
        raise ValueError(
            f"with scale_rewards={scale_rewards!r} the trainer divides by the deviation of the rewards, which divides "
            f"the weight out again: set it to 'none' (False in older trainers), or weight the advantages."
        )
    if rewards.shape != iou.shape:
        raise ValueError(f"rewards and iou must have one shape, got {tuple(rewards.shape)} and {tuple(iou.shape)}.")
    return scale_advantages(rewards, iou, group_size=group_size, **weights)
