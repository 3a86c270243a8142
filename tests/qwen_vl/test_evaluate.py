import base64
import json
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from rsreward_qwen_vl.evaluate import pass_at_k
from rsreward_tools.data.example import read_examples, write_examples
from rsreward_tools.data.prompts import TEMPLATE
from rsreward_tools.errors import InputError
from torch import tensor

from rsreward import grounding_metrics, parse_boxes

COUNT = 6
SHORT = "--max-new-tokens", 8, "--batch-size", 2


@pytest.fixture(scope="module")
def evaluate(rsreward, scenes, tiny):
    """Ask the tiny model, or another, about the test scenes."""

    def run(out, *more, model=tiny):
        rsreward(*arguments(scenes, model, out, *more))

    return run


def arguments(scenes, model, out, *more):
    return "evaluate", model, "--data", scenes / "test.parquet", "--images", scenes, "--out", out, *SHORT, *more


def rows_of(out):
    return [json.loads(line) for line in (out / "completions.jsonl").read_text().splitlines()]


def test_a_server_that_knows_every_second_answer(evaluate, scenes, teacher, tmp_path):
    examples = list(read_examples(scenes / "test.parquet"))
    numbers = {(scenes / example.image).read_bytes(): number for number, example in enumerate(examples)}

    def half_right(request):
        image, text = request["messages"][0]["content"]
        number = numbers[base64.b64decode(image["image_url"]["url"].partition(",")[2])]
        assert text["text"] == TEMPLATE.replace("{query}", examples[number].query)
        box = [round(v * 1000 / 64) for v in examples[number].boxes[0]]
        return f"<answer>{box}</answer>" if number % 2 else "I see none."

    with teacher(half_right, faults=("500",)) as (url, _):
        served = ("--endpoint", url, "--space", "qwen3-vl")
        evaluate(tmp_path, *served, model="m")
        evaluate(tmp_path / "four", *served, "--samples", 4, "--temperature", 1, model="m")
    results = json.loads((tmp_path / "results.json").read_text())
    assert {"plain", *results["conventions"]} == {"plain", "dior_rsvg", "vrsbench", "opt_rsvg", "refgeo"}
    assert results["metrics"]["parse_rate"] == results["metrics"]["acc@0.5"] == 0.5
    assert results["pass@k at IoU 0.5"] == {"1": 0.5}
    low, high = results["intervals"]["acc@0.5"]
    assert 0 <= low < 0.5 < high <= 1
    four = json.loads((tmp_path / "four/results.json").read_text())
    assert four["metrics"]["rows"] == 4 * COUNT
    assert four["intervals"]["acc@0.5"] == pytest.approx((low, high))  # of questions, not of answers
    assert results["group_intervals"].keys() == results["groups"].keys()
    assert sum(group["rows"] for group in results["groups"].values()) == COUNT
    assert (results["asked"]["template"], results["read_in"]["space"]["name"]) == (TEMPLATE, "qwen3-vl")


def test_results_are_those_of_score_on_the_same_answers(evaluate, rsreward, teacher, tmp_path):
    answers = iter([f"<answer>[{i}, {i}, {500 + 9 * i}, {400 + i}]</answer>" for i in range(3 * COUNT)])
    with teacher(lambda request: next(answers)) as (url, _):
        more = "--endpoint", url, "--space", "norm999", "--samples", 3, "--temperature", 1
        evaluate(tmp_path, *more, model="m")
    results = json.loads((tmp_path / "results.json").read_text())
    how = "--space", "norm999", "--cluster", "question", "--json"
    score = "score", tmp_path / "completions.jsonl", *how
    scored = json.loads(rsreward(*score, "--by", "@size").stdout)
    assert 0 < scored["metrics"]["miou"] < 1
    assert {name: results[name] for name in scored} == scored
    for name, told in results["conventions"].items():
        scored = json.loads(rsreward(*score, "--convention", name).stdout)
        assert told == {"metrics": scored["metrics"], "intervals": scored["intervals"]}
    lines = [json.loads(line) for line in (tmp_path / "scores.jsonl").read_text().splitlines()]
    assert sum(line["iou"] for line in lines) / len(lines) == pytest.approx(results["metrics"]["miou"])


def test_the_frame_is_told_and_stands_beside_the_answers(evaluate, teacher, tmp_path):
    def pixels_of_the_resized_image(request):
        return "<answer>[0, 0, 14, 28]</answer>"

    with teacher(pixels_of_the_resized_image) as (url, _):
        more = (
            "--endpoint",
            url,
            "--space",
            "Qwen/Qwen2.5-VL-7B-Instruct",
            "--min-pixels",
            1,
            "--max-pixels",
            28 * 28,
            "--five",
            "le90",
        )
        evaluate(tmp_path, *more, model="m")
        with pytest.raises(InputError, match="mean nothing in the space internvl"):
            evaluate(tmp_path / "none", "--endpoint", url, "--space", "internvl", "--max-pixels", 99, model="m")
        with pytest.raises(InputError, match="--space: "):
            evaluate(tmp_path / "none", "--endpoint", url, "--space", "metres", model="m")
    frame = json.loads((tmp_path / "frame.json").read_text())
    told = {"name": "qwen2.5-vl", "scale": None, "factor": 28, "max_pixels": 28 * 28, "five": "le90"}
    assert frame["space"].items() >= told.items()
    assert (frame["think_in_prompt"], frame["template"]) == (False, TEMPLATE)
    first = json.loads((tmp_path / "scores.jsonl").read_text().splitlines()[0])
    assert first["box"] == pytest.approx([0, 0, 32, 64])


