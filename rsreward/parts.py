"""The positional reward together with what it is made of, for trainers that log both."""

from torch import Tensor

from .boxes import iou
from .oriented import oriented_iou
from .positional import Proximity, gaussian_proximity


def positional_parts(
    pred: Tensor, target: Tensor, *, alpha: float = 2.5, beta: float = 0.1, proximity: Proximity = "center"
) -> tuple[Tensor, Tensor, Tensor]:
    """`positional_reward` to the bit, the IoU and the proximity K, without computing any of them twice.

        R = IoU + beta * K

    Args and errors as in `positional_reward`.

    Returns:
        R, IoU and K, `(...)` each.

    >>> import torch
    >>> reward, overlap, near = positional_parts(*torch.tensor([[[0.0, 0.0, 2.0, 1.0]], [[0.0, 0.0, 2.0, 2.0]]]))
    >>> reward, overlap
    (tensor([0.5980]), tensor([0.5000]))
    """
    overlap = (oriented_iou if target.shape[-1:] == (5,) else iou)(pred, target)
    near = gaussian_proximity(pred, target, alpha=alpha, over=proximity)
    return overlap + beta * near, overlap, near
