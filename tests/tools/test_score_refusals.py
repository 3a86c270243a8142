"""What `rsreward score` refuses, leaves out and never writes over."""

import gzip
import json

import pytest
from refusals import refused
from rsreward_tools.errors import InputError
from rsreward_tools.score.options import Options
from rsreward_tools.score.totals import score_file
from score_files import GOOD, written


@pytest.mark.parametrize("out", [".", "rows.jsonl"])
def test_the_input_and_folders_are_not_written_over(tmp_path, out, rsreward):
    file = written(tmp_path, GOOD)
    before = file.read_text()
    result = rsreward("score", file, "--out", tmp_path / out)
    assert (result.returncode, result.stderr.count("\n"), file.read_text()) == (2, 1, before)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--html", "rows.jsonl"], "--html rows.jsonl is the input itself"),
        (["--html", "."], "--html . is a folder"),
        (["--html", "z", "--out", "z"], "--html z is what --out writes"),
        (["--html", "hard", "--by", "log"], "--html hard is the input itself"),
    ],
)
def test_a_page_is_not_written_over_the_rows(tmp_path, monkeypatch, capsys, options, said):
    file = written(tmp_path, GOOD)
    (tmp_path / "hard").hardlink_to(file)
    before = file.read_text()
    assert said in refused(monkeypatch, capsys, tmp_path, "score", "rows.jsonl", *options)
    assert file.read_text() == before


def test_a_page_is_not_written_over_a_file_of_the_folder_that_is_scored(tmp_path, monkeypatch, capsys):
    (tmp_path / "dumps").mkdir()
    file = written(tmp_path / "dumps", GOOD)
    before = file.read_text()
    for option in ("--html", "--out"):
        told = refused(monkeypatch, capsys, tmp_path, "score", "dumps", option, "dumps/rows.jsonl")
        assert f"{option} dumps/rows.jsonl is the input itself" in told
    assert file.read_text() == before


def test_what_a_run_that_was_cut_off_left_is_not_written_over(tmp_path, monkeypatch):
    part = written(tmp_path, GOOD).rename(tmp_path / "out.jsonl.part")
    before = part.read_text()
    monkeypatch.chdir(tmp_path)
    score_file(part, Options(), out=tmp_path / "out.jsonl")
    assert part.read_text() == before
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 1


