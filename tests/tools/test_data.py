import json
import pickle
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import torch
from layouts import SCENES, WRITERS, write_lines, write_refer, write_voc, write_vrsbench
from PIL import Image
from refusals import refused
from rsreward_tools.data.contact_sheet import contact_sheet
from rsreward_tools.data.example import Flaw, read_examples
from rsreward_tools.data.published import DATASETS, load, prepare, shared_photographs
from rsreward_tools.data.scenes.dataset import write_scenes
from rsreward_tools.errors import InputError

from rsreward import corners

DATA = Path(__file__).parents[3] / "shared" / "data"
beside = pytest.mark.skipif(
    not DATA.exists(), reason="the sample of published files lies beside the project, not in it"
)


def test_every_data_set_has_a_layout_to_test():
    assert WRITERS.keys() == DATASETS.keys()


@pytest.mark.parametrize("name", WRITERS)
def test_the_scenes_come_back_from_every_published_layout(name, tmp_path):
    root, out = tmp_path / "root", tmp_path / "out"
    root.mkdir()
    WRITERS[name](root)
    report = prepare(name, root, out)
    assert (report["repaired"], report["dropped"], report["images_without_file"]) == (0, 0, 0)
    examples = [e for path in sorted(out.glob("*.parquet")) for e in read_examples(path)]
    assert len(examples) == len(SCENES)
    by_query = {example.query.removesuffix(", seen from above"): example for example in examples}
    for scene in SCENES:
        example = by_query[scene.query]
        with Image.open(root / example.image) as image:
            assert image.size == (example.width, example.height)
        assert example.boxes[0] == pytest.approx(scene.box(example.width), abs=0.5)
        if example.oriented:
            points = corners(torch.tensor(example.oriented[0]))
            assert torch.cat([points.amin(0), points.amax(0)]).tolist() == pytest.approx(example.boxes[0], abs=1e-3)


def test_two_runs_write_the_same_bytes(tmp_path):
    write_voc(tmp_path / "root")
    for out in ("a", "b"):
        prepare("dior_rsvg", tmp_path / "root", tmp_path / out)
    assert (tmp_path / "a/train.parquet").read_bytes() == (tmp_path / "b/train.parquet").read_bytes()


