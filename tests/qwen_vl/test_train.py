import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import rsreward_qwen_vl
import torch
import yaml
from accelerate.commands.config.config_args import load_config_from_file
from PIL import Image
from rsreward_qwen_vl.model.processors import load_processor, opens_thought
from rsreward_qwen_vl.model.trained import plan_of, space_of
from rsreward_qwen_vl.trl_rows import grpo_rows, sft_rows
from rsreward_tools.data.example import read_examples
from rsreward_tools.data.prompts import TEMPLATE
from rsreward_tools.errors import InputError
from safetensors.torch import load_file
from small import CPU

CONFIGS = Path(rsreward_qwen_vl.__file__).parent / "configs"


@pytest.fixture(scope="module")
def sft(chains, scenes, tiny):
    """The arguments of SFT of the tiny model on the chains."""

    def arguments(out, *more):
        steps = "--per_device_train_batch_size", 4, "--max_steps", 4, "--save_steps", 2, "--learning_rate", "1e-3"
        data = "--data", chains, "--images", scenes, "--output_dir", out, "--model_name_or_path", tiny
        return "sft", *data, *steps, *CPU, *more

    return arguments


@pytest.fixture(scope="module")
def grpo(scenes):
    """The arguments of GRPO of a model on the scenes."""

    def arguments(model, out, *more):
        steps = "--max_steps", 4, "--save_steps", 2, "--learning_rate", "1e-4", "--max_completion_length", 12
        rollouts = "--per_device_train_batch_size", 8, "--num_generations", 4
        data = "--data", scenes / "train.parquet", "--images", scenes, "--output_dir", out
        return "grpo", *data, "--model_name_or_path", model, *rollouts, *steps, *CPU, *more

    return arguments


@pytest.fixture(scope="module")
def learnt(rsreward, sft, tmp_path_factory):
    """The tiny model after so much SFT that its rollouts differ in reward."""
    out = tmp_path_factory.mktemp("learnt")
    rsreward(*sft(out, "--max_steps", 60, "--save_steps", 60))
    return out


@pytest.fixture(scope="module")
def stages(sft, grpo, learnt):
    """The arguments of a short run of each stage, which needs its folder only."""
    rollouts = "--graded_format", "--max_completion_length", 40, "--gallery_steps", 2
    return {"sft": sft, "grpo": lambda out, *more: grpo(learnt, out, *rollouts, *more)}


@pytest.fixture(scope="module")
def whole(rsreward, stages, tmp_path_factory):
    """Both stages run to their ends: their folders, and what GRPO printed."""
    folders = {stage: tmp_path_factory.mktemp("whole") / stage for stage in stages}
    return folders, [rsreward(*stages[stage](folders[stage])).stdout for stage in stages][-1]


def weights_of(folder):
    return load_file(folder / "model.safetensors")


def test_the_prompt_is_the_same_bytes_in_sft_and_grpo(chains, scenes):
    learnt = sft_rows(chains, scenes, TEMPLATE, space_of("qwen3-vl"))
    asked = grpo_rows(scenes / "train.parquet", scenes, TEMPLATE)
    prompts = {tuple(row["target"]): row["prompt"] for row in asked}
    assert len(learnt) == len(asked) == 24
    for example, row in zip(read_examples(scenes / "train.parquet"), learnt, strict=True):
        assert row["prompt"] == prompts[tuple(example.boxes[0])]
        assert row["prompt"][0]["content"] == TEMPLATE.replace("{query}", example.query)


def test_sft_learns_and_keeps_its_plan(whole, tiny):
    folder = whole[0]["sft"]
    losses = [log["loss"] for log in json.loads((folder / "history.json").read_text()) if "loss" in log]
    assert losses[-1] < losses[0]
    assert plan_of(str(folder))["examples_per_step"] == 4
    start, end = weights_of(tiny), weights_of(folder)
    assert not all(torch.equal(end[name], start[name]) for name in start)


