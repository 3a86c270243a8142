"""From published files to a table, as a user runs it: every command once, each on what the one before it left."""

import json

import pyarrow.parquet as pq
import pytest
import yaml
from layouts import WRITERS
from rsreward_tools.cards import own_card
from rsreward_tools.data.prompts import TEMPLATE

CPU = [
    "--bf16", "false", "--gradient_checkpointing", "false", "--report_to", "none", "--dataloader_pin_memory", "false",
    "--logging_steps", "1", "--disable_tqdm", "true", "--per_device_train_batch_size", "2", "--max_steps", "2",
]  # fmt: skip


def card_of(folder):
    """The front matter of a card that rsreward wrote."""
    text = own_card(folder)
    return yaml.safe_load(text.split("---")[1])


@pytest.mark.parametrize("name", WRITERS)
def test_from_the_published_files_to_a_table(name, rsreward, teacher, tiny, tmp_path):
    root, data = tmp_path / "root", tmp_path / "data"
    root.mkdir()
    WRITERS[name](root)
    images, train = ["--images", root], data / "train.parquet"
    rsreward("data", "prepare", name, root, "--out", data)
    with teacher() as (url, _):
        asked = "--space", "qwen3-vl", "--endpoint", url, "--model", "m"
        rsreward("cot", train, *images, "--out", tmp_path / "cot", *asked)
    cot, sft, grpo, out = tmp_path / "cot/cot.parquet", tmp_path / "sft", tmp_path / "grpo", tmp_path / "eval"
    assert pq.read_metadata(cot).num_rows == pq.read_metadata(train).num_rows
    sft.mkdir()
    (sft / "README.md").write_text("# Mine")
    rsreward("sft", "--model_name_or_path", tiny, "--data", cot, *images, "--output_dir", sft, *CPU)
    rollouts = "--num_generations", 2, "--max_completion_length", 8, "--gallery_steps", 1
    rsreward("grpo", "--model_name_or_path", sft, "--data", train, *images, "--output_dir", grpo, *rollouts, *CPU)
    rsreward("evaluate", grpo, "--data", data / "test.parquet", *images, "--out", out, "--max-new-tokens", 8)
    for folder in (sft, grpo, out):
        rsreward("report", folder)
        assert (folder / "report.html").stat().st_size > 2000
    results = json.loads((out / "results.json").read_text())
    assert results["metrics"]["rows"] == 1
    assert results["asked"]["template"] == results["read_in"]["template"] == TEMPLATE
    assert card_of(data)["pretty_name"] == name
    of_grpo = card_of(grpo)
    assert ("base_model" in of_grpo, of_grpo["tags"][3]) == (False, "grpo")  # the tiny model is a folder
    assert (sft / "README.md").read_text() == "# Mine"  # TRL writes a draft of its own where it is let
    assert "**data/test.parquet**: 1 answers, greedy" in (grpo / "README.md").read_text()
    scored = json.loads(rsreward("score", out / "completions.jsonl", "--space", "qwen3-vl", "--json").stdout)
    assert scored["rows"] == 1
