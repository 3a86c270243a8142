"""`rsreward sft` and `rsreward grpo`: TRL's trainers from a YAML file and arguments, as TRL's own scripts take them."""

import json
import re
from dataclasses import asdict
from importlib.metadata import version
from math import ceil
from pathlib import Path
from typing import Any, NoReturn

import yaml
from rsreward_tools.data.prompts import TEMPLATE, template_holding_query
from rsreward_tools.errors import InputError
from rsreward_tools.files import same, write_whole
from rsreward_trl import SpatialConsistencyGRPOTrainer, as_reward_func
from transformers import set_seed
from trl import GRPOConfig, GRPOTrainer, ModelConfig, SFTConfig, SFTTrainer, TrlParser, get_peft_config

import rsreward
from rsreward import Space

from .arguments import RecipeArguments, configs, packaged
from .gallery import RolloutGallery
from .model.processors import load_processor, save_processor, with_bounds_of
from .training import newest_checkpoint
from .trl_rows import grpo_rows, sft_rows

PAPER = {"alpha": 2.5, "position_weight": 0.1, "lambda_mean": 1.2, "lambda_var": 1.0, "share": 0.4, "max_steps": 1500}


class _Parser(TrlParser):
    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}. What it takes: `--help`, `--help_all`.")


def _parse(config: type, arguments: list[str], program: str) -> tuple[RecipeArguments, Any, ModelConfig]:
    parser = _Parser((RecipeArguments, config, ModelConfig), prog=program, allow_abbrev=False)
    if "--help_all" in arguments:
        parser.print_help()
        raise SystemExit(0)
    arguments = [
        packaged(value) if flag == "--config" else value
        for flag, value in zip(["", *arguments], arguments, strict=False)
    ]
    try:
        recipe, trainer, model = parser.parse_args_and_config(arguments)
    except FileNotFoundError as error:
        raise InputError(f"there is no config file {error.filename}; the package has {', '.join(configs())}.") from None
    except (ValueError, TypeError, yaml.YAMLError) as error:
        raise InputError(str(error)) from None
    if not model.model_name_or_path:
        raise InputError("give the model by --model_name_or_path or in the config file.")
    before = plan_of(model.model_name_or_path).get("template", TEMPLATE)
    recipe.template = template_holding_query(recipe.template or before)
    if model.load_in_4bit or model.load_in_8bit:
        raise InputError("quantized weights are not supported here: leave out --load_in_4bit and --load_in_8bit.")
    if not 0 < recipe.share <= 1:
        raise InputError(f"--share must be above 0 and at most 1, got {recipe.share}.")
    return recipe, trainer, model


def sft(arguments: list[str]) -> None:
    """Supervised fine-tuning on chains."""
    recipe, config, model = _parse(SFTConfig, arguments, "rsreward sft")
    config.remove_unused_columns = False
    config.max_length = None  # a cut in the middle of the image tokens is an error
    processor, space = _processor(recipe, model)
    rows = _shared(sft_rows(Path(recipe.data), Path(recipe.images), recipe.template, space), recipe, config)
    steps = _steps(config, len(rows))
    plan = {"examples": len(rows), "examples_per_step": _per_step(config), "steps": steps}
    if _planned("sft", recipe, config, model, space, plan) or _finished(config):
        return
    set_seed(config.seed)
    trainer = SFTTrainer(
        model=model.model_name_or_path, args=_loading(config, model), train_dataset=rows, processing_class=processor,
        peft_config=get_peft_config(model),
    )  # fmt: skip
    _train(trainer, processor, config, model)


