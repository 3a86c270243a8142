import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from refusals import refused
from rich.console import Console
from rsreward_qwen_vl.errors import InputError
from rsreward_qwen_vl.score import CHUNK, score_file
from rsreward_qwen_vl.score_table import score_tables

from rsreward import CONVENTIONS, parse_boxes, positional_reward

SHARED = Path(__file__).parents[3] / "shared" / "data" / "rollouts_dev.jsonl"
COMMAND = Path(sys.executable).with_name("rsreward")
GOOD = {"completion": "<think>a</think><answer>[0, 0, 500, 500]</answer>", "target": [0, 0, 500, 250], "log": "a"}


def score(*arguments):
    return subprocess.run([COMMAND, "score", *map(str, arguments)], capture_output=True, text=True, check=False)


def written(tmp_path, *rows):
    file = tmp_path / "rows.jsonl"
    lines = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
    file.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return file


def test_json_has_metrics_and_rewards_of_every_group(tmp_path):
    missing = GOOD | {"completion": "I see none.", "log": "b"}
    result = score(written(tmp_path, GOOD, GOOD, missing), "--by", "log", "--json")
    assert result.returncode == 0
    out = json.loads(result.stdout)
    assert out["rows"] == 3
    reward = positional_reward(parse_boxes([GOOD["completion"]]), torch.tensor(GOOD["target"])).item()
    assert out["groups"]["a"] == {
        "rows": 2, "acc@0.5": 1, "acc@0.7": 0, "miou": 0.5, "parse_rate": 1,
        "positional_reward": pytest.approx(reward), "format_reward": 1,
    }  # fmt: skip
    assert set(out["groups"]["b"].values()) == {1, 0}


def test_the_table_names_every_group(tmp_path):
    result = score(written(tmp_path, GOOD, GOOD | {"log": "b"}), "--by", "log")
    assert result.returncode == 0
    assert "0.500" in result.stdout


def test_group_names_are_printed_as_they_are(tmp_path):
    result = score(written(tmp_path, GOOD | {"log": "[/a]"}, GOOD | {"log": "\ud800"}), "--by", "log")
    assert result.returncode == 0
    assert "[/a]" in result.stdout


@pytest.mark.parametrize("out", [".", "rows.jsonl"])
def test_the_input_and_folders_are_not_written_over(tmp_path, out):
    file = written(tmp_path, GOOD)
    before = file.read_text()
    result = score(file, "--out", tmp_path / out)
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


def test_what_a_run_that_was_cut_off_left_is_not_written_over(tmp_path, monkeypatch, capsys):
    part = written(tmp_path, GOOD).rename(tmp_path / "out.jsonl.part")
    before = part.read_text()
    told = refused(monkeypatch, capsys, tmp_path, "score", part.name, "--out", "out.jsonl")
    assert "is first written to the input, out.jsonl.part" in told
    assert part.read_text() == before


def test_rows_are_written_one_by_one(tmp_path):
    out = tmp_path / "scored.jsonl"
    assert score(written(tmp_path, GOOD, GOOD | {"completion": ""}), "--out", out).returncode == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["box"] for line in lines] == [[0, 0, 500, 500], None]
    assert [line["line"] for line in lines] == [1, 2]
    assert [line["iou"] for line in lines] == [0.5, 0]


def test_rows_are_converted_with_their_own_size(tmp_path):
    row = GOOD | {"target": [0, 0, 320, 240], "width": 640, "height": 480}
    result = json.loads(score(written(tmp_path, row), "--space", "qwen3-vl", "--json").stdout)
    assert result["groups"]["all"]["miou"] == 1


def test_oriented_targets(tmp_path):
    row = {"completion": "<answer>[[10, 20, 30, 30, 90]]</answer>", "target": [20, 25, 10, 20, 0.0]}
    result = score(written(tmp_path, row), "--kind", "oriented", "--json")
    assert json.loads(result.stdout)["groups"]["all"]["miou"] == pytest.approx(1, abs=1e-6)


