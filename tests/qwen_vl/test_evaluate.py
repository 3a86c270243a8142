import base64
import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from layouts import save_tiny
from rsreward_qwen_vl.evaluate import pass_at_k
from rsreward_tools.cli.main import app
from rsreward_tools.data.example import read_examples, write_examples
from rsreward_tools.data.prompts import TEMPLATE
from rsreward_tools.data.scenes import generate_scene
from rsreward_tools.data.scenes.dataset import write_scenes
from rsreward_tools.errors import InputError
from teacher_server import teacher
from torch import tensor
from typer.testing import CliRunner

from rsreward import grounding_metrics, parse_boxes

COMMAND = str(Path(sys.executable).with_name("rsreward"))
COUNT = 6


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("world")
    write_scenes(root, {"test": COUNT}, level=1, size=64)
    save_tiny(root / "qwen3-vl-tiny", [generate_scene(seed, 1) for seed in range(24)], layers=2)
    return root


def command(world, out, *more, model=None):
    return [
        "evaluate", str(model or world / "qwen3-vl-tiny"), "--data", str(world / "test.parquet"),
        "--images", str(world), "--out", str(out), "--max-new-tokens", "8", "--batch-size", "2", *map(str, more),
    ]  # fmt: skip


def run(world, out, *more, model=None):
    result = CliRunner().invoke(app, command(world, out, *more, model=model))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception


def rows_of(out):
    return [json.loads(line) for line in (out / "completions.jsonl").read_text().splitlines()]


def test_a_server_that_knows_every_second_answer(world, tmp_path):
    examples = list(read_examples(world / "test.parquet"))
    numbers = {(world / example.image).read_bytes(): number for number, example in enumerate(examples)}

    def half_right(request):
        image, text = request["messages"][0]["content"]
        number = numbers[base64.b64decode(image["image_url"]["url"].partition(",")[2])]
        assert text["text"] == TEMPLATE.replace("{query}", examples[number].query)
        box = [round(v * 1000 / 64) for v in examples[number].boxes[0]]
        return f"<answer>{box}</answer>" if number % 2 else "I see none."

    with teacher(half_right, faults=("500",)) as (url, _):
        served = ("--endpoint", url, "--space", "qwen3-vl")
        run(world, tmp_path, *served, model="m")
        run(world, tmp_path / "four", *served, "--samples", 4, "--temperature", 1, model="m")
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["metrics"].keys() == {"plain", "dior_rsvg", "vrsbench", "opt_rsvg", "refgeo"}
    assert results["metrics"]["plain"]["parse_rate"] == results["metrics"]["plain"]["acc@0.5"] == 0.5
    assert results["pass@k at IoU 0.5"] == {"1": 0.5}
    low, high = results["intervals"]["plain"]["acc@0.5"]
    assert 0 <= low < 0.5 < high <= 1
    four = json.loads((tmp_path / "four/results.json").read_text())
    assert four["metrics"]["plain"]["rows"] == 4 * COUNT
    assert four["intervals"]["plain"]["acc@0.5"] == pytest.approx((low, high))  # of questions, not of answers
    assert results["group_intervals"]["size"].keys() == results["groups"]["size"].keys()
    assert sum(group["rows"] for group in results["groups"]["size"].values()) == COUNT
    assert (results["asked"]["template"], results["space"]["name"]) == (TEMPLATE, "qwen3-vl")


def test_a_model_that_is_loaded_here(world, tmp_path):
    run(world, tmp_path, "--samples", 2, "--temperature", 1)
    rows = rows_of(tmp_path)
    assert [(row["source_id"], row["sample"]) for row in rows] == [
        (example.source_id, sample) for sample in (0, 1) for example in read_examples(world / "test.parquet")
    ]
    assert rows[0]["completion"] != rows[COUNT]["completion"]
    pred = parse_boxes([row["completion"] for row in rows], space="qwen3-vl", width=64, height=64)
    expected = grounding_metrics(pred, tensor([row["target"] for row in rows]))
    assert json.loads((tmp_path / "results.json").read_text())["metrics"]["plain"] == expected
    CliRunner().invoke(app, ["report", str(tmp_path)], catch_exceptions=False)
    assert f"<td>{expected['parse_rate']:.3f}<small>" in (tmp_path / "report.html").read_text()


