"""DIOR-RSVG and OPT-RSVG: one XML file an image, and split files of running object counters.

The numbers in `train.txt`, `val.txt` and `test.txt` count the `<object>` elements of all XML files *in sorted order of
their names*; they are not image ids. A loader that takes the files as the file system lists them gets other splits.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from xml.etree.ElementTree import Element

import torch

from rsreward import canonical, corners, from_corners

from ...errors import InputError
from ...files import read_file
from ..example import SPLITS, Boxes, Flaw, LayoutError, Record
from .xml import parse_xml

QUAD = [f"{axis}_{corner}" for corner in ("left_top", "right_top", "right_bottom", "left_bottom") for axis in "xy"]


def load_voc(root: Path, dataset: str) -> Iterator[Record | Flaw]:
    splits = _splits(root)
    images = next((name for name in ("JPEGImages", "Image", "images") if (root / name).is_dir()), "JPEGImages")
    counter = 0
    for path in sorted((root / "Annotations").glob("[!.]*.xml")):
        try:
            tree = parse_xml(read_file(path))
        except ValueError as error:
            raise InputError(
                f"{path} is not an annotation of {dataset}, and the counters of all later files depend on it: {error}."
            ) from None
        width, height = tree.findtext("size/width"), tree.findtext("size/height")
        sides = (width, height) if width and height else None
        for element in tree.findall("object"):
            where = f"{path.name}, object {counter}"
            split = splits.pop(counter, None)
            counter += 1
            if split is None:
                yield Flaw(where, "it is in none of train.txt, val.txt and test.txt", False)
                continue
            try:
                image, query = f"{images}/{_text(tree, 'filename')}", _text(element, "description")
            except ValueError as error:
                yield Flaw(where, str(error), False)
                continue
            category = (element.findtext("name") or "").strip() or None
            boxes = partial(_boxes, element)
            yield Record(where, image, sides, query, boxes, split, str(counter - 1), category)
    for number in sorted(splits)[:10]:
        yield Flaw(f"{splits[number]}.txt", f"object {number} of {counter} does not exist", False)


def _boxes(element: Element, width: int, height: int) -> tuple[Boxes, Boxes | None]:
    """The horizontal and the oriented boxes. Without `<bndbox>` the horizontal box is the one around the turned box."""
    turned, upright = element.find("robndbox"), element.find("bndbox")
    oriented = None if turned is None else _oriented(turned)
    if upright is None and oriented is not None:
        points = corners(torch.tensor(oriented, dtype=torch.float64))
        return [[*points.amin(0).tolist(), *points.amax(0).tolist()]], [oriented]
    box = [float(_text(upright, side)) for side in ("xmin", "ymin", "xmax", "ymax")]
    return [box], None if oriented is None else [oriented]


def _oriented(element: Element) -> list[float]:
    """roLabelImg's centre, sides and radians from +x towards +y; or DIOR-R's four corners."""
    if element.find("cx") is None:
        quad = torch.tensor([float(_text(element, tag)) for tag in QUAD], dtype=torch.float64)
        box = from_corners(quad.view(4, 2))
    else:
        numbers = [float(_text(element, tag)) for tag in ("cx", "cy", "w", "h", "angle")]
        box = canonical(torch.tensor(numbers, dtype=torch.float64))
    return [float(v) for v in box.tolist()]


def _splits(root: Path) -> dict[int, str]:
    """The split of each object counter."""
    splits: dict[int, str] = {}
    for split in SPLITS:
        path = root / f"{split}.txt"
        try:
            numbers = [int(line) for line in read_file(path).split()]
        except FileNotFoundError:
            raise LayoutError(f"there is no {path.name}, which holds the object counters of the split,") from None
        except InputError:
            raise
        except ValueError:
            raise InputError(f"{path} must hold one whole number a line.") from None
        shared = sum(number in splits for number in numbers)
        for number in numbers:
            if number in splits:
                raise InputError(
                    f"object {number} is in {splits[number]}.txt and in {path.name}, as are {shared:,} of its "
                    f"{len(numbers):,}: the split files that DIOR-RSVG was first published with overlap, so a test "
                    "on them is a test on the training data. Take those of its repository today."
                )
            splits[number] = split
    return splits


def _text(element: Element | None, tag: str) -> str:
    text = element.findtext(tag) if element is not None else None
    if text is None or not text.strip():
        raise ValueError(f"it has no <{tag}>")
    return text.strip()
