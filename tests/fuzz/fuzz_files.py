"""Harnesses of what reads and writes files: data sets, rows, images, pages."""

import io
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from random import Random
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
from fuzz_core import refused
from fuzz_drawing import HTML, TOKENS, as_json, box, changed, changed_bytes, deep, text, value
from layouts import WRITERS
from PIL import Image
from rsreward_tools.data.example import SCHEMA, read_examples
from rsreward_tools.data.images import check_image, image_bytes, image_size, open_image
from rsreward_tools.data.own import prepare_own
from rsreward_tools.data.published import DATASETS, load
from rsreward_tools.errors import InputError
from rsreward_tools.pages import charts
from rsreward_tools.pages.run import write_run_report
from rsreward_tools.pages.score import ScoreReport
from rsreward_tools.score.options import Options
from rsreward_tools.score.totals import score_file

XML = [
    b'<!DOCTYPE a [<!ENTITY b "c"><!ENTITY d "&b;&b;&b;&b;&b;&b;&b;&b;">]><annotation>&d;</annotation>',
    b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotation><filename>&x;</filename></annotation>',
    b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://localhost/x"> %x;]><annotation/>',
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd">', b'<?xml version="1.0" encoding="utf-7"?>', b"<object>" * 20_000,
    b'<?xml version="1.0" encoding="of-another"?>', b'<?xml version="1.0" encoding="utf-16"?><annotation/>',
    b'<?xml version="1.0" encoding="idna"?>', b"<![CDATA[", b"<a b='1' b='2'/>",
]  # fmt: skip
BYTES = (
    [token.encode("utf-8", "surrogatepass") for token in TOKENS] + XML + [b"[" * 100_000, b'{"a":' * 20_000, b"\xff"]
)
OWN = {"train.jsonl", "train.json", "coco.json", "train.parquet", "labelTxt/a.txt"}


@cache
def data_sets() -> dict[str, tuple[Path, list[Path]]]:
    """A folder of each published data set and of one's own files, with the files in it."""
    home, found = Path(tempfile.mkdtemp(prefix="rsreward-fuzz-")), {}
    for name, write in WRITERS.items():
        (home / name).mkdir()
        write(home / name)
    Image.new("RGB", (400, 400)).save(home / "a.png")
    for folder in (home / name for name in (*WRITERS, "own", "images")):
        folder.mkdir(exist_ok=True)
        found[folder.name] = folder, sorted(path for path in folder.rglob("*") if path.is_file())
    return found


def image(r: Random) -> bytes:
    """An image of any kind, cut off, changed, or with a header that says 30,000 x 30,000."""
    mode = r.choice(("RGB", "L", "1", "P", "RGBA", "CMYK", "I;16", "I", "F", "LA"))
    form = r.choice(("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "JPEG2000"))
    buffer = io.BytesIO()
    try:
        Image.new(mode, (r.randint(1, 40), r.randint(1, 40)), 1).save(buffer, form)
    except (OSError, ValueError, KeyError):  # a mode that this form does not know
        Image.new("RGB", (9, 9)).save(buffer, "PNG")
    data = buffer.getvalue()
    if data[:4] == b"\x89PNG" and r.random() < 0.3:
        width, height = (r.choice((0, 1, 30_000, 2**31 - 1, 2**32 - 1)).to_bytes(4) for _ in range(2))
        return data[:16] + width + height + data[24:]
    return data[: r.randint(0, len(data))] if r.random() < 0.3 else changed_bytes(r, data, BYTES[:30])


def row(r: Random) -> dict[str, Any]:
    """A row of one's own, or of a dump, changed."""
    said = {"role": "assistant", "content": text(r)}
    found = {
        r.choice(("query", "problem")): text(r, HTML),
        r.choice(("image", "images")): "a.png",
        r.choice(("bbox", "solution", "target")): box(r),
        "width": 400,
        "height": 400,
        "completion": text(r, HTML),
        "kind": r.choice(("a", text(r, HTML))),
        "objects": r.choice((None, None, {"bbox": [box(r)], "ref": ["a ship"]})),
        "messages": r.choice((None, [{"role": "user", "content": "where?"}, said])),
    }
    return {name: changed(r, each, 0.1) for name, each in found.items() if each is not None}


def table(r: Random) -> bytes:
    """Parquet of another schema."""
    buffer, rows = io.BytesIO(), [{**row(r), "instances": value(r, 2), "boxes": [box(r)]} for _ in range(3)]
    names = r.sample([*SCHEMA.names, "image_id", "image_path", "instances", "completion", "target"], 12)
    columns = {}
    for name in names:
        values = [each.get(name) for each in rows]
        for choice in (values, [as_json(each)[:100] for each in values]):
            try:
                columns[name] = pa.array(choice)
                break
            except (pa.ArrowException, ValueError, TypeError, OverflowError, RecursionError):
                continue
    pq.write_table(pa.table({name: each for name, each in columns.items() if len(each) == 3}), buffer)
    return buffer.getvalue()


def coco(r: Random) -> dict[str, Any]:
    """COCO's object, changed."""
    boxes = [{"id": i, "image_id": 1, "category_id": 1, "bbox": box(r)} for i in range(3)]
    images = [{"id": 1, "file_name": "a.png", "width": 400, "height": 400}]
    return changed(r, {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "ship"}]})


def lines(r: Random) -> bytes:
    parts = [as_json(deep(r, row(r)) if r.random() < 0.05 else row(r)).encode() for _ in range(r.choice((1, 3)))]
    return b"\n".join(changed_bytes(r, each, BYTES) if r.random() < 0.2 else each for each in parts)


