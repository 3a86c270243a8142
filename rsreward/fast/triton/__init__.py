"""Fused CUDA forms of the plain functions, in Triton: one pass over the boxes, the same results.

Triton is imported with the first CUDA tensor, not before.
"""

import warnings
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

INSTALLED = find_spec("triton") is not None
PROXIMITIES = ("center", "region", "keypoints")  # that the kernels have


@cache
def runs_on(device: torch.device) -> bool:
    """Whether a kernel runs there, tried once: Triton needs a C compiler, Python's headers and a GPU that it knows."""
    box = torch.zeros(1, 4, device=device, dtype=torch.float32)
    try:
        iou(box, box)
    except Exception as error:
        warnings.warn(
            f"Triton cannot run kernels on {device}, so the plain formulas are taken there, which are slower. "
            f"{type(error).__name__}: {error}",
            stacklevel=4,
        )
        return False
    return True


def iou(pred: Tensor, target: Tensor) -> Tensor:
    """`boxes.iou`."""
    from .paired import paired

    return paired(pred, target, True, "none", 1.0, 0.0)


def gaussian_proximity(pred: Tensor, target: Tensor, *, alpha: float, over: str) -> Tensor | None:
    """`positional.gaussian_proximity` of horizontal boxes, but for the Wasserstein distance."""
    if target.shape[-1] == 5 or over not in PROXIMITIES:
        return None
    from .paired import paired

    return paired(pred, target, False, over, alpha, 1.0)


def positional_reward(pred: Tensor, target: Tensor, *, alpha: float, beta: float, proximity: str) -> Tensor | None:
    """`positional.positional_reward` where a kernel has it: not the Wasserstein distance, nor oriented regions."""
    if proximity not in PROXIMITIES:
        return None
    if target.shape[-1] == 4:
        from .paired import paired

        return paired(pred, target, True, proximity, alpha, beta)
    if proximity == "region":
        return None
    from .oriented import oriented

    return oriented(pred, target, proximity, alpha, beta)


def oriented_iou(pred: Tensor, target: Tensor) -> Tensor:
    """`oriented.oriented_iou`."""
    from .oriented import oriented

    return oriented(pred, target, "none", 1.0, 0.0)


def consistency_weight(iou: Tensor, *, lambda_mean: float, lambda_var: float, clip: tuple[float, float]) -> Tensor:
    """`consistency.consistency_weight`, float32, not normalized."""
    from .group import group_weight

    return group_weight(iou, lambda_mean, lambda_var, *clip)


def group_agreement(boxes: Tensor) -> Tensor:
    """`consistency.group_agreement`."""
    from .group import agreement

    return agreement(boxes)
