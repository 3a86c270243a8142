"""CoT-SFT and GRPO of a Qwen-VL with TRL, from rows as `data.scene_dataset` gives them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from rsreward_trl import SpatialConsistencyGRPOTrainer, as_reward_func
from torch import Tensor
from transformers import PreTrainedModel, PrinterCallback, ProcessorMixin, ProgressCallback, TrainerCallback
from trl import GRPOConfig, GRPOTrainer, SFTConfig, SFTTrainer

import rsreward

from .scene_rows import SPACE

# The options of the consistency weight: as in the paper; over its mean, so that the size of a step stays; no weight.
WEIGHTS: dict[str, dict[str, Any] | None] = {"paper": {}, "normalized": {"normalize": True}, "none": None}
REWARDS = {"iou": rsreward.iou, "positional": rsreward.positional_reward}

Progress = Callable[[int, dict[str, float]], None]


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. For GRPO `batch_size` counts completions, in groups of `group_size`."""

    steps: int
    batch_size: int
    learning_rate: float
    group_size: int = 0
    max_completion_length: int = 64


def common(schedule: Schedule, folder: Path, seed: int) -> dict[str, Any]:
    """The arguments that both trainers share."""
    return {
        "output_dir": str(folder / "trainer"),
        "max_steps": schedule.steps,
        "per_device_train_batch_size": schedule.batch_size,
        "learning_rate": schedule.learning_rate,
        "weight_decay": 0.0,
        "max_grad_norm": 1.0,
        "seed": seed,
        "bf16": False,
        "gradient_checkpointing": False,
        "logging_steps": min(5, schedule.steps),
        "save_steps": max(50, schedule.steps // 4),
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "dataloader_num_workers": 1,
        "dataloader_persistent_workers": True,
        "dataloader_pin_memory": False,
    }


def sft(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Dataset,
    schedule: Schedule,
    folder: Path,
    *,
    seed: int = 0,
    progress: Progress = lambda step, logs: None,
) -> None:
    """Supervised fine-tuning on reasoning and answer. Saves the model into `folder`; resumes where it was cut off."""
    arguments = SFTConfig(
        **common(schedule, folder, seed), lr_scheduler_type="cosine", warmup_steps=30, adam_beta2=0.98, max_length=None
    )
    trainer = SFTTrainer(model=model, args=arguments, train_dataset=rows, processing_class=processor)
    _run(trainer, processor, folder, progress)


def grpo(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    rows: Dataset,
    schedule: Schedule,
    folder: Path,
    *,
    reward: str = "positional",
    weight: str = "paper",
    seed: int = 0,
    progress: Progress = lambda step, logs: None,
) -> None:
    """GRPO with a reward of the box, the format reward and the consistency weight. Saves and resumes as `sft`.

    Args:
        reward: a key of `REWARDS`.
        weight: a key of `WEIGHTS`.
    """
    arguments = GRPOConfig(
        **common(schedule, folder, seed),
        lr_scheduler_type="linear",
        warmup_steps=5,
        adam_beta2=0.99,
        num_generations=schedule.group_size,
        max_completion_length=schedule.max_completion_length,
        mask_truncated_completions=True,
        temperature=1.0,
        top_k=0,
        beta=0.0,
        loss_type="dr_grpo",
    )
    _look_once(model)
    options = WEIGHTS[weight]
    kind = GRPOTrainer if options is None else partial(SpatialConsistencyGRPOTrainer, consistency=options)
    trainer = kind(
        model=model,
        reward_funcs=[
            as_reward_func(REWARDS[reward], space=SPACE),
            as_reward_func(rsreward.format_reward, kind="horizontal"),
        ],
        args=arguments,
        train_dataset=rows,
        processing_class=processor,
    )
    _run(trainer, processor, folder, progress)


def _look_once(model: PreTrainedModel) -> None:
    """Let the vision tower see each distinct image of a batch once: TRL gives every rollout of a group its own copy."""
    tower = model.model.visual
    see = tower.forward

    def forward(hidden_states: Tensor, grid_thw: Tensor, **kwargs: Any) -> Any:
        images = hidden_states.view(len(grid_thw), -1)
        keys, which = images.double().sum(1).unique(return_inverse=True)
        places = torch.arange(len(images), device=which.device)
        first = places.new_full((len(keys),), len(images)).scatter_reduce(0, which, places, "amin")
        if not torch.equal(images[first][which], images) or not torch.equal(grid_thw, grid_thw[:1].expand_as(grid_thw)):
            return see(hidden_states, grid_thw=grid_thw, **kwargs)  # other images of one sum, or of several sizes
        patches = hidden_states.view(len(images), -1, hidden_states.shape[-1])[first].flatten(0, 1)
        seen = see(patches, grid_thw=grid_thw[first], **kwargs)

        def of_each(features: Tensor) -> Tensor:
            return features.view(len(first), -1, features.shape[-1])[which].flatten(0, 1)

        seen.last_hidden_state, seen.pooler_output = of_each(seen.last_hidden_state), of_each(seen.pooler_output)
        seen.deepstack_features = [of_each(features) for features in seen.deepstack_features]
        return seen

    tower.forward = forward


def _run(trainer: Any, processor: ProcessorMixin, folder: Path, progress: Progress) -> None:
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    trainer.add_callback(_Report(progress))
    trainer.train(resume_from_checkpoint=newest_checkpoint(folder / "trainer"))
    (folder / "history.json").write_text(json.dumps(trainer.state.log_history))
    trainer.model.save_pretrained(folder)
    processor.tokenizer.save_pretrained(folder)


def newest_checkpoint(folder: Path) -> str | None:
    """The newest one that was written to its end: the trainer's state is its last file."""
    whole = [state.parent for state in folder.glob("checkpoint-[0-9]*/trainer_state.json")]
    return str(max(whole, key=lambda p: int(p.name.split("-")[1]))) if whole else None


class _Report(TrainerCallback):
    def __init__(self, progress: Progress) -> None:
        self.progress, self.logs = progress, dict[str, float]()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **kwargs: Any) -> None:
        self.logs = logs or {}

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.progress(state.global_step, self.logs)