def grpo(arguments: list[str]) -> None:
    """GRPO with the positional and the format reward and the consistency weight."""
    recipe, config, model = _parse(GRPOConfig, arguments, "rsreward grpo")
    config.remove_unused_columns = False
    processor, space = _processor(recipe, model)
    try:
        position = as_reward_func(
            rsreward.positional_reward, space=space, alpha=recipe.alpha, beta=recipe.position_weight,
            proximity=recipe.proximity,
        )  # fmt: skip
    except ValueError as error:
        raise InputError(str(error)) from None
    form = as_reward_func(rsreward.format_reward, kind="horizontal", graded=recipe.graded_format)
    rows = _shared(grpo_rows(Path(recipe.data), Path(recipe.images), recipe.template), recipe, config)
    if len(rows) * config.num_generations < _per_step(config):
        raise InputError(f"{recipe.data} holds {len(rows)} examples, fewer than the prompts of one step.")
    steps = _steps(config, len(rows) * config.num_generations)
    plan = {
        "examples": len(rows), "prompts_per_step": _per_step(config) / config.num_generations,
        "completions_per_step": _per_step(config), "steps": steps,
        "tokens_written_per_step": f"at most {_per_step(config) * (config.max_completion_length or 0):,}",
    }  # fmt: skip
    if _planned("grpo", recipe, config, model, space, plan) or _finished(config):
        return
    set_seed(config.seed)
    weights = {"lambda_mean": recipe.lambda_mean, "lambda_var": recipe.lambda_var}
    kind, extra = GRPOTrainer, {}
    if recipe.consistency:
        kind = SpatialConsistencyGRPOTrainer
        extra = {"consistency": weights | {"normalize": recipe.normalize_weight}}
    trainer = kind(
        model=model.model_name_or_path, reward_funcs=[position, form], args=_loading(config, model),
        train_dataset=rows, processing_class=processor, peft_config=get_peft_config(model), **extra,
    )  # fmt: skip
    if recipe.gallery_steps:
        trainer.add_callback(RolloutGallery(trainer, recipe.gallery_steps, weights))
    _train(trainer, processor, config, model)


def _processor(recipe: RecipeArguments, model: ModelConfig) -> tuple[Any, Space]:
    """The processor, and the space under its bounds; a dry run does without it, under the family's own bounds."""
    space = space_of(model.model_name_or_path, recipe.space)
    if recipe.dry_run:
        return None, space
    processor = load_processor(model.model_name_or_path)
    return processor, with_bounds_of(space, processor)


def plan_of(model: str) -> dict[str, Any]:
    """The plan that a model of this recipe was trained by; nothing for other models."""
    path = Path(model) / "plan.json"
    try:
        plan: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except ValueError:
        raise InputError(f"{path} is broken: name --space and --template, and remove it.") from None
    return plan


def space_of(model: str, name: str = "") -> Space:
    """The space of that name; without a name the one that the model was trained in, or its family's."""
    try:
        if name:
            return rsreward.space_named(name)
        trained_in = plan_of(model).get("space")
        return Space(**trained_in) if trained_in else _family_of(model)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"--space: {error}") from None


