"""How long and how fast a tiny model learns, as arguments of TRL's trainers."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trl import GRPOConfig, SFTConfig

# Options of the consistency weight: as in the paper; divided by its mean, which keeps the step size; no weight.
WEIGHTS: dict[str, dict[str, Any] | None] = {"paper": {}, "normalized": {"normalize": True}, "none": None}


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn. For GRPO `batch_size` counts completions, in groups of `group_size`."""

    steps: int
    batch_size: int
    learning_rate: float
    group_size: int = 0
    max_completion_length: int = 64

    def sft(self, folder: Path, seed: int) -> SFTConfig:
        """The arguments of SFT."""
        return SFTConfig(
            **self._common(folder, seed), lr_scheduler_type="cosine", warmup_steps=30, adam_beta2=0.98, max_length=None
        )

    def grpo(self, folder: Path, seed: int) -> GRPOConfig:
        """The arguments of GRPO."""
        return GRPOConfig(
            **self._common(folder, seed),
            lr_scheduler_type="linear",
            warmup_steps=5,
            adam_beta2=0.99,
            num_generations=self.group_size,
            max_completion_length=self.max_completion_length,
            mask_truncated_completions=True,
            temperature=1.0,
            top_k=0,
            beta=0.0,
            loss_type="dr_grpo",
        )

    def _common(self, folder: Path, seed: int) -> dict[str, Any]:
        return {
            "output_dir": str(folder),
            "max_steps": self.steps,
            "per_device_train_batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "weight_decay": 0.0,
            "max_grad_norm": 1.0,
            "seed": seed,
            "bf16": False,
            "gradient_checkpointing": False,
            "logging_steps": min(5, self.steps),
            "save_steps": max(50, self.steps // 4),
            "save_total_limit": 1,
            "report_to": "none",
            "disable_tqdm": True,
            "dataloader_num_workers": 1,
            "dataloader_persistent_workers": True,
            "dataloader_pin_memory": False,
        }
