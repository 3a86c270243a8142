"""DIOR-RSVG and OPT-RSVG: one XML file an image, and split files of running object counters.

The numbers in `train.txt`, `val.txt` and `test.txt` count the `<object>` elements of all XML files *in sorted order of
their names*; they are no image ids. A loader that takes the files as the file system lists them gets other splits.
"""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ..example import Example, Flaw, LayoutError, inside, mend


def load_voc(root: Path, dataset: str) -> Iterator[Example | Flaw]:
    splits = _splits(root)
    images = next((name for name in ("JPEGImages", "Image", "images") if (root / name).is_dir()), "JPEGImages")
    counter = 0
    for path in sorted((root / "Annotations").glob("[!.]*.xml")):
        try:
            tree = ET.parse(path).getroot()  # noqa: S314  expat bounds entity expansion
            size = tree.find("size")
            width, height = (int(float(_text(size, side))) for side in ("width", "height"))
            image = f"{images}/{_text(tree, 'filename')}"
        except (ET.ParseError, ValueError, OverflowError) as error:
            raise InputError(
                f"{path} is no annotation of {dataset}, and the counters of all later files depend on it: {error}."
            ) from None
        inside(root, image)
        for element in tree.findall("object"):
            where = f"{path.name}, object {counter}"
            split = splits.pop(counter, None)
            counter += 1
            try:
                box = [float(_text(element.find("bndbox"), side)) for side in ("xmin", "ymin", "xmax", "ymax")]
                query = _text(element, "description")
            except ValueError as error:
                yield Flaw(where, str(error), False)
                continue
            kept, flaws = mend(box, width, height, where)
            if split is None:
                flaws.append(Flaw(where, "it is in none of train.txt, val.txt and test.txt", False))
            yield from flaws
            if kept and split:
                category, source_id = (element.findtext("name") or "").strip() or None, str(counter - 1)
                yield Example(image, width, height, query, [kept], None, category, None, split, dataset, source_id)
    for number in sorted(splits)[:10]:
        yield Flaw(f"{splits[number]}.txt", f"object {number} of {counter} does not exist", False)


def _splits(root: Path) -> dict[int, str]:
    """Which split each object counter is in."""
    splits: dict[int, str] = {}
    for split in ("train", "val", "test"):
        path = root / f"{split}.txt"
        try:
            numbers = [int(line) for line in path.read_text().split()]
        except FileNotFoundError:
            raise LayoutError(f"there is no {path.name}, which holds the object counters of the split,") from None
        except ValueError:
            raise InputError(f"{path} must hold one whole number a line.") from None
        for number in numbers:
            if number in splits:
                raise InputError(f"object {number} is in {splits[number]}.txt and in {split}.txt.")
            splits[number] = split
    return splits


def _text(element: ET.Element | None, tag: str) -> str:
    text = element.findtext(tag) if element is not None else None
    if text is None or not text.strip():
        raise ValueError(f"it has no <{tag}>")
    return text.strip()
