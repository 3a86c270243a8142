"""Your own files as a data set: JSONL, JSON, Parquet, COCO and DOTA's label folders."""

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rsreward.answers import Answer
from rsreward.frame import FrameCheck

from ..errors import InputError
from ..files import read_file
from .checks import checked
from .example import SPLITS, Example, Flaw, Record, parquet, rows_of
from .layouts.boxes import Reading
from .layouts.coco import load_coco
from .layouts.dota import label_folders, load_dota
from .layouts.rows import load_rows
from .published import photograph
from .report import Report, check_out, sort_out, write_tables

ROWS = (".jsonl", ".ndjson", ".json", ".parquet")
LEAVES = "leaves the image"
PLAIN = Reading()


@dataclass(frozen=True)
class Splitting:
    """Which split an example belongs to.

    Attributes:
        all_in: the split of all examples. None: the one that the file says, else one drawn by the shares.
        val, test: shares of the images.
        seed: of the draw.
        group: finds the part of an image's name by which images stay together. None: the photograph's name.
    """

    all_in: str | None = None
    val: float = 0.0
    test: float = 0.0
    seed: int = 0
    group: re.Pattern[str] | None = None


ALL_TRAIN = Splitting()


def prepare_own(
    source: Path,
    images: Path | None,
    out: Path,
    *,
    reading: Reading = PLAIN,
    pattern: re.Pattern[str] | None = None,
    splitting: Splitting = ALL_TRAIN,
    one_box: bool = False,
    progress: Callable[[int], None] = lambda count: None,
) -> Report:
    """Write `train.parquet`, `val.parquet` and `test.parquet` of your own data, and `report.json`.

    Args:
        source: a file of rows or in COCO's form; a folder with such files named train, val and test; or DOTA's labels.
        images: the root folder of the images. None: the folder of the source.
        reading, pattern: as in `load_rows`.
        one_box: whether questions with several boxes or none are left out; `grpo` and `evaluate` take those with one.

    Returns:
        What `report.json` holds, see `rsreward_tools.data.published.prepare`.
    """
    check_out(out, [source, *(path for _, path in _parts(source))])
    root = images or _home(source)
    if not root.is_dir():
        raise InputError(f"--images {root} is not a folder: name the root folder of the images.")
    items = list(checked(_load(source, root, reading, pattern), root, source.stem))
    if one_box:
        items = [
            Flaw(item.source_id, f"it has {len(item.boxes)} boxes, and --one-box leaves out such questions", False)
            if isinstance(item, Example) and len(item.boxes) != 1
            else item
            for item in items
        ]
    about = {
        "dataset": source.stem, "source": str(source), "root": str(root),
        "target_format": reading.format or "xyxy", "target_space": reading.space.name if reading.space else "pixel",
    }  # fmt: skip
    examples, report = sort_out(split(items, splitting), root, about, progress)
    if not examples:
        first = f" The first: {report['first_flaws'][0]}." if report["first_flaws"] else ""
        raise InputError(f"{source} holds no example that can be used.{first}")
    empty = [name for name in ("val", "test") if getattr(splitting, name) and name not in report["examples"]]
    alone = [f"No images fell to {name}: the groups that stay together are too large." for name in empty]
    report["notes"] = alone + notes(items, examples)
    write_tables(out, examples, report)
    return report


def split(items: Iterable[Example | Flaw], splitting: Splitting) -> list[Example | Flaw]:
    """Give a split to the examples that have none. All images of a group get the same split.

    Groups are taken from the largest to the smallest, those of equal size in the order that the seed gives. Each goes
    to the split that lacks the most images at that point.
    """
    items = list(items)
    key = {e.image: _group(e.image, splitting.group) for e in items if isinstance(e, Example)}
    of_group = {key[e.image]: e.split for e in items if isinstance(e, Example) and e.split}
    free = Counter(group for group in key.values() if group not in of_group)
    groups = sorted(free)
    random.Random(splitting.seed).shuffle(groups)  # noqa: S311
    shares = {"train": 1 - splitting.val - splitting.test, "val": splitting.val, "test": splitting.test}
    lacking = {split: share * free.total() for split, share in shares.items()}
    for group in sorted(groups, key=lambda group: -free[group]):
        of_group[group] = max(SPLITS, key=lambda split: lacking[split])
        lacking[of_group[group]] -= free[group]
    return [
        replace(item, split=splitting.all_in or item.split or of_group[key[item.image]])
        if isinstance(item, Example)
        else item
        for item in items
    ]