def test_targets_that_are_lists_of_boxes(tmp_path):
    a, b = [0, 0, 10, 10], [20, 0, 30, 10]
    rows = [
        {"completion": f"<answer>{[b, a]}</answer>", "target": [a, b]},
        {"completion": f"<answer>{a}</answer>", "target": [a, b]},
        {"completion": "none", "target": []},
        {"completion": f"<answer>{[a, a]}, {b}</answer>", "target": [a]},
    ]
    out = tmp_path / "scored.jsonl"
    group = json.loads(score(written(tmp_path, *rows), "--json", "--out", out).stdout)["groups"]["all"]
    assert group["set_reward"] == pytest.approx((1.1 + 0.55 + 1 + 0.55) / 4)
    assert group["precision@0.5"] == pytest.approx(4 / 5)
    assert group["recall@0.5"] == pytest.approx(4 / 5)
    assert [json.loads(line)["hits@0.5"] for line in out.read_text().splitlines()] == [2, 1, 0, 1]
    assert "f1@0.7" in score(written(tmp_path, *rows)).stdout


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
    "images without a page": ([GOOD], ["--images", "."], "name it with --html"),
    "page in no folder": ([GOOD], ["--html", "none/report.html"], "none/report.html cannot be written"),
    "no folder of images": ([GOOD], ["--html", "r.html", "--images", "none"], "--images none is not a folder"),
    "negative side": ([GOOD | {"target": [1, 2, -3, 4, 0]}], ["--kind", "oriented"], "no negative side"),
    "not JSON": (["{completion"], [], "line 1 is not JSON"),
    "not UTF-8": ([b'{"completion": "\xff"}'], [], "line 1 is not UTF-8"),
    "not an object": (["[1]"], [], "line 1 is not a JSON object"),
    "missing column": ([{"completion": "a"}], [], "line 1 has no field 'target'; it has 'completion'"),
    "missing chosen column": ([GOOD], ["--target-field", "box"], "line 1 has no field 'box'"),
    "missing group": ([GOOD], ["--by", "city"], "no field 'city'; it has 'completion', 'target', 'log'."),
    "another target": ([GOOD], ["--target-field", "log"], "'log' is a text that is not JSON"),
    "another target's box": ([GOOD | {"box": [1]}], ["--target-field", "box"], "'box' must be four finite numbers"),
    "verl's truth": ([{"output": "a", "gts": "[1, 2]"}], [], "'gts' must be four finite numbers"),
    "another completion": ([GOOD], ["--completion-field", "target"], "'target' must be a text, not list"),
    "one array": (["[", json.dumps(GOOD) + ",", json.dumps(GOOD), "]"], [], "line 1 opens a JSON array: `jq -c '.[]'"),
    "one array in one line": ([json.dumps([GOOD])], [], "opens a JSON array"),
    "compressed": ([gzip.compress(json.dumps(GOOD).encode())], [], "rows.jsonl is compressed: gunzip it"),
    "unknown space": ([GOOD], ["--space", "metres"], "unknown coordinate space 'metres'"),
    "NaN in a target": (['{"completion": "a", "target": [1, 2, NaN, 4]}'], [], "'target' must be four finite numbers"),
    "wrong shape": ([GOOD | {"target": [1, 2, 3]}], [], "'target' must be four finite numbers"),
    "text for a target": ([GOOD | {"target": "left"}], [], "'target' is a text that is not JSON"),
    "object without a box": ([GOOD | {"target": {"width": 5}}], [], "'target' must hold 'bbox', and holds 'width'"),
    "inverted target": ([GOOD | {"target": [9, 2, 3, 4]}], [], "x1 <= x2"),
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


def test_missing_files_and_empty_folders_are_named(tmp_path):
    result = score(tmp_path / "none.jsonl")
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


def test_broken_lines_are_counted_named_and_kept(tmp_path):
    rows = [BROKEN[i][0] if i in BROKEN else "" if i == 2 else GOOD for i in range(1, 8)]
    out = tmp_path / "scored.jsonl"
    result = score(written(tmp_path, *rows), "--json", "--out", out)
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


def test_one_reason_is_told_once_with_its_first_lines(tmp_path):
    sized = GOOD | {"width": 640, "height": 480}
    result = score(written(tmp_path, sized, *[GOOD] * 1200), "--space", "qwen3-vl")
    assert result.stderr.count("which the space 'qwen3-vl' needs") == 1
    assert "1200 broken rows were left out: 1200 rows have no 'width' and 'height'" in result.stderr
    assert "rows.jsonl, lines 2, 3, 4, ...)" in result.stderr
    assert "1200 broken rows were left out." in result.stdout
    one = score(written(tmp_path, sized, GOOD), "--space", "qwen3-vl")
    assert "1 broken row was left out" in one.stderr
    assert "rows.jsonl, line 2 has no 'width' and 'height'" in one.stderr


def test_reasons_without_end_take_no_memory_and_the_rest_is_counted(tmp_path):
    rows = [GOOD | {"target": [5, 5, -i, 0]} for i in range(1, 51)]
    found = score_file(written(tmp_path, GOOD, *rows))
    assert len(found["broken_reasons"]) == 10
    assert "; and 47 more." in score(written(tmp_path, GOOD, *rows)).stderr


