"""What is asked for and not there: from the data over the question and the answer to the reward and the metrics."""

import json
from dataclasses import replace

import pyarrow.parquet as pq
import pytest
from own_files import BOX, ROW, lines, prepared
from rsreward_tools.cli.main import app
from rsreward_tools.data.example import read_examples
from rsreward_tools.data.prompts import TEMPLATE, TEMPLATE_OR_NONE, instruction
from rsreward_tools.data.scenes import PLACES, generate_scene
from rsreward_tools.score.options import Options
from rsreward_tools.score.totals import score_file
from typer.testing import CliRunner

from rsreward import format_reward, parse_answer, parse_box_sets, set_reward
from rsreward.truth import target_sets

NONE = "<think>There is no ship at the pier.</think><answer>none</answer>"
CATEGORIES = {category for place in PLACES.values() for category in place.lookalikes}
A_BOX = "<think>There.</think><answer>[10, 20, 110, 120]</answer>"


def run(*arguments):
    assert CliRunner().invoke(app, [*map(str, arguments)], catch_exceptions=False).exit_code == 0


@pytest.mark.parametrize(
    "row",
    [
        ROW | {"bbox": []},
        {"image": "a.png", "problem": "the left ship", "solution": "<answer>None</answer>"},
        {
            "messages": [{"role": "user", "content": "<image>the left ship"}],
            "images": ["a.png"],
            "objects": {"ref": [], "bbox": []},
        },
    ],
)
def test_a_row_that_says_that_nothing_is_there_is_kept_and_told(folder, row):
    examples, report = prepared(lines(folder, ROW, row))
    assert [(e.query, e.boxes) for e in examples] == [("the left ship", [BOX]), ("the left ship", [])]
    assert (report["dropped"], report["repaired"]) == (0, 0)
    assert "1 questions have no box" in report["notes"][0]
    examples, report = prepared(folder / "own.jsonl", one_box=True)
    assert [e.boxes for e in examples] == [[BOX]]
    assert "it has 0 boxes" in report["first_flaws"][0]


def test_a_name_without_its_box_is_a_flaw_and_not_an_absence(folder):
    row = {"images": ["a.png"], "objects": {"ref": ["the left ship"], "bbox": []}}
    _, report = prepared(lines(folder, ROW, row))
    assert "1 ref and no bbox" in report["first_flaws"][0]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    run("data", "scenes", folder, "--train", 40, "--val", 0, "--test", 0, "--size", 32, "--absent", 0.5)
    return folder


def test_a_share_of_the_scenes_asks_for_what_is_not_there(scenes):
    examples = list(read_examples(scenes / "train.parquet"))
    absent = [e for e in examples if not e.boxes]
    assert 10 < len(absent) < 30
    for example in absent:
        level, seed, mark = example.source_id.split(":")
        scene = generate_scene(int(seed), int(level))
        assert mark == "absent"
        [asked] = [c for c in CATEGORIES if str(replace(scene.phrase, category=c)) == example.query]
        assert asked not in {thing.category for thing in scene.objects}


def test_their_table_can_be_looked_at(scenes, tmp_path):
    run("data", "inspect", scenes / "train.parquet", "--images", scenes, "--out", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").exists()


def test_every_question_of_such_data_says_what_to_write_if_nothing_is_there(scenes, tmp_path):
    run("data", "verl", scenes / "train.parquet", "--images", scenes, "--out", tmp_path / "rows.parquet")
    examples, rows = list(read_examples(scenes / "train.parquet")), pq.read_table(tmp_path / "rows.parquet").to_pylist()
    for example, row in zip(examples, rows, strict=True):
        assert row["prompt"][0]["content"] == "<image>" + instruction(example.query, TEMPLATE_OR_NONE)
        truth = json.loads(row["reward_model"]["ground_truth"])["bbox"]
        assert truth == (example.boxes[0] if example.boxes else [])
    assert TEMPLATE_OR_NONE.replace(", or none if it is not there,", "") == TEMPLATE


def test_the_word_that_the_template_asks_for_is_read_paid_and_well_formed():
    assert "or none if" in TEMPLATE_OR_NONE
    assert parse_answer(NONE).says_none
    preds = parse_box_sets([NONE, A_BOX, NONE, A_BOX, "I cannot tell."])
    truths = target_sets([[], [], [BOX], [BOX], []], "horizontal", "target")
    assert set_reward(preds, truths).tolist() == pytest.approx([1, 0, 0, 1.1, 0])
    assert format_reward([NONE, A_BOX], require_box=False).tolist() == [1, 1]


def test_score_tells_how_often_nothing_was_rightly_said(tmp_path):
    rows = [(NONE, []), (NONE, [BOX]), (A_BOX, []), (A_BOX, [BOX]), ("I cannot tell.", [])]
    file = tmp_path / "answers.jsonl"
    file.write_text("".join(json.dumps({"completion": said, "target": true}) + "\n" for said, true in rows))
    metrics = score_file(file, Options())["metrics"]
    assert metrics["none_recall"] == pytest.approx(1 / 3)
    assert metrics["none_precision"] == 1 / 2
    file.write_text(json.dumps({"completion": A_BOX, "target": [BOX]}) + "\n")
    metrics = score_file(file, Options())["metrics"]
    assert metrics["none_recall"] == metrics["none_precision"] == 1, "there was nothing to miss"
