"""The checks of every data set, published or your own: images, sizes, boxes and texts."""

from collections.abc import Iterable, Iterator
from math import isfinite
from pathlib import Path
from typing import Any

from rsreward.checks import shown
from rsreward.coordinates import MAX_SIDE

from ..errors import InputError
from .example import WILD, Example, Flaw, Record, inside, repair_box
from .images import image_size

Size = tuple[int, int]


def checked(records: Iterable[Record | Flaw], root: Path, dataset: str) -> Iterator[Example | Flaw]:
    """The examples of usable records, and between them the flaws that were found.

    The size is that of the image file if there is one, else the annotation's. Boxes are clipped to the image.

    Raises:
        InputError: if a file name leads out of the root.
    """
    sizes: dict[str, Size | str | None] = {}
    for record in records:
        if isinstance(record, Flaw):
            yield record
            continue
        try:
            for text in (record.image, record.query, record.source_id):
                text.encode()
        except UnicodeEncodeError:
            yield Flaw(record.where, "its text holds half a character (a lone surrogate)", False)
            continue
        if new := record.image not in sizes:
            sizes[record.image] = _size_of_file(root, record.image)
        of_file, told = sizes[record.image], _usable(record.size)
        if isinstance(of_file, str):
            yield Flaw(record.where, of_file, False)
            continue
        size = of_file or told
        as_told = "no size" if record.size is None else " x ".join(f"{side!s:.20}" for side in record.size)
        if size is None:
            what = f"the size of {record.image} is not known: there is no file, and the annotation says {as_told}"
            yield Flaw(record.where, what, False)
            continue
        if new and record.size is not None and told != size:
            what = f"{record.image} is {size[0]} x {size[1]}, and the annotation says {as_told}: the file counts"
            yield Flaw(record.where, what, True)
        yield from _example(record, size, dataset)


def _size_of_file(root: Path, image: str) -> Size | str | None:
    """The size of an image file, or what is wrong with it; None if there is no file."""
    path = inside(root, image)
    if not path.exists():
        return None
    try:
        return image_size(path)
    except InputError as error:
        return str(error)


def _usable(size: tuple[Any, Any] | None) -> Size | None:
    try:
        width, height = map(int, map(float, size or ()))
    except WILD:
        return None
    return (width, height) if 0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE else None


def _example(record: Record, size: Size, dataset: str) -> Iterator[Example | Flaw]:
    where = record.where
    try:
        boxes, oriented = record.boxes(*size)
    except WILD as error:
        yield Flaw(where, str(error)[:200], False)
        return
    kept = []
    for box in boxes:
        repaired_box, flaws = repair_box(box, *size, where)
        yield from flaws
        kept.append(repaired_box)
    whole = [box for box in kept if box is not None]
    if len(whole) < len(boxes):
        return
    if oriented and not all(isfinite(v) for box in oriented for v in box):
        yield Flaw(where, "its oriented box is not finite", True)
        oriented = None
    category = record.category
    if category is not None and not isinstance(category, str):
        yield Flaw(where, f"its category {shown(category, 50)} is not a text", True)
        category = f"{category!s:.50}"
    try:
        (category or "").encode()
    except UnicodeEncodeError:
        yield Flaw(where, "its category holds half a character (a lone surrogate)", True)
        category = None
    yield Example(
        record.image, *size, record.query, whole, oriented, category, record.unique, record.split, dataset,
        record.source_id,
    )  # fmt: skip
