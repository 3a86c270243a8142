"""One's own files as a data set. The expected boxes are worked out by hand from what each format means."""

import json
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_files import BOX, ROW, coco, lines, prepared
from PIL import Image
from refusals import refused
from rsreward_tools.cli.main import app
from rsreward_tools.data.example import read_examples
from rsreward_tools.data.layouts.boxes import Reading
from rsreward_tools.data.own import Splitting, prepare_own
from rsreward_tools.errors import InputError
from typer.testing import CliRunner

from rsreward import SPACES

DATA = Path(__file__).parents[3] / "shared" / "data"
beside = pytest.mark.skipif(not DATA.exists(), reason="the files of others lie beside the project, not in it")


@pytest.mark.parametrize(
    "row",
    [
        ROW,
        {"image": ["a.png"], "question": "<image>the left ship", "target": json.dumps(BOX)},
        {"images": [{"bytes": None, "path": "a.png"}], "problem": "the left ship", "solution": f"<answer>{BOX}"},
        {
            "image": "a.png",
            "conversations": [
                {"from": "human", "value": "<image>the left ship"},
                {"from": "gpt", "value": "[10, 20, 110, 120]"},
            ],
        },
        {
            "messages": [{"role": "user", "content": "<image>Find <ref-object>"}],
            "images": ["a.png"],
            "objects": {"ref": ["the left ship"], "bbox": [[10, 20, 110, 120]]},
        },
        {
            "messages": [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "the left ship"}]}],
            "images": ["a.png"],
            "objects": {"ref": [], "bbox": [[0.0125, 1 / 30, 0.1375, 0.2]], "bbox_type": "norm1"},
        },
    ],
)  # fmt: skip
def test_a_row_is_read_however_it_is_written(folder, row):
    [example], report = prepared(lines(folder, row))
    assert (example.image, example.width, example.height, example.query) == ("a.png", 800, 600, "the left ship")
    assert example.boxes == [pytest.approx(BOX)]
    assert (report["dropped"], report["repaired"], report["notes"]) == (0, 0, [])


@pytest.mark.parametrize(
    ("numbers", "reading"),
    [
        ([10, 20, 100, 100], Reading("xywh")),
        ([60, 70, 100, 100], Reading("cxcywh")),
        ([60, 70, 100, 100, 0.0], Reading("oriented")),
        ([60, 70, 100, 100, 90.0], Reading("oriented-degrees")),
        ([110, 20, 110, 120, 10, 120, 10, 20], Reading("quad")),
        ([110, 20, 110, 120, 10, 120, 10, 20], Reading()),
        ([12.5, 100 / 3, 137.5, 200], Reading(space=SPACES["norm1000"])),
        ([0.0125, 1 / 30, 0.125, 1 / 6], Reading("xywh", SPACES["unit"])),
    ],
)
def test_what_the_numbers_are_is_told(folder, numbers, reading):
    [example], report = prepared(lines(folder, ROW | {"bbox": numbers}), reading=reading)
    assert example.boxes == [pytest.approx(BOX, abs=1e-3)]
    assert report["target_format"] == (reading.format or "xyxy")
    assert (example.oriented is not None) == (len(numbers) > 4)