def test_a_model_sees_images_under_the_bounds_that_are_told(evaluate, tmp_path):
    evaluate(tmp_path, "--limit", 1, "--max-pixels", 2 * 64 * 64)
    frame = json.loads((tmp_path / "frame.json").read_text())
    assert (frame["space"]["min_pixels"], frame["space"]["max_pixels"]) == (64 * 64, 2 * 64 * 64)
    with pytest.raises(InputError, match="with another image_size"):
        evaluate(tmp_path, "--limit", 1)
    with pytest.raises(InputError, match="give both of them"):
        evaluate(tmp_path / "none", "--max-pixels", 1024)


def test_to_evaluate_no_trainer_is_imported():
    code = "import sys, rsreward_qwen_vl.evaluate, rsreward_qwen_vl.model.trained; print('trl' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_a_model_that_is_loaded_here(evaluate, rsreward, scenes, tmp_path):
    evaluate(tmp_path, "--samples", 2, "--temperature", 1)
    rows = rows_of(tmp_path)
    assert [(row["source_id"], row["sample"]) for row in rows] == [
        (example.source_id, sample) for sample in (0, 1) for example in read_examples(scenes / "test.parquet")
    ]
    assert rows[0]["completion"] != rows[COUNT]["completion"]
    pred = parse_boxes([row["completion"] for row in rows], space="qwen3-vl", width=64, height=64)
    expected = grounding_metrics(pred, tensor([row["target"] for row in rows]))
    metrics = json.loads((tmp_path / "results.json").read_text())["metrics"]
    assert {name: metrics[name] for name in expected} == expected
    rsreward("report", tmp_path)
    assert f"<td>{expected['parse_rate']:.3f}<small>" in (tmp_path / "report.html").read_text()


def test_killed_and_started_again_it_ends_with_the_same_answers(evaluate, interrupted, scenes, tiny, tmp_path):
    more = ("--samples", 20, "--temperature", 1)
    evaluate(tmp_path / "whole", *more)
    lines = tmp_path / "killed/completions.jsonl"
    command = arguments(scenes, tiny, tmp_path / "killed", *more)
    interrupted(signal.SIGKILL, lambda: lines.exists() and lines.read_bytes().count(b"\n") >= 4, *command)
    kept = lines.read_bytes()
    assert kept.count(b"\n") < 20 * COUNT
    lines.write_bytes(kept[:-20])
    evaluate(tmp_path / "killed", *more)
    whole, again = (sorted(map(json.dumps, rows_of(tmp_path / name))) for name in ("whole", "killed"))
    assert whole == again
    assert len(whole) == 20 * COUNT
    for name in ("results.json", "asked.json", "frame.json", "scores.jsonl"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "killed" / name).read_bytes()


def test_mistakes_are_named(evaluate, teacher, tmp_path):
    with pytest.raises(InputError, match="--temperature above 0"):
        evaluate(tmp_path, "--samples", 2)
    with pytest.raises(InputError, match="no/such-qwen3-vl"):
        evaluate(tmp_path, model="no/such-qwen3-vl")
    with pytest.raises(InputError, match=r"\{query\}"):
        evaluate(tmp_path, "--template", "Find it.")
    evaluate(tmp_path, "--limit", 2)
    with pytest.raises(InputError, match="with another seed"):
        evaluate(tmp_path, "--limit", 2, "--seed", 1)
    with teacher(faults=["404"] * 9) as (url, _), pytest.raises(InputError, match="has no model 'm'"):
        evaluate(tmp_path / "served", "--endpoint", url, "--space", "qwen3-vl", model="m")


def test_answers_to_the_questions_of_another_data_set_are_not_taken(evaluate, scenes, tmp_path):
    evaluate(tmp_path)
    examples = [replace(example, query="the other one") for example in read_examples(scenes / "test.parquet")]
    write_examples(tmp_path / "other.parquet", examples)
    with pytest.raises(InputError, match="an answer to another question"):
        evaluate(tmp_path, "--data", tmp_path / "other.parquet")
    write_examples(tmp_path / "other.parquet", [replace(example, dataset="other") for example in examples])
    evaluate(tmp_path, "--data", tmp_path / "other.parquet")
    assert len(rows_of(tmp_path)) == 2 * COUNT
    assert json.loads((tmp_path / "results.json").read_text())["metrics"]["rows"] == COUNT
    write_examples(tmp_path / "other.parquet", examples * 2)
    with pytest.raises(InputError, match="the same dataset and source_id"):
        evaluate(tmp_path / "twice", "--data", tmp_path / "other.parquet")


def test_a_file_of_somebody_else_is_left_as_it_is(evaluate, tmp_path):
    for content in ('{"my": 1}\n{"my": 2}', '{"my": 1}'):
        (tmp_path / "completions.jsonl").write_text(content)
        with pytest.raises(InputError, match="not what this command writes"):
            evaluate(tmp_path)
        assert (tmp_path / "completions.jsonl").read_text() == content


def test_the_results_of_a_demo_are_not_written_over(evaluate, tmp_path):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds a results\.json that this command did not write"):
        evaluate(tmp_path)
    assert (tmp_path / "results.json").read_text() == "{}"


@pytest.mark.parametrize("fault", ["not json", "no choices"])
def test_a_server_that_speaks_something_else_is_named(evaluate, teacher, tmp_path, fault):
    with (
        teacher(faults=[fault] * 9) as (url, _),
        pytest.raises(InputError, match="did not answer for 'm': an answer that is not a chat"),
    ):
        evaluate(tmp_path, "--endpoint", url, "--space", "qwen3-vl", model="m")


def test_pass_at_k_is_the_chance_of_a_right_answer_among_k():
    assert pass_at_k([1], samples=4, k=2) == pytest.approx(1 / 2)
    assert pass_at_k([2], samples=4, k=2) == pytest.approx(5 / 6)
    assert pass_at_k([3, 0], samples=4, k=2) == pytest.approx(1 / 2)
