"""What functions refuse: what is not a tensor, shapes and columns that do not fit. And how messages show it."""

from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor


def shown(value: object, most: int = 100) -> str:
    """The beginning of a value as Python writes it, for messages.

    >>> shown([1, 2, 3], most=5), shown(10**5000)
    ('[1, 2', 'an int too deep or too long to show')
    """
    try:
        return f"{value!r:.{most}}"
    except (ValueError, RecursionError):  # thousands of digits, or of lists in lists
        return f"an {type(value).__name__} too deep or too long to show"


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


def as_column(values: Any, name: str, count: int) -> list[Any]:
    """A column of a batch, such as an array or a tensor, as a list.

    Raises:
        ValueError: naming the column, if it does not hold one value for each of `count` completions.
    """
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, str | dict) or not hasattr(values, "__len__"):
        raise ValueError(f"{name} must be a list with one value for each completion, got {type(values).__name__}.")
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} rows for {count} completions: give one value for each.")
    return list(values)


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
