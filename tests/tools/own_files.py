"""One's own files, as tests write them."""

import json

from rsreward_tools.data.example import read_examples
from rsreward_tools.data.own import prepare_own

BOX = [10.0, 20.0, 110.0, 120.0]
ROW = {"image": "a.png", "query": "the left ship", "bbox": BOX}


def lines(folder, *rows, name="own.jsonl"):
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def coco(folder, annotations, **more):
    data = {
        "images": [{"id": 1, "file_name": "a.png", "width": 800, "height": 600}],
        "categories": [{"id": 1, "name": "ship"}, {"id": 2, "name": "plane"}],
        "annotations": [{"id": i, "image_id": 1} | a for i, a in enumerate(annotations)],
    }
    (folder / "coco.json").write_text(json.dumps(data | more))
    return folder / "coco.json"


def prepared(source, **options):
    """The examples of all splits, and the report."""
    out = source.parent / "out"
    report = prepare_own(source, None, out, **options)
    return [e for path in sorted(out.glob("*.parquet")) for e in read_examples(path)], report