def test_grpo_goes_on_from_what_sft_saved(rsreward, whole, learnt, scenes):
    folders, told = whole
    folder = folders["grpo"]
    plan = plan_of(str(folder))
    assert (plan["space"]["name"], plan["prompts_per_step"], plan["template"]) == ("qwen3-vl", 2, TEMPLATE)
    assert "completions_per_step: 8" in told
    logs = json.loads((folder / "history.json").read_text())
    assert all(1 <= log["consistency/weight_mean"] <= 3 for log in logs if "loss" in log)
    shown = json.loads((folder / "gallery/step_00002.json").read_text())
    assert len(shown) == 2
    targets = [example.boxes[0] for example in read_examples(scenes / "train.parquet")]
    for group in shown:
        assert len(group["completions"]) == len(group["ious"]) == 4
        assert any(group["target"] == pytest.approx(target, abs=0.1) for target in targets)
        assert group["query"].startswith("Locate ")
    with Image.open(folder / "gallery/step_00002.png") as picture:
        assert len(picture.crop((0, 0, 384, 384)).getcolors(200_000)) > 100
    before, after = weights_of(learnt), weights_of(folder)
    assert before.keys() == after.keys()
    assert not all(torch.equal(before[name], after[name]) for name in before)
    rsreward("report", folder)
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png") == 2
    assert "data:image/svg+xml" in page
    assert 'src="http' not in page
    assert load_processor(str(folder)).image_processor.size["longest_edge"] == 64 * 64


def test_lora_is_merged_into_what_is_saved(rsreward, sft, tiny, tmp_path):
    lora = ["--use_peft", "--lora_target_modules", "q_proj", "v_proj", "--lora_r", "4"]
    rsreward(*sft(tmp_path, *lora))
    before, after = weights_of(tiny), weights_of(tmp_path)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("q_proj" in name or "v_proj" in name for name in changed)


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_killed_and_started_again_it_ends_with_the_same_weights(rsreward, interrupted, stages, whole, tmp_path, stage):
    command = stages[stage](tmp_path)
    interrupted(signal.SIGKILL, (tmp_path / "checkpoint-2/trainer_state.json").exists, *command)
    assert not (tmp_path / "model.safetensors").exists()
    rsreward(*command)
    expected, again = weights_of(whole[0][stage]), weights_of(tmp_path)
    assert all(torch.equal(expected[name], again[name]) for name in expected)


def test_no_chain_is_cut_however_short_the_trainer_would_have_it(rsreward, sft, whole, tmp_path):
    rsreward(*sft(tmp_path, "--max_length", 8))
    expected, found = weights_of(whole[0]["sft"]), weights_of(tmp_path)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_a_finished_run_is_left_as_it_is_and_another_one_is_refused_its_folder(rsreward, sft, grpo, whole):
    folder = whole[0]["sft"]
    before = (folder / "model.safetensors").read_bytes()
    assert "nothing is left to train" in rsreward(*sft(folder)).stdout
    assert (folder / "model.safetensors").read_bytes() == before
    with pytest.raises(InputError, match=r"with learning_rate 0\.001, not 0\.1"):
        rsreward(*sft(folder, "--learning_rate", "0.1"))
    with pytest.raises(InputError, match="with stage sft, not grpo"):
        rsreward(*grpo(folder, folder))
    assert plan_of(str(folder))["stage"] == "sft"


def test_the_processor_has_the_bounds_that_are_told_and_is_saved_with_them(rsreward, sft, tmp_path):
    rsreward(*sft(tmp_path, "--min-pixels", 4096, "--max-pixels", 16384, "--max_steps", 1))
    size = load_processor(str(tmp_path)).image_processor.size
    assert (size["shortest_edge"], size["longest_edge"]) == (4096, 16384)
    space = space_of(str(tmp_path))
    assert (space.min_pixels, space.max_pixels) == (4096, 16384)


def test_the_plan_holds_the_frame(rsreward, sft, tiny, tmp_path):
    def plan(*more):
        return yaml.safe_load(rsreward(*sft(tmp_path / "out", "--dry_run", *more)).stdout)

    assert plan("--five", "le90")["space"]["five"] == "le90"
    assert [plan(*more)["think_in_prompt"] for more in ((), ("--think-in-prompt",))] == [False, True]
    shutil.copytree(tiny, tmp_path / "thinks")
    template = tmp_path / "thinks/chat_template.jinja"
    template.write_text(template.read_text().replace("<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n"))
    assert opens_thought(load_processor(str(tmp_path / "thinks")))
    assert plan("--model_name_or_path", tmp_path / "thinks", "--space", "qwen3-vl")["think_in_prompt"]


def test_a_model_is_not_trained_into_the_folder_that_it_comes_from(rsreward, sft, tiny):
    before = (tiny / "model.safetensors").read_bytes()
    with pytest.raises(InputError, match="is the model to start from"):
        rsreward(*sft(tiny))
    assert (tiny / "model.safetensors").read_bytes() == before


