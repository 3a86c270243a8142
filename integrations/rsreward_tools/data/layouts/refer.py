"""RRSIS-D: the REFER layout, a pickle of expressions and a COCO file of instances. The pickle is not executed."""

import json
import pickle
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

from ...errors import InputError
from ...files import read_file
from ..example import SPLITS, WILD, Flaw, LayoutError, Record, in_pixels, unusable
from .coco import by_id, corners_of

IMAGES = "images/rrsisd/JPEGImages"


class _PlainData(pickle.Unpickler):
    """Reads lists, dicts, strings and numbers, and refuses everything that a pickle would import or call."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and plain data needs none")

    def persistent_load(self, key: Any) -> Any:
        raise pickle.UnpicklingError("it refers to data outside")


def load_refer(root: Path, dataset: str) -> Iterator[Record | Flaw]:
    refs_path, instances_path = root / "rrsisd" / "refs(unc).p", root / "rrsisd" / "instances.json"
    images: dict[Any, Any] = {}
    annotations: dict[Any, Any] = {}
    categories: dict[Any, Any] = {}
    try:
        refs = _PlainData(BytesIO(read_file(refs_path)), encoding="latin1").load()
        instances = json.loads(read_file(instances_path))
        lists = {name: instances[name] for name in ("images", "annotations", "categories")}
        if not isinstance(refs, list):
            raise TypeError("the references are not a list")
    except FileNotFoundError as error:
        raise LayoutError(f"there is no {Path(error.filename).relative_to(root)}") from None
    except InputError:
        raise
    except pickle.UnpicklingError as error:
        raise InputError(f"{refs_path} was not read: {error}.") from None
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise InputError(f"{refs_path} or {instances_path.name} is damaged: {error!r:.200}.") from None
    for name, kept in (("images", images), ("annotations", annotations), ("categories", categories)):
        yield from by_id(lists[name], f"instances.json, {name}", kept)
    for number, ref in enumerate(refs):
        where = f"ref {number}"
        try:
            where = f"ref {ref['ref_id']!s:.40}"
            image, annotation = images[ref["image_id"]], annotations[ref["ann_id"]]
            name, size = f"{IMAGES}/{image['file_name']}", (image["width"], image["height"])
            box = corners_of(annotation["bbox"])
            sentences = [str(s["raw"] if "raw" in s else s["sent"]).strip() for s in ref["sentences"]]
            split = str(ref["split"])
            category = categories.get(annotation["category_id"], {}).get("name")
        except WILD as error:
            yield unusable(where, error)
            continue
        if split not in SPLITS:
            yield Flaw(where, f"its split {split!r:.40} is none of {', '.join(SPLITS)}", False)
            continue
        for count, sentence in enumerate(sentences):
            if sentence:
                yield Record(where, name, size, sentence, in_pixels(box), split, f"{ref['ref_id']}.{count}", category)
            else:
                yield Flaw(where, f"its sentence {count} is empty", False)
