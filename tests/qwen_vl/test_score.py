import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rsreward import parse_boxes, positional_reward

SHARED = Path(__file__).parents[3] / "shared" / "data" / "rollouts_dev.jsonl"
COMMAND = Path(sys.executable).with_name("rsreward")
GOOD = {"completion": "<think>a</think><answer>[0, 0, 500, 500]</answer>", "target": [0, 0, 500, 250], "log": "a"}


def score(*arguments):
    return subprocess.run([COMMAND, "score", *map(str, arguments)], capture_output=True, text=True, check=False)


def written(tmp_path, *rows):
    file = tmp_path / "rows.jsonl"
    file.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
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


BAD = {
    "one box among lists": ([GOOD | {"target": [[0, 0, 1, 1]]}, GOOD], [], "line 2: 'target' must be a list of boxes"),
    "a list among boxes": ([GOOD, GOOD | {"target": []}], [], "line 2: 'target' must be one box"),
    "thin image": ([GOOD | {"width": 299, "height": 1.5}], ["--space", "qwen2.5-vl"], "299 x 1.5"),
    "huge image": (
        [GOOD | {"width": 1e8, "height": 1e8}],
        ["--space", "qwen3-vl"],
        "'width' must be a number of pixels",
    ),
    "unknown kind": ([GOOD], ["--kind", "round"], "--kind must be horizontal or oriented"),
    "negative side": ([GOOD | {"target": [1, 2, -3, 4, 0]}], ["--kind", "oriented"], "no negative side"),
    "not JSON": ([GOOD, "{completion"], [], "line 2 is not JSON"),
    "not an object": (["[1]"], [], "line 1 is not a JSON object"),
    "missing column": ([{"completion": "a"}], [], "line 1 has no field 'target'"),
    "missing group": ([GOOD], ["--by", "city"], "line 1 has no field 'city'"),
    "unknown space": ([GOOD], ["--space", "metres"], "unknown coordinate space 'metres'"),
    "NaN in a target": (['{"completion": "a", "target": [1, 2, NaN, 4]}'], [], "'target' must be four finite numbers"),
    "wrong shape": ([GOOD | {"target": [1, 2, 3]}], [], "'target' must be four finite numbers"),
    "inverted target": ([GOOD | {"target": [9, 2, 3, 4]}], [], "x1 <= x2"),
    "not a text": ([GOOD | {"completion": 5}], [], "'completion' must be a text"),
    "no size": ([GOOD], ["--space", "qwen3-vl"], "no 'width' and 'height'"),
    "bad size": ([GOOD | {"width": -3, "height": 2}], ["--space", "qwen3-vl"], "'width' must be a number of pixels"),
    "strip": ([GOOD | {"width": 9000, "height": 2}], [], "9000 x 2"),
    "empty": ([], [], "holds no rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_sentence_and_exit_code_2(tmp_path, name):
    rows, options, sentence = BAD[name]
    out = tmp_path / "out.jsonl"
    result = score(written(tmp_path, *rows), *options, "--out", out)
    assert result.returncode == 2
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == [tmp_path / "rows.jsonl"]


def test_a_missing_file_is_named(tmp_path):
    result = score(tmp_path / "none.jsonl")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert "none.jsonl" in result.stderr


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
