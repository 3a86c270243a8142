"""Spatial-consistency weights: hard or incoherent groups get larger updates (RSGround-R1, arXiv 2601.21634)."""

from math import inf
from typing import Any

import torch
from torch import Tensor


def group_statistics(iou: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population variance of the IoUs of each group; what is not finite counts as 0.

    Args:
        iou: `(..., G)`.

    Returns:
        Two tensors `(...)`.

    >>> group_statistics(torch.tensor([[0.0, 1.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]]))
    (tensor([0.5000, 0.5000]), tensor([0.2500, 0.0000]))
    """
    if iou.dim() == 0 or iou.shape[-1] == 0:
        raise ValueError(
            f"iou needs groups of at least one rollout in its last dimension, got shape {tuple(iou.shape)}."
        )
    iou = torch.where(iou.isfinite(), iou, 0).clamp(-1e6, 1e6).to(torch.promote_types(iou.dtype, torch.float32))
    mean = iou.mean(-1)
    return mean, (iou - mean.unsqueeze(-1)).square().mean(-1)


def consistency_weight(
    iou: Tensor,
    *,
    lambda_mean: float = 1.2,
    lambda_var: float = 1.0,
    clip: tuple[float, float] = (0.5, 3.0),
    normalize: bool = False,
) -> Tensor:
    """The weight of each group of rollouts.

        w = clip(exp(lambda_mean (1 - m) + lambda_var v), w_min, w_max)

    with mean m and population variance v of the group's IoUs. The paper's values are the defaults; with them w lies in
    [1, 3], so it also acts like a larger learning rate.

    Args:
        iou: `(..., G)`, the IoU rewards of the G rollouts of a query.
        clip: w_min and w_max.
        normalize: divide by the mean weight of all groups, which changes the emphasis and not the size of the step.

    Returns:
        `(...)`, in the dtype of `iou`.

    Raises:
        ValueError: if there is no group dimension or the clip bounds are not ordered.

    >>> consistency_weight(torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0]]))
    tensor([3.0000, 2.3396, 1.0000])
    """
    if not 0 <= clip[0] <= clip[1] < inf:
        raise ValueError(f"clip must be (w_min, w_max) with 0 <= w_min <= w_max, got {clip}.")
    if not (-inf < lambda_mean < inf and -inf < lambda_var < inf):
        raise ValueError(f"lambda_mean and lambda_var must be finite, got {lambda_mean} and {lambda_var}.")
    mean, var = group_statistics(iou)
    weight = torch.exp(lambda_mean * (1 - mean) + lambda_var * var).clamp(*clip)
    if normalize and weight.numel():
        average = weight.mean()
        weight = torch.where(average > 0, weight / average, weight)
    return weight.to(iou.dtype) if iou.dtype.is_floating_point else weight


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
        ValueError: if the shapes do not fit, or N is no multiple of the group size.

    >>> scale_advantages(torch.tensor([[-1.0, 1.0]]), torch.tensor([[0.0, 1.0]]))
    tensor([[-2.3396,  2.3396]])
    >>> scale_advantages(torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 1.0]), group_size=2)
    tensor([-2.3396,  2.3396])
    """
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