WORDS = ["rows", "acc@0.5", "acc@0.6", "acc@0.7", "acc@0.8", "acc@0.9", "miou", "cum iou", "parse rate"]
LONG = "refgta_subsample_qwen2_5vl_7b_instruct_r1_100"


@pytest.mark.parametrize("width", [40, 80, 100, 160])
@pytest.mark.parametrize("names", [[], ["a", "b"], ["b", LONG, "c"], [f"city {i} by the sea" for i in range(30)]])
def test_every_metric_of_every_group_can_be_read_on_a_terminal_of_any_width(tmp_path, width, names):
    by = ["log"] if names else []
    rows = [GOOD | {"log": name} for name in names] or [GOOD]
    result = score_file(written(tmp_path, *rows), convention="dior_rsvg", by=by)
    console = Console(width=width, file=io.StringIO())
    for table in score_tables(result, by, width):
        console.print(table)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    assert text.count("0.500") == 2 * (len(names) + bool(names) or 1)  # miou and cum_iou of every group, and of all
    for word in [
        *" ".join(WORDS).split(),
        *(word for name in names if len(name) < width - 25 for word in name.split()),
    ]:
        assert word in text, word


def test_a_terminal_of_80_columns_shows_every_metric(tmp_path):
    command = f"{COMMAND} score {written(tmp_path, GOOD, GOOD | {'log': 'b'})} --by log --convention dior_rsvg"
    shown = subprocess.run(
        ["script", "-qec", command, "/dev/null"], capture_output=True, text=True, check=True,
        env=os.environ | {"COLUMNS": "80", "TERM": "dumb"},
    ).stdout  # fmt: skip
    assert all(word in shown for word in WORDS)


def test_control_characters_of_the_data_do_not_reach_the_terminal(tmp_path):
    result = score(written(tmp_path, GOOD | {"log": "\x1b[31mred"}, GOOD | {"log": "a\nb"}, "{"), "--by", "log")
    assert result.returncode == 0
    assert r"\x1b[31mred" in result.stdout
    assert r"a\nb" in result.stdout
    assert "\x1b" not in result.stdout + result.stderr


def test_answers_of_another_kind_are_counted_and_told_in_every_line(tmp_path):
    point, turned = GOOD | {"completion": "<point>[5, 5]</point>"}, GOOD | {"completion": "[10, 20, 30, 30, 90]"}
    found = score_file(written(tmp_path, GOOD, point, turned), out=tmp_path / "out")
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [(line["kind"], line["box"] is None) for line in lines] == [
        ("horizontal", False), ("point", True), ("oriented", True),
    ]  # fmt: skip
    assert sum(counts.get("other kind", 0) for counts in found["problems"].values()) == 2


def test_one_box_among_lists_is_broken(tmp_path):
    found = score_file(written(tmp_path, GOOD | {"target": [[0, 0, 1, 1]]}, GOOD))
    assert (found["rows"], found["broken_rows"]) == (1, 1)
    assert "line 2: 'target' must be a list of boxes, as in the first row" in found["broken"][0]


def test_answers_are_written_as_they_come_and_what_was_written_outlives_a_stop(tmp_path):
    file, out = written(tmp_path, *[GOOD] * (CHUNK + 5)), tmp_path / "scored.jsonl"

    def stop(done, size):
        assert 0 < done < size
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score_file(file, out=out, progress=stop)
    assert not out.exists()
    assert len((tmp_path / "scored.jsonl.part").read_text().splitlines()) == CHUNK
    score_file(file, out=out)
    assert len(out.read_text().splitlines()) == CHUNK + 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["rows.jsonl", "scored.jsonl"]


def test_parquet_is_scored_as_the_same_lines_are(tmp_path):
    rows = [GOOD | {"width": 640, "height": 480}, GOOD | {"completion": "none"}, GOOD | {"log": "b", "width": None}]
    lines = score_file(written(tmp_path, *rows), by=["log"], out=tmp_path / "a")
    table = pa.Table.from_pylist([row | {"image": {"bytes": b"\x89PNG", "path": None}} for row in rows])
    table = table.set_column(0, "completion", table["completion"].cast(pa.large_string()))  # as pandas writes texts
    pq.write_table(table, tmp_path / "rows.parquet")
    assert score_file(tmp_path / "rows.parquet", by=["log"], out=tmp_path / "b") == lines
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