def test_killed_and_started_again_it_writes_the_same_bytes(tmp_path):
    write_voc(tmp_path / "root")
    prepare("dior_rsvg", tmp_path / "root", tmp_path / "whole")
    arguments = ["data", "prepare", "dior_rsvg", tmp_path / "root", "--out", tmp_path / "killed"]
    command = [Path(sys.executable).with_name("rsreward"), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed").exists():
        time.sleep(0.001)
    process.kill()
    process.wait()
    subprocess.run(command, check=True, capture_output=True)
    for name in ("train", "val", "test"):
        assert (tmp_path / f"killed/{name}.parquet").read_bytes() == (tmp_path / f"whole/{name}.parquet").read_bytes()


def test_counters_run_over_the_sorted_files(tmp_path):
    write_voc(tmp_path)
    (tmp_path / "Annotations" / "00000.xml").rename(tmp_path / "Annotations" / "99999.xml")
    splits = {e.source_id: (e.split, e.image) for e in load("dior_rsvg", tmp_path) if not isinstance(e, Flaw)}
    assert splits["3"] == ("test", "JPEGImages/00000.jpg")


@pytest.mark.parametrize(
    ("tag", "other", "said"),
    [("xmax>", "left>", "no <xmax>"), ("description>", "note>", "no <description>")],
)
def test_what_an_annotation_lacks_is_listed_and_the_counter_goes_on(tmp_path, tag, other, said):
    write_voc(tmp_path)
    path = tmp_path / "Annotations" / "00001.xml"
    path.write_text(path.read_text().replace(tag, other))
    items = list(load("dior_rsvg", tmp_path))
    assert [item for item in items if isinstance(item, Flaw)] == [Flaw("00001.xml, object 1", f"it has {said}", False)]
    assert [item.source_id for item in items if not isinstance(item, Flaw)] == ["0", "2", "3"]


def test_lines_with_commas_and_bad_numbers(tmp_path):
    lines = [
        "1.jpg,10,20,30,40,a court, the left one, by the road",
        "2.jpg,216,00,300,310,400,a bridge",
        "3.jpg,300,20,100,40,a tank",
        "4.jpg,10,20,30,2000,a ship",
        "5.jpg,10,20,30",
        "6.jpg,10,20,30,40,2 planes",
        "7.jpg,nan,20,30,40,a car",
        "8.jpg,10,20,30,40,",
    ]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    items = list(load("rsvg_hr", tmp_path))
    kept = {e.image: (e.query, e.boxes[0]) for e in items if not isinstance(e, Flaw)}
    assert kept == {
        "images/1.jpg": ("a court, the left one, by the road", [10, 20, 30, 40]),
        "images/3.jpg": ("a tank", [100, 20, 300, 40]),
        "images/4.jpg": ("a ship", [10, 20, 30, 1024]),
        "images/6.jpg": ("2 planes", [10, 20, 30, 40]),
    }
    dropped = [flaw.where for flaw in items if isinstance(flaw, Flaw) and not flaw.repaired]
    assert dropped == [f"train.txt, line {number}" for number in (2, 5, 7, 8)]


class _Harmful:
    def __reduce__(self):
        return (Path("executed").touch, ())


def test_an_unknown_split_and_an_empty_sentence_are_listed(tmp_path):
    write_refer(tmp_path)
    path = tmp_path / "rrsisd" / "refs(unc).p"
    refs = pickle.loads(path.read_bytes())  # noqa: S301  written above
    refs[0]["split"], refs[1]["sentences"] = "../../evil", [{"raw": " "}]
    path.write_bytes(pickle.dumps(refs, protocol=2))
    items = list(load("rrsis_d", tmp_path))
    assert [item.where for item in items if isinstance(item, Flaw)] == ["ref 0", "ref 1"]
    assert {item.split for item in items if not isinstance(item, Flaw)} == {"val", "test"}


def test_a_pickle_is_never_executed(tmp_path, monkeypatch):
    write_refer(tmp_path)
    (tmp_path / "rrsisd" / "refs(unc).p").write_bytes(pickle.dumps([_Harmful()], protocol=2))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="asks for"):
        list(load("rrsis_d", tmp_path))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/../../b", "..\\\\x"])
def test_image_names_do_not_leave_the_root(tmp_path, name):
    write_vrsbench(tmp_path)
    path = next((tmp_path / "Annotations_train").glob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"image": name}))
    with pytest.raises(InputError, match="leads out of"):
        list(load("vrsbench", tmp_path))


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match=r"unknown data set 'dior'.*dior_rsvg"):
        load("dior", tmp_path)
    with pytest.raises(InputError, match=r"download vrsbench as https://.*Images_val"):
        load("vrsbench", tmp_path / "nowhere")
    for name in DATASETS:
        with pytest.raises(InputError, match=r"there is n.* in .*, which should hold .*, as https://"):
            list(load(name, tmp_path))
    (tmp_path / "x.parquet").write_text("none")
    with pytest.raises(InputError, match="rsreward data prepare"):
        list(read_examples(tmp_path / "x.parquet"))


def test_shared_photographs_are_found_by_their_names(tmp_path):
    write_voc(tmp_path / "dior")
    write_vrsbench(tmp_path / "vrs")
    prepare("dior_rsvg", tmp_path / "dior", tmp_path / "a")
    prepare("vrsbench", tmp_path / "vrs", tmp_path / "b")
    assert shared_photographs(tmp_path / "a/train.parquet", tmp_path / "b/train.parquet") == Counter(["00000", "00001"])
    assert not shared_photographs(tmp_path / "a/train.parquet", tmp_path / "b/test.parquet")
    write_scenes(tmp_path / "scenes", {"train": 2, "test": 2}, level=1, size=32)
    assert not shared_photographs(tmp_path / "scenes/train.parquet", tmp_path / "scenes/test.parquet")


def test_the_contact_sheet_draws_the_boxes_where_they_are(tmp_path):
    write_lines(tmp_path)
    prepare("rsvg_hr", tmp_path, tmp_path / "out")
    (example,) = read_examples(tmp_path / "out/test.parquet")
    sheet = contact_sheet([example], tmp_path)
    x1, y1, x2, _ = (v * 296 / 1024 + 2 for v in example.boxes[0])
    assert sheet.getpixel((round((x1 + x2) / 2), round(y1))) == (255, 214, 10)


