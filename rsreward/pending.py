"""A STAND-IN UNTIL THE MERGE: `rsreward.consistency_weight_from_statistics`. Delete this file then."""

import torch
from torch import Tensor

from .consistency import _check, _normalized


def consistency_weight_from_statistics(
    mean: Tensor,
    var: Tensor,
    *,
    lambda_mean: float = 1.2,
    lambda_var: float = 1.0,
    clip: tuple[float, float] = (0.5, 3.0),
    normalize: bool = False,
) -> Tensor:
    _check(lambda_mean, lambda_var, clip)
    weight = torch.exp(lambda_mean * (1 - mean) + lambda_var * var).clamp(*clip)
    return _normalized(weight) if normalize else weight
