"""Columns of true boxes as tensors."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ..answers import BoxKind
from ..checks import shown
from .read import FORMS, Truth, TruthError, read_truth

_NUMBERS = {"horizontal": 4, "oriented": 5}
Column = Sequence[Any] | None


def target_boxes(
    column: Sequence[Any], kind: BoxKind, name: str, *, width: Column = None, height: Column = None, **reading: Any
) -> Tensor:
    """A column with one true box in each row.

    Args:
        column: N values, each as `read_truth` takes it, or None.
        kind: as in `read_truth`.
        name: what the column is called in messages, such as "iou: the column 'target'".
        width, height: columns of the sizes of the original images, where the space needs them.
        **reading: `format` and `space`, as in `read_truth`.

    Returns:
        `(N, 4)`, float32, or `(N, 5)`, float64 (float32 cannot hold a right angle); a row of NaN for None.

    Raises:
        TruthError: naming the first row that does not hold one box with an area. No answer can match a box without.

    >>> target_boxes([[0, 0, 2, 1], None], "horizontal", "the column 'target'")
    tensor([[0., 0., 2., 1.],
            [nan, nan, nan, nan]])
    """
    rows = []
    for row, truth in _rows(column, width, height, f"{name} must hold finite boxes {FORMS[kind]}", kind, reading):
        if truth is not None and len(truth.boxes) != 1:
            raise TruthError(f"{name} must hold one box a row, and row {row} of this batch holds {len(truth.boxes)}.")
        rows.append([torch.nan] * _NUMBERS[kind] if truth is None else truth.boxes[0])
    return _table(rows, kind)


def target_sets(
    column: Sequence[Any], kind: BoxKind, name: str, *, width: Column = None, height: Column = None, **reading: Any
) -> list[Tensor | None]:
    """A column of lists of true boxes. None stays None. An empty list says that there is nothing to find.

    Args and errors as in `target_boxes`.

    Returns:
        N tensors `(n, 4)`, float32, or `(n, 5)`, float64, or None.

    >>> target_sets([[[0, 0, 2, 1]], [], None], "horizontal", "the column 'target'")
    [tensor([[0., 0., 2., 1.]]), tensor([], size=(0, 4)), None]
    """
    form = f"{name} must hold lists of finite boxes {FORMS[kind]}"
    sets: list[Tensor | None] = []
    for row, truth in _rows(column, width, height, form, kind, reading):
        if truth is not None and not truth.several and not isinstance(column[row], str):
            raise TruthError(f"{form}, or None, and row {row} of this batch holds one box, {shown(column[row])}.")
        sets.append(None if truth is None else _table(truth.boxes, kind))
    return sets


def check_area(truth: Truth) -> None:
    """Refuse true boxes without area.

    Raises:
        TruthError: naming the box.
    """
    for box in truth.boxes:
        sides = (box[2] - box[0], box[3] - box[1]) if truth.kind == "horizontal" else box[2:4]
        if min(sides) <= 0:
            raise TruthError(f"the box {box} has no area, so no answer can meet it: correct it or leave the row out.")


def as_tensor(truth: Truth) -> Tensor:
    """The boxes of a truth as `(n, 4)`, float32, or `(n, 5)`, float64."""
    return _table(truth.boxes, truth.kind)


def _table(rows: list[list[float]], kind: BoxKind) -> Tensor:
    dtype = torch.float32 if kind == "horizontal" else torch.float64
    return torch.tensor(rows, dtype=dtype).view(-1, _NUMBERS[kind])


def _rows(
    column: Sequence[Any], width: Column, height: Column, form: str, kind: BoxKind, reading: dict[str, Any]
) -> Iterator[tuple[int, Truth | None]]:
    sizes = [[None] * len(column) if side is None else side for side in (width, height)]
    for row, (value, w, h) in enumerate(zip(column, *sizes, strict=True)):
        truth = None
        if value is not None:
            try:
                truth = read_truth(value, kind=kind, width=w, height=h, **reading)
                check_area(truth)
            except ValueError as error:
                raise TruthError(f"{form}, or None, and row {row} of this batch does not: {error}") from None
        yield row, truth
