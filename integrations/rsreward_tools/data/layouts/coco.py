"""COCO's annotations, whose boxes are x, y, w, h in pixels."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from ..example import WILD, Flaw, Record, unusable
from .boxes import Reading, by_category, read_boxes

WORDS = ("query", "expression", "caption", "phrase")  # of an annotation that has a referring expression
XYWH = Reading("xywh")


def load_coco(data: dict[str, Any], split: str) -> Iterator[Record | Flaw]:
    """Questions from the words of annotations, or from the categories of an image (`by_category`), without crowds."""
    images: dict[Any, Any] = {}
    names: dict[Any, Any] = {}
    yield from by_id(data["images"], "image", images)
    yield from by_id(data.get("categories"), "category", names)
    things: dict[Any, list[tuple[str, Any]]] = {}
    crowds: set[tuple[Any, str]] = set()
    annotations = data["annotations"]
    for number, annotation in enumerate(annotations if isinstance(annotations, list) else ()):
        where = f"annotation {number}"
        try:
            where = f"annotation {annotation.get('id', number)!s:.40}"
            image = images[annotation["image_id"]]
            words = next((str(annotation[name]).strip() for name in WORDS if annotation.get(name)), "")
            category = names[annotation["category_id"]]["name"] if names or not words else None
            if words:
                read = partial(read_boxes, annotation["bbox"], XYWH)
                yield Record(where, _name(image), _size(image), words, read, split, where, category)
            else:
                things.setdefault(annotation["image_id"], []).append((str(category), annotation["bbox"]))
                if annotation.get("iscrowd"):
                    crowds.add((annotation["image_id"], str(category)))
        except WILD as error:
            yield unusable(where, error)
    for key, of_image in things.items():
        try:
            name, size = _name(images[key]), _size(images[key])
        except WILD as error:
            yield unusable(f"image {key!s:.40}", error)
            continue
        for record in by_category(of_image, name, size, XYWH, split):
            if (key, record.query) in crowds:
                yield Flaw(record.where, "one of its boxes is a crowd, so it has no list of boxes", False)
            else:
                yield record


def by_id(entries: Any, what: str, kept: dict[Any, Any]) -> Iterator[Flaw]:
    """Put the entries of a list of a COCO file into `kept` by their ids, and yield the flaws of the others."""
    for number, entry in enumerate(entries if isinstance(entries, list) else ()):
        try:
            kept[entry["id"]] = entry
        except (KeyError, TypeError, IndexError):
            yield Flaw(f"{what} {number}", "it is not an object with a usable id", False)


def corners_of(bbox: Any) -> list[float]:
    """x, y, w, h as x1, y1, x2, y2."""
    x, y, w, h = map(float, bbox)
    return [x, y, x + w, y + h]


def _name(image: dict[str, Any]) -> str:
    name = image["file_name"]
    if not isinstance(name, str) or not name:
        raise ValueError("file_name")
    return name


def _size(image: dict[str, Any]) -> tuple[Any, Any] | None:
    return (image["width"], image["height"]) if "width" in image and "height" in image else None