def test_a_cut_parquet_file_is_named(tmp_path):
    file = tmp_path / "rows.parquet"
    pq.write_table(pa.Table.from_pylist([GOOD]), file)
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"rows\.parquet, line 1 and what follows cannot be read as Parquet"):
        score_file(file)


def test_verls_rollout_dumps_are_read_as_they_are(tmp_path):
    """A file a step of input, output, gts, score, step and the reward's parts: verl 0.9.1's `_write_generations`."""
    truth = json.dumps({"bbox": [0, 0, 320, 240], "width": 640, "height": 480})
    for step, box in ((2, [0, 0, 500, 500]), (10, [0, 0, 500, 250])):
        row = {"input": "user\nFind it.", "output": f"<answer>{box}</answer>", "gts": truth, "score": 1.1, "step": step}
        (tmp_path / f"{step}.jsonl").write_text(json.dumps(row | {"rs_iou": 0.5, "uid": "7_0_0"}) + "\n")
    found = score_file(tmp_path, space="qwen3-vl", by=["step"], out=tmp_path.parent / "verl.out")
    assert {step: values["miou"] for step, values in found["groups"].items()} == {"2": 1, "10": 0.5}
    assert list(found["groups"]) == ["2", "10"]
    lines = [json.loads(line) for line in (tmp_path.parent / "verl.out").read_text().splitlines()]
    assert [(line["file"], line["line"]) for line in lines] == [("2.jsonl", 1), ("10.jsonl", 1)]


def test_models_names_stand_for_their_spaces(tmp_path):
    file = written(tmp_path, GOOD | {"target": [0, 0, 320, 240], "width": 640, "height": 480})
    assert score_file(file, space="Qwen/Qwen3-VL-8B-Instruct") == score_file(file, space="qwen3-vl")


def test_conventions_count_their_own_way(tmp_path):
    row = GOOD | {"completion": "[10, 10, 13, 13]", "target": [10, 10, 14, 14], "width": 100, "height": 100}
    found = {name: score_file(written(tmp_path, row), convention=name)["metrics"] for name in CONVENTIONS}
    assert found["plain"]["miou"] == pytest.approx(9 / 16)
    assert found["vrsbench"]["miou"] == found["vrsbench"]["cum_iou"] == pytest.approx(16 / 25)
    assert "acc@0.9" in found["dior_rsvg"]


def test_rows_taken_to_be_of_the_benchmarks_own_size_are_told(tmp_path):
    result = score(written(tmp_path, GOOD), "--convention", "vrsbench")
    assert "1 of 1 rows have no width and height" in result.stderr
    assert "in an image of 512 x 512" in result.stderr


def test_several_breakdowns_stand_side_by_side(tmp_path):
    small = GOOD | {"completion": "[0, 0, 9, 9]", "target": [0, 0, 9, 9], "width": 900, "height": 900, "log": "b"}
    large = GOOD | {"width": 900, "height": 900}
    found = score_file(written(tmp_path, small, large, large), by=["log", "@size", "@region"])
    assert {name: values["rows"] for name, values in found["groups"].items()} == {
        "log=a": 2, "log=b": 1, "@size=small": 1, "@size=large": 2, "@region=top left": 3,
    }  # fmt: skip


def test_a_field_with_a_value_of_its_own_in_every_row_is_no_group(tmp_path):
    rows = [GOOD | {"log": i} for i in range(1001)]
    with pytest.raises(InputError, match="more than 1000 groups"):
        score_file(written(tmp_path, *rows), by=["log"])


def test_intervals_draw_prompts_where_their_field_is_named(tmp_path):
    bad = GOOD | {"completion": "none"}
    prompts = [(GOOD if i % 2 else bad) | {"prompt": i} for i in range(60)]
    once, rollouts = score_file(written(tmp_path, *prompts)), written(tmp_path, *prompts * 8)
    clustered, apart = score_file(rollouts, cluster="prompt", by=["log"]), score_file(rollouts)
    assert clustered["metrics"] == apart["metrics"]
    assert clustered["intervals"]["acc@0.5"] == clustered["group_intervals"]["a"]["acc@0.5"]
    assert clustered["intervals"]["acc@0.5"] == pytest.approx(once["intervals"]["acc@0.5"])
    assert apart["intervals"]["acc@0.5"][0] > once["intervals"]["acc@0.5"][0]
    with pytest.raises(InputError, match="no field 'question'"):
        score_file(rollouts, cluster="question")


