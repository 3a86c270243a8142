"""`rsreward sft` and `rsreward grpo`: arguments become a plan, and `train` follows it."""

import json
import re
from contextlib import nullcontext
from dataclasses import asdict, fields
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml
from datasets import Dataset
from rsreward_tools.cards import CARD, write_card
from rsreward_tools.data.prompts import TEMPLATE, template_holding_query
from rsreward_tools.errors import InputError
from rsreward_tools.files import alone_in, folder_to_write, regular_file, same, write_whole
from trl import GRPOConfig, ModelConfig, SFTConfig, TrlParser, get_peft_config

from .arguments import STAGES, DataArguments, FrameArguments, RewardArguments, configs, packaged
from .card import model_card
from .model.processors import load_processor, opens_thought
from .model.trained import newest_checkpoint, plan_of, space_of
from .train import grpo, reward_functions, sft
from .trl_rows import grpo_rows, sft_rows

CONFIG = {"sft": SFTConfig, "grpo": GRPOConfig}
PAPER = {"alpha": 2.5, "position_weight": 0.1, "lambda_mean": 1.2, "lambda_var": 1.0, "share": 0.4, "max_steps": 1500}
_MAY_DIFFER = ("processes", "memory", "versions")  # between a run and its continuation


def run(stage: str, arguments: list[str]) -> None:
    """Plan a stage, print the plan, and train unless it is a dry run or finished.

    Args:
        stage: "sft" or "grpo".
        arguments: of the command line.
    """
    told, rewards, config, model = _parse(stage, arguments)
    name = str(model.model_name_or_path)
    processor = None
    if not told.dry_run or Path(name).exists():  # a dry run needs no download: the family's bounds stand in
        processor = load_processor(name, told.min_pixels, told.max_pixels)
    space = space_of(name, told, processor)
    thinks = told.think_in_prompt or (processor is not None and opens_thought(processor))
    functions = []
    data, images = Path(told.data), Path(told.images)
    if stage == "sft":
        rows = _shared(sft_rows(data, images, told.template, space), told.share, config.seed)
        extent = {"examples": len(rows), "examples_per_step": _per_step(config), "steps": _steps(config, len(rows))}
    else:
        try:
            functions = reward_functions(rewards, space, thinks)
        except ValueError as error:
            raise InputError(str(error)) from None
        rows = _shared(grpo_rows(data, images, told.template), told.share, config.seed)
        extent = _extent_of_rollouts(config, len(rows), data)
    plan = {
        "stage": stage, "model": name, "seed": config.seed, **extent, "learning_rate": config.learning_rate,
        "processes": config.world_size, "lora": model.use_peft, "template": told.template, "space": asdict(space),
        "think_in_prompt": thinks, **_recipe(stage, asdict(told) | asdict(rewards), config.max_steps),
        "memory": _memory(model, config.world_size),
        "versions": {package: version(package) for package in ("rsreward", "torch", "transformers", "trl")},
    }  # fmt: skip
    folder = Path(config.output_dir)
    if not told.dry_run:
        _same_plan(folder, plan)
        if same(folder, Path(name)):
            raise InputError(f"--output_dir {folder} is the model to start from: give another.")
    first = config.process_index == 0
    if first:
        print(yaml.safe_dump(plan, sort_keys=False), end="", flush=True)
    if told.dry_run:
        return
    if first:
        folder_to_write("--output_dir", folder)
    with alone_in(folder) if first else nullcontext():
        finished = regular_file(folder / "history.json").exists()
        if first:
            write_whole(folder / "plan.json", json.dumps(plan, indent=1) + "\n")
            if finished:
                print(f"{folder} is finished: nothing is left to train.", flush=True)
        if not finished:
            lora = get_peft_config(model)
            if stage == "sft":
                sft(name, processor, rows, config, lora=lora)
            else:
                shape = {"lambda_mean": rewards.lambda_mean, "lambda_var": rewards.lambda_var}
                weight = shape | {"normalize": rewards.normalize_weight} if rewards.consistency else None
                steps = rewards.gallery_steps
                grpo(name, processor, rows, config, functions, consistency=weight, gallery_steps=steps, lora=lora)
        if first and not (finished and (folder / CARD).exists()):  # it may have been stopped before its card
            _write_card(folder, plan)


def _write_card(folder: Path, plan: dict[str, Any]) -> None:
    said = write_card(folder, model_card(plan, folder.resolve().name))
    print(said or f"The model and its card are in {folder}.", flush=True)


