"""The card of a model: what it says, and how the metrics of its evaluations get into it."""

import json

import pytest
import yaml
from rsreward_qwen_vl.card import add_metrics, model_card
from rsreward_tools.cards import CARD, own_card, write_card
from rsreward_tools.data.prompts import TEMPLATE

from rsreward import SPACES

PLAN = {
    "stage": "grpo", "model": "Qwen/Qwen2.5-VL-3B-Instruct", "seed": 0, "examples": 26_991, "steps": 1500,
    "learning_rate": 1e-6, "lora": True, "template": TEMPLATE, "space": vars(SPACES["qwen2.5-vl"]),
    "think_in_prompt": False,
    "recipe": {"data": "data/dior_rsvg/train.parquet", "images": "DIOR-RSVG", "reward": "positional", "share": 1.0},
    "other_than_in_the_paper": {"share": "1.0, not 0.4"}, "versions": {"rsreward": "0.1.0", "trl": "1.16.0"},
}  # fmt: skip
RESULTS = {
    "metrics": {"rows": 7500, "acc@0.5": 0.5, "miou": 0.4},
    "intervals": {"acc@0.5": [0.48, 0.52], "miou": [0.39, 0.41]},
    "asked": {"samples": 1, "temperature": 0.0}, "pass@k at IoU 0.5": {"1": 0.5},
}  # fmt: skip


@pytest.fixture
def model(tmp_path):
    """The folder of a trained model with its plan and its card."""
    folder = tmp_path / "grpo"
    folder.mkdir()
    (folder / "plan.json").write_text(json.dumps(PLAN))
    write_card(folder, model_card(PLAN, "grpo"))
    return folder


def test_a_card_says_how_the_model_answers_and_how_it_was_trained(model):
    text = own_card(model)
    head = yaml.safe_load(text.split("---\n")[1])
    assert (head["base_model"], head["model_name"]) == ("Qwen/Qwen2.5-VL-3B-Instruct", "grpo")
    assert "license" not in head
    for told in (
        "1,500 steps on 26,991 examples of `dior_rsvg/train.parquet`", "| `name` | `qwen2.5-vl` |",
        "| `max_pixels` | `12845056` |", f"```text\n{TEMPLATE}\n```", "| `reward` | `positional` |",
        "`share` 1.0, not 0.4", "Not stated.", "rsreward 0.1.0, trl 1.16.0",
    ):  # fmt: skip
        assert told in text
    assert "DIOR-RSVG" not in text  # where the images lie is nobody's business


def test_the_base_model_is_the_one_that_the_first_run_started_from(model):
    later = PLAN | {"model": str(model)}
    assert yaml.safe_load(model_card(later, "later").split("---\n")[1])["base_model"] == PLAN["model"]


def test_metrics_of_the_same_data_are_replaced_and_those_of_others_stay(model, tmp_path):
    test, other = tmp_path / "dior_rsvg/test.parquet", tmp_path / "vrsbench/test.parquet"
    assert add_metrics(str(model), test, RESULTS) == add_metrics(str(model), other, RESULTS) == ""
    once = own_card(model)
    assert once.count("| acc@0.5 | 0.5000 | 0.4800 to 0.5200 |") == 2
    told = "## Metrics", "**dior_rsvg/test.parquet**: 7,500 answers, greedy", "**vrsbench/test.parquet**", "## Versions"
    assert sorted(told, key=once.index) == list(told)
    better = RESULTS | {"metrics": RESULTS["metrics"] | {"acc@0.5": 0.6}}
    add_metrics(str(model), test, better)
    now = own_card(model)
    assert (now.count("| acc@0.5 | 0.5000"), now.count("| acc@0.5 | 0.6000")) == (1, 1)
    add_metrics(str(model), test, RESULTS)
    assert len(own_card(model)) == len(once)


def test_a_card_that_was_changed_by_hand_is_left(model, tmp_path):
    mine = (model / CARD).read_text().replace("Not stated.", "MIT.")
    (model / CARD).write_text(mine)
    assert "is your own, or was changed by hand" in add_metrics(str(model), tmp_path / "test.parquet", RESULTS)
    assert (model / CARD).read_text() == mine


def test_a_model_of_another_recipe_gets_no_card(tmp_path):
    (tmp_path / CARD).write_text("# Theirs")
    assert add_metrics(str(tmp_path), tmp_path / "test.parquet", RESULTS) == ""
    assert add_metrics("Qwen/Qwen3-VL-4B", tmp_path / "test.parquet", RESULTS) == ""
    assert (tmp_path / CARD).read_text() == "# Theirs"
