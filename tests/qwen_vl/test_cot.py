import base64
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from rsreward_qwen_vl.cot.filter import Filter
from rsreward_qwen_vl.cot.instruction import teacher_instruction
from rsreward_tools.cli.main import app
from rsreward_tools.data.example import read_examples
from rsreward_tools.data.scenes.dataset import write_scenes
from rsreward_tools.errors import InputError
from teacher_server import good_chain, teacher
from typer.testing import CliRunner

from rsreward import SPACES

COMMAND = str(Path(sys.executable).with_name("rsreward"))
COUNT = 6


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp("scenes")
    write_scenes(root, {"train": COUNT}, level=2, size=128)
    return root


def arguments(scenes, out, *more):
    return [COMMAND, "cot", str(scenes / "train.parquet"), "--images", str(scenes), "--out", str(out),
            "--space", "qwen3-vl", *map(str, more)]  # fmt: skip


def run(scenes, out, *more):
    return CliRunner().invoke(app, arguments(scenes, out, *more)[1:], env={"OPENAI_API_KEY": "secret"})


def report(out):
    return json.loads((out / "report.json").read_text())


def test_scenes_explain_themselves(scenes, tmp_path):
    assert run(scenes, tmp_path).exit_code == 0
    assert report(tmp_path)["kept"] == COUNT
    rows = pq.read_table(tmp_path / "cot.parquet").to_pylist()
    assert [row["source_id"] for row in rows] == [
        example.source_id for example in read_examples(scenes / "train.parquet")
    ]


def test_a_teacher_is_shown_the_image_and_the_box_and_its_chains_are_kept(scenes, tmp_path):
    with teacher() as (url, requests):
        done = run(scenes, tmp_path, "--endpoint", url, "--model", "m", "--price", 2, 10)
    assert done.exit_code == 0
    assert report(tmp_path) == {
        "examples": COUNT, "kept": COUNT, "dropped": {}, "failed": {}, "prompt_tokens": 1000 * COUNT,
        "completion_tokens": 20 * COUNT,
    }  # fmt: skip
    assert "6,000 tokens read, 120 written, 0.01 dollars" in done.stdout
    image, text = requests[0]["messages"][0]["content"]
    sent = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert sent in {path.read_bytes() for path in (scenes / "images").iterdir()}
    assert text["text"].startswith("You write a training example")
    assert requests[0]["key"] == "Bearer secret"


def test_faults_are_asked_again_and_cost_no_example(scenes, tmp_path):
    with teacher(faults=("429", "500", "cut", "slow", "503")) as (url, requests):
        done = run(scenes, tmp_path, "--endpoint", url, "--model", "m", "--timeout", 2, "--concurrency", 2)
    assert done.exit_code == 0
    assert report(tmp_path)["kept"] == COUNT
    assert len(requests) == COUNT + 5


@pytest.mark.parametrize("fault", ["not json", "no choices", "400", ""])
def test_what_fails_is_counted_and_the_next_run_asks_again(scenes, tmp_path, fault):
    with teacher(faults=(fault,)) as (url, _):
        first = run(scenes, tmp_path, "--endpoint", url, "--model", "m", "--concurrency", 1)
    assert first.exit_code == 1
    assert (report(tmp_path)["kept"], sum(report(tmp_path)["failed"].values())) == (COUNT - 1, 1)
    with teacher() as (url, requests):
        second = run(scenes, tmp_path, "--endpoint", url, "--model", "m")
    assert second.exit_code == 0
    assert (report(tmp_path)["kept"], report(tmp_path)["failed"], len(requests)) == (COUNT, {}, 1)


def test_killed_and_started_again_it_ends_the_same_with_no_row_lost_or_doubled(scenes, tmp_path):
    def slowly(request):
        time.sleep(0.4)
        return good_chain(request)

    with teacher(slowly) as (url, requests):
        more = ("--endpoint", url, "--model", "m", "--concurrency", 1)
        chains = tmp_path / "killed" / "chains.jsonl"
        process = subprocess.Popen(arguments(scenes, tmp_path / "killed", *more), stdout=subprocess.DEVNULL)
        while not (chains.exists() and chains.read_bytes().count(b"\n") >= 2):
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert chains.read_bytes().count(b"\n") < COUNT
        with chains.open("a") as file:
            file.write('{"dataset": "scenes", "sour')  # as if killed in the middle of a line
        assert run(scenes, tmp_path / "killed", *more).exit_code == 0
        assert len(requests) <= COUNT + 1
        assert run(scenes, tmp_path / "whole", *more).exit_code == 0
    assert len(chains.read_text().splitlines()) == COUNT
    for name in ("cot.parquet", "report.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_wrong_keys_and_models_are_named(scenes, tmp_path):
    for status, said in (("401", "OPENAI_API_KEY"), ("404", "has no model 'm'")):
        with teacher(faults=(status,) * 50) as (url, requests):
            done = run(scenes, tmp_path, "--endpoint", url, "--model", "m")
        assert isinstance(done.exception, InputError)
        assert said in str(done.exception)
        assert len(requests) <= 8


def test_chains_of_another_space_or_teacher_are_not_gone_on_with(scenes, tmp_path):
    with teacher() as (url, _):
        run(scenes, tmp_path, "--endpoint", url, "--model", "m")
        for more, said in (("--space", "norm999"), "another space"), (("--model", "other"), "another model"):
            done = run(scenes, tmp_path, "--endpoint", url, "--model", "m", *more)
            assert said in str(done.exception)
    done = run(scenes, tmp_path / "scenes", "--space", "qwen2.5-vl")
    assert "give --space qwen3-vl" in str(done.exception)


def test_the_report_of_a_prepared_data_set_is_not_written_over(scenes, tmp_path):
    (tmp_path / "report.json").write_text("{}")
    done = run(scenes, tmp_path)
    assert "holds a report.json of something else" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_requests_keep_to_their_rate(scenes, tmp_path):
    times = []

    def clocked(request):
        times.append(time.monotonic())
        return good_chain(request)

    with teacher(clocked) as (url, _):
        run(scenes, tmp_path, "--endpoint", url, "--model", "m", "--requests-per-minute", 240, "--limit", 4)
    assert len(times) == 4
    assert times[-1] - times[0] > 3 * 0.25 - 0.1


@pytest.fixture
def example(scenes):
    return next(read_examples(scenes / "train.parquet"))


def chain(thought, box):
    return f"<think>{thought}</think><answer>{box}</answer>"


def test_the_filter_says_why(example):
    judge = Filter(SPACES["qwen3-vl"])
    x1, y1, x2, y2 = box = [round(v * 1000 / 128) for v in example.boxes[0]]
    other = [0, 0, 30, 30]
    own = "It lies on the left, below the road; the other one is larger."
    told = teacher_instruction(example.query, example.boxes[0], 128, 128, SPACES["qwen3-vl"])
    assert judge(chain(own, box), example) is None
    assert judge(chain(f"{own} It is at {box}, the other at {other}.", box), example) is None
    assert judge(chain(own, box).removesuffix("</answer>"), example) == "incomplete"
    assert judge(chain(own, "nowhere"), example) == "incomplete"
    assert judge(chain(own, [x1, y1, x1 + (x2 - x1) // 2, y2]), example) == "wrong-box"
    assert judge(chain(f"{own} It is at {other}.", box), example) == "inconsistent"
    assert judge(chain(f"{own} The given box is {box}.", box), example) == "copied"
    assert judge(chain(f"{own} The trees stand at (200, 300), (700, 300).", box), example) is None
    assert judge(chain(told.partition(" Write ")[0], box), example) == "copied"
