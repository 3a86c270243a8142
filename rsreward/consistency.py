"""Spatial-consistency weights: hard or incoherent groups get larger updates (RSGround-R1, arXiv 2601.21634)."""

from math import inf
from typing import Any

import torch
from torch import Tensor

from .boxes import pairwise_iou
from .checks import check_tensors
from .dispatch import fast
from .fast import triton


def group_statistics(iou: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population variance of the IoUs of each group; what is not finite counts as 0.

    Args:
        iou: `(..., G)`.

    Returns:
        Two tensors `(...)`.

    >>> group_statistics(torch.tensor([[0.0, 1.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]]))
    (tensor([0.5000, 0.5000]), tensor([0.2500, 0.0000]))
    """
    check_tensors(iou)
    _check_rollouts(iou)
    iou = iou.to(torch.promote_types(iou.dtype, torch.float32)).nan_to_num(0, 0, 0).clamp_(-1e6, 1e6)
    mean = iou.mean(-1)
    return mean, (iou - mean.unsqueeze(-1)).square().mean(-1)


def consistency_weight_from_statistics(
    mean: Tensor,
    var: Tensor,
    *,
    lambda_mean: float = 1.2,
    lambda_var: float = 1.0,
    clip: tuple[float, float] = (0.5, 3.0),
    normalize: bool = False,
) -> Tensor:
    """The weight of each group of rollouts, from the mean m and the population variance v of its IoUs.

        w = clip(exp(lambda_mean (1 - m) + lambda_var v), w_min, w_max)

    The paper's values are the defaults; with them w lies in [1, 3], so it also acts like a larger learning rate.

    Args:
        mean, var: `(...)`, of each group, see `group_statistics`.
        clip: w_min and w_max.
        normalize: divide by the mean weight of all groups, which changes the emphasis and not the size of the step.

    Returns:
        `(...)`, in the dtype of the statistics.

    Raises:
        ValueError: if the clip bounds are not ordered or a lambda is not finite.

    >>> consistency_weight_from_statistics(torch.tensor([0.0, 0.5, 1.0]), torch.tensor([0.0, 0.25, 0.0]))
    tensor([3.0000, 2.3396, 1.0000])
    """
    check_tensors(mean, var)
    _check_options(lambda_mean, lambda_var, clip)
    weight = torch.exp(lambda_mean * (1 - mean) + lambda_var * var).clamp(*clip)
    return normalized(weight) if normalize else weight


def normalized(weight: Tensor) -> Tensor:
    """Divided by the mean weight of all groups, where that is not 0 and there are any."""
    if weight.numel() == 0:  # its truth value would be another graph for each batch size in torch 2.5 and 2.6
        return weight
    average = weight.mean()
    return torch.where(average > 0, weight / average, weight)


def _check_weight(
    iou: Tensor, *, lambda_mean: float, lambda_var: float, clip: tuple[float, float], normalize: bool
) -> None:
    _check_options(lambda_mean, lambda_var, clip)
    _check_rollouts(iou)


def _weight_in_triton(iou: Tensor, *, normalize: bool, **options: Any) -> Tensor:
    weight = triton.consistency_weight(iou, **options)
    return normalized(weight) if normalize else weight


@fast(_check_weight, cuda=_weight_in_triton)
def consistency_weight(
    iou: Tensor,
    *,
    lambda_mean: float = 1.2,
    lambda_var: float = 1.0,
    clip: tuple[float, float] = (0.5, 3.0),
    normalize: bool = False,
) -> Tensor:
    """The weight of each group of rollouts: `consistency_weight_from_statistics` of its `group_statistics`.

    Args:
        iou: `(..., G)`, the IoU rewards of the G rollouts of a query.
        lambda_mean, lambda_var, clip, normalize: as in `consistency_weight_from_statistics`.

    Returns:
        `(...)`, in the dtype of `iou`.

    Raises:
        ValueError: if there is no group dimension or the clip bounds are not ordered.

    >>> consistency_weight(torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    tensor([3.0000, 2.3396, 1.0000])
    """
    mean, var = group_statistics(iou)
    return consistency_weight_from_statistics(
        mean, var, lambda_mean=lambda_mean, lambda_var=lambda_var, clip=clip, normalize=normalize
    )


def _check_groups(boxes: Tensor) -> None:
    if boxes.dim() < 2 or boxes.shape[-1] != 4 or boxes.shape[-2] == 0:
        raise ValueError(f"boxes need the shape (..., G, 4), G at least 1, got {tuple(boxes.shape)}.")


@fast(_check_groups, cuda=triton.group_agreement)
def group_agreement(boxes: Tensor) -> Tensor:
    """How far each rollout agrees with the others of its group, in [0, 1]: its mean IoU with them. Needs no true box.

        a_i = 1 / (G - 1) * sum over j != i of IoU(b_i, b_j)

    On CUDA, without a derivative, it is computed without a table of all pairs of all groups.

    Args:
        boxes: `(..., G, 4)`, one box a rollout. What is no box, or has no area, overlaps nothing, so it scores 0 and
            counts as 0 for the others.

    Returns:
        `(..., G)`, in the dtype of the boxes. 0 for G = 1, where there is no one to agree with.

    Raises:
        ValueError: if the shape does not fit or there is no rollout.

    Two rollouts that agree, one elsewhere, one without a box:

    >>> box, other = [0.0, 0.0, 2.0, 2.0], [8.0, 8.0, 9.0, 9.0]
    >>> group_agreement(torch.tensor([box, box, other, [torch.nan] * 4]))
    tensor([0.3333, 0.3333, 0.0000, 0.0000])
    """
    size = boxes.shape[-2]
    own = torch.eye(size, dtype=torch.bool, device=boxes.device)
    return pairwise_iou(boxes, boxes).masked_fill(own, 0).sum(-1) / max(size - 1, 1)


def scale_advantages(advantages: Tensor, iou: Tensor, *, group_size: int | None = None, **weights: Any) -> Tensor:
    """Multiply the advantages of every group by its `consistency_weight`.

        A'_i = w(group of i) A_i

    Where the KL coefficient is 0 this is the paper's `w L_GRPO`.

    Args:
        advantages: grouped, `(..., G)` or per token `(..., G, T)`; or, with `group_size`, flat `(N,)` or `(N, T)` with
            the rollouts of a group next to each other.
        iou: one IoU a rollout, `(..., G)`; with `group_size` `(N,)`.
        group_size: G, for flat tensors.
        **weights: passed on to `consistency_weight`.

    Returns:
        As `advantages`.

    Raises:
        ValueError: if the shapes do not fit, or N is not a multiple of the group size.

    >>> scale_advantages(torch.tensor([[-1.0, 1.0]]), torch.tensor([[0.0, 1.0]]))
    tensor([[-2.3396,  2.3396]])
    >>> scale_advantages(torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 1.0]), group_size=2)
    tensor([-2.3396,  2.3396])
    """
    check_tensors(advantages, iou)
    if group_size is None:
        weight = consistency_weight(iou, **weights).unsqueeze(-1).expand(iou.shape)
    else:
        if iou.dim() != 1 or group_size < 1 or len(iou) % group_size:
            raise ValueError(
                f"with group_size={group_size} iou must be (N,) with N a multiple of it, got shape {tuple(iou.shape)}."
            )
        weight = consistency_weight(iou.view(-1, group_size), **weights).repeat_interleave(group_size)
    if advantages.shape == iou.shape:
        return advantages * weight.to(advantages)
    if advantages.shape[:-1] == iou.shape:
        return advantages * weight.to(advantages).unsqueeze(-1)
    raise ValueError(
        f"advantages must have the shape of iou, {tuple(iou.shape)}, or one dimension of tokens more, "
        f"got {tuple(advantages.shape)}."
    )


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


def _check_options(lambda_mean: float, lambda_var: float, clip: tuple[float, float]) -> None:
    if not (hasattr(clip, "__len__") and len(clip) == 2 and 0 <= clip[0] <= clip[1] < inf):
        raise ValueError(f"clip must be (w_min, w_max) with 0 <= w_min <= w_max, got {clip}.")
    if not (-inf < lambda_mean < inf and -inf < lambda_var < inf):
        raise ValueError(f"lambda_mean and lambda_var must be finite, got {lambda_mean} and {lambda_var}.")


def _check_rollouts(iou: Tensor) -> None:
    if iou.dim() == 0 or iou.shape[-1] == 0:
        raise ValueError(
            f"iou needs groups of at least one rollout in its last dimension, got shape {tuple(iou.shape)}."
        )
