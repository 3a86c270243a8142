"""What TRL hands to reward functions, as the core takes it: texts of completions, boxes of the target column."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor

from rsreward.answers import BoxKind

Column = Sequence[Any] | None
LARGEST = 1e30  # of a coordinate, as for answers
FORMS = {"horizontal": "[x1, y1, x2, y2] with x1 <= x2 and y1 <= y2", "oriented": "[cx, cy, w, h, angle in radians]"}


def completion_text(completion: Any) -> str:
    """The text of a completion: a string, or a list of messages as TRL gives it for chats.

    Reasoning that a response parser has put in a field of its own comes back in its `<think>` element.

    Raises:
        ValueError: if it is neither.

    >>> completion_text([{"role": "assistant", "content": [{"type": "text", "text": "[1, 2, 3, 4]"}]}])
    '[1, 2, 3, 4]'
    """
    if isinstance(completion, str):
        return completion
    if not isinstance(completion, list) or not all(isinstance(message, dict) for message in completion):
        raise ValueError(f"a completion must be a text or a list of chat messages, got {completion!r:.100}.")
    return "".join(map(_message_text, completion))


def _message_text(message: dict[str, Any]) -> str:
    thought = message.get("reasoning_content") or message.get("thinking")
    content = message.get("content") or ""
    parts = [content] if isinstance(content, str) else content if _is_list(content) else [None]
    texts: list[Any] = [part.get("text") or "" if isinstance(part, dict) else part for part in parts]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"the content of a chat message must be a text or a list of parts, got {content!r:.100}.")
    return (f"<think>{thought}</think>" if thought else "") + "".join(texts)


def check_lengths(completions: Sequence[Any], name: str, **columns: Column) -> None:
    """Refuse columns that have not one value for each completion.

    Raises:
        ValueError: naming the reward and the column.
    """
    for column, values in columns.items():
        if values is not None and len(values) != len(completions):
            raise ValueError(
                f"{name}: the column {column!r} has {len(values)} rows for {len(completions)} completions: "
                f"give one value for each."
            )


def target_boxes(column: Column, kind: BoxKind, name: str) -> Tensor:
    """A column of one box a row as `(N, 4)` or `(N, 5)`, rows of NaN for None.

    Raises:
        ValueError: naming the reward, the column and the row that is wrong.
    """
    numbers = 4 if kind == "horizontal" else 5
    rows = []
    for row, box in enumerate(_present(column, name)):
        values = [torch.nan] * numbers if box is None else box_numbers(box, kind)
        if not values:
            raise ValueError(
                f"{name}: the column 'target' must hold finite boxes {FORMS[kind]}, or None, "
                f"and row {row} of this batch holds {box!r}."
            )
        rows.append(values)
    return torch.tensor(rows, dtype=torch.float32).view(-1, numbers)


def target_sets(column: Column, kind: BoxKind, name: str) -> list[Tensor | None]:
    """A column of lists of boxes as tensors `(n, 4)` or `(n, 5)`; None stays None, an empty list is no object.

    Raises:
        ValueError: naming the reward, the column and the row that is wrong.
    """
    sets: list[Tensor | None] = []
    for row, boxes in enumerate(_present(column, name)):
        if boxes is None:
            sets.append(None)
            continue
        values = [box_numbers(box, kind) for box in boxes] if _is_list(boxes) else [[]]
        if not all(values):
            raise ValueError(
                f"{name}: the column 'target' must hold lists of finite boxes {FORMS[kind]}, or None, "
                f"and row {row} of this batch holds {boxes!r}."
            )
        sets.append(torch.tensor(values, dtype=torch.float32).view(-1, 4 if kind == "horizontal" else 5))
    return sets


def _is_list(value: Any) -> bool:
    return isinstance(value, Iterable) and not isinstance(value, str | dict)


def _present(column: Column, name: str) -> Sequence[Any]:
    if column is None:
        raise ValueError(f"{name} needs the column 'target' with the true box of each row: add it to the dataset.")
    return column


def box_numbers(box: Any, kind: BoxKind) -> list[float]:
    """The numbers of a true box; empty if it is none of this kind.

    >>> box_numbers([1, 2, 3, 4], "horizontal"), box_numbers([3, 2, 1, 4], "horizontal")
    ([1.0, 2.0, 3.0, 4.0], [])
    """
    try:
        values = [] if isinstance(box, str) else [float(v) for v in box]
    except (TypeError, ValueError, OverflowError):
        return []
    if len(values) != (4 if kind == "horizontal" else 5) or not all(abs(v) <= LARGEST for v in values):
        return []
    sides = (values[2] - values[0], values[3] - values[1]) if kind == "horizontal" else values[2:4]
    return values if min(sides) >= 0 else []