def notes(items: Iterable[Example | Flaw], examples: list[Example]) -> list[str]:
    """What you should know before you train on these examples."""
    out_of = {item.where for item in items if isinstance(item, Flaw) and LEAVES in item.what}
    splits: dict[str, set[str]] = {}
    for example in examples:
        splits.setdefault(example.image, set()).add(example.split)
    torn = sorted(image for image, of in splits.items() if len(of) > 1)
    several, absent = sum(len(e.boxes) > 1 for e in examples), sum(not e.boxes for e in examples)
    said = []
    if len(out_of) > len(examples) / 10:
        said.append(
            f"In {len(out_of):,} questions a box leaves its image, {len(examples):,} are kept: if the boxes are not "
            "corners in pixels of the original images, say --target-format and --target-space."
        )
    if torn:
        said.append(f"{len(torn):,} images are in two splits, such as {torn[0]}: do not test on what you train on.")
    if several:
        said.append(f"{several:,} questions have several boxes: grpo and evaluate take those with one (--one-box).")
    if absent:
        said.append(
            f"{absent:,} questions have no box, so nothing is to be found: grpo and evaluate leave no room for that "
            "(--one-box); verl asks such data with a template that says what to write."
        )
    return said + _findings(examples)


def _findings(examples: list[Example]) -> list[str]:
    """What does not fit of turned boxes, such as angles in degrees; horizontal ones have gone through `checked`."""
    check = FrameCheck("pixel", "oriented")
    boxes = [torch.tensor(example.oriented or [], dtype=torch.float64).view(-1, 5) for example in examples]
    sizes = [example.width for example in examples], [example.height for example in examples]
    check.update([Answer()] * len(examples), boxes, *sizes)
    return [finding.message for finding in check.findings()]


def _group(image: str, pattern: re.Pattern[str] | None) -> str:
    if pattern is None:
        return photograph(image)
    found = pattern.search(image)
    if found is None:
        raise InputError(f"--group finds nothing in the name {image!r}.")
    return found[1] if pattern.groups else found[0]


def _home(source: Path) -> Path:
    if not source.exists():
        raise InputError(f"there is no file or folder {source}.")
    if not source.is_dir():
        return source.parent
    return source.parent if label_folders(source) == [("", source)] and not _parts(source) else source


def _parts(folder: Path) -> list[tuple[str, Path]]:
    """The files of a folder that are named after a split."""
    return [(s, path) for s in SPLITS for suffix in ROWS if (path := folder / f"{s}{suffix}").exists()]


def _load(source: Path, root: Path, reading: Reading, pattern: re.Pattern[str] | None) -> Iterator[Record | Flaw]:
    parts = _parts(source) if source.is_dir() else [("", source)]
    if not parts:
        _say_themselves("DOTA's labels are corners in pixels", reading)
        yield from load_dota(source, root)
    for name, path in parts:
        if path.suffix.lower() not in ROWS:
            raise InputError(f"{path} is none of {', '.join(ROWS)}, nor a folder of DOTA's labels.")
        rows = _rows(path)
        if isinstance(rows, dict):
            _say_themselves("COCO's boxes are x, y, w, h in pixels", reading)
            yield from load_coco(rows, name)
        else:
            yield from load_rows(rows, root, reading, pattern, name)


def _say_themselves(what: str, reading: Reading) -> None:
    if reading != PLAIN:
        raise InputError(f"{what}: leave out --target-format and --target-space.")


def _rows(path: Path) -> dict[str, Any] | Iterable[tuple[str, Any]]:
    """The rows of a file, each with its name for messages; or COCO's object."""
    if path.suffix.lower() == ".parquet":
        return _of_parquet(path)
    data = read_file(path)
    if path.suffix.lower() != ".json":
        return _of_lines(path.name, data)
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {str(error)[:200]}. Lines of JSON end in .jsonl.") from None
    if isinstance(found, dict) and isinstance(found.get("images"), list) and "annotations" in found:
        return found
    if not isinstance(found, list):
        raise InputError(f"{path} is neither a list of rows nor COCO's object with images and annotations.")
    return ((f"{path.name}, row {number}", row) for number, row in enumerate(found))


def _of_lines(name: str, data: bytes) -> Iterator[tuple[str, Any]]:
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.strip():
            try:
                yield f"{name}, line {number}", json.loads(line)
            except (ValueError, RecursionError):
                yield f"{name}, line {number}", None


def _of_parquet(path: Path) -> Iterator[tuple[str, Any]]:
    for number, row in enumerate(rows_of(parquet(path, "another tool"), path)):
        yield f"{path.name}, row {number}", row
