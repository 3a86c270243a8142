"""VRSBench: one JSON file an image, coordinates as shares of the image."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch

from rsreward import from_corners

from ...files import read_file
from ..example import WILD, Boxes, Flaw, LayoutError, Record, unusable

SIDE = 512


def load_vrsbench(root: Path, dataset: str) -> Iterator[Record | Flaw]:
    folders = [(split, root / f"Annotations_{published}") for split, published in (("train", "train"), ("test", "val"))]
    if not any(folder.is_dir() for _, folder in folders):
        raise LayoutError("there is neither Annotations_train nor Annotations_val")
    for split, folder in folders:
        images = folder.name.replace("Annotations", "Images")
        for path in sorted(folder.glob("[!.]*.json")):
            data = read_file(path)
            try:
                record = json.loads(data)
                image, objects = f"{images}/{record['image']}", record.get("objects") or []
            except WILD:
                yield Flaw(path.name, "it is not a JSON object with the field image", False)
                continue
            for number, thing in enumerate(objects if isinstance(objects, list) else [objects]):
                where = f"{path.name}, object {number}"
                try:
                    yield _record(thing, image, split, where)
                except WILD as error:
                    yield unusable(where, error)


def _record(thing: dict[str, Any], image: str, split: str, where: str) -> Record | Flaw:
    query = str(thing["referring_sentence"]).strip()
    if not query:
        return Flaw(where, "its referring_sentence is empty", False)
    box = [float(v) for v in thing["obj_coord"]]
    if len(box) != 4:
        raise ValueError("obj_coord")
    corners = thing.get("obj_corner")
    quad = [float(v) for v in corners] if corners and len(corners) == 8 else None
    unique = thing.get("is_unique", thing.get("unique"))
    return Record(
        where, image, (SIDE, SIDE), query, partial(_boxes, box, quad), split, where, thing.get("obj_cls"),
        None if unique is None else bool(unique),
    )  # fmt: skip


def _boxes(box: list[float], quad: list[float] | None, width: int, height: int) -> tuple[Boxes, Boxes | None]:
    sides = [width, height]
    scaled = [v * side for v, side in zip(box, sides * 2, strict=True)]
    if quad is None:
        return [scaled], None
    points = torch.tensor(quad, dtype=torch.float64).view(4, 2) * torch.tensor(sides)
    return [scaled], [from_corners(points).tolist()]