# Where no row can be scored the first one's mistake is told.
BAD = {
    "thin image": ([GOOD | {"width": 299, "height": 1.5}], ["--space", "qwen2.5-vl"], "299 x 1.5"),
    "huge image": (
        [GOOD | {"width": 1e8, "height": 1e8}],
        ["--space", "qwen3-vl"],
        "'width' must be a number of pixels",
    ),
    "unknown kind": ([GOOD], ["--kind", "round"], "--kind must be horizontal or oriented"),
    "unknown convention": ([GOOD], ["--convention", "coco"], "--convention must be one of plain, dior_rsvg"),
    "convention of horizontal boxes": ([GOOD], ["--kind", "oriented", "--convention", "refgeo"], "horizontal boxes"),
    "convention of single boxes": ([GOOD | {"target": []}], ["--convention", "vrsbench"], "one box a row"),
    "unknown place": ([GOOD], ["--by", "@colour"], "--by @colour is not known: use a field or one of @size, @region"),
    "no folder of images to check": ([GOOD], ["--images", "none"], "--images none is not a folder"),
    "page in no folder": ([GOOD], ["--html", "none/report.html"], "none/report.html cannot be written"),
    "no folder of images": ([GOOD], ["--html", "r.html", "--images", "none"], "--images none is not a folder"),
    "negative side": ([GOOD | {"target": [1, 2, -3, 4, 0]}], ["--kind", "oriented"], "has a negative side"),
    "not JSON": (["{completion"], [], "line 1 is not JSON"),
    "not UTF-8": ([b'{"completion": "\xff"}'], [], "line 1 is not UTF-8"),
    "not an object": (["[1]"], [], "line 1 is not a JSON object"),
    "missing column": ([{"completion": "a"}], [], "line 1 has no field 'target'; it has 'completion'"),
    "missing chosen column": ([GOOD], ["--target-field", "box"], "line 1 has no field 'box'"),
    "missing group": ([GOOD], ["--by", "city"], "no field 'city'; it has 'completion', 'target', 'log'."),
    "another target": ([GOOD], ["--target-field", "log"], "'log': no box can be read in the text 'a'"),
    "another target's box": ([GOOD | {"box": [1]}], ["--target-field", "box"], "'box': [1] has 1 numbers, not 4"),
    "verl's truth": ([{"output": "a", "gts": "[1, 2]"}], [], "'gts': [1, 2] has 2 numbers, not 4"),
    "another completion": ([GOOD], ["--completion-field", "target"], "'target' must be a text, not list"),
    "one array": (["[", json.dumps(GOOD) + ",", json.dumps(GOOD), "]"], [], "line 1 opens a JSON array: `jq -c '.[]'"),
    "one array in one line": ([json.dumps([GOOD])], [], "opens a JSON array"),
    "compressed": ([gzip.compress(json.dumps(GOOD).encode())], [], "rows.jsonl is compressed: gunzip it"),
    "unknown space": ([GOOD], ["--space", "metres"], "unknown coordinate space 'metres'"),
    "NaN in a target": (
        ['{"completion": "a", "target": [1, 2, NaN, 4]}'],
        [],
        "'target': [1, 2, nan, 4] holds",
    ),
    "truth value in a target": (
        ['{"completion": "a", "target": [true, 2, 3, 4]}'],
        [],
        "'target': [True, 2, 3, 4] holds something that is not a finite number",
    ),
    "wrong shape": ([GOOD | {"target": [1, 2, 3]}], [], "'target': [1, 2, 3] has 3 numbers, not 4"),
    "text for a target": ([GOOD | {"target": "left"}], [], "'target': no box can be read in the text 'left'"),
    "object without a box": (
        [GOOD | {"target": {"width": 5}}],
        [],
        "'target': an object needs its box under 'bbox', and this one has width",
    ),
    "inverted target": ([GOOD | {"target": [9, 2, 3, 4]}], [], "x2 < x1"),
    "not a text": ([GOOD | {"completion": 5}], [], "'completion' must be a text"),
    "no size": ([GOOD], ["--space", "qwen3-vl"], "no 'width' and 'height', which the space 'qwen3-vl' needs"),
    "no size for a convention": ([GOOD], ["--convention", "opt_rsvg"], "which the convention 'opt_rsvg' needs"),
    "no size for a region": ([GOOD], ["--by", "@region"], "which the breakdown '@region' needs"),
    "bad size": ([GOOD | {"width": -3, "height": 2}], ["--space", "qwen3-vl"], "'width' must be a number of pixels"),
    "strip": ([GOOD | {"width": 9000, "height": 2}], [], "9000 x 2"),
    "empty": ([], [], "holds no rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, monkeypatch, capsys, name):
    rows, options, sentence = BAD[name]
    file, out = written(tmp_path, *rows), tmp_path / "out.jsonl"
    assert sentence in refused(monkeypatch, capsys, tmp_path, "score", file, *options, "--out", out)
    assert list(tmp_path.iterdir()) == [file]


def test_missing_files_and_empty_folders_are_named(tmp_path, rsreward):
    result = rsreward("score", tmp_path / "none.jsonl")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "none.jsonl" in result.stderr
    with pytest.raises(InputError, match="holds no file that ends in"):
        score_file(tmp_path)


BROKEN = {
    3: ("{completion", "line 3 is not JSON"),
    4: (GOOD | {"target": [[0, 0, 1, 1]]}, "line 4: 'target' must be one box"),
    5: (b'{"completion": "\xff"}', "line 5 is not UTF-8"),
    7: ('{"completion": "cut', "line 7 is not JSON"),
}


def test_broken_lines_are_counted_named_and_kept(tmp_path, rsreward):
    rows = [BROKEN[i][0] if i in BROKEN else "" if i == 2 else GOOD for i in range(1, 8)]
    out = tmp_path / "scored.jsonl"
    result = rsreward("score", written(tmp_path, *rows), "--json", "--out", out)
    assert result.returncode == 0
    found = json.loads(result.stdout)
    assert (found["rows"], found["broken_rows"], found["metrics"]["acc@0.5"]) == (2, 4, 1)
    lines = {line["line"]: line for line in map(json.loads, out.read_text().splitlines())}
    assert list(lines) == [1, 3, 4, 5, 6, 7]
    for (number, (_, sentence)), told in zip(BROKEN.items(), found["broken"], strict=True):
        assert sentence in told
        assert lines[number]["error"] == told
    assert "4 broken rows were left out: 2 rows are not JSON: give one JSON object a line" in result.stderr
    assert "rows.jsonl, lines 3, 7)" in result.stderr
    assert "rows.jsonl, line 5 is not UTF-8 text" in result.stderr


def test_one_reason_is_told_once_with_its_first_lines(tmp_path, rsreward):
    sized = GOOD | {"width": 640, "height": 480}
    result = rsreward("score", written(tmp_path, sized, *[GOOD] * 1200), "--space", "qwen3-vl")
    assert result.stderr.count("which the space 'qwen3-vl' needs") == 1
    assert "1200 broken rows were left out: 1200 rows have no 'width' and 'height'" in result.stderr
    assert "rows.jsonl, lines 2, 3, 4, ...)" in result.stderr
    assert "1200 broken rows were left out." in result.stdout
    one = rsreward("score", written(tmp_path, sized, GOOD), "--space", "qwen3-vl")
    assert "1 broken row was left out" in one.stderr
    assert "rows.jsonl, line 2 has no 'width' and 'height'" in one.stderr


def test_reasons_without_end_take_no_memory_and_the_rest_is_counted(tmp_path, rsreward):
    rows = [GOOD | {"target": [5, 5, -i, 0]} for i in range(1, 51)]
    found = score_file(written(tmp_path, GOOD, *rows))
    assert len(found["broken_reasons"]) == 10
    assert "; and 47 more." in rsreward("score", written(tmp_path, GOOD, *rows)).stderr
