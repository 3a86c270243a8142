import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import rsreward_qwen_vl
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from layouts import save_tiny
from PIL import Image
from rsreward_qwen_vl.model.processors import load_processor
from rsreward_qwen_vl.train import plan_of, space_of
from rsreward_qwen_vl.trl_rows import grpo_rows, sft_rows
from rsreward_tools.cli.main import app
from rsreward_tools.data.example import read_examples
from rsreward_tools.data.prompts import TEMPLATE
from rsreward_tools.data.scenes import generate_scene
from rsreward_tools.data.scenes.dataset import write_scenes
from rsreward_tools.errors import InputError
from safetensors.torch import load_file
from typer.testing import CliRunner

CONFIGS = Path(rsreward_qwen_vl.__file__).parent / "configs"
COMMAND = str(Path(sys.executable).with_name("rsreward"))
CPU = [
    "--bf16", "false", "--gradient_checkpointing", "false", "--report_to", "none", "--dataloader_pin_memory", "false",
    "--logging_steps", "1", "--disable_tqdm", "true", "--lr_scheduler_type", "constant",
]  # fmt: skip


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A tiny model in a folder, scenes in files, and their chains."""
    root = tmp_path_factory.mktemp("world")
    write_scenes(root / "scenes", {"train": 24}, level=1, size=64)
    save_tiny(root / "qwen3-vl-tiny", [generate_scene(seed, 1) for seed in range(24)], layers=2)
    run("cot", root / "scenes/train.parquet", "--images", root / "scenes", "--out", root / "cot", "--space", "qwen3-vl")
    return root


def run(*arguments):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def sft_arguments(world, out, *more):
    return ["sft", "--data", world / "cot/cot.parquet", "--images", world / "scenes", "--output_dir", out,
            "--model_name_or_path", world / "qwen3-vl-tiny", "--per_device_train_batch_size", 4, "--max_steps", 6,
            "--save_steps", 2, "--learning_rate", "1e-3", *CPU, *more]  # fmt: skip


def grpo_arguments(world, model, out, *more):
    return ["grpo", "--data", world / "scenes/train.parquet", "--images", world / "scenes", "--output_dir", out,
            "--model_name_or_path", model, "--per_device_train_batch_size", 8, "--num_generations", 4,
            "--max_completion_length", 12, "--max_steps", 4, "--save_steps", 2, "--learning_rate", "1e-4",
            *CPU, *more]  # fmt: skip


@pytest.fixture(scope="module")
def learnt(world):
    """The tiny model after so much SFT that its rollouts differ in reward."""
    run(*sft_arguments(world, world / "learnt", "--max_steps", 60, "--save_steps", 60))
    return world / "learnt"


def test_the_prompt_is_the_same_bytes_in_sft_and_grpo(world):
    space = space_of("qwen3-vl")
    learnt = sft_rows(world / "cot/cot.parquet", world / "scenes", TEMPLATE, space)
    asked = grpo_rows(world / "scenes/train.parquet", world / "scenes", TEMPLATE)
    prompts = {tuple(row["target"]): row["prompt"] for row in asked}
    assert len(learnt) == len(asked) == 24
    for example, row in zip(read_examples(world / "scenes/train.parquet"), learnt, strict=True):
        assert row["prompt"] == prompts[tuple(example.boxes[0])]
        assert row["prompt"][0]["content"] == TEMPLATE.replace("{query}", example.query)


def test_sft_then_grpo_from_what_it_saved(world, tmp_path):
    run(*sft_arguments(world, tmp_path / "sft"))
    losses = [log["loss"] for log in json.loads((tmp_path / "sft/history.json").read_text()) if "loss" in log]
    assert losses[-1] < losses[0]
    assert plan_of(str(tmp_path / "sft"))["examples_per_step"] == 4
    result = run(*grpo_arguments(world, tmp_path / "sft", tmp_path / "grpo", "--gallery_steps", 2))
    plan = plan_of(str(tmp_path / "grpo"))
    assert (plan["space"]["name"], plan["prompts_per_step"], plan["template"]) == ("qwen3-vl", 2, TEMPLATE)
    assert "completions_per_step: 8" in result.stdout
    logs = json.loads((tmp_path / "grpo/history.json").read_text())
    assert all(1 <= log["consistency/weight_mean"] <= 3 for log in logs if "loss" in log)
    shown = json.loads((tmp_path / "grpo/gallery/step_00002.json").read_text())
    assert len(shown) == 2
    targets = [example.boxes[0] for example in read_examples(world / "scenes/train.parquet")]
    for group in shown:
        assert len(group["completions"]) == len(group["ious"]) == 4
        assert any(group["target"] == pytest.approx(target, abs=0.1) for target in targets)
        assert group["query"].startswith("Locate ")
    with Image.open(tmp_path / "grpo/gallery/step_00002.png") as picture:
        assert len(picture.crop((0, 0, 384, 384)).getcolors(200_000)) > 100
    before, after = (load_file(tmp_path / stage / "model.safetensors") for stage in ("sft", "grpo"))
    assert before.keys() == after.keys()
    run("report", tmp_path / "grpo")
    page = (tmp_path / "grpo/report.html").read_text()
    assert page.count("data:image/png") == 2
    assert "data:image/svg+xml" in page
    assert 'src="http' not in page
    assert load_processor(str(tmp_path / "grpo")).image_processor.size["longest_edge"] == 64 * 64


def test_lora_is_merged_into_what_is_saved(world, tmp_path):
    lora = ["--use_peft", "--lora_target_modules", "q_proj", "v_proj", "--lora_r", "4"]
    run(*sft_arguments(world, tmp_path, *lora))
    before, after = load_file(world / "qwen3-vl-tiny/model.safetensors"), load_file(tmp_path / "model.safetensors")
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("q_proj" in name or "v_proj" in name for name in changed)


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_killed_and_started_again_it_ends_with_the_same_weights(world, learnt, tmp_path, stage):
    def arguments(out):
        if stage == "sft":
            return [str(a) for a in sft_arguments(world, out)]
        return [str(a) for a in grpo_arguments(world, learnt, out, "--graded_format", "--max_completion_length", 40)]

    run(*arguments(tmp_path / "whole"))
    process = subprocess.Popen([COMMAND, *arguments(tmp_path / "killed")], stdout=subprocess.DEVNULL)
    while not (tmp_path / "killed/checkpoint-2/trainer_state.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed/model.safetensors").exists()
    run(*arguments(tmp_path / "killed"))
    whole, again = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    start = load_file((learnt if stage == "grpo" else world / "qwen3-vl-tiny") / "model.safetensors")
    assert not all(torch.equal(whole[name], start[name]) for name in whole)


def test_a_finished_run_is_left_as_it_is_and_another_one_is_refused_its_folder(world, tmp_path):
    run(*sft_arguments(world, tmp_path))
    before = (tmp_path / "model.safetensors").read_bytes()
    assert "nothing is left to train" in run(*sft_arguments(world, tmp_path)).stdout
    assert (tmp_path / "model.safetensors").read_bytes() == before
    with pytest.raises(InputError, match=r"with learning_rate 0\.001, not 0\.1"):
        run(*sft_arguments(world, tmp_path, "--learning_rate", "0.1"))
    with pytest.raises(InputError, match="with stage sft, not grpo"):
        run(*grpo_arguments(world, tmp_path, tmp_path))
    assert plan_of(str(tmp_path))["stage"] == "sft"


def test_a_model_is_not_trained_into_the_folder_that_it_comes_from(world):
    before = (world / "qwen3-vl-tiny/model.safetensors").read_bytes()
    with pytest.raises(InputError, match="is the model to start from"):
        run(*sft_arguments(world, world / "qwen3-vl-tiny"))
    assert (world / "qwen3-vl-tiny/model.safetensors").read_bytes() == before


def test_grpo_wants_examples_for_a_whole_step(world, tmp_path):
    with pytest.raises(InputError, match="fewer than the prompts of one step"):
        run(*grpo_arguments(world, world / "qwen3-vl-tiny", tmp_path, "--per_device_train_batch_size", 128))


def test_the_plan_can_be_seen_without_training(world, tmp_path):
    shown = run(*grpo_arguments(world, world / "qwen3-vl-tiny", tmp_path / "out", "--dry_run", "--share", 0.4)).stdout
    assert "examples: 10\n" in shown
    assert "steps: 4\n" in shown
    assert "max_steps: 4, not 1500" in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--learning_rat", "1"], "learning_rat"),
        (["--config", "nowhere.yaml"], "no config file nowhere.yaml; the package has grpo_full.yaml"),
        (["--share", "1.5"], "--share must be"),
        (["--template", "Find it."], r"\{query\}"),
        (["--space", "metres"], "metres"),
        (["--use_peft", "--load_in_4bit"], "not supported"),
        (["--model_name_or_path", "no/such-qwen3-vl"], "no/such-qwen3-vl"),
        (["--data", "nowhere.parquet"], "there is no file nowhere.parquet: make it with `rsreward cot`"),
        (["--space", "norm100"], "overlap the true ones by"),
    ],
)
def test_mistakes_are_named(world, tmp_path, more, said):
    with pytest.raises(InputError, match=said):
        run(*sft_arguments(world, tmp_path, *more))


def test_a_folder_whose_name_tells_no_family_is_known_by_its_configuration(tmp_path):
    folder = tmp_path / "mine"
    with pytest.raises(InputError, match=r"there is no folder .*mine, and as a name it tells no family"):
        space_of(str(folder))
    folder.mkdir()
    for kind, space in (("qwen2_5_vl", "qwen2.5-vl"), ("qwen3_vl", "qwen3-vl")):
        (folder / "config.json").write_text(json.dumps({"model_type": kind}))
        assert space_of(str(folder)).name == space
    for content in ('{"model_type": "llama"}', "{", "[]"):
        (folder / "config.json").write_text(content)
        with pytest.raises(InputError, match="names no family that is known here"):
            space_of(str(folder))


MODELS = ["Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen3-VL-4B-Instruct",
          "Qwen/Qwen3-VL-8B-Instruct"]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("config", ["sft_lora", "sft_full", "grpo_lora", "grpo_full"])
def test_the_full_size_configurations_resolve(world, tmp_path, config, model):
    data = world / ("cot/cot.parquet" if config.startswith("sft") else "scenes/train.parquet")
    arguments = ["--config", f"{config}.yaml", "--model_name_or_path", model, "--data", data, "--images",
                 world / "scenes", "--output_dir", tmp_path / "out", "--use_cpu", "--dry_run",
                 *(["--space", "qwen3-vl"] if config.startswith("sft") else [])]  # fmt: skip
    plan = yaml.safe_load(run(config.partition("_")[0], *arguments).stdout)
    assert plan["space"]["name"] == ("qwen2.5-vl" if "2.5" in model and "grpo" in config else "qwen3-vl")
    assert plan["lora"] == ("lora" in config)
    if "grpo" in config:
        assert (plan["steps"], plan["prompts_per_step"]) == (1500, 8 if "lora" in config else 1)
        assert len(plan["as_in_the_paper"]) == 6
        assert not plan["other_than_in_the_paper"]
    billions = int(model.partition("B-")[0][-1])
    assert f"about {billions * (2 if 'lora' in config else 16)} GB" in plan["memory"]


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_help_is_short_and_all_of_it_is_behind_another_word(stage):
    short = run(stage, "--help").stdout
    assert len(short.splitlines()) < 40
    assert max(map(len, short.splitlines())) <= 80
    for shown in (
        "--config",
        f"{stage}_lora.yaml",
        f"{stage}_full.yaml",
        "--images",
        "--dry_run",
        f"rsreward {stage} ",
    ):
        assert shown in short
    assert ("--lambda_mean" in short) == (stage == "grpo")
    whole = run(stage, "--help_all").stdout
    assert "--warmup_steps" in whole
    assert "--lambda_mean" in whole


def test_the_launch_configuration_is_accelerates():
    config = load_config_from_file(str(CONFIGS / "fsdp.yaml"))
    assert (config.distributed_type.value, config.num_processes) == ("FSDP", 8)


def test_two_processes_plan_and_train_together(world, tmp_path):
    launch = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines",
        "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "rsreward_qwen_vl",
    ]  # fmt: skip
    arguments = grpo_arguments(world, world / "qwen3-vl-tiny", tmp_path, "--max_steps", "1", "--use_cpu")
    done = subprocess.run([*launch, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert plan_of(str(tmp_path))["prompts_per_step"] == 4
    assert done.stdout.count("completions_per_step: 16") == 1
    assert (tmp_path / "model.safetensors").exists()
