"""Which tensors may take a path that is faster than the plain formulas and gives values alone."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.autograd import forward_ad

_is_wrapped: Callable[[Tensor], bool] = torch._C._functorch.is_functorch_wrapped_tensor


def only_values(*tensors: Tensor) -> bool:
    """Whether neither a derivative, backward or forward, nor `torch.vmap` is asked for."""
    if torch.is_grad_enabled() and any(t.requires_grad for t in tensors):
        return False
    return forward_ad._current_level < 0 and (torch.compiler.is_compiling() or not any(map(_is_wrapped, tensors)))
