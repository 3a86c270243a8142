"""What a chunk of rows is worth: boxes, overlaps and rewards of each row, and the groups it belongs to."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any, TypeVar

import torch
from torch import Tensor

from rsreward import (
    CONVENTIONS,
    Answer,
    format_reward,
    grounding_columns,
    image_region,
    parse_answer,
    parse_box_sets,
    parse_boxes,
    positional_reward,
    set_metrics,
    set_reward,
    size_class,
)

from ..errors import InputError
from .rows import PLACES, Reader, Row

T = TypeVar("T")
SET_THRESHOLDS = CONVENTIONS["plain"].thresholds


@dataclass
class Scored:
    """A chunk of rows and what each is worth.

    Attributes:
        rows: N of them.
        answers: what was read of each.
        preds: the boxes used, `(n, 4)` or `(n, 5)` each, n = 0 where there is none.
        columns: `(N,)` each: what the rows add to the sums.
    """

    rows: list[Row]
    answers: list[Answer]
    preds: list[Tensor]
    columns: dict[str, Tensor]


def ratios_of(reader: Reader, several: bool) -> dict[str, tuple[str, str]]:
    """The metrics of rows with one box, or with several, as ratios of columns."""
    if not several:
        rewards = ("positional_reward", "format_reward")
        return CONVENTIONS[reader.convention].ratios | {name: (name, "rows") for name in rewards}
    if reader.convention != "plain" or set(reader.by) & set(PLACES):
        raise InputError("targets are lists of boxes: --convention, --by @size and --by @region are for one box a row.")
    ratios = {}
    for k in SET_THRESHOLDS:
        for name, divisor in (("precision", "predictions"), ("recall", "targets"), ("f1", "mean_boxes")):
            ratios[f"{name}@{k}"] = (f"hits@{k}", divisor)
    return (
        ratios | {name: (name, "rows") for name in ("set_reward", "format_reward")} | {"parse_rate": ("read", "rows")}
    )


def score_rows(rows: list[Row], reader: Reader) -> Scored:
    """Boxes, IoU and rewards of rows that all have one box, or all several."""
    several, kind = rows[0].several, reader.kind
    read = parse_box_sets if several else parse_boxes
    sized = [i for i, row in enumerate(rows) if row.width is not None]
    unsized = [i for i, row in enumerate(rows) if row.width is None]
    width, height = ([getattr(rows[i], side) for i in sized] for side in ("width", "height"))
    boxes = [
        *read([rows[i].completion for i in sized], kind=kind, space=reader.space, width=width, height=height),
        *read([rows[i].completion for i in unsized], kind=kind),
    ]
    preds = [box for _, box in sorted(zip([*sized, *unsized], boxes, strict=True), key=itemgetter(0))]
    targets = [torch.tensor(row.target, dtype=torch.float32).view(-1, preds[0].shape[-1]) for row in rows]
    answers = [parse_answer(row.completion) for row in rows]
    if several:
        return Scored(rows, answers, preds, _set_columns(rows, preds, targets))
    pred, target = torch.stack(preds), torch.cat(targets)
    sizes = {side: [getattr(row, side) for row in rows] for side in ("width", "height")}
    columns = grounding_columns(pred, target, convention=reader.convention, **sizes) | {
        "positional_reward": positional_reward(pred, target),
        "format_reward": format_reward([row.completion for row in rows], kind=kind),
    }
    return Scored(rows, answers, [p[None][: int(ok)] for p, ok in zip(preds, columns["read"], strict=True)], columns)


def _set_columns(rows: list[Row], preds: list[Tensor], targets: list[Tensor]) -> dict[str, Tensor]:
    counts = [
        set_metrics([pred], [target], thresholds=SET_THRESHOLDS) for pred, target in zip(preds, targets, strict=True)
    ]
    names = ("predictions", "targets", *(f"hits@{k}" for k in SET_THRESHOLDS))
    columns = {name: torch.tensor([count[name] for count in counts]) for name in names}
    return columns | {
        "mean_boxes": (columns["predictions"] + columns["targets"]) / 2,
        "read": (columns["predictions"] > 0) | (columns["targets"] == 0),
        "set_reward": set_reward(preds, targets),
        "format_reward": format_reward([row.completion for row in rows], require_box=False),
    }


def clusters_of(rows: list[Row], known: dict[str, int]) -> Tensor | None:
    """The number of each row's cluster; None where rows have none."""
    clusters = [row.cluster for row in rows if row.cluster is not None]
    return numbered(clusters, known) if clusters else None


def numbered(values: Iterable[T], known: dict[T, int]) -> Tensor:
    """The number of each value, in the order in which they are first met; `known` has those met before."""
    return torch.tensor([known.setdefault(value, len(known)) for value in values], dtype=torch.long)


def members_of(rows: list[Row], by: Sequence[str]) -> dict[str, list[int]]:
    """The rows of each group: its name is the value, or "field=value" where there are several fields."""
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(by):
        for member, value in enumerate(_values(rows, i, name)):
            groups.setdefault(f"{name}={value}" if len(by) > 1 else str(value), []).append(member)
    return groups


def _values(rows: list[Row], i: int, name: str) -> Sequence[Any]:
    """The value that each row has for the i-th field to group by."""
    if name not in PLACES:
        return [row.groups[i] for row in rows]
    target = torch.tensor([row.target[0] for row in rows])
    if name == "@size":
        return size_class(target)
    return image_region(target, [row.width for row in rows], [row.height for row in rows])
