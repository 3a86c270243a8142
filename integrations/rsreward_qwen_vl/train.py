"""SFT and GRPO of a Qwen-VL with TRL, for the commands `sft` and `grpo` and for the demo."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from rsreward_tools.files import write_whole
from rsreward_trl import SpatialConsistencyGRPOTrainer, as_reward_func
from transformers import PreTrainedModel, PrinterCallback, ProcessorMixin, ProgressCallback, TrainerCallback, set_seed
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

import rsreward
from rsreward import Space

from .arguments import RewardArguments
from .gallery import RolloutGallery
from .model.processors import save_processor
from .model.trained import newest_checkpoint

REWARDS = {"iou": rsreward.iou, "positional": rsreward.positional_reward}  # of a box; "iou" is a control
Progress = Callable[[int, dict[str, float]], None]  # the step and the newest log


def sft(
    model: str | PreTrainedModel,
    processor: ProcessorMixin,
    rows: Dataset,
    config: SFTConfig,
    *,
    lora: Any = None,
    progress: Progress | None = None,
) -> None:
    """Supervised fine-tuning on reasoning and answer. The model is saved in `config.output_dir`, see `_train`.

    Args:
        model: a model, its folder or its name.
        rows: images, prompt and completion, see `trl_rows` and `scene_rows`.
        lora: the configuration of the adapter. None: all weights are trained.
        progress: called after every step. TRL then prints nothing.
    """
    config.max_length = None  # a cut in the middle of the image tokens is an error
    options = _options(model, processor, rows, config, lora)
    _train(SFTTrainer(**options), lora, progress)


def grpo(
    model: str | PreTrainedModel,
    processor: ProcessorMixin,
    rows: Dataset,
    config: GRPOConfig,
    rewards: Sequence[Callable[..., Any]],
    *,
    consistency: dict[str, Any] | None,
    gallery_steps: int = 0,
    lora: Any = None,
    progress: Progress | None = None,
) -> None:
    """GRPO with the consistency weight.

    Args:
        model, processor, lora, progress: as in `sft`.
        rows: images, prompt, target, width and height.
        rewards: see `reward_functions`.
        consistency: options of the weight. None: train without it.
        gallery_steps: steps between pictures of rollouts; 0 for none.
    """
    kind = GRPOTrainer if consistency is None else partial(SpatialConsistencyGRPOTrainer, consistency=consistency)
    trainer = kind(reward_funcs=list(rewards), **_options(model, processor, rows, config, lora))
    if gallery_steps:
        shown = {name: value for name, value in (consistency or {}).items() if name != "normalize"}
        trainer.add_callback(RolloutGallery(trainer, gallery_steps, shown))
    _train(trainer, lora, progress)


def reward_functions(
    told: RewardArguments, space: str | Space, think_in_prompt: bool = False
) -> list[Callable[..., Any]]:
    """The reward of a box and that of the form, for a model that answers in this space.

    Raises:
        ValueError: naming the wrong argument.
    """
    if told.reward not in REWARDS:
        raise ValueError(f"--reward must be one of {', '.join(REWARDS)}, got {told.reward!r}.")
    box: dict[str, Any] = {}
    if told.reward == "positional":
        box = {"alpha": told.alpha, "beta": told.position_weight, "proximity": told.proximity}
    both: dict[str, Any] = {"think_in_prompt": True} if think_in_prompt else {}
    return [
        as_reward_func(REWARDS[told.reward], space=space, **box, **both),
        as_reward_func(rsreward.format_reward, kind="horizontal", graded=told.graded_format, **both),
    ]


def _options(model: Any, processor: ProcessorMixin, rows: Dataset, config: Any, lora: Any) -> dict[str, Any]:
    """The arguments of both trainers."""
    config.remove_unused_columns = False
    set_seed(config.seed)
    return {"model": model, "args": config, "train_dataset": rows, "processing_class": processor, "peft_config": lora}


def _train(trainer: Any, lora: Any, progress: Progress | None) -> None:
    """Train from the newest complete checkpoint and save what the next stage loads. LoRA is merged into the model.

    `history.json` is written last: a run that has one is finished.
    """
    folder = Path(trainer.args.output_dir)
    trainer.create_model_card = _no_card  # at each checkpoint TRL's draft would take the place of your README.md
    if progress:
        for callback in (PrinterCallback, ProgressCallback):
            trainer.remove_callback(callback)
        trainer.add_callback(_Report(progress))
    trainer.train(resume_from_checkpoint=newest_checkpoint(folder))
    if lora is not None:
        trainer.save_model(str(folder / "adapter"))
        trainer.model = trainer.accelerator.unwrap_model(trainer.model).merge_and_unload()
    trainer.save_model(str(folder))
    if trainer.args.process_index == 0:
        save_processor(trainer.processing_class, folder)
        write_whole(folder / "history.json", json.dumps(trainer.state.log_history) + "\n")


def _no_card(*args: Any, **kwargs: Any) -> None:
    pass


class _Report(TrainerCallback):
    def __init__(self, progress: Progress) -> None:
        self.progress, self.logs = progress, dict[str, float]()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        self.logs = logs or {}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.progress(state.global_step, self.logs)
