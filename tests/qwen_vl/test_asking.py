"""What cot and evaluate share."""

import signal
from dataclasses import replace

import pytest
from rsreward_qwen_vl.asking import journal, questions
from rsreward_tools.data.example import read_examples, write_examples
from rsreward_tools.errors import InputError


def served(stage, scenes, out, url):
    """The command that asks a server about the scenes."""
    more = ("--images", scenes, "--out", out, "--space", "qwen3-vl", "--endpoint", url)
    if stage == "cot":
        return "cot", scenes / "test.parquet", "--model", "m", "--concurrency", 1, *more
    return "evaluate", "m", "--data", scenes / "test.parquet", "--batch-size", 1, *more


@pytest.mark.parametrize(("stage", "file"), [("cot", "chains.jsonl"), ("evaluate", "completions.jsonl")])
def test_ctrl_c_ends_with_a_sentence_and_the_same_command_goes_on(
    rsreward, interrupted, teacher, scenes, tmp_path, stage, file
):
    answers = tmp_path / "out" / file
    with teacher(lambda request: "[1, 2, 3, 4]", pause=0.3) as (url, requests):
        command = served(stage, scenes, tmp_path / "out", url)
        code, told = interrupted(signal.SIGINT, lambda: answers.exists() and answers.stat().st_size, *command)
        assert (code, told) == (130, "rsreward: stopped; the same command continues from here.\n")
        assert 0 < len(answers.read_text().splitlines()) < 6
        rsreward(*command)
        assert len(requests) <= 6 + 1
    assert len(answers.read_text().splitlines()) == 6


def test_two_runs_do_not_write_to_one_folder(rsreward, teacher, scenes, tmp_path):
    with teacher() as (url, requests):
        for stage, file in (("cot", "chains.jsonl"), ("evaluate", "completions.jsonl")):
            with journal(tmp_path / stage / file, ("dataset",), {}, []), pytest.raises(InputError, match="another run"):
                rsreward(*served(stage, scenes, tmp_path / stage, url))
    assert not requests


@pytest.mark.parametrize("boxes", [[], [[0.0, 0.0, 9.0, 9.0]] * 2, [[9.0, 2.0, 3.0, 4.0]], [[1.0, 2.0, 3.0, 2.0]]])
def test_a_question_without_one_true_box_is_refused_before_anything_is_asked(
    rsreward, teacher, scenes, tmp_path, boxes
):
    *good, last = read_examples(scenes / "test.parquet")
    write_examples(tmp_path / "test.parquet", [*good, replace(last, boxes=boxes)])
    with teacher() as (url, requests):
        for stage in ("cot", "evaluate"):
            with pytest.raises(InputError, match=f"the question {last.source_id} has .*: leave it out"):
                rsreward(*served(stage, tmp_path, tmp_path / stage, url))
    assert not requests
    assert len(questions(tmp_path / "test.parquet", limit=5)) == 5
