"""The loop of the demo in parts: an SFT that several runs start from, a GRPO from it, and their measures."""

import fcntl
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from rsreward_qwen_vl.arguments import RewardArguments
from rsreward_qwen_vl.demo import PRESETS
from rsreward_qwen_vl.evaluate import metrics_of
from rsreward_qwen_vl.model.generate import generate
from rsreward_qwen_vl.model.tiny import build_processor, look_once
from rsreward_qwen_vl.scene_rows import SPACE
from rsreward_qwen_vl.schedule import WEIGHTS
from rsreward_qwen_vl.train import grpo, reward_functions, sft
from transformers import AutoModelForImageTextToText, AutoTokenizer, PreTrainedModel, ProcessorMixin

from rsreward import iou, parse_boxes

PRESET = PRESETS["cpu"]  # the schedules are its own but for their steps
SIZE = PRESET.image_size
Rows = list[dict[str, Any]]
Model = tuple[PreTrainedModel, ProcessorMixin]


def trained(
    folder: Path, build: Callable[[], Model], rows: Callable[[], Dataset], steps: int, held_out: Rows, seed: int
) -> dict[str, Any]:
    """Train SFT into the folder, unless it has been; returns its measures. Two jobs do not train the same."""
    told = folder / "metrics.json"
    with alone(folder):
        if not told.exists():
            model, processor = build()
            sft(model, processor, rows(), replace(PRESET.sft, steps=steps).sft(folder, seed), progress=_silent)
            part = told.with_suffix(".part")
            part.write_text(json.dumps(evaluate(model, processor, held_out, seed)))
            part.replace(told)
            for checkpoint in folder.glob("checkpoint-*"):
                shutil.rmtree(checkpoint)
    metrics: dict[str, Any] = json.loads(told.read_text())
    return metrics


def improved(
    start: Path, rows: Dataset, steps: int, held_out: Rows, seed: int, *, reward: str, weight: str
) -> dict[str, Any]:
    """GRPO from an SFT: its measures, and the mean IoU of the rollouts along the way."""
    model, processor = load(start)
    look_once(model)
    folder = start / f"{reward}-{weight}-{steps}"
    rewards = reward_functions(RewardArguments(reward=reward), SPACE)
    arguments = replace(PRESET.grpo, steps=steps).grpo(folder, seed)
    grpo(model, processor, rows, arguments, rewards, consistency=WEIGHTS[weight], progress=_silent)
    logs = json.loads((folder / "history.json").read_text())
    curve = [(log["step"], log[key]) for log in logs for key in ("positional_reward/iou", "iou/iou") if key in log]
    after = evaluate(model, processor, held_out, seed)
    shutil.rmtree(folder)
    packages = {name: version(name) for name in ("transformers", "trl")}
    return {"after": after, "steps": [s for s, _ in curve], "curve": [v for _, v in curve], **packages}


def scenes_of(steps: int) -> int:
    """How many questions GRPO sees in so many steps."""
    return steps * PRESET.grpo.batch_size // PRESET.grpo.group_size


def load(folder: Path) -> Model:
    """A trained model and its processor."""
    model: PreTrainedModel = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model, build_processor(AutoTokenizer.from_pretrained(folder), "qwen3-vl", SIZE)


def evaluate(model: PreTrainedModel, processor: ProcessorMixin, rows: Rows, seed: int) -> dict[str, dict[str, float]]:
    """Acc@0.5, mIoU and the share of answers with an IoU of 0, greedy and sampled, as the demo asks."""
    options: dict[str, Any] = {"batch_size": 128, "max_new_tokens": PRESET.grpo.max_completion_length, "seed": seed}
    return {
        kind: measures(generate(model, processor, asked, sampled=kind == "sampled", **options), asked)
        for kind, asked in {"greedy": rows, "sampled": rows * PRESET.samples}.items()
    }


def measures(texts: list[str], rows: Rows) -> dict[str, float]:
    """What `rsreward score` says of the answers, and the share of those with an IoU of 0."""
    columns = {name: [row[name] for row in rows] for name in ("target", "width", "height")}
    pred = parse_boxes(texts, space=SPACE, width=columns["width"], height=columns["height"])
    zero = (iou(pred, torch.tensor(columns["target"])) == 0).float().mean().item()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "completions.jsonl"
        lines = [
            {"completion": text, "log": ""} | {n: row[n] for n in columns}
            for text, row in zip(texts, rows, strict=True)
        ]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        (metrics,) = metrics_of(file, SPACE, by="log").values()
    return metrics | {"zero": zero}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Where two jobs want to write the same folder, one does and the other waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _silent(step: int, logs: dict[str, float]) -> None:
    """TRL prints its logs unless somebody else takes them."""
