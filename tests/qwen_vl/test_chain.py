"""From published files to a table, as a user runs it: every command once, each on what the one before it left."""

import json

import pyarrow.parquet as pq
import pytest
from layouts import SCENES, WRITERS, save_tiny
from rsreward_tools.cli.main import app
from rsreward_tools.data.prompts import TEMPLATE
from teacher_server import teacher
from typer.testing import CliRunner

CPU = [
    "--bf16", "false", "--gradient_checkpointing", "false", "--report_to", "none", "--dataloader_pin_memory", "false",
    "--logging_steps", "1", "--disable_tqdm", "true", "--per_device_train_batch_size", "2", "--max_steps", "2",
]  # fmt: skip


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "qwen3-vl-tiny"
    save_tiny(folder, SCENES, layers=1)
    return folder


@pytest.mark.parametrize("name", WRITERS)
def test_from_the_published_files_to_a_table(name, tiny, tmp_path):
    root, data = tmp_path / "root", tmp_path / "data"
    root.mkdir()
    WRITERS[name](root)
    run("data", "prepare", name, root, "--out", data)
    with teacher() as (url, _):
        run("cot", data / "train.parquet", "--images", root, "--out", tmp_path / "cot", "--space", "qwen3-vl",
            "--endpoint", url, "--model", "m")  # fmt: skip
    assert pq.read_metadata(tmp_path / "cot/cot.parquet").num_rows == pq.read_metadata(data / "train.parquet").num_rows
    run("sft", "--model_name_or_path", tiny, "--data", tmp_path / "cot/cot.parquet", "--images", root,
        "--output_dir", tmp_path / "sft", *CPU)  # fmt: skip
    run("grpo", "--model_name_or_path", tmp_path / "sft", "--data", data / "train.parquet", "--images", root,
        "--output_dir", tmp_path / "grpo", "--num_generations", 2, "--max_completion_length", 8,
        "--gallery_steps", 1, *CPU)  # fmt: skip
    run("evaluate", tmp_path / "grpo", "--data", data / "test.parquet", "--images", root, "--out", tmp_path / "eval",
        "--max-new-tokens", 8)  # fmt: skip
    for folder in ("sft", "grpo", "eval"):
        run("report", tmp_path / folder)
        assert (tmp_path / folder / "report.html").stat().st_size > 2000
    results = json.loads((tmp_path / "eval/results.json").read_text())
    assert results["metrics"]["plain"]["rows"] == 1
    assert results["asked"]["template"] == TEMPLATE
    scored = json.loads(run("score", tmp_path / "eval/completions.jsonl", "--space", "qwen3-vl", "--json").stdout)
    assert scored["rows"] == 1