def test_grpo_wants_examples_for_a_whole_step(rsreward, grpo, tiny, tmp_path):
    with pytest.raises(InputError, match="fewer than the prompts of one step"):
        rsreward(*grpo(tiny, tmp_path, "--per_device_train_batch_size", 128))


def test_the_plan_can_be_seen_without_training(rsreward, grpo, tiny, tmp_path):
    shown = rsreward(*grpo(tiny, tmp_path / "out", "--dry_run", "--share", 0.4)).stdout
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
def test_mistakes_are_named(rsreward, sft, tmp_path, more, said):
    with pytest.raises(InputError, match=said):
        rsreward(*sft(tmp_path, *more))


def test_a_folder_whose_name_tells_no_family_is_known_by_its_configuration(tmp_path):
    folder = tmp_path / "mine"
    with pytest.raises(InputError, match=r"there is no folder .*mine, and the name does not contain a known family"):
        space_of(str(folder))
    folder.mkdir()
    for kind, space in (("qwen2_5_vl", "qwen2.5-vl"), ("qwen3_vl", "qwen3-vl")):
        (folder / "config.json").write_text(json.dumps({"model_type": kind}))
        assert space_of(str(folder)).name == space
    for content in ('{"model_type": "llama"}', "{", "[]"):
        (folder / "config.json").write_text(content)
        with pytest.raises(InputError, match="names no family that is known here"):
            space_of(str(folder))


def test_vllm_does_not_see_the_bounds_that_are_told(rsreward, grpo, tiny, tmp_path):
    with pytest.raises(InputError, match="do not reach vLLM"):
        rsreward(*grpo(tiny, tmp_path, "--use_vllm", "--max_pixels", 16384))


MODELS = ["Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen3-VL-4B-Instruct",
          "Qwen/Qwen3-VL-8B-Instruct"]  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("config", ["sft_lora", "sft_full", "grpo_lora", "grpo_full"])
def test_the_full_size_configurations_resolve(rsreward, chains, scenes, tmp_path, config, model):
    data = chains if config.startswith("sft") else scenes / "train.parquet"
    arguments = ["--config", f"{config}.yaml", "--model_name_or_path", model, "--data", data, "--images",
                 scenes, "--output_dir", tmp_path / "out", "--dry_run",
                 *(["--space", "qwen3-vl"] if config.startswith("sft") else [])]  # fmt: skip
    plan = yaml.safe_load(rsreward(config.partition("_")[0], *arguments).stdout)
    assert plan["space"]["name"] == ("qwen2.5-vl" if "2.5" in model and "grpo" in config else "qwen3-vl")
    assert plan["lora"] == ("lora" in config)
    if "grpo" in config:
        assert (plan["steps"], plan["prompts_per_step"]) == (1500, 8 if "lora" in config else 1)
        assert len(plan["as_in_the_paper"]) == 6
        assert not plan["other_than_in_the_paper"]
    billions = int(model.partition("B-")[0][-1])
    assert f"about {billions * (2 if 'lora' in config else 16)} GB" in plan["memory"]


@pytest.mark.parametrize("stage", ["sft", "grpo"])
def test_help_is_short_and_all_of_it_is_behind_another_word(rsreward, stage):
    short = rsreward(stage, "--help").stdout
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
    whole = rsreward(stage, "--help_all").stdout
    assert "--warmup_steps" in whole
    assert ("--lambda_mean" in whole) == (stage == "grpo")


def test_the_launch_configuration_is_accelerates():
    config = load_config_from_file(str(CONFIGS / "fsdp.yaml"))
    assert (config.distributed_type.value, config.num_processes) == ("FSDP", 8)


def test_two_processes_plan_and_train_together(grpo, tiny, tmp_path):
    launch = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--num_machines",
        "1", "--mixed_precision", "no", "--dynamo_backend", "no", "-m", "rsreward_qwen_vl",
    ]  # fmt: skip
    arguments = grpo(tiny, tmp_path, "--max_steps", "1", "--use_cpu")
    done = subprocess.run([*launch, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert plan_of(str(tmp_path))["prompts_per_step"] == 4
    assert done.stdout.count("completions_per_step: 16") == 1
    assert (tmp_path / "model.safetensors").exists()
