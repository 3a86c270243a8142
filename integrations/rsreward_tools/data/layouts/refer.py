"""RRSIS-D: the REFER layout, a pickle of expressions and a COCO file of instances. The pickle is not executed."""

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError
from ..example import SPLITS, Example, Flaw, LayoutError, inside, mend

IMAGES = "images/rrsisd/JPEGImages"


class _PlainData(pickle.Unpickler):
    """Lists, dicts, strings and numbers; anything that a pickle would import or call is refused."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, and plain data needs none")

    def persistent_load(self, key: Any) -> Any:
        raise pickle.UnpicklingError("it refers to data outside")


def load_refer(root: Path, dataset: str) -> Iterator[Example | Flaw]:
    refs_path, instances_path = root / "rrsisd" / "refs(unc).p", root / "rrsisd" / "instances.json"
    try:
        with refs_path.open("rb") as file:
            refs = _PlainData(file, encoding="latin1").load()
        instances = json.loads(instances_path.read_text(encoding="utf-8"))
        images = {image["id"]: image for image in instances["images"]}
        annotations = {annotation["id"]: annotation for annotation in instances["annotations"]}
        names = {category["id"]: category["name"] for category in instances["categories"]}
    except FileNotFoundError as error:
        raise LayoutError(f"there is no {Path(error.filename).relative_to(root)}") from None
    except pickle.UnpicklingError as error:
        raise InputError(f"{refs_path} was not read: {error}.") from None
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise InputError(f"{refs_path} or {instances_path.name} is damaged: {error!r}.") from None
    for number, ref in enumerate(refs):
        where = f"ref {number}"
        try:
            where = f"ref {ref['ref_id']}"
            image, annotation = images[ref["image_id"]], annotations[ref["ann_id"]]
            name = f"{IMAGES}/{image['file_name']}"
            x, y, w, h = map(float, annotation["bbox"])
            sentences = [str(s["raw"] if "raw" in s else s["sent"]).strip() for s in ref["sentences"]]
            split, category = str(ref["split"]), names.get(annotation["category_id"])
            width, height = int(image["width"]), int(image["height"])
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            yield Flaw(where, f"it has no usable {error}", False)
            continue
        inside(root, name)
        if split not in SPLITS:
            yield Flaw(where, f"its split {split!r} is none of {', '.join(SPLITS)}", False)
            continue
        kept, flaws = mend([x, y, x + w, y + h], width, height, where)
        yield from flaws
        if kept is None:
            continue
        for count, sentence in enumerate(sentences):
            if not sentence:
                yield Flaw(where, f"its sentence {count} is empty", False)
                continue
            yield Example(
                name, width, height, sentence, [kept], None, category, None, split, dataset,
                f"{ref['ref_id']}.{count}",
            )  # fmt: skip
