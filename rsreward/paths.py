"""What all paths share: what is a tensor, which may take a path that gives values alone, and how shapes broadcast."""

from collections.abc import Callable
from itertools import zip_longest

import torch
from torch import Tensor
from torch.autograd import forward_ad

_is_wrapped: Callable[[Tensor], bool] = torch._C._functorch.is_functorch_wrapped_tensor


def check_tensors(*values: object) -> None:
    """Refuse what is no tensor.

    Raises:
        TypeError: naming what it is.
    """
    for value in values:
        if not isinstance(value, Tensor):
            raise TypeError(f"torch tensors are needed, got {type(value).__name__}: torch.as_tensor makes one.")


def only_values(*tensors: Tensor) -> bool:
    """Whether neither a derivative, backward or forward, nor `torch.vmap` is asked for."""
    backward, compiling = torch.is_grad_enabled(), torch.compiler.is_compiling()
    for each in tensors:
        if (backward and each.requires_grad) or (not compiling and _is_wrapped(each)):
            return False
    return forward_ad._current_level < 0


def broadcast(a: torch.Size, b: torch.Size) -> tuple[int, ...]:
    """As `torch.broadcast_shapes`, which imports sympy at its first call and takes longer than the arithmetic.

    Raises:
        ValueError: if they do not broadcast.
    """
    if a == b:
        return a
    sizes = []
    for x, y in zip_longest(reversed(a), reversed(b), fillvalue=1):
        if x != y and x != 1 and y != 1:
            raise ValueError(f"{tuple(a)} and {tuple(b)} do not broadcast.")
        sizes.append(y if x == 1 else x)
    return tuple(reversed(sizes))