def test_killed_and_started_again_it_ends_with_the_same_answers(world, tmp_path):
    more = ("--samples", 20, "--temperature", 1)
    run(world, tmp_path / "whole", *more)
    lines = tmp_path / "killed/completions.jsonl"
    process = subprocess.Popen([COMMAND, *command(world, tmp_path / "killed", *more)], stdout=subprocess.DEVNULL)
    while not (lines.exists() and lines.read_bytes().count(b"\n") >= 4):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    kept = lines.read_bytes()
    assert kept.count(b"\n") < 20 * COUNT
    lines.write_bytes(kept[:-20])
    run(world, tmp_path / "killed", *more)
    whole, again = (sorted(map(json.dumps, rows_of(tmp_path / name))) for name in ("whole", "killed"))
    assert whole == again
    assert len(whole) == 20 * COUNT
    for name in ("results.json", "asked.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def test_mistakes_are_named(world, tmp_path):
    with pytest.raises(InputError, match="--temperature above 0"):
        run(world, tmp_path, "--samples", 2)
    with pytest.raises(InputError, match="no/such-qwen3-vl"):
        run(world, tmp_path, model="no/such-qwen3-vl")
    with pytest.raises(InputError, match=r"\{query\}"):
        run(world, tmp_path, "--template", "Find it.")
    run(world, tmp_path, "--limit", 2)
    with pytest.raises(InputError, match="with another seed"):
        run(world, tmp_path, "--limit", 2, "--seed", 1)
    with teacher(faults=["404"] * 9) as (url, _), pytest.raises(InputError, match="did not answer for 'm'"):
        run(world, tmp_path / "served", "--endpoint", url, "--space", "qwen3-vl", model="m")


def test_answers_to_the_questions_of_another_data_set_are_not_taken(world, tmp_path):
    run(world, tmp_path)
    examples = [replace(example, query="the other one") for example in read_examples(world / "test.parquet")]
    write_examples(tmp_path / "other.parquet", examples)
    with pytest.raises(InputError, match="an answer to another question"):
        run(world, tmp_path, "--data", tmp_path / "other.parquet")
    write_examples(tmp_path / "other.parquet", [replace(example, dataset="other") for example in examples])
    run(world, tmp_path, "--data", tmp_path / "other.parquet")
    assert len(rows_of(tmp_path)) == 2 * COUNT
    assert json.loads((tmp_path / "results.json").read_text())["metrics"]["plain"]["rows"] == COUNT
    write_examples(tmp_path / "other.parquet", examples * 2)
    with pytest.raises(InputError, match="the same dataset and source_id"):
        run(world, tmp_path / "twice", "--data", tmp_path / "other.parquet")


def test_a_file_of_somebody_else_is_left_as_it_is(world, tmp_path):
    for content in ('{"my": 1}\n{"my": 2}', '{"my": 1}'):
        (tmp_path / "completions.jsonl").write_text(content)
        with pytest.raises(InputError, match="not what this command writes"):
            run(world, tmp_path)
        assert (tmp_path / "completions.jsonl").read_text() == content


def test_the_results_of_a_demo_are_not_written_over(world, tmp_path):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds a results\.json of something else"):
        run(world, tmp_path)
    assert (tmp_path / "results.json").read_text() == "{}"


@pytest.mark.parametrize("fault", ["not json", "no choices"])
def test_a_server_that_speaks_something_else_is_named(world, tmp_path, fault):
    with teacher(faults=[fault] * 9) as (url, _), pytest.raises(InputError, match="no chat completion"):
        run(world, tmp_path, "--endpoint", url, "--space", "qwen3-vl", model="m")


def test_pass_at_k_is_the_chance_of_a_right_answer_among_k():
    assert pass_at_k([1], samples=4, k=2) == pytest.approx(1 / 2)
    assert pass_at_k([2], samples=4, k=2) == pytest.approx(5 / 6)
    assert pass_at_k([3, 0], samples=4, k=2) == pytest.approx(1 / 2)
