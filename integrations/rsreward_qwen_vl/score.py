"""`rsreward score`: rewards and metrics for a file of completions with their targets."""

import json
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from math import isfinite
from operator import itemgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsreward import (
    Space,
    format_reward,
    parse_box_sets,
    parse_boxes,
    positional_reward,
    set_metrics,
    set_reward,
    space_named,
)
from rsreward.answers import BoxKind
from rsreward.coordinates import MAX_SIDE
from rsreward.matching import precision_recall_f1
from rsreward.metrics import CONVENTIONS, counted_iou, is_readable

from .errors import InputError

CHUNK = 4096
PLAIN = CONVENTIONS["plain"]


@dataclass
class Totals:
    """Sums over the rows of a group; they add up over chunks."""

    rows: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, values: dict[str, float]) -> None:
        self.rows += 1
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self) -> dict[str, float]:
        """Means over the rows; for sets of boxes precision, recall and F1 over all their boxes."""
        sums = dict(self.sums)
        metrics: dict[str, float] = {"rows": self.rows}
        if "targets" in sums:
            predictions, targets = sums.pop("predictions"), sums.pop("targets")
            for k in PLAIN.thresholds:
                ratios = precision_recall_f1(sums.pop(f"hits@{k}"), predictions, targets)
                metrics |= {f"{name}@{k}": value for name, value in ratios.items()}
        return metrics | {name: value / self.rows for name, value in sums.items()}


def score_file(
    file: Path,
    *,
    space: str | Space = "pixel",
    kind: BoxKind = "horizontal",
    by: str | None = None,
    out: Path | None = None,
) -> dict[str, Any]:
    """Score every line of a JSONL file.

    Args:
        file: one JSON object a line with `completion`, `target` (pixels of the original image) and, where there is a
            space to convert from, `width` and `height`.
        space: the coordinate space of the completions. Rows without a size can only be in pixels: under
            "qwen2.5-vl" they are taken for images that were not resized, and counted; any other space refuses them.
        kind: "horizontal" targets are `[x1, y1, x2, y2]`, "oriented" ones `[cx, cy, w, h, angle]` in radians. Where the
            first row's target is a list of boxes all are, and the completions are scored as sets.
        by: a field to group by.
        out: where to write one line a row with its box, its rewards and its IoU; it appears when all is done.

    Returns:
        `rows`, `rows_without_size` and `groups`: for each value of `by` (or "all") the rows, `acc@0.5`, `acc@0.7`,
        `miou`, `parse_rate`, `positional_reward` and `format_reward`; for sets `precision@k`, `recall@k`, `f1@k`,
        `parse_rate`, `set_reward` and `format_reward`.

    Raises:
        InputError: naming the file, the line and the field that is wrong.
    """
    try:
        space = space_named(space)
    except ValueError as error:
        raise InputError(str(error)) from None
    if kind not in ("horizontal", "oriented"):
        raise InputError(f"--kind must be horizontal or oriented, got {kind!r}.")
    groups: dict[str, Totals] = {}
    unsized = 0
    with ExitStack() as stack:
        if out:
            sink = stack.enter_context(_part_of(out, file))
            stack.callback(Path(sink.name).unlink, missing_ok=True)
        for chunk in _chunks(_rows(file, space, kind, by), CHUNK):
            unsized += sum(row["width"] is None for row in chunk)
            for row, values in zip(chunk, _score(chunk, space, kind, chunk[0]["several"]), strict=True):
                box = values.pop("box")
                groups.setdefault(str(row["group"]), Totals()).add(_summed(values))
                if out:
                    sink.write(
                        json.dumps({"line": row["line"], by or "group": row["group"], "box": box} | values) + "\n"
                    )
        if not groups:
            raise InputError(f"{file} holds no rows.")
        if out:
            sink.close()
            Path(sink.name).chmod(0o644)
            Path(sink.name).replace(out)
    return {
        "rows": sum(total.rows for total in groups.values()),
        "rows_without_size": unsized if space.needs_size else 0,
        "groups": {name: groups[name].means() for name in sorted(groups)},
    }


def _part_of(out: Path, file: Path) -> Any:
    """A file beside `out` to write to until all is done."""
    if out.is_dir() or (out.exists() and file.exists() and out.samefile(file)):
        raise InputError(f"--out {out} is {'a folder' if out.is_dir() else 'the input itself'}: choose another file.")
    try:
        return tempfile.NamedTemporaryFile("w", dir=out.parent, prefix=out.name, suffix=".part", delete=False)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}.") from None


def _rows(file: Path, space: Space, kind: BoxKind, by: str | None) -> Iterator[dict[str, Any]]:
    try:
        stream = file.open(encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}.") from None
    several: bool | None = None
    with stream:
        try:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    row = _row(line, f"{file}, line {number}", space, kind, by, several)
                    several = row["several"]
                    yield row | {"line": number}
        except UnicodeDecodeError:
            raise InputError(f"{file} is not UTF-8 text: give a file of one JSON object a line.") from None


