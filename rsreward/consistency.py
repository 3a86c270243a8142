"""Spatial-consistency weights: hard or incoherent groups get larger updates (RSGround-R1, arXiv 2601.21634)."""

from math import inf
from typing import Any

import torch
from torch import Tensor

from . import kernels
from .boxes import fitting, paired
from .boxes import iou as iou_of
from .oriented import oriented_iou
from .paths import check_tensors

CHUNK = 2**16  # pairs of boxes at a time on the CPU


def group_statistics(iou: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population variance of the IoUs of each group; what is not finite counts as 0.

    Args:
        iou: `(..., G)`.

    Returns:
        Two tensors `(...)`.

    >>> group_statistics(torch.tensor([[0.0, 1.0, 0.0, 1.0], [0.5, 0.5, 0.5, 0.5]]))
    (tensor([0.5000, 0.5000]), tensor([0.2500, 0.0000]))
    """
    _check_rollouts(iou)
    iou = iou.to(torch.promote_types(iou.dtype, torch.float32)).nan_to_num(0, 0, 0).clamp(-1e6, 1e6)
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
    check_tensors(iou)
    _check(lambda_mean, lambda_var, clip)
    if kernels.usable(iou):
        _check_rollouts(iou)
        weight = kernels.group_weight(iou, lambda_mean, lambda_var, clip)
    else:
        mean, var = group_statistics(iou)
        weight = torch.exp(lambda_mean * (1 - mean) + lambda_var * var).clamp(*clip)
    if normalize:
        weight = _normalized(weight)
    return weight.to(iou.dtype) if iou.dtype.is_floating_point else weight


def consistency_weight_from_boxes(
    pred: Tensor,
    target: Tensor,
    *,
    lambda_mean: float = 1.2,
    lambda_var: float = 1.0,
    clip: tuple[float, float] = (0.5, 3.0),
    normalize: bool = False,
) -> Tensor:
    """The `consistency_weight` of each group of rollouts, from its boxes.

        w = consistency_weight(IoU(pred, target))

    On a GPU in one pass, without the IoUs in between.

    Args:
        pred: `(..., G, 4)` or `(..., G, 5)`, one box a rollout. What is no box has IoU 0.
        target: `(..., 4)` or `(..., 5)`, the true box of each group.
        lambda_mean, lambda_var, clip, normalize: as in `consistency_weight`.

    Returns:
        `(...)`, in the dtype of the boxes.

    Raises:
        ValueError: as `iou` and `consistency_weight`.

    One group of a miss and a hit, one of two hits:

    >>> target = torch.tensor([[0.0, 0.0, 2.0, 2.0], [4.0, 4.0, 6.0, 6.0]])
    >>> pred = torch.stack([target[[1, 0]], target[[1, 1]]])
    >>> consistency_weight_from_boxes(pred, target)
    tensor([2.3396, 1.0000])
    """
    _check(lambda_mean, lambda_var, clip)
    check_tensors(pred, target)
    if pred.dim() < 2 or target.dim() < 1 or pred.shape[-2] == 0:
        raise ValueError(
            f"needed are pred (..., G, 4), of at least one rollout a group, and target (..., 4), "
            f"got {tuple(pred.shape)} and {tuple(target.shape)}."
        )
    if pred.shape[-1] == 4 and kernels.usable(pred, target):
        pred, beside = fitting(pred, target.unsqueeze(-2))
        weight = kernels.group_weight_from_boxes(pred, beside.squeeze(-2), lambda_mean, lambda_var, clip)
        dtype = torch.promote_types(pred.dtype, target.dtype)
        return (_normalized(weight) if normalize else weight).to(dtype)
    overlap = (oriented_iou if pred.shape[-1] == 5 else iou_of)(pred, target.unsqueeze(-2))
    return consistency_weight(overlap, lambda_mean=lambda_mean, lambda_var=lambda_var, clip=clip, normalize=normalize)


def group_agreement(boxes: Tensor) -> Tensor:
    """How far each rollout agrees with the others of its group, in [0, 1]: its mean IoU with them. Needs no true box.

        a_i = 1 / (G - 1) * sum over j != i of IoU(b_i, b_j)

    Computed without a table of all pairs of all groups.

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
    check_tensors(boxes)
    if boxes.dim() < 2 or boxes.shape[-1] != 4 or boxes.shape[-2] == 0:
        raise ValueError(f"boxes need the shape (..., G, 4), G at least 1, got {tuple(boxes.shape)}.")
    if kernels.usable(boxes):
        return kernels.group_agreement(boxes)
    shape, size = boxes.shape[:-1], boxes.shape[-2]
    boxes, _, dtype = paired(boxes, boxes)
    groups, rollouts = boxes.reshape(-1, size, 4), torch.arange(size, device=boxes.device)
    if torch.compiler.is_compiling():  # which makes a sum of the table without writing it down
        total = _overlap_with_others(groups, rollouts)
    else:
        pairs = CHUNK if boxes.is_cpu else CHUNK * 256
        some = torch.split(rollouts, max(1, pairs // size))
        parts = torch.split(groups, max(1, pairs // size**2))
        total = torch.cat([torch.cat([_overlap_with_others(p, s) for s in some], -1) for p in parts])
    return (total / max(size - 1, 1)).view(shape).to(dtype)


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


def _check(lambda_mean: float, lambda_var: float, clip: tuple[float, float]) -> None:
    if not (hasattr(clip, "__len__") and len(clip) == 2 and 0 <= clip[0] <= clip[1] < inf):
        raise ValueError(f"clip must be (w_min, w_max) with 0 <= w_min <= w_max, got {clip}.")
    if not (-inf < lambda_mean < inf and -inf < lambda_var < inf):
        raise ValueError(f"lambda_mean and lambda_var must be finite, got {lambda_mean} and {lambda_var}.")


def _check_rollouts(iou: Tensor) -> None:
    if iou.dim() == 0 or iou.shape[-1] == 0:
        raise ValueError(
            f"iou needs groups of at least one rollout in its last dimension, got shape {tuple(iou.shape)}."
        )


def _overlap_with_others(groups: Tensor, rollouts: Tensor) -> Tensor:
    """The sum of the IoUs of these rollouts, of each of the groups `(B, G, 4)`, with the others of theirs."""
    overlap = iou_of(groups[:, rollouts, None], groups[:, None])
    own = rollouts[:, None] == torch.arange(groups.shape[1], device=groups.device)
    return overlap.masked_fill(own, 0).sum(-1)


def _normalized(weight: Tensor) -> Tensor:
    """Divided by the mean weight of all groups, where that is not 0 and there are any."""
    if not weight.numel():
        return weight
    average = weight.mean()
    return torch.where(average > 0, weight / average, weight)