def test_intervals_hold_the_metrics_and_failures_are_shown(tmp_path):
    rows = [GOOD, GOOD | {"completion": "none"}] * 20
    found = score_file(written(tmp_path, *rows))
    for name, (low, high) in found["intervals"].items():
        assert low <= found["metrics"][name] <= high
    assert found["intervals"]["acc@0.5"][0] < 0.5 < found["intervals"]["acc@0.5"][1]
    assert found["problems"]["none"]["answers"] == 20
    assert "20 of 40 answers could not be read" in score(written(tmp_path, *rows)).stdout


def compare(*arguments):
    return subprocess.run([COMMAND, "compare", *map(str, arguments)], capture_output=True, text=True, check=False)


def test_two_files_are_compared_pair_by_pair(tmp_path):
    before = written(tmp_path, *[GOOD | {"completion": "none"}] * 3, *[GOOD] * 7).rename(tmp_path / "a.jsonl")
    after = written(tmp_path, *[GOOD] * 9, "{").rename(tmp_path / "b.jsonl")
    found = json.loads(compare(before, after, "--json").stdout)
    assert (found["rows"], found["broken_rows"]) == (9, 1)
    assert (found["a"]["acc@0.5"], found["b"]["acc@0.5"]) == pytest.approx((6 / 9, 1))
    difference, low, high = found["differences"]["acc@0.5"]
    assert difference == pytest.approx(3 / 9)
    assert 0 <= low < difference < high
    table = compare(before, after)
    assert "+0.333" in table.stdout
    assert "b.jsonl, line 10 is not JSON" in table.stderr


def test_files_of_one_name_and_one_file_in_two_spaces_are_told_apart(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    a, b = (written(tmp_path / name, GOOD | {"width": 900, "height": 900}) for name in "ab")
    for arguments in ((a, b), (a, a, "--space", "qwen3-vl", "--space", "pixel")):
        table = compare(*arguments).stdout
        spaces = ("qwen3-vl", "pixel") if "--space" in arguments else ("pixel", "pixel")
        assert f"A: {arguments[0]}, space {spaces[0]}\n" in table
        assert f"B: {arguments[1]}, space {spaces[1]}\n" in table


def test_differences_draw_prompts_where_their_field_is_named(tmp_path):
    prompts = [GOOD | {"prompt": f"p{i}"} for i in range(30)]
    files = {}
    for times in (1, 8):
        before = written(tmp_path, *[p | {"completion": "none"} for p in prompts[:9]] * times, *prompts[9:] * times)
        before = before.rename(tmp_path / f"before{times}.jsonl")
        after = written(tmp_path, *prompts[:9] * times, *prompts[9:] * times).rename(tmp_path / f"after{times}.jsonl")
        files[times] = before, after
    once, apart = (json.loads(compare(*files[times], "--json").stdout)["differences"] for times in (1, 8))
    clustered = json.loads(compare(*files[8], "--cluster", "prompt", "--json").stdout)["differences"]
    assert clustered["acc@0.5"] == pytest.approx(once["acc@0.5"])
    assert apart["acc@0.5"][1] > once["acc@0.5"][1]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [([GOOD], "holds more rows than"), ([GOOD, GOOD | {"target": [1, 1, 2, 2]}], "line 2 have different targets")],
)
def test_files_of_other_rows_are_not_compared(tmp_path, rows, sentence):
    a = written(tmp_path, GOOD, GOOD).rename(tmp_path / "a.jsonl")
    b = written(tmp_path, *rows)
    result = compare(a, b)
    assert (result.returncode, result.stderr.count("\n"), result.stdout) == (2, 1, "")
    assert sentence in result.stderr


@pytest.mark.skipif(not SHARED.exists(), reason="the sample of real rollouts lies beside the project, not in it")
def test_undoing_the_resize_is_worth_points_on_real_rollouts():
    pixel, resized = (
        json.loads(score(SHARED, "--by", "log", "--space", space, "--json").stdout) for space in ("pixel", "qwen2.5-vl")
    )
    assert pixel["rows"] == resized["rows"] == 2500
    assert resized["rows_without_size"] == 1000
    for log, before in pixel["groups"].items():
        after = resized["groups"][log]
        assert after["rows"] == 500
        assert after["parse_rate"] > 0.99
        if log.startswith("refgta"):
            # 2.2 to 3.0 points a log, 2.5 over all: the sample has no more in it at 0.5, whatever the size assumed.
            assert after["acc@0.5"] > before["acc@0.5"] + 0.02
            assert after["acc@0.7"] > before["acc@0.7"] + 0.10
        else:
            assert after == before