def _family_of(model: str) -> Space:
    """The space of a model's family: by its name, else by what the `config.json` of its folder says it is."""
    folder = Path(model)
    try:
        return rsreward.space_for(model)
    except ValueError:
        if not folder.exists():
            known = ", ".join(rsreward.SPACES)
            raise InputError(
                f"there is no folder {model}, and as a name it tells no family: give the model's folder or name, or "
                f"--space, one of {known}."
            ) from None
        try:
            kind = str(json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"])
            return rsreward.space_for(kind)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise


def _shared(rows: Any, recipe: RecipeArguments, config: Any) -> Any:
    """The share of the rows to train on, in an order that the seed decides."""
    return rows.shuffle(seed=config.seed).select(range(ceil(recipe.share * len(rows)))) if recipe.share < 1 else rows


def _loading(config: Any, model: ModelConfig) -> Any:
    loading = {"dtype": model.dtype, "attn_implementation": model.attn_implementation, "revision": model.model_revision}
    known = {name: value for name, value in loading.items() if value is not None}
    config.model_init_kwargs = known | (config.model_init_kwargs or {})
    return config


def _per_step(config: Any) -> int:
    return int(config.per_device_train_batch_size * config.gradient_accumulation_steps * config.world_size)


def _steps(config: Any, samples: int) -> int:
    whole = ceil(config.num_train_epochs * samples / _per_step(config))
    return int(config.max_steps) if config.max_steps > 0 else whole


def _planned(
    stage: str, recipe: RecipeArguments, config: Any, model: ModelConfig, space: Space, plan: dict[str, Any]
) -> bool:
    """Print the plan and keep it in the run's folder; whether that was all that was wanted."""
    used = asdict(recipe) | {"max_steps": config.max_steps}
    paper = {name: value for name, value in PAPER.items() if stage == "grpo"}
    plan = {
        "stage": stage, "model": str(model.model_name_or_path), "seed": config.seed, **plan,
        "learning_rate": config.learning_rate,
        "processes": config.world_size, "lora": model.use_peft, "template": recipe.template, "space": asdict(space),
        "recipe": {n: value for n, value in used.items() if n not in ("template", "space", "dry_run", "max_steps")},
        "as_in_the_paper": [name for name, value in paper.items() if used[name] == value],
        "other_than_in_the_paper": {n: f"{used[n]}, not {v}" for n, v in paper.items() if used[n] != v},
        "memory": _memory(model, config.world_size),
        "versions": {name: version(name) for name in ("rsreward", "torch", "transformers", "trl")},
    }  # fmt: skip
    folder = Path(config.output_dir)
    if not recipe.dry_run:
        _same_plan(folder, plan)
        if same(folder, Path(str(model.model_name_or_path))):
            raise InputError(f"--output_dir {folder} is the model to start from: give another.")
    if config.process_index == 0:
        print(yaml.safe_dump(plan, sort_keys=False), end="", flush=True)
        if not recipe.dry_run:
            folder.mkdir(parents=True, exist_ok=True)
            write_whole(folder / "plan.json", json.dumps(plan, indent=1) + "\n")
    return recipe.dry_run


_MAY_DIFFER = ("processes", "memory", "versions")


def _same_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Refuse to go on with a run of another plan, or to write a model into the folder of another."""
    if newest_checkpoint(folder) is None and not (folder / "history.json").exists():
        return
    before, now = plan_of(str(folder)), json.loads(json.dumps(plan))
    for name in now:
        if name not in _MAY_DIFFER and before.get(name) != now[name]:
            raise InputError(
                f"{folder} holds a run with {name} {before.get(name)}, not {now[name]}: give another --output_dir."
            )


def _memory(model: ModelConfig, processes: int) -> str:
    """What weights, gradients and optimizer take on each GPU, by the size that the model has in its name."""
    size = re.search(r"(\d+(?:\.\d+)?)B\b", str(model.model_name_or_path), re.IGNORECASE)
    if size is None:
        return "unknown: the model's name does not say how large it is"
    billions = float(size[1])
    if model.use_peft:
        return f"about {2 * billions:.0f} GB: {billions:g}B weights of 2 bytes; activations, LoRA and rollouts on top"
    full = f"{16 * billions / processes:.0f} GB a process: {billions:g}B weights of 16 bytes with gradients and Adam"
    return f"about {full}, sharded over {processes}; activations and rollouts on top"


def _finished(config: Any) -> bool:
    """Whether the run was trained to its end before; its history is the last that it writes."""
    done = (Path(config.output_dir) / "history.json").exists()
    if done and config.process_index == 0:
        print(f"{config.output_dir} is finished: nothing is left to train.")
    return done


def _train(trainer: Any, processor: Any, config: Any, model: ModelConfig) -> None:
    """Train from the newest whole checkpoint, and save what the next step loads; LoRA is merged into the model."""
    folder = Path(config.output_dir)
    trainer.train(resume_from_checkpoint=newest_checkpoint(folder))
    if model.use_peft:
        trainer.save_model(str(folder / "adapter"))
        trainer.model = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
    trainer.save_model(str(folder))
    if config.process_index == 0:
        save_processor(processor, folder)
        write_whole(folder / "history.json", json.dumps(trainer.state.log_history) + "\n")