def _row(line: str, where: str, space: Space, kind: BoxKind, by: str | None, several: bool | None) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        raise InputError(f"{where} is not JSON: give one JSON object a line.") from None
    if not isinstance(row, dict):
        raise InputError(f"{where} is not a JSON object: give an object with the fields 'completion' and 'target'.")
    for name in ("completion", "target", *([by] if by else [])):
        if name not in row:
            raise InputError(f"{where} has no field {name!r}; it has {', '.join(map(repr, row))}.")
    if not isinstance(row["completion"], str):
        raise InputError(f"{where}: 'completion' must be a text, not {type(row['completion']).__name__}.")
    if several is None:
        several = _is_set(row["target"])
    width, height = (_size(row.get(side), side, where) for side in ("width", "height"))
    if space.scale is not None and (width is None or height is None):
        raise InputError(f"{where} has no 'width' and 'height', which the space {space.name!r} needs.")
    if width and height and int(max(width, height)) > 200 * int(min(width, height)):
        raise InputError(
            f"{where}: no model reads an image of {width:g} x {height:g}, more than 200 times as long as wide."
        )
    return {
        "completion": row["completion"],
        "target": _targets(row["target"], where, kind, several),
        "several": several,
        "width": width if height is not None else None,
        "height": height,
        "group": row[by] if by else "all",
    }


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30 and isfinite(value)


def _size(value: Any, side: str, where: str) -> float | None:
    if value is not None and not (_number(value) and 1 <= value <= MAX_SIDE):
        raise InputError(f"{where}: {side!r} must be a number of pixels, got {value!r}.")
    return value  # type: ignore[no-any-return]


def _targets(value: Any, where: str, kind: BoxKind, several: bool) -> list[list[float]]:
    """The true boxes of a row: one, or all of them where targets are lists of boxes."""
    if not isinstance(value, list) or several != _is_set(value):
        form = "a list of boxes, as in the first row" if several else "one box"
        raise InputError(f"{where}: 'target' must be {form}, got {value!r}.")
    return [_box(box, where, kind) for box in value] if several else [_box(value, where, kind)]


def _is_set(target: Any) -> bool:
    return isinstance(target, list) and all(isinstance(box, list) for box in target)


def _box(box: list[Any], where: str, kind: BoxKind) -> list[float]:
    form, count = ("[x1, y1, x2, y2]", "four") if kind == "horizontal" else ("[cx, cy, w, h, angle]", "five")
    if len(box) != (4 if kind == "horizontal" else 5) or not all(map(_number, box)):
        raise InputError(f"{where}: 'target' must be {count} finite numbers {form}, got {box!r}.")
    if kind == "horizontal" and (box[2] < box[0] or box[3] < box[1]):
        raise InputError(f"{where}: 'target' must have x1 <= x2 and y1 <= y2, got {box!r}.")
    if kind == "oriented" and min(box[2:4]) < 0:
        raise InputError(f"{where}: 'target' must have no negative side, got {box!r}.")
    return box


def _chunks(rows: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    chunk: list[dict[str, Any]] = []
    for row in rows:
        chunk.append(row)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _score(rows: list[dict[str, Any]], space: Space, kind: BoxKind, several: bool) -> list[dict[str, Any]]:
    """Box, IoU and rewards of each row."""
    texts = [row["completion"] for row in rows]
    read = parse_box_sets if several else parse_boxes
    sized = [i for i, row in enumerate(rows) if row["width"] is not None]
    unsized = [i for i, row in enumerate(rows) if row["width"] is None]
    width, height = ([rows[i][side] for i in sized] for side in ("width", "height"))
    boxes = [
        *read([texts[i] for i in sized], kind=kind, space=space, width=width, height=height),
        *read([texts[i] for i in unsized], kind=kind),
    ]
    preds = [box for _, box in sorted(zip([*sized, *unsized], boxes, strict=True), key=itemgetter(0))]
    targets = [torch.tensor(row["target"], dtype=torch.float32).view(-1, preds[0].shape[-1]) for row in rows]
    if several:
        return _score_sets(texts, preds, targets)
    pred, target = torch.stack(preds), torch.cat(targets)
    overlaps = counted_iou(pred, target)
    columns: dict[str, Tensor] = {
        "iou": overlaps,
        "positional_reward": positional_reward(pred, target),
        "format_reward": format_reward(texts),
        **{f"acc@{k}": PLAIN.hits(overlaps, k) for k in PLAIN.thresholds},
        "parsed": is_readable(pred),
    }
    scored: list[dict[str, Any]] = [
        dict(zip(columns, values, strict=True)) for values in zip(*(c.tolist() for c in columns.values()), strict=True)
    ]
    for values, box in zip(scored, pred.tolist(), strict=True):
        values["box"] = box if values["parsed"] else None
    return scored


def _score_sets(texts: list[str], preds: list[Tensor], targets: list[Tensor]) -> list[dict[str, Any]]:
    rewards, forms = set_reward(preds, targets).tolist(), format_reward(texts, require_box=False).tolist()
    scored = []
    for pred, target, reward, form in zip(preds, targets, rewards, forms, strict=True):
        counts = set_metrics([pred], [target], thresholds=PLAIN.thresholds)
        hits = {name: value for name, value in counts.items() if name.startswith("hits") or "@" not in name}
        values = {"set_reward": reward, "format_reward": form, "parsed": len(pred) > 0 or len(target) == 0}
        scored.append({"box": pred.tolist(), **values, **hits})
    return scored


def _summed(values: dict[str, Any]) -> dict[str, float]:
    """What a row adds to the sums of its group."""
    order = [f"acc@{k}" for k in PLAIN.thresholds] + ["iou", "parsed"]
    names = [name for name in order if name in values] + [name for name in values if name not in order]
    renamed = {"iou": "miou", "parsed": "parse_rate"}
    return {renamed.get(name, name): float(values[name]) for name in names}
