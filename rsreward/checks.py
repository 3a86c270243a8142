"""What every function refuses: what is not a tensor, and shapes that do not fit."""

from itertools import zip_longest

import torch
from torch import Tensor


def check_tensors(*values: object) -> None:
    """Refuse what is not a tensor.

    Raises:
        TypeError: naming what it is.
    """
    for value in values:
        if not isinstance(value, Tensor):
            raise TypeError(f"torch tensors are needed, got {type(value).__name__}: torch.as_tensor makes one.")


def check_pair(pred: Tensor, target: Tensor, numbers: int = 4) -> None:
    """Refuse boxes that cannot be compared row by row.

    Raises:
        ValueError: if a last dimension is not `numbers`, or the leading ones do not broadcast.
    """
    p, t = pred.shape, target.shape
    if p[-1:] != (numbers,) or t[-1:] != (numbers,):
        raise ValueError(
            f"pred and target need {numbers} numbers a box in their last dimension, "
            f"got shapes {tuple(p)} and {tuple(t)}."
        )
    try:
        broadcast(p, t)
    except ValueError:
        raise ValueError(
            f"pred and target are compared row by row, but their shapes {tuple(p)} and {tuple(t)} do not broadcast."
        ) from None


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
