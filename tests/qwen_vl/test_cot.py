import base64
import json
import signal

import pyarrow.parquet as pq
import pytest
from rsreward_qwen_vl.cot.filter import Filter
from rsreward_qwen_vl.cot.instruction import teacher_instruction
from rsreward_tools.data.example import read_examples
from rsreward_tools.errors import InputError

from rsreward import SPACES

COUNT = 6


@pytest.fixture(scope="module")
def cot(rsreward, scenes):
    """Ask for chains of the test scenes, of a server if its URL is given."""

    def run(out, *more, url=None):
        return rsreward(*arguments(scenes, out, *more, url=url), OPENAI_API_KEY="secret")

    return run


def arguments(scenes, out, *more, url=None):
    served = ("--endpoint", url, "--model", "m") if url else ()
    return "cot", scenes / "test.parquet", "--images", scenes, "--out", out, "--space", "qwen3-vl", *served, *more


def report(out):
    return json.loads((out / "report.json").read_text())


def test_scenes_explain_themselves(cot, scenes, tmp_path):
    assert cot(tmp_path).exit_code == 0
    assert report(tmp_path)["kept"] == COUNT
    rows = pq.read_table(tmp_path / "cot.parquet").to_pylist()
    assert [row["source_id"] for row in rows] == [
        example.source_id for example in read_examples(scenes / "test.parquet")
    ]


def test_a_teacher_is_shown_the_image_and_the_box_and_its_chains_are_kept(cot, scenes, teacher, tmp_path):
    with teacher() as (url, requests):
        done = cot(tmp_path, "--price", 2, 10, url=url)
    assert done.exit_code == 0
    tokens = {"prompt_tokens": 1000 * COUNT, "completion_tokens": 20 * COUNT}
    assert report(tmp_path) == {"examples": COUNT, "kept": COUNT, "dropped": {}, "failed": {}} | tokens
    assert "6,000 tokens read, 120 written, 0.01 dollars" in done.stdout
    image, text = requests[0]["messages"][0]["content"]
    sent = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
    assert sent in {path.read_bytes() for path in (scenes / "images").iterdir()}
    assert text["text"].startswith("You write a training example")
    assert requests[0]["key"] == "Bearer secret"


def test_faults_are_asked_again_and_cost_no_example(cot, teacher, tmp_path):
    with teacher(faults=("429", "500", "cut", "slow", "503")) as (url, requests):
        done = cot(tmp_path, "--timeout", 2, "--concurrency", 2, url=url)
    assert done.exit_code == 0
    assert report(tmp_path)["kept"] == COUNT
    assert len(requests) == COUNT + 5


@pytest.mark.parametrize("fault", ["not json", "no choices", "400", ""])
def test_what_fails_is_counted_and_the_next_run_asks_again(cot, teacher, tmp_path, fault):
    with teacher(faults=(fault,)) as (url, _):
        first = cot(tmp_path, "--concurrency", 1, url=url)
    assert first.exit_code == 1
    assert (report(tmp_path)["kept"], sum(report(tmp_path)["failed"].values())) == (COUNT - 1, 1)
    with teacher() as (url, requests):
        second = cot(tmp_path, url=url)
    assert second.exit_code == 0
    assert (report(tmp_path)["kept"], report(tmp_path)["failed"], len(requests)) == (COUNT, {}, 1)


