"""The boxes of many answers as tensors in pixels."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from ..coordinates import Sizes, Space, oriented_to_pixels, space_named, to_pixels
from ..oriented import from_corners
from .parse import READ_AS, Answer, BoxKind, Select, boxes_of, check_texts, parse_answer, uncrossed


def parse_boxes(
    completions: Sequence[str | Answer],
    *,
    select: Select = "first",
    kind: BoxKind = "horizontal",
    space: str | Space = "pixel",
    width: Sizes = None,
    height: Sizes = None,
    think_in_prompt: bool = False,
) -> Tensor:
    """One box a completion, in pixels of the original image.

    Args:
        completions: N texts, or answers that `parse_answer` has read.
        select: which box of an answer with several: "first", "last", or "only" for none of them. Of 25 such answers to
            a question about one object the first box was right 15 times, the last 3.
        kind: "horizontal" or "oriented"; `parse_box_sets` says what each reads.
        space: the coordinate space the model answers in, see `coordinates`.
        width, height: sizes of the original images in pixels, N of each or one for all; not needed for "pixel". None: a
            size is unknown, and the row has no box.
        think_in_prompt: the chat template opened the think element in the prompt, see `parse_answer`.

    Returns:
        `(N, 4)`, float32, or `(N, 5)` for oriented boxes, float64 (float32 cannot hold a right angle). A row of NaN
        where there was no box to read.

    Raises:
        ValueError: if the space, the kind or the selection is unknown, or the space needs the image sizes.
        TypeError: if the completions are not a list of texts.

    >>> parse_boxes(["<answer>[10, 20, 30, 40]</answer>", "none"], space="qwen3-vl", width=500, height=800)
    tensor([[ 5., 16., 15., 32.],
            [nan, nan, nan, nan]])
    """
    _check_select(select)
    space = space_named(space)
    rows: list[tuple[float, ...]] = []
    for answer in _answers(completions, kind, think_in_prompt):
        boxes = _boxes(answer, kind, space)
        rows.append(_selected(boxes, select, len(answer.boxes) == 1 and "two-kinds" not in answer.problems))
    return _in_pixels(rows, kind, space, width, height)


def parse_box_sets(
    completions: Sequence[str | Answer],
    *,
    kind: BoxKind = "horizontal",
    space: str | Space = "pixel",
    width: Sizes = None,
    height: Sizes = None,
    think_in_prompt: bool = False,
) -> list[Tensor]:
    """All boxes of each completion, in pixels of the original image.

    Horizontal boxes are read from four numbers, and from five if the angle is 0. Oriented boxes are read from five, as
    the space's `five` says, from eight (four corners), and from four as boxes that are not turned. If an answer holds
    boxes of both kinds, those of the wanted kind are taken.

    Args and errors as in `parse_boxes`.

    Returns:
        N tensors `(n, 4)`, float32, or `(n, 5)`, float64. n is 0 if the answer is that there is nothing
        (`Answer.says_none`). One row of NaN if there was no answer, or none of this kind.

    >>> parse_box_sets(["[[1, 2, 3, 4], [5, 6, 7, 8]]", "none", "Sorry, I cannot help."])
    [tensor([[1., 2., 3., 4.],
            [5., 6., 7., 8.]]), tensor([], size=(0, 4)), tensor([[nan, nan, nan, nan]])]
    """
    space = space_named(space)
    sets = [
        () if answer.says_none else _boxes(answer, kind, space) or ((),)
        for answer in _answers(completions, kind, think_in_prompt)
    ]
    counts = [len(boxes) for boxes in sets]
    sizes = [_repeated(side, counts) for side in (width, height)]
    flat = _in_pixels([box for boxes in sets for box in boxes], kind, space, *sizes)
    return list(torch.split(flat, counts)) if counts else []


def parse_points(
    completions: Sequence[str | Answer],
    *,
    select: Select = "first",
    space: str | Space = "pixel",
    width: Sizes = None,
    height: Sizes = None,
    think_in_prompt: bool = False,
) -> Tensor:
    """One point a completion, in pixels of the original image.

    Read are `[x, y]`, `(x, y)`, `{"point_2d": [x, y]}`, `<point x="10" y="20">`, `<point>(x, y)</point>`. An answer
    with a box is not a point: four numbers, so also two points in one pair of brackets, are read as a box.

    Args and errors as in `parse_boxes`.

    Returns:
        `(N, 2)`, float32. A row of NaN where there was no point to read.

    >>> parse_points(['<point x="25" y="50">ship</point>', "[1, 2, 3, 4]"], space="norm100", width=400, height=200)
    tensor([[100., 100.],
            [ nan,  nan]])
    """
    _check_select(select)
    space = space_named(space)
    rows: list[tuple[float, ...]] = []
    for answer in _answers(completions, "horizontal", think_in_prompt):
        points = answer.boxes if answer.kind == "point" else ()
        point = _selected(points, select, len(points) == 1)
        named = answer.dialect == "point-tag" and space.order == "yx"  # its x and y are believed
        rows.append(2 * (point[::-1] if named else point))
    return _in_pixels(rows, "horizontal", space, width, height)[:, :2]


def _check_select(select: Select) -> None:
    if select not in ("first", "last", "only"):
        raise ValueError(f"select must be 'first', 'last' or 'only', got {select!r}.")


def _selected(found: tuple[tuple[float, ...], ...], select: Select, alone: bool) -> tuple[float, ...]:
    """The box or point that is taken; () for none."""
    return found[-1 if select == "last" else 0] if found and (select != "only" or alone) else ()


def check_kind(kind: BoxKind) -> None:
    if kind not in READ_AS:
        raise ValueError(f"kind must be 'horizontal' or 'oriented', got {kind!r}.")


def _answers(completions: Sequence[str | Answer], kind: BoxKind, think_in_prompt: bool) -> list[Answer]:
    check_kind(kind)
    check_texts(completions, read=True)
    return [parse_answer(each, think_in_prompt) if isinstance(each, str) else each for each in completions]


def _boxes(answer: Answer, kind: BoxKind, space: Space) -> tuple[tuple[float, ...], ...]:
    """The boxes of an answer that can be of this kind, in the order of the axes that the space has."""
    boxes = boxes_of(answer, kind)
    if not boxes and kind == "horizontal" and answer.kind == "oriented":
        boxes = tuple(_not_turned(box, space) for box in answer.boxes if box[4] % 180 == 0)
    if answer.dialect == "named-keys" and space.order == "yx":
        return tuple((y1, x1, y2, x2) for x1, y1, x2, y2 in boxes)
    return boxes


def _not_turned(box: tuple[float, ...], space: Space) -> tuple[float, ...]:
    """The four numbers of a box of five whose angle is 0."""
    x, y, w, h, _ = box
    return (x - w / 2, y - h / 2, x + w / 2, y + h / 2) if space.five == "le90" else box[:4]


def _in_pixels(rows: Sequence[tuple[float, ...]], kind: BoxKind, space: Space, width: Sizes, height: Sizes) -> Tensor:
    """Boxes as written, of 4, 5 or 8 numbers and empty ones, as `(N, 4)` or `(N, 5)` in pixels."""
    if kind == "horizontal":
        return to_pixels(_table(rows, 4), space, width, height).float()
    rows = [uncrossed(row) if len(row) == 8 else row for row in rows]
    table = _table(rows, 8)
    upright, quads = (to_pixels(half, space, width, height) for half in torch.split(table, 4, 1))
    low, high = torch.split(upright, 2, 1)
    boxes = torch.cat([(low + high) / 2, high - low, torch.zeros_like(low[:, :1])], 1)
    five, eight = (torch.tensor([len(row) == n for row in rows], dtype=torch.bool)[:, None] for n in (5, 8))
    boxes = torch.where(five, oriented_to_pixels(table[:, :5], space, width, height), boxes)
    boxes = torch.where(eight, from_corners(torch.cat([upright, quads], 1).view(-1, 4, 2)), boxes)
    missing = torch.tensor([not row for row in rows], dtype=torch.bool)[:, None]
    return torch.where(missing, torch.nan, boxes)


def _table(rows: Sequence[tuple[float, ...]], numbers: int) -> Tensor:
    """`(N, numbers)`, float64, of rows that may be shorter: NaN where they end."""
    missing = (torch.nan,) * numbers
    whole = [row if len(row) == numbers else row + missing[len(row) :] for row in rows]
    return torch.from_numpy(np.fromiter(chain.from_iterable(whole), np.float64)).view(-1, numbers)


def _repeated(side: Sizes, counts: Sequence[int]) -> Sizes:
    """Image sizes, one for each of the boxes of all images."""
    if side is None or isinstance(side, int | float) or (isinstance(side, Tensor) and side.dim() == 0):
        return side
    if len(side) != len(counts):
        raise ValueError(
            f"width and height must be one number, or one for each of {len(counts)} images, got {len(side)}."
        )
    return [value for value, count in zip(side, counts, strict=True) for _ in range(count)]
