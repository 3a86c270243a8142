"""VRSBench: one JSON file an image, coordinates as shares of the image."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from rsreward import from_corners

from ..example import Example, Flaw, LayoutError, inside, mend

SIDE = 512


def load_vrsbench(root: Path, dataset: str) -> Iterator[Example | Flaw]:
    folders = [(split, root / f"Annotations_{published}") for split, published in (("train", "train"), ("test", "val"))]
    if not any(folder.is_dir() for _, folder in folders):
        raise LayoutError("there is neither Annotations_train nor Annotations_val")
    for split, folder in folders:
        images = folder.name.replace("Annotations", "Images")
        for path in sorted(folder.glob("[!.]*.json")):
            try:
                record = json.loads(path.read_text(encoding="utf-8"))
                image, objects = f"{images}/{record['image']}", record.get("objects") or []
            except (ValueError, KeyError, TypeError, AttributeError):
                yield Flaw(path.name, "it is no JSON object with the field image", False)
                continue
            inside(root, image)
            for number, thing in enumerate(objects if isinstance(objects, list) else [objects]):
                where = f"{path.name}, object {number}"
                try:
                    yield from _example(thing, image, split, dataset, where)
                except (ValueError, KeyError, TypeError, AttributeError) as error:
                    yield Flaw(where, f"it has no usable {error}", False)


def _example(thing: dict[str, Any], image: str, split: str, dataset: str, where: str) -> Iterator[Example | Flaw]:
    query = str(thing["referring_sentence"]).strip()
    if not query:
        yield Flaw(where, "its referring_sentence is empty", False)
        return
    box = [float(v) * SIDE for v in thing["obj_coord"]]
    if len(box) != 4:
        raise ValueError("obj_coord")
    kept, flaws = mend(box, SIDE, SIDE, where)
    yield from flaws
    if kept is None:
        return
    corners = thing.get("obj_corner")
    oriented = None
    if corners and len(corners) == 8:
        quad = torch.tensor(corners, dtype=torch.float64).view(4, 2) * SIDE
        oriented = [from_corners(quad).tolist()]
    unique, category = thing.get("is_unique", thing.get("unique")), thing.get("obj_cls")
    yield Example(
        image, SIDE, SIDE, query, [kept], oriented, None if category is None else str(category),
        None if unique is None else bool(unique), split, dataset, where,
    )  # fmt: skip