def test_killed_and_started_again_it_ends_the_same_with_no_row_lost_or_doubled(
    cot, interrupted, scenes, teacher, tmp_path
):
    chains = tmp_path / "killed" / "chains.jsonl"
    with teacher(pause=0.4) as (url, requests):
        command = arguments(scenes, tmp_path / "killed", "--concurrency", 1, url=url)
        interrupted(signal.SIGKILL, lambda: chains.exists() and chains.read_bytes().count(b"\n") >= 2, *command)
        assert chains.read_bytes().count(b"\n") < COUNT
        with chains.open("a") as file:
            file.write('{"dataset": "scenes", "sour')  # as if killed in the middle of a line
        assert cot(tmp_path / "killed", "--concurrency", 1, url=url).exit_code == 0
        assert len(requests) <= COUNT + 1
        assert cot(tmp_path / "whole", url=url).exit_code == 0
    assert len(chains.read_text().splitlines()) == COUNT
    for name in ("cot.parquet", "report.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.parametrize(("status", "said"), [("401", "OPENAI_API_KEY"), ("404", "has no model 'm'")])
def test_wrong_keys_and_models_are_named(cot, teacher, tmp_path, status, said):
    with teacher(faults=(status,) * 50) as (url, requests), pytest.raises(InputError, match=said):
        cot(tmp_path, url=url)
    assert len(requests) <= 8


def test_chains_of_another_space_or_teacher_are_not_gone_on_with(cot, teacher, tmp_path):
    with teacher() as (url, _):
        cot(tmp_path, url=url)
        for more, said in (("--space", "norm999"), "space"), (("--five", "le90"), "space"), (("--model", "x"), "model"):
            with pytest.raises(InputError, match=f"another {said}"):
                cot(tmp_path, *more, url=url)
    with pytest.raises(InputError, match="give --space qwen3-vl"):
        cot(tmp_path / "scenes", "--space", "qwen2.5-vl")


def test_the_space_is_that_of_the_student_under_its_bounds(cot, teacher, tmp_path):
    with teacher() as (url, requests):
        cot(tmp_path, "--space", "Qwen/Qwen2.5-VL-7B-Instruct", "--min-pixels", 1, "--max-pixels", 28 * 28, url=url)
    space = json.loads((tmp_path / "asked.json").read_text())["space"]
    assert (space["name"], space["max_pixels"]) == ("qwen2.5-vl", 28 * 28)
    told = requests[0]["messages"][0]["content"][1]["text"].partition("Its box is [")[2].partition("]")[0]
    assert max(map(int, told.split(", "))) <= 28
    assert report(tmp_path)["kept"] == COUNT


def test_a_teacher_whose_template_opens_the_thought_gets_it_back(cot, teacher, tmp_path):
    def inside_a_thought(request):
        box = request["messages"][0]["content"][1]["text"].partition("Its box is ")[2].partition(", x1")[0]
        return f"It lies beside the road.</think><answer>{box}</answer>"

    with teacher(inside_a_thought) as (url, _):
        cot(tmp_path / "as written", url=url)
        cot(tmp_path / "opened", "--think-in-prompt", url=url)
    assert report(tmp_path / "as written")["dropped"] == {"incomplete": COUNT}
    assert report(tmp_path / "opened")["kept"] == COUNT
    completions = pq.read_table(tmp_path / "opened/cot.parquet").to_pydict()["completion"]
    assert all(text.startswith("<think>It lies") for text in completions)


def test_the_report_of_a_prepared_data_set_is_not_written_over(cot, tmp_path):
    (tmp_path / "report.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds a report\.json that this command did not write"):
        cot(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_requests_keep_to_their_rate(cot, teacher, tmp_path):
    with teacher() as (url, requests):
        cot(tmp_path, "--requests-per-minute", 240, "--limit", 4, url=url)
    assert len(requests) == 4
    assert requests[-1]["time"] - requests[0]["time"] > 3 * 0.25 - 0.1


@pytest.fixture
def example(scenes):
    return next(read_examples(scenes / "test.parquet"))


def chain(thought, box):
    return f"<think>{thought}</think><answer>{box}</answer>"


def test_the_filter_says_why(example):
    judge = Filter(SPACES["qwen3-vl"])
    x1, y1, x2, y2 = box = [round(v * 1000 / 64) for v in example.boxes[0]]
    other = [0, 0, 30, 30]
    own = "It lies on the left, below the road; the other one is larger."
    told = teacher_instruction(example.query, example.boxes[0], 64, 64, SPACES["qwen3-vl"])
    assert judge(chain(own, box), example) is None
    assert judge(chain(f"{own} It is at {box}, the other at {other}.", box), example) is None
    assert judge(chain(own, box).removesuffix("</answer>"), example) == "incomplete"
    assert judge(chain(own, "nowhere"), example) == "incomplete"
    assert judge(chain(own, [x1, y1, x1 + (x2 - x1) // 2, y2]), example) == "wrong-box"
    assert judge(chain(f"{own} It is at {other}.", box), example) == "inconsistent"
    assert judge(chain(f"{own} The given box is {box}.", box), example) == "copied"
    assert judge(chain(f"{own} The trees stand at (200, 300), (700, 300).", box), example) is None
    assert judge(chain(told.partition(" Write ")[0], box), example) == "copied"
