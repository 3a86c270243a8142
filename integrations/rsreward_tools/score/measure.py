"""What a chunk of rows is worth: boxes, overlaps and rewards of each row, and the groups it belongs to."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from math import isfinite, nan
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
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
from rsreward.frame import FrameCheck
from rsreward.polygons import hull_of_oriented
from rsreward.watch import Signs, covers_image, first_boxes

from ..errors import InputError
from .options import FROM_TARGET, Options
from .records import Record
from .rows import Broken, Row, read_rows

T = TypeVar("T")
Columns = dict[str, NDArray[Any]]
LOOKED_AT = 32  # rows of a chunk whose image files are opened for their sizes


class Scored(NamedTuple):
    """Rows and what each is worth.

    Attributes:
        rows: N of them.
        answers: what was read of each.
        preds: the boxes used of each.
        columns: `(N,)` each: what the rows add to the sums. Arrays, for they are sent from one process to another.
        frame: whether sizes, targets and answers fit together.
        signs: of answers that say nothing, or all the same.
    """

    rows: list[Row]
    answers: list[Answer]
    preds: list[list[list[float]]]
    columns: Columns
    frame: FrameCheck
    signs: Signs


@dataclass
class Measured:
    """What a chunk adds to the totals.

    Attributes:
        columns: `(N,)` each: what the N scored rows add to the sums.
        groups: the rows of each group.
        clusters: the cluster of each row, where there are some.
        answers: how many answers there are of each dialect, kind and problems.
        unsized: how many rows have no width and height.
        frame, signs: what is off in these rows, see `Scored`.
        broken: the rows that could not be scored.
        written: the lines of all rows, if they were asked for.
        scored: the rows themselves, if they were asked for.
    """

    columns: Columns = field(default_factory=dict)
    groups: dict[str, list[int]] = field(default_factory=dict)
    clusters: list[str] = field(default_factory=list)
    answers: Counter[tuple[str, str, tuple[str, ...]]] = field(default_factory=Counter)
    unsized: int = 0
    frame: FrameCheck | None = None
    signs: Signs | None = None
    broken: list[Broken] = field(default_factory=list)
    written: bytes = b""
    scored: Scored | None = None


def measure(
    chunk: Sequence[Record], options: Options, several: bool | None, whole: Path | None, write: bool, keep: bool
) -> Measured:
    """Read and score the rows of a chunk.

    Args:
        several: whether targets are lists of boxes, see `read_rows`.
        whole: what is read; lines name their file where it is another one.
        write, keep: whether `written` and `scored` are asked for.
    """
    read = list(read_rows(chunk, options, several))
    rows = [row for row in read if isinstance(row, Row)]
    measured = Measured(broken=[row for row in read if isinstance(row, Broken)])
    scored = score_rows(rows, options, boxes=write or keep) if rows else None
    if scored:
        measured.columns = scored.columns
        measured.groups = _groups(rows, options.by)
        measured.clusters = [row.cluster for row in rows if row.cluster is not None]
        measured.answers = Counter((answer.dialect, answer.kind, answer.problems) for answer in scored.answers)
        measured.frame, measured.signs = scored.frame, scored.signs
        measured.unsized = sum(row.width is None for row in rows)
        measured.scored = scored if keep else None
    if write:
        lines = _lines(read, _worth(scored, options.by) if scored else iter(()), whole)
        measured.written = "".join(json.dumps(line, default=str) + "\n" for line in lines).encode()
    return measured


def ratios_of(options: Options, several: bool) -> dict[str, tuple[str, str]]:
    """The metrics of rows with one box, or with several, as ratios of columns."""
    rule = CONVENTIONS[options.convention]
    if not several:
        if rule.any_true:
            raise InputError(f"--convention {options.convention} is for targets that are lists of boxes: leave it out.")
        return rule.ratios | {name: (name, "rows") for name in ("positional_reward", "format_reward")}
    if (options.convention != "plain" and not rule.any_true) or set(options.by) & set(FROM_TARGET):
        raise InputError(
            "targets are lists of boxes: --by @size, --by @region and conventions but earthdial are for one box a row."
        )
    none = {"none_precision": ("none_right", "none"), "none_recall": ("none_right", "empty_targets")}
    rewards = {name: (name, "rows") for name in ("set_reward", "format_reward")}
    return rule.set_ratios | none | rewards | {"parse_rate": ("read", "rows")}


def score_rows(rows: list[Row], options: Options, boxes: bool = False) -> Scored:
    """Boxes, IoU and rewards of rows that all have one box, or all several; `boxes` tells whether they are wanted."""
    several, kind = rows[0].several, options.answer_kind
    ratios_of(options, several)  # refuses what sets cannot be counted by
    completions = [row.completion for row in rows]
    thinks = bool(options.think_in_prompt)
    repeats = CONVENTIONS[options.convention].any_true
    answers = [parse_answer(text, thinks, repeats=repeats) for text in completions]
    sides = ((row.width or nan, row.height or nan) for row in rows)
    width, height = torch.from_numpy(np.fromiter(chain.from_iterable(sides), np.float64)).view(-1, 2).unbind(1)
    sizes: dict[str, Any] = {"width": width, "height": height}
    read: Any = parse_box_sets if several else parse_boxes
    pred = read(answers, kind=kind, space=options.coordinates, **sizes)
    unsized = [i for i, row in enumerate(rows) if row.width is None]
    if unsized and options.coordinates.needs_size:  # their boxes are taken for pixels
        in_pixels = read([answers[i] for i in unsized], kind=kind)
        for i, box in zip(unsized, in_pixels, strict=True):
            pred[i] = box
    if options.hull:
        pred = [hull_of_oriented(of).float() for of in pred] if several else hull_of_oriented(pred).float()
    flat = np.fromiter(chain.from_iterable(chain.from_iterable(row.target for row in rows)), np.float64)
    target = torch.from_numpy(flat).view(-1, pred[0].shape[-1]).to(pred[0].dtype)
    targets: Any = target.split([len(row.target) for row in rows]) if several else target
    frame = FrameCheck(options.coordinates, options.kind, options.convention)
    frame.update(answers, targets, **sizes, **_sizes_of_files(rows, options.images))
    signs = Signs(thinks)
    questions = [row.cluster or repr(row.target) for row in rows]
    whole = covers_image(first_boxes([boxes.numpy() for boxes in pred]) if several else pred, width, height)
    signs.update(completions, answers, questions, whole=whole, rollouts=options.cluster is not None)
    if several:
        columns = _set_columns(pred, targets, [answer.says_none for answer in answers], options.convention)
    else:
        columns = grounding_columns(pred, target, convention=options.convention, **sizes)
        columns["positional_reward"] = positional_reward(pred, target)
    columns["format_reward"] = format_reward(
        completions, answers=answers, require_box=not several, kind=kind, think_in_prompt=thinks
    )
    preds = [[box for box in of.view(-1, of.shape[-1]).tolist() if isfinite(sum(box))] for of in pred] if boxes else []
    return Scored(rows, answers, preds, {name: values.numpy() for name, values in columns.items()}, frame, signs)


def _sizes_of_files(rows: list[Row], images: Path | None) -> dict[str, Any]:
    """The sizes of the image files of the first rows; none without a folder of images."""
    if images is None:
        return {}
    from ..data.example import inside
    from ..data.images import image_size

    sizes: list[tuple[float, float]] = []
    for row in rows:
        size = (nan, nan)
        if row.image is not None and len(sizes) < LOOKED_AT:
            with suppress(InputError):
                size = image_size(inside(images, row.image))
        sizes.append(size)
    return dict(zip(("image_width", "image_height"), map(list, zip(*sizes, strict=True)), strict=True))


def _set_columns(
    preds: Sequence[Tensor], targets: Sequence[Tensor], none: Sequence[bool], convention: str
) -> dict[str, Tensor]:
    counts = [set_metrics([pred], [target], convention=convention) for pred, target in zip(preds, targets, strict=True)]
    names = ("predictions", "targets", *(f"hits@{k}" for k in CONVENTIONS[convention].thresholds))
    columns = {name: torch.tensor([count[name] for count in counts]) for name in names}
    return columns | {
        "mean_boxes": (columns["predictions"] + columns["targets"]) / 2,
        **_none_columns(columns, none),
        "read": (columns["predictions"] > 0) | ((columns["targets"] == 0) & torch.tensor(none)),
        "set_reward": set_reward(preds, targets),
    }


def _none_columns(columns: dict[str, Tensor], none: Sequence[bool]) -> dict[str, Tensor]:
    """Which answers say that there is nothing, which truths do, and where both agree."""
    said, empty = torch.tensor(none), columns["targets"] == 0
    return {"none": said, "empty_targets": empty, "none_right": said & empty}


def tensors(columns: Columns) -> dict[str, Tensor]:
    """Columns that a tally takes."""
    return {name: torch.from_numpy(values) for name, values in columns.items()}


def numbered(values: Iterable[T], known: dict[T, int]) -> Tensor:
    """The number of each value, in the order in which they are first met; `known` has those met before."""
    return torch.tensor([known.setdefault(value, len(known)) for value in values], dtype=torch.long)


def _groups(rows: list[Row], by: Sequence[str]) -> dict[str, list[int]]:
    """The rows of each group: its name is the value, or "field=value" where there are several fields."""
    groups: dict[str, list[int]] = {}
    for i, name in enumerate(by):
        for member, value in enumerate(_values(rows, i, name)):
            groups.setdefault(f"{name}={value}" if len(by) > 1 else str(value), []).append(member)
    return groups


def _values(rows: list[Row], i: int, name: str) -> Sequence[Any]:
    """The value that each row has for the i-th field to group by."""
    if name not in FROM_TARGET:
        return [row.groups[i] for row in rows]
    target = torch.tensor([row.target[0] for row in rows])
    if name == "@size":
        return size_class(target)
    return image_region(target, [row.width for row in rows], [row.height for row in rows])


def _lines(read: list[Row | Broken], worth: Iterator[dict[str, Any]], whole: Path | None) -> Iterator[dict[str, Any]]:
    """What is written of each row that was read."""
    for row in read:
        line = {"line": row.line} | ({"error": row.error} if isinstance(row, Broken) else next(worth))
        yield line if row.file == whole else {"file": row.file.name} | line


def _worth(scored: Scored, by: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Of each scored row its groups, boxes, columns and answer."""
    several = scored.rows[0].several
    names = {"read": "parsed"}
    if not several:
        names |= {name: name.replace("hits", "acc") for name in scored.columns if name.startswith("hits@")}
    table = zip(*(values.tolist() for values in scored.columns.values()), strict=True)
    for row, answer, pred, values in zip(scored.rows, scored.answers, scored.preds, table, strict=True):
        line: dict[str, Any] = dict(zip(by, row.groups, strict=True)) if by else {"group": "all"}
        line["box"] = pred if several else pred[0] if pred else None
        line |= {names.get(name, name): value for name, value in zip(scored.columns, values, strict=True)}
        yield line | {"kind": answer.kind, "dialect": answer.dialect, "problems": answer.problems}
