"""Run by test_trainer.py on two processes: each rank writes one line a case into a file of its own."""

import sys
from pathlib import Path

import torch
from tiny_grpo import build_trainer, closed_form, watch

from rsreward.watch import NAMES

CASES = {"whole": {"per_device_train_batch_size": 4}, "split": {"per_device_train_batch_size": 2}}

if __name__ == "__main__":
    for name, options in CASES.items():
        trainer = build_trainer(sys.argv[1], ddp_backend="gloo", **options)
        # The mixin wraps first, so the trainer is watched from outside; what it wraps sees the plain advantages.
        seen = watch(trainer)
        trainer.train()
        step = seen[0]
        expected = closed_form(step, 4).float()
        spread = step["ious"].std().item()
        ok = spread > 0.01 and torch.allclose(step["advantages"], expected, atol=1e-4)
        logged = torch.tensor(list(trainer._logs["advantages"]))[-len(expected) :]
        ok_log = torch.allclose(logged, expected, atol=1e-4)
        names = {f"positional_reward/watch/{name}" for name in NAMES}
        ok_watch = names <= set(trainer._metrics["train"]) | set(trainer.state.log_history[0])
        rank = trainer.accelerator.process_index
        with (Path(sys.argv[1]) / f"rank{rank}").open("a") as file:
            file.write(f"{name} rank={rank} advantages={ok} logged={ok_log} watched={ok_watch}\n")
