"""DOTA's label folders: a text file an image, a line an object with four corners and its category."""

from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ...files import read_file
from ..example import SPLITS, Flaw, Record
from .boxes import Reading, by_category

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
QUAD = Reading("quad")


def label_folders(folder: Path) -> list[tuple[str, Path]]:
    """The folders with labels in a folder, each with its split or "": `labelTxt*`, also in train, val and test."""
    places = [("", folder), *((split, folder / split) for split in SPLITS)]
    found = [(split, path) for split, place in places for path in sorted(place.glob("labelTxt*")) if path.is_dir()]
    return found or [("", folder)]


def load_dota(folder: Path, root: Path) -> Iterator[Record | Flaw]:
    """Questions for the categories of each image, see `by_category`. The size is that of the image file."""
    for split, labels in label_folders(folder):
        places = [labels.parent, labels.parent / "images", root, root / "images", root / split, root / split / "images"]
        pictures = {
            path.stem: path.relative_to(root).as_posix()
            for place in places
            if place.is_relative_to(root) and place.is_dir()
            for path in sorted(place.iterdir(), reverse=True)
            if path.suffix.lower() in PICTURES
        }
        files = sorted(labels.glob("[!.]*.txt"))
        if not files:
            raise InputError(f"{labels} holds no labels of DOTA (*.txt), nor does {folder} hold a train.jsonl.")
        for path in files:
            if path.stem not in pictures:
                yield Flaw(path.name, f"there is no image {path.stem} in {root}, so its size is not known", False)
                continue
            things = []
            for number, line in enumerate(read_file(path).decode("utf-8-sig", "replace").splitlines(), 1):
                words = line.split()
                if len(words) < 9:
                    if words and not line.startswith(("imagesource:", "gsd:")):
                        yield Flaw(
                            f"{path.name}, line {number}", f"{line[:60]!r} has no eight numbers and a name", False
                        )
                    continue
                things.append((words[8], words[:8]))
            yield from by_category(things, pictures[path.stem], None, QUAD, split)