def draw_file(r: Random) -> tuple[str, str, bytes]:
    """A data set, one of its files, and what stands in it now."""
    name = r.choice([*DATASETS, "own", "own", "own", "images"])
    if name == "images":
        return name, "a.png", image(r)
    if name == "own":
        file = r.choice(sorted(OWN))
        made = {
            "train.parquet": table, "coco.json": lambda r: as_json(coco(r)).encode(), "train.jsonl": lines,
            "train.json": lambda r: as_json([row(r), value(r)]).encode(),
            "labelTxt/a.txt": lambda r: changed_bytes(r, b"gsd:1\n1 2 3 2 3 4 1 4 ship 0\n" * 3, BYTES),
        }[file](r)  # fmt: skip
        return name, file, changed_bytes(r, made, BYTES) if r.random() < 0.2 else made
    root, files = data_sets()[name]
    path = r.choice([each for each in files if each.suffix not in (".jpg", ".png")] * 9 + files)
    whole = path.read_bytes()
    if path.suffix == ".json":
        new = as_json(changed(r, json.loads(whole))).encode()
    elif path.suffix == ".parquet" and r.random() < 0.5:
        new = table(r)
    elif path.suffix in (".jpg", ".png"):
        new = image(r)
    else:
        new = changed_bytes(r, whole, BYTES)
    return name, path.relative_to(root).as_posix(), new if r.random() < 0.8 else changed_bytes(r, new, BYTES)


def check_file(drawn: tuple[str, str, bytes]) -> None:
    """Whatever stands in a file, the others are read, or one sentence says why not."""
    name, file, data = drawn
    root, files = data_sets()[name]
    path = root / file
    before = path.read_bytes() if path in files else None
    path.parent.mkdir(exist_ok=True, parents=True)
    try:
        path.write_bytes(data)
        for read in _readers(name, root, path):
            try:
                read()
            except InputError as error:
                refused(error, "")
    finally:
        path.unlink()
        if before is not None:
            path.write_bytes(before)


def _readers(name: str, root: Path, path: Path) -> list[Callable[[], Any]]:
    if name == "images":
        return [lambda read=read: read(path) for read in (image_size, check_image, image_bytes, open_image)]
    if name != "own":
        return [lambda: list(load(name, root))]
    source = path.parent if path.suffix == ".txt" else path
    readers = [lambda: prepare_own(source, root.parent, root.parent / "out")]
    if path.suffix == ".parquet":
        readers.append(lambda: list(read_examples(path)))
    if path.suffix in (".jsonl", ".parquet"):
        readers.append(lambda: score_file(path, Options(by=("kind",)), out=root.parent / "scored"))
    return readers


class Elements(HTMLParser):
    """The elements of a page, each with the names of its attributes; comments and declarations too."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: set[tuple[str, ...]] = set()
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.add((tag, *(name for name, _ in attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.found.add(("end of " + tag,))

    def handle_comment(self, data: str) -> None:
        self.found.add(("comment",))

    def unknown_decl(self, data: str) -> None:
        self.found.add(("declaration",))

    def handle_pi(self, data: str) -> None:
        self.found.add(("instruction",))


def draw_page(r: Random) -> list[str]:
    """What somebody else wrote in each place of a page."""
    return [text(r, HTML) if r.random() < 0.7 else r.choice(HTML) for _ in range(6)]


def check_page(texts: list[str]) -> None:
    """A page holds no element or attribute but those that it has with harmless texts. What models write has others."""
    # The charts hold numbers alone, and would take most of the time.
    with patch.multiple(charts, histogram=lambda counts: "data:,", offset_map=lambda counts, reach: "data:,"):
        for page in (_score_page, _run_page):
            added = _elements(page, *texts) - _of_harmless(page)
            assert not added, f"{page.__name__} has {sorted(added)}"


def _elements(page: Callable[..., str], *texts: str) -> set[tuple[str, ...]]:
    with tempfile.TemporaryDirectory(prefix="rsreward-fuzz-") as home:
        return Elements(page(Path(home), texts)).found


@cache
def _of_harmless(page: Callable[..., str]) -> set[tuple[str, ...]]:
    answers = ("[1, 2, 30, 40]", "none", "[1, 2, 3, 4, 5]", "sorry " * 200)
    return set().union(
        *(_elements(page, answer, "a", image, "c", "d", "e") for answer in answers for image in ("b", ".."))
    )


def _score_page(home: Path, texts: Sequence[str]) -> str:
    completion, query, picture, kind, name, broken = texts
    rows = [{"completion": completion, "query": query, "image": picture, "kind": kind}] * 2
    file = home / "rows.jsonl"
    with file.open("w") as stream:
        for fields in rows:
            stream.write(json.dumps({"target": [1, 2, 30, 40], "width": 100, "height": 100} | fields) + "\n")
        stream.write(json.dumps({"completion": "", "target": broken + "x"}) + "\n")
    report = ScoreReport(home / "page.html", home)
    result = score_file(file, Options(by=("kind",)), watch=report.watch)
    report.write(result, {"file": name, "by": query})
    return report.html.read_text()


def _run_page(home: Path, texts: Sequence[str]) -> str:
    a, b, c, d, e, f = texts
    (home / "plan.json").write_text(json.dumps({"model": a, "of": {b: c}, "list": [d]}))
    (home / "history.json").write_text("[]")
    metrics = {"metrics": {"iou": 0.5}, "intervals": {"iou": [0, 1]}}
    results = {
        **metrics, "conventions": {e: metrics}, "groups": {f: {"iou": 0.5}}, "group_intervals": {f: {"iou": [0, 1]}},
        "pass@k at IoU 0.5": {}, "asked": {"model": b}, "read_in": c, "versions": {d: e}, "commit": a,
    }  # fmt: skip
    (home / "results.json").write_text(json.dumps(results))
    return write_run_report(home).read_text()
