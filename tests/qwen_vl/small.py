"""The smallest runs of the recipe that do all of it."""

from dataclasses import replace

from rsreward_qwen_vl.demo import PRESETS
from rsreward_qwen_vl.schedule import Schedule

SMALL = replace(
    PRESETS["cpu"],
    explained=8, sft=Schedule(3, 4, 1e-3), grpo=Schedule(2, 8, 1e-4, group_size=4, max_completion_length=8),
    width=32, layers=1, vision_width=32, vision_layers=1, held_out=3, samples=1, rollout_groups=2,
)  # fmt: skip
CPU = [
    "--bf16", "false", "--gradient_checkpointing", "false", "--report_to", "none", "--dataloader_pin_memory", "false",
    "--logging_steps", "1", "--disable_tqdm", "true", "--lr_scheduler_type", "constant",
]  # fmt: skip
