"""Fused CUDA forms of the plain functions, in Triton: one pass over the boxes, the same results.

Taken where `usable` says so; the plain formula is the reference and serves everything else. Triton is imported with
the first CUDA tensor, not before.
"""

import warnings
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.utils._python_dispatch import _get_current_dispatch_mode

from ..paths import only_values

_DEVICE = "cuda"
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_TRITON = find_spec("triton") is not None


def usable(*tensors: Tensor) -> bool:
    """Whether the kernels take these: on one GPU where Triton runs, float32 or half, no derivative or `vmap` asked for.

    A backward pass would have to compute the plain formula again, so with a gradient that is taken at once.
    """
    device = tensors[0].device
    return (
        device.type == _DEVICE
        and _TRITON
        and all(t.device == device and t.dtype in _DTYPES for t in tensors)
        and only_values(*tensors)
        and (torch.compiler.is_compiling() or _get_current_dispatch_mode() is not None or _launches(device))
    )


@cache
def _launches(device: torch.device) -> bool:
    """Whether a kernel runs there, tried once: Triton needs a C compiler, Python's headers and a GPU that it knows.

    Not asked for what is compiled or recorded, whose kernels run later.
    """
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


def gaussian_proximity(pred: Tensor, target: Tensor, alpha: float, over: str) -> Tensor:
    """`positional.gaussian_proximity` of horizontal boxes."""
    from .paired import paired

    return paired(pred, target, False, over, alpha, 1.0)


def positional_reward(pred: Tensor, target: Tensor, alpha: float, beta: float, proximity: str) -> Tensor:
    """`positional.positional_reward`; of oriented boxes not with the region's proximity."""
    from .oriented import oriented
    from .paired import paired

    if target.shape[-1] == 5:
        return oriented(pred, target, proximity, alpha, beta)
    return paired(pred, target, True, proximity, alpha, beta)


def oriented_iou(pred: Tensor, target: Tensor) -> Tensor:
    """`oriented.oriented_iou`."""
    from .oriented import oriented

    return oriented(pred, target, "none", 1.0, 0.0)


def group_weight(iou: Tensor, lambda_mean: float, lambda_var: float, clip: tuple[float, float]) -> Tensor:
    """`consistency.consistency_weight` without its normalisation, float32."""
    from .group import weight_from_iou

    return weight_from_iou(iou, lambda_mean, lambda_var, *clip)


def group_weight_from_boxes(
    pred: Tensor, target: Tensor, lambda_mean: float, lambda_var: float, clip: tuple[float, float]
) -> Tensor:
    """`consistency.consistency_weight_from_boxes` of horizontal boxes, without its normalisation, float32."""
    from .group import weight_from_boxes

    return weight_from_boxes(pred, target, lambda_mean, lambda_var, *clip)


def group_agreement(boxes: Tensor) -> Tensor:
    """`consistency.group_agreement`."""
    from .group import agreement

    return agreement(boxes)