def test_pixels_of_the_image_that_qwen2_5_vl_saw(folder):
    space = SPACES["qwen2.5-vl"].bounded(3136, 401_408)
    height, width = space.resized(600, 800)
    seen = [v * s / o for v, s, o in zip(BOX, (width, height) * 2, (800, 600) * 2, strict=True)]
    [example], _ = prepared(lines(folder, ROW | {"bbox": seen}), reading=Reading(space=space))
    assert example.boxes == [pytest.approx(BOX, abs=0.01)]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"query": "a", "bbox": BOX}, "it lacks an image (the column image or images)"),
        ({"image": "a.png", "bbox": BOX}, "it lacks a question (query, question, problem, conversations or messages)"),
        ({"image": "a.png", "query": "a"}, "it lacks a box (bbox, target, solution, boxes, or the answer"),
        ({"image": "gone.png", "query": "a", "bbox": BOX}, "the size of gone.png is not known: there is no file, and"),
        ({"images": ["a.png", "a.png"], "query": "a", "bbox": BOX}, "it has 2 images, and one is needed"),
        ({"image": {"bytes": "x", "path": None}, "query": "a", "bbox": BOX}, "its image is embedded: save it"),
        (ROW | {"image": "../secret.png"}, "leads out of"),
        (ROW | {"query": "<image> "}, "its question is empty"),
        (ROW | {"query": "\ud800"}, "half a character"),
        (ROW | {"bbox": [1, 2, 3]}, "has 3 numbers, not 4"),
        (ROW | {"bbox": [1, 2, 3, None]}, "is not a finite number"),
        (ROW | {"bbox": [5, 5, 5, 5]}, "has no area"),
        (ROW | {"bbox": [0.1, 0.2, 0.3, 0.4]}, "if it is written in 0..1, say --target-space unit"),
        (ROW | {"bbox": 10**400}, "is not a box"),
        (ROW | {"split": "holdout"}, "its split 'holdout' is none of train, val and test"),
        (ROW | {"bbox": {"bbox": [1, 2, 3, 4], "area": 4, "category_id": 1}}, "say the format 'xywh'"),
        ({"images": ["a.png"], "objects": {"ref": ["a", "b"], "bbox": [BOX]}}, "2 ref and 1 bbox"),
        ({"images": ["a.png"], "objects": {"ref": ["a"], "bbox": [BOX], "bbox_type": "norm1000"}}, "neither real nor"),
        ({"images": ["a.png"], "objects": {"ref": [], "bbox": [BOX]}}, "no ref, and no message asks a question"),
        ({"image": "a.png", "conversations": "hello"}, "its messages are not a list"),
        ({"image": "a.png", "messages": ["hello"]}, "it is not of a known form"),
        (["a.png"], "it is not an object with columns"),
        (None, "it is not an object with columns"),
    ],
)  # fmt: skip
def test_what_a_row_lacks_is_said_and_the_others_are_kept(folder, row, said):
    source = folder / "own.jsonl"
    text = json.dumps(row) if row is not None else "{cut off"
    source.write_text(f"{json.dumps(ROW)}\n\n{text}\n")
    examples, report = prepared(source)
    assert [e.source_id for e in examples] == ["own.jsonl, line 1"]
    assert report["dropped"] == 1
    [flaw] = [flaw for flaw in report["first_flaws"] if flaw.endswith("(dropped)")]
    assert flaw.startswith("own.jsonl, line 3: ")
    assert said in flaw


def test_objects_of_one_name_are_one_question(folder):
    refs = {"ref": ["sheep", "dog", "sheep"], "bbox": [BOX, [1, 2, 30, 40], [300, 300, 400, 400]]}
    one = {"ref": ["sheep"], "bbox": [BOX, [300, 300, 400, 400]]}
    examples, report = prepared(lines(folder, *({"images": ["a.png"], "objects": o} for o in (refs, one))))
    assert [(e.query, len(e.boxes)) for e in examples] == [("sheep", 2), ("dog", 1), ("sheep", 2)]
    assert len({e.source_id for e in examples}) == 3
    assert "2 questions have several boxes" in report["notes"][0]
    examples, report = prepared(folder / "own.jsonl", one_box=True)
    assert [e.query for e in examples] == ["dog"]
    assert report["dropped"] == 2


def test_boxes_in_another_frame_are_said(folder):
    rows = [ROW | {"bbox": [700, 500 + i, 900, 700]} for i in range(3)]
    _, report = prepared(lines(folder, *rows, *[ROW] * 3))
    assert "In 3 questions a box leaves its image" in report["notes"][0]


def test_parquet_and_a_folder_of_splits(folder):
    pq.write_table(pa.Table.from_pylist([ROW | {"split": "validation"}, ROW]), folder / "own.parquet")
    examples, report = prepared(folder / "own.parquet")
    assert [e.split for e in examples] == ["val", "val"], "an image stays in the split that a row names"
    parts = folder / "parts"
    parts.mkdir()
    Image.new("RGB", (800, 600)).save(parts / "a.png")
    lines(parts, ROW, name="train.jsonl")
    (parts / "test.json").write_text(json.dumps([ROW]))
    _, report = prepared(parts)
    assert report["examples"] == {"train": 1, "test": 1}
    assert "1 images are in two splits, such as a.png" in report["notes"][0]


