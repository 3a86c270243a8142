"""What is wrong in the files of others: counted or told in a sentence, never followed, never fatal to the rest."""

import json
import os
import pickle
import resource
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from layouts import FIRST_VOC as FIRST
from layouts import changed, write_geopix, write_refer, write_voc, write_vrsbench
from PIL import Image
from refusals import refused
from rsreward_tools.data.example import SCHEMA, Example, Flaw, read_examples, write_examples
from rsreward_tools.data.published import load, prepare
from rsreward_tools.errors import InputError
from rsreward_tools.files import file_to_write


def change_json(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def change_refs(root, change):
    path = root / "rrsisd/refs(unc).p"
    refs = pickle.loads(path.read_bytes())  # noqa: S301  written by the test
    change(refs)
    path.write_bytes(pickle.dumps(refs, protocol=2))


def change_rows(root, change):
    path = next((root / "data").glob("train.*.parquet"))
    rows = pq.read_table(path).to_pylist()
    change(rows)
    pq.write_table(pa.Table.from_pylist(rows), path)


def voc(*pairs):
    return "dior_rsvg", write_voc, lambda root: changed(root, FIRST, *pairs)


def vrsbench(change):
    def spoil(root):
        path = next((root / "Annotations_train").glob("*.json"))
        change_json(path, lambda record: change(record["objects"][0]))

    return "vrsbench", write_vrsbench, spoil


def vrsbench_text(text):
    def spoil(root):
        next((root / "Annotations_train").glob("*.json")).write_text(text)

    return "vrsbench", write_vrsbench, spoil


def refer(change):
    return "rrsis_d", write_refer, lambda root: change_refs(root, lambda refs: change(refs[0]))


def instances(change):
    return "rrsis_d", write_refer, lambda root: change_json(root / "rrsisd/instances.json", change)


def geopix(change):
    def write(root):
        write_geopix(root, "FAST_T")

    return "fast_t", write, lambda root: change_rows(root, change)


def no_images(kind):
    """The same with no image at hand, so that only the annotation tells the size."""
    name, write, spoil = kind

    def spoil_both(root):
        spoil(root)
        for path in [*root.rglob("*.jpg"), *root.rglob("*.png")]:
            path.unlink()

    return name, write, spoil_both


SIDE = "<width>800</width>"
WILD = {
    "voc: width 1e30": no_images(voc((SIDE, "<width>1e30</width>"))),
    "voc: width 0": no_images(voc((SIDE, "<width>0</width>"))),
    "voc: no width": no_images(voc((SIDE, ""))),
    "voc: a box of words": voc(("<xmin>", "<xmin>left ")),
    "voc: an infinite box": voc(("<xmin>", "<xmin>1e999")),
    "voc: no file name": voc(("<filename>00000.jpg</filename>", "")),
    "vrsbench: a number of 400 digits": vrsbench(lambda o: o.update(obj_coord=[10**400, 0, 1, 1])),
    "vrsbench: half a character": vrsbench(lambda o: o.update(referring_sentence="a \ud800 ship")),
    "vrsbench: three numbers": vrsbench(lambda o: o.update(obj_coord=[0, 0, 1])),
    "vrsbench: a box of objects": vrsbench(lambda o: o.update(obj_coord=[{}, 0, 1, 1])),
    "vrsbench: deep": vrsbench_text("[" * 100_000),
    "vrsbench: a number of 5,000 digits": vrsbench_text('{"image": ' + "9" * 5000 + "}"),
    "vrsbench: not UTF-8": vrsbench_text("{'"),
    "rrsis_d: a width without end": no_images(instances(lambda d: d["images"][0].update(width=float("inf")))),
    "rrsis_d: a box without end": instances(lambda d: d["annotations"][0].update(bbox=[0, 0, float("inf"), 1])),
    "rrsis_d: an image that is a text": instances(lambda d: d["images"].append("image")),
    "rrsis_d: an id that is a list": refer(lambda ref: ref.update(image_id=[1])),
    "rrsis_d: no sentences": refer(lambda ref: ref.pop("sentences")),
    "geopix: a size of three": geopix(lambda rows: rows[0]["instances"][0]["mask"].update(size=[1, 2, 3])),
    "geopix: a size of 0": no_images(geopix(lambda rows: rows[0]["instances"][0]["mask"].update(size=[0, 0]))),
    "geopix: a box of three": geopix(lambda rows: rows[0]["instances"][0].update(bbox=[1, 2, 3])),
}  # fmt: skip


@pytest.mark.parametrize("kind", WILD)
def test_one_wild_record_is_counted_and_the_others_are_kept(tmp_path, kind):
    name, write, spoil = WILD[kind]
    (tmp_path / "root").mkdir()
    write(tmp_path / "root")
    spoil(tmp_path / "root")
    report = prepare(name, tmp_path / "root", tmp_path / "out")
    kept = 4 if "an image that is a text" in kind else 3
    assert (report["dropped"], sum(report["examples"].values())) == (1, kept)
    assert len(report["first_flaws"][0]) < 400


@pytest.mark.parametrize(
    ("write", "spoil"),
    [
        (write_refer, instances(lambda d: d["categories"][0].update(name=7))[2]),
        (write_vrsbench, vrsbench(lambda o: o.update(obj_cls=7))[2]),
    ],
)
def test_a_category_that_is_a_number_is_written_as_text_and_counted(tmp_path, write, spoil):
    write(tmp_path)
    spoil(tmp_path)
    items = list(load("rrsis_d" if write is write_refer else "vrsbench", tmp_path))
    examples = [item for item in items if isinstance(item, Example)]
    assert len(examples) == 4
    assert "7" in {e.category for e in examples}
    flaws = [item for item in items if isinstance(item, Flaw)]
    assert flaws
    assert all((flaw.what, flaw.repaired) == ("its category 7 is not a text", True) for flaw in flaws)


def test_a_second_run_that_fails_leaves_the_tables_of_the_first(tmp_path):
    write_voc(tmp_path / "root")
    out = tmp_path / "out"
    prepare("dior_rsvg", tmp_path / "root", out)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    changed(tmp_path / "root", FIRST, ("<description>", "<description>now "))
    changed(tmp_path / "root", "Annotations/00003.xml", ("<description>", f"<description>{os.urandom(20_000).hex()}"))
    command = [str(Path(sys.executable).with_name("rsreward")), "data", "prepare", "dior_rsvg", str(tmp_path / "root")]
    done = subprocess.run(
        [*command, "--out", str(out)], capture_output=True, text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),  # the last table fills the disk
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "cannot be written: " in done.stderr
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_tables_of_an_earlier_run_are_removed_when_the_new_ones_are_there(tmp_path):
    write_voc(tmp_path / "root")
    prepare("dior_rsvg", tmp_path / "root", tmp_path / "out")
    (tmp_path / "root/val.txt").write_text("")
    (tmp_path / "root/train.txt").write_text("0\n1\n2\n")
    prepare("dior_rsvg", tmp_path / "root", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "report.json",
        "test.parquet",
        "train.parquet",
    ]


GOOD = {
    "image": "a.png", "width": 8, "height": 8, "query": "a ship", "boxes": [[1.0, 2.0, 3.0, 4.0]], "oriented": None,
    "category": None, "unique": None, "split": "train", "dataset": "own", "source_id": "0",
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value", "wanted"),
    [
        ("image", None, "a text"), ("query", None, "a text"), ("query", "", "a text"), ("width", None, "a number of"),
        ("height", 0, "a number of pixels"), ("boxes", [[]], "four finite"), ("boxes", None, "four finite"),
        ("boxes", [[1.0, 2.0, 3.0, float("nan")]], "four finite"), ("boxes", [None], "four finite"),
        ("boxes", [[1.0, 2.0, 3.0, None]], "four finite"), ("oriented", [[1.0] * 4], "five finite"),
        ("source_id", None, "a text"), ("split", None, "a text"),
    ],
)  # fmt: skip
def test_a_table_with_an_odd_value_is_refused_before_the_work_starts(
    tmp_path, monkeypatch, capsys, column, value, wanted
):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    pq.write_table(pa.Table.from_pylist([GOOD, GOOD | {column: value}], schema=SCHEMA), tmp_path / "t.parquet")
    for command in ("verl", "inspect"):
        arguments = [command, "t.parquet", "--images", ".", "--out", f"{command}.png"]
        told = refused(monkeypatch, capsys, tmp_path, "data", *arguments)
        assert f"t.parquet, row 1: the column {column} holds " in told
        assert wanted in told
        assert not list(tmp_path.glob(f"{command}.png*"))


def test_a_table_whose_column_has_another_type_is_refused(tmp_path):
    pq.write_table(pa.Table.from_pylist([GOOD | {"boxes": "[1, 2, 3, 4]"}]), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"row 0: the column boxes holds '\[1, 2, 3, 4\]', which is not a list"):
        list(read_examples(tmp_path / "t.parquet"))
    write_examples(tmp_path / "cut.parquet", [Example(**GOOD)] * 2000)
    content = bytearray((tmp_path / "cut.parquet").read_bytes())
    content[4:400] = bytes(396)
    (tmp_path / "cut.parquet").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as Parquet"):
        list(read_examples(tmp_path / "cut.parquet"))


@pytest.mark.parametrize(
    ("name", "write", "file"),
    [
        ("dior_rsvg", write_voc, "train.txt"),
        ("dior_rsvg", write_voc, FIRST),
        ("vrsbench", write_vrsbench, "Annotations_val/00003_0000.json"),
        ("rrsis_d", write_refer, "rrsisd/instances.json"),
        ("fast_t", lambda root: write_geopix(root, "FAST_T"), "data/train.FAST_T-00000-of-00001.parquet"),
    ],
)
def test_pipes_are_refused_and_not_waited_for(tmp_path, name, write, file):
    write(tmp_path)
    (tmp_path / file).unlink()
    os.mkfifo(tmp_path / file)
    with pytest.raises(InputError, match=r"is a device, a pipe or a socket: name a file"):
        list(load(name, tmp_path))


def test_devices_are_neither_read_nor_written(tmp_path):
    for path in ("/dev/zero", "/dev/null"):
        with pytest.raises(InputError, match="is a device, a pipe or a socket: name a file"):
            list(read_examples(Path(path)))
        with pytest.raises(InputError, match="is a device, a pipe or a socket: name a file"):
            file_to_write("--out", Path(path))