def test_the_command_says_what_it_found(tmp_path):
    write_voc(tmp_path / "root")
    run = [str(Path(sys.executable).with_name("rsreward")), "data"]
    done = subprocess.run(
        [*run, "prepare", "dior_rsvg", str(tmp_path / "root"), "--out", str(tmp_path / "out")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "2 examples" in done.stdout
    assert "2 where 26,991 are published" in done.stdout
    sheet = tmp_path / "sheet.png"
    arguments = [str(tmp_path / "out/train.parquet"), "--images", str(tmp_path / "root"), "--out", str(sheet)]
    subprocess.run([*run, "inspect", *arguments], check=True, capture_output=True)
    assert sheet.stat().st_size > 10_000
    done = subprocess.run([*run, "prepare", "dior", str(tmp_path), "--out", "x"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["verl", "out/train.parquet", "--images", ".", "--out", "out/train.parquet"], "is the input itself"),
        (["verl", "out/train.parquet", "--images", ".", "--out", "out"], "--out out is a folder: name a file."),
        (["verl", "out/train.parquet", "--images", ".", "--out", "JPEGImages/00000.jpg"], "an image of the data set"),
        (["verl", "out/train.parquet", "--images", ".", "--out", "x", "--template", "foo"], "must hold {query}"),
        (["verl", "nope.parquet", "--images", ".", "--out", "x"], "there is no file nope.parquet"),
        (["overlap", "nope.parquet", "out/train.parquet"], "there is no file nope.parquet"),
        (["inspect", "out/train.parquet", "--images", ".", "--out", "out/train.parquet"], "is the input itself"),
        (["inspect", "out/train.parquet", "--images", ".", "--out", "out"], "--out out is a folder"),
        (
            ["inspect", "out/train.parquet", "--images", ".", "--out", "JPEGImages/00000.jpg"],
            "an image of the data set",
        ),
        (["inspect", "out/train.parquet", "--images", ".", "--out", "x"], "let its name end in .png, .jpg, .jpeg"),
        (["inspect", "out/train.parquet", "--images", "nope"], "--images nope is not a folder"),
        (["inspect", "out/train.parquet", "--images", "Annotations"], "none of the 2 images is in Annotations"),
        (["prepare", "dior_rsvg", ".", "--out", "train.txt"], "--out train.txt must be a folder"),
        (["scenes", "train.txt"], "train.txt must be a folder"),
    ],
)
def test_what_is_read_is_never_written_over_and_mistakes_are_one_sentence(
    prepared, monkeypatch, capsys, arguments, said
):
    files = {path: path.read_bytes() for path in prepared.rglob("*") if path.is_file()}
    assert said in refused(monkeypatch, capsys, prepared, "data", *arguments)
    assert {path: path.read_bytes() for path in prepared.rglob("*") if path.is_file()} == files


def test_inspect_says_how_many_images_are_missing_or_broken(prepared, tmp_path):
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "JPEGImages/00000.jpg").write_text("no image")
    command = [str(Path(sys.executable).with_name("rsreward")), "data", "inspect", str(prepared / "out/train.parquet")]
    options = ["--images", str(tmp_path), "--out", str(tmp_path / "sheet.png")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    assert f"1 of the 2 images are not in {tmp_path}, such as JPEGImages/00001.jpg." in done.stderr
    assert (tmp_path / "sheet.png").stat().st_size > 1000


@beside
def test_the_published_split_files_are_disjoint_and_complete():
    splits = {
        s: [int(n) for n in (DATA / f"dior_rsvg_splits/{s}.txt").read_text().split()] for s in ("train", "val", "test")
    }
    assert {s: len(numbers) for s, numbers in splits.items()} == DATASETS["dior_rsvg"].counts
    assert sorted(int(n) for numbers in splits.values() for n in numbers) == list(range(38_320))


@beside
def test_the_three_photographs(tmp_path):
    report = prepare("dior_rsvg", DATA / "aerial", tmp_path)
    assert report["examples"] == {"train": 8, "val": 1, "test": 4}
    assert (report["images"], report["images_without_file"], report["dropped"]) == (3, 0, 0)