def test_no_photograph_is_in_two_splits_and_the_seed_decides(tmp_path):
    names = [f"P{number:04}__{tile}.png" for number in range(40) for tile in range(3)]
    rows = [{"image": name, "query": "q", "bbox": BOX, "width": 200, "height": 200} for name in names]
    source, draws = lines(tmp_path, *rows), []
    for seed in (0, 0, 1):
        examples, report = prepared(source, splitting=Splitting(val=0.1, test=0.25, seed=seed))
        assert report["examples"] == {"train": 78, "val": 12, "test": 30}
        where = {}
        for e in examples:
            where.setdefault(e.image[:5], set()).add(e.split)
        assert all(len(splits) == 1 for splits in where.values())
        draws.append({e.image: e.split for e in examples})
    assert draws[0] == draws[1] != draws[2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["own", "nope.jsonl"], "there is no file or folder nope.jsonl"),
        (["own", "a.png"], "is none of .jsonl, .ndjson, .json, .parquet, nor a folder"),
        (["own", "own.jsonl", "--images", "nope"], "--images nope is not a folder"),
        (["own", "own.jsonl", "--target-format", "yolo"], "--target-format must be one of xyxy, xywh"),
        (["own", "own.jsonl", "--target-space", "nope"], "--target-space: "),
        (["own", "own.jsonl", "--max-pixels", "9"], "need --target-space"),
        (["own", "own.jsonl", "--split", "all"], "--split must be one of train, val, test"),
        (["own", "own.jsonl", "--val-share", "0.7", "--test-share", "0.7"], "more than all together"),
        (["own", "own.jsonl", "--query-pattern", "Locate .*"], "needs a group in parentheses"),
        (["own", "own.jsonl", "--query-pattern", "("], "is not a regular expression"),
        (["own", "own.jsonl", "--query-pattern", "Find (.*)"], "holds no example that can be used. The first: own"),
        (["own", "own.jsonl", "--group", "^seq"], "--group finds nothing in the name 'a.png'"),
        (["own", "coco.json", "--target-format", "xywh"], "COCO's boxes are x, y, w, h in pixels: leave out"),
        (["own", "own.json"], "is neither a list of rows nor COCO's object"),
        (["own", "deep.json"], "is not JSON"),
        (["own", "empty"], "holds no labels of DOTA"),
        (["dior_rsvg", ".", "--one-box"], "--one-box is for one's own data"),
    ],
)  # fmt: skip
def test_mistakes_are_one_sentence(folder, monkeypatch, capsys, arguments, said):
    lines(folder, ROW)
    coco(folder, [])
    (folder / "own.json").write_text("{}")
    (folder / "deep.json").write_text("[" * 100_000)
    (folder / "empty").mkdir()
    assert said in refused(monkeypatch, capsys, folder, "data", "prepare", *arguments, "--out", "out")
    assert not (folder / "out").exists()


def test_what_comes_out_is_what_the_other_commands_take(folder):
    source = lines(folder, {"image": "a.png", "question": "Locate the left ship.", "bbox": BOX})
    out, rows = folder / "out", folder / "rows.parquet"
    options = ["--query-pattern", r"Locate (.*)\.", "--split", "val"]
    for arguments in (
        ["prepare", "own", source, "--out", out, *options],
        ["verl", out / "val.parquet", "--images", folder, "--out", rows],
        ["inspect", out / "val.parquet", "--images", folder, "--out", folder / "sheet.png"],
    ):
        CliRunner().invoke(app, ["data", *map(str, arguments)], catch_exceptions=False)
    [row] = pq.read_table(rows).to_pylist()
    assert row["reward_model"]["ground_truth"] == json.dumps({"bbox": BOX, "width": 800, "height": 600})
    assert "Locate the left ship." in row["prompt"][0]["content"]


def test_ones_own_tables_are_neither_written_over_nor_removed(folder):
    pq.write_table(pa.Table.from_pylist([ROW]), folder / "train.parquet")
    lines(folder, ROW)
    before = (folder / "train.parquet").read_bytes()
    for source, said in (
        ("train.parquet", "is the input itself"),
        ("own.jsonl", "holds a train.parquet that this command did not"),
    ):
        with pytest.raises(InputError, match=said):
            prepare_own(folder / source, None, folder)
    assert (folder / "train.parquet").read_bytes() == before


@beside
@pytest.mark.parametrize("name", ["coco.json", "swift.jsonl", "vlm_r1.jsonl"])
def test_the_files_that_people_have(tmp_path, name):
    Image.new("RGB", (800, 600)).save(tmp_path / "a.png")
    prepare_own(DATA / "field/own" / name, tmp_path, tmp_path / "out")
    [example] = read_examples(tmp_path / "out/train.parquet")
    assert example.boxes == [BOX]


@beside
def test_real_photographs_with_vehicles(tmp_path):
    source = DATA / "kit_ais/vehicles_coco.json"
    sequences = Splitting(val=0.3, group=re.compile(r"^images/(.*?)\d+\."))
    report = prepare_own(source, None, tmp_path, splitting=sequences)
    assert report["examples"] == {"train": 71, "val": 40}
    assert (report["images"], report["images_without_file"], report["dropped"]) == (65, 0, 0)
    boxes = [box for split in ("train", "val") for e in read_examples(tmp_path / f"{split}.parquet") for box in e.boxes]
    assert len(boxes) == len(json.loads(source.read_text())["annotations"]) == 2593


def test_a_source_of_nothing_says_why(folder):
    with pytest.raises(InputError, match=r"no example that can be used\. The first: own\.jsonl, line 1: it lacks"):
        prepared(lines(folder, {"image": "a.png"}))