class _Parser(TrlParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. See `--help` and `--help_all`.")


def _parse(stage: str, arguments: list[str]) -> tuple[DataArguments, RewardArguments, Any, ModelConfig]:
    parser = _Parser((*STAGES[stage][2], CONFIG[stage], ModelConfig), prog=f"rsreward {stage}", allow_abbrev=False)
    if "--help_all" in arguments:
        parser.print_help()
        raise SystemExit(0)
    arguments = list(arguments)
    for i, flag in enumerate(arguments[:-1]):
        if flag == "--config":
            arguments[i + 1] = str(regular_file(Path(packaged(arguments[i + 1]))))
    if not {"--dry_run", "--dry-run"}.isdisjoint(arguments) and not torch.cuda.is_available():
        arguments += ["--use_cpu"]  # to plan for a GPU where there is none
    try:
        told, *rewards, config, model = parser.parse_args_and_config(arguments)
    except FileNotFoundError as error:
        raise InputError(f"there is no config file {error.filename}; the package has {', '.join(configs())}.") from None
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise InputError(str(error)) from None
    if not model.model_name_or_path:
        raise InputError("give the model by --model_name_or_path or in the config file.")
    told.template = template_holding_query(told.template or plan_of(model.model_name_or_path).get("template", TEMPLATE))
    if model.load_in_4bit or model.load_in_8bit:
        raise InputError("quantized weights are not supported here: leave out --load_in_4bit and --load_in_8bit.")
    if not 0 < told.share <= 1:
        raise InputError(f"--share must be above 0 and at most 1, got {told.share}.")
    if getattr(config, "use_vllm", False) and (told.min_pixels or told.max_pixels):
        raise InputError(
            "--min_pixels and --max_pixels do not reach vLLM, which loads the model's own processor: "
            "give them to `rsreward sft`, which saves them with the model."
        )
    loading = {"dtype": model.dtype, "attn_implementation": model.attn_implementation, "revision": model.model_revision}
    known = {name: value for name, value in loading.items() if value is not None}
    config.model_init_kwargs = known | (config.model_init_kwargs or {})
    return told, rewards[0] if rewards else RewardArguments(), config, model


def _shared(rows: Dataset, share: float, seed: int) -> Dataset:
    """The share of the rows to train on, chosen by the seed."""
    return rows.shuffle(seed=seed).select(range(ceil(share * len(rows)))) if share < 1 else rows


def _per_step(config: Any) -> int:
    return int(config.per_device_train_batch_size * config.gradient_accumulation_steps * config.world_size)


def _steps(config: Any, samples: int) -> int:
    whole = ceil(config.num_train_epochs * samples / _per_step(config))
    return int(config.max_steps) if config.max_steps > 0 else whole


def _extent_of_rollouts(config: GRPOConfig, examples: int, data: Path) -> dict[str, Any]:
    per_step, group = _per_step(config), config.num_generations
    if examples * group < per_step:
        raise InputError(f"{data} holds {examples} examples, fewer than the prompts of one step.")
    return {
        "examples": examples,
        "prompts_per_step": per_step / group,
        "completions_per_step": per_step,
        "steps": _steps(config, examples * group),
        "tokens_written_per_step": f"at most {per_step * (config.max_completion_length or 0):,}",
    }


def _recipe(stage: str, used: dict[str, Any], max_steps: int) -> dict[str, Any]:
    """The recipe's own arguments, and which of them are as in the paper."""
    own = {f.name for of in STAGES[stage][2] for f in fields(of)} - {f.name for f in fields(FrameArguments)}
    used |= {"max_steps": max_steps}
    paper = PAPER if stage == "grpo" else {}
    return {
        "recipe": {name: used[name] for name in used if name in own - {"template", "dry_run"}},
        "as_in_the_paper": [name for name, value in paper.items() if used[name] == value],
        "other_than_in_the_paper": {n: f"{used[n]}, not {v}" for n, v in paper.items() if used[n] != v},
    }


def _memory(model: ModelConfig, processes: int) -> str:
    """The memory of weights, gradients and optimizer on each GPU, by the size that the model's name states."""
    size = re.search(r"(\d+(?:\.\d+)?)B\b", str(model.model_name_or_path), re.IGNORECASE)
    if size is None:
        return "unknown: the model's name does not say how large it is"
    billions = float(size[1])
    if model.use_peft:
        return f"about {2 * billions:.0f} GB: {billions:g}B weights of 2 bytes; activations, LoRA and rollouts on top"
    full = f"{16 * billions / processes:.0f} GB a process: {billions:g}B weights of 16 bytes with gradients and Adam"
    return f"about {full}, sharded over {processes}; activations and rollouts on top"


def _same_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Refuse a folder that holds a run of another plan."""
    if newest_checkpoint(folder) is None and not (folder / "history.json").exists():
        return
    before, now = plan_of(str(folder)), json.loads(json.dumps(plan))
    for name in now:
        if name not in _MAY_DIFFER and before.get(name) != now[name]:
            raise InputError(
                f"{folder} holds a run with {name} {before.get(name)}, not {now[name]}: give another --output_dir."
            )
