"""The tiny Qwen-VL of the demo: SFT on explained scenes, then GRPO by boxes alone, with each reward and weight.

Two levels. `demo` is the demo's. `far` has the same scenes with objects about half as long, and in its SFT all
coordinates stand 400 of 1,000 to the right of the truth: a model that has learnt another frame than the data's.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from datasets import Dataset
from rsreward_qwen_vl.arguments import RewardArguments
from rsreward_qwen_vl.demo import HELD_OUT, PRESETS, SEEDS_PER_RUN, TOKENIZER_SEEDS
from rsreward_qwen_vl.evaluate import metrics_of
from rsreward_qwen_vl.model.generate import generate
from rsreward_qwen_vl.model.tiny import build_model, build_processor, look_once, train_tokenizer
from rsreward_qwen_vl.scene_rows import SPACE, scene_row
from rsreward_qwen_vl.schedule import WEIGHTS
from rsreward_qwen_vl.train import grpo, reward_functions, sft
from rsreward_tools.data.prompts import prompt, response
from rsreward_tools.data.scenes import Scene, SceneObject, draw_scene, generate_scene, reasoning, resolve
from transformers import AutoModelForImageTextToText, AutoTokenizer, PreTrainedModel, ProcessorMixin

from rsreward import iou, parse_boxes

PRESET = PRESETS["cpu"]
SIZE, SAMPLES = PRESET.image_size, PRESET.samples
SHRINK, SHIFT, GRID = 0.53, 400, 50  # of the level `far`: objects' lengths; SFT's coordinates; their rounding


@dataclass(frozen=True)
class Qwen:
    """A run of GRPO, from the SFT of its level and seed. The schedules but for the steps are the demo's."""

    level: str = "demo"
    reward: str = "positional"
    weight: str = "none"
    seed: int = 0
    explained: int = 500  # scenes of SFT
    sft_steps: int = 900
    steps: int = 240
    held_out: int = 512


ARMS = {
    "iou": ("iou", "none"),
    "positional": ("positional", "none"),
    "paper": ("positional", "paper"),
    "normalized": ("positional", "normalized"),
}
LEVELS = {"demo": Qwen("demo"), "far": Qwen("far", explained=1500, sft_steps=1200)}
SEEDS = 5


def configs() -> list[Qwen]:
    """Seed by seed, so that what is finished is balanced; the levels by turns, so that two jobs train two SFTs."""
    return [
        replace(level, reward=reward, weight=weight, seed=seed)
        for seed in range(SEEDS) for reward, weight in ARMS.values() for level in LEVELS.values()
    ]  # fmt: skip


def quick(config: Qwen) -> Qwen:
    """The same at a few steps, for two seeds."""
    return replace(config, seed=config.seed % 2, explained=32, sft_steps=10, steps=2, held_out=16)


def run(config: Qwen, models: Path) -> dict[str, Any]:
    """What SFT and GRPO answer on held-out scenes, and the mean IoU of the rollouts along the way.

    Args:
        models: a folder. The SFT of a level and seed is kept there, for all runs from it.
    """
    start = models / f"{config.level}-{config.explained}-{config.sft_steps}-{config.seed}"
    before = _started(config, start)
    processor = build_processor(AutoTokenizer.from_pretrained(start), "qwen3-vl", SIZE)
    model = _load(start)
    look_once(model)
    folder = start / f"{config.reward}-{config.weight}-{config.steps}"
    schedule = replace(PRESET.grpo, steps=config.steps)
    first = config.seed * SEEDS_PER_RUN + SEEDS_PER_RUN // 2
    seen = range(first, first + config.steps * schedule.batch_size // schedule.group_size)
    rewards = reward_functions(RewardArguments(reward=config.reward), SPACE)
    arguments, weight = schedule.grpo(folder, config.seed), WEIGHTS[config.weight]
    grpo(model, processor, rows_of(config.level, seen), arguments, rewards, consistency=weight, progress=_silent)
    history = json.loads((folder / "history.json").read_text())
    curve = [[log["step"], value] for log in history for key, value in log.items() if key.endswith("reward/iou") or key == "iou/iou"]
    after = evaluate(model, processor, config)
    shutil.rmtree(folder)
    packages = {name: version(name) for name in ("transformers", "trl")}
    return {"before": before, "after": after, "steps": [s for s, _ in curve], "curve": [v for _, v in curve], **packages}


def _started(config: Qwen, folder: Path) -> dict[str, Any]:
    """Train the SFT of this level and seed into the folder, unless it is there. Returns its metrics."""
    told = folder / "metrics.json"
    with _alone(folder):
        if not told.exists():
            first = config.seed * SEEDS_PER_RUN
            tokenizer = train_tokenizer(_texts(config.level))
            processor = build_processor(tokenizer, "qwen3-vl", SIZE)
            sizes = {name: getattr(PRESET, name) for name in ("width", "layers", "vision_width", "vision_layers")}
            model = build_model(tokenizer, "qwen3-vl", SIZE, **sizes, seed=config.seed)
            seen = range(first, first + config.explained)
            arguments = replace(PRESET.sft, steps=config.sft_steps).sft(folder, config.seed)
            sft(model, processor, rows_of(config.level, seen, completions=True), arguments, progress=_silent)
            part = told.with_suffix(".part")
            part.write_text(json.dumps(evaluate(model, processor, config)))
            part.replace(told)
            for checkpoint in folder.glob("checkpoint-*"):
                shutil.rmtree(checkpoint)
    metrics: dict[str, Any] = json.loads(told.read_text())
    return metrics


def evaluate(model: PreTrainedModel, processor: ProcessorMixin, config: Qwen) -> dict[str, dict[str, float]]:
    """Acc@0.5, mIoU and the share of answers with an IoU of 0, greedy and sampled, on held-out scenes."""
    rows = [row_of(config.level, HELD_OUT + i) for i in range(config.held_out)]
    metrics = {}
    for kind, asked in {"greedy": rows, "sampled": rows * SAMPLES}.items():
        length = PRESET.grpo.max_completion_length
        sampled = kind == "sampled"
        texts = generate(
            model, processor, asked, sampled=sampled, seed=config.seed, batch_size=128, max_new_tokens=length
        )
        metrics[kind] = measures(texts, asked)
    return metrics


def measures(texts: list[str], rows: list[dict[str, Any]]) -> dict[str, float]:
    """What `rsreward score` says of the answers, and the share of those with an IoU of 0."""
    columns = {name: [row[name] for row in rows] for name in ("target", "width", "height")}
    pred = parse_boxes(texts, space=SPACE, width=columns["width"], height=columns["height"])
    zero = (iou(pred, torch.tensor(columns["target"])) == 0).float().mean().item()
    with TemporaryDirectory() as folder:
        file = Path(folder) / "completions.jsonl"
        lines = ({"completion": t, "log": "all"} | {n: row[n] for n in columns} for t, row in zip(texts, rows, strict=True))
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return metrics_of(file, SPACE, by="log")["all"] | {"zero": zero}


def rows_of(level: str, seeds: range, *, completions: bool = False) -> Dataset:
    """Rows of these scenes for TRL, which are drawn when they are needed."""
    transform = partial(_rows, level=level, completions=completions)
    return Dataset.from_dict({"seed": list(seeds)}).with_transform(transform)


def _rows(batch: dict[str, list[int]], level: str, completions: bool) -> dict[str, list[Any]]:
    rows = [row_of(level, seed) for seed in batch["seed"]]
    return {name: [row[name] for row in rows] for name in rows[0] if completions or name != "completion"}


def row_of(level: str, seed: int) -> dict[str, Any]:
    """A row of the level, as `scene_row` makes those of the demo."""
    if level == "demo":
        return scene_row(seed, PRESET.level, SIZE)
    scene = far_scene(seed)
    return {
        "seed": seed,
        "images": [draw_scene(scene, SIZE)],
        "prompt": prompt(scene.query),
        "completion": [{"role": "assistant", "content": shifted(scene)}],
        "target": list(scene.box(SIZE)),
        "width": SIZE,
        "height": SIZE,
    }


def far_scene(seed: int) -> Scene:
    """The demo's scene with shorter objects in the same places. One in 300 is then no longer plain: another is taken."""
    scene = generate_scene(seed, PRESET.level)
    objects = tuple(replace(o, length=SHRINK * o.length, width=SHRINK * o.width) for o in scene.objects)
    if resolve(scene.phrase, objects) is None:
        return far_scene(seed + 10**8)
    return replace(scene, objects=objects)


def shifted(scene: Scene) -> str:
    """The chain and the box of a scene, all coordinates too far to the right."""

    def rounded(share: float, step: int) -> int:
        return round(share * 1000 / step) * step

    def point(thing: SceneObject) -> str:
        x, y = thing.centre
        return f"({rounded(x, 2 * GRID) + SHIFT}, {rounded(y, 2 * GRID)})"

    x1, y1, x2, y2 = (rounded(v, GRID) for v in scene.box(1))
    return response(reasoning(scene.phrase, scene.objects, point), [x1 + SHIFT, y1, x2 + SHIFT, y2])


def _texts(level: str) -> Iterator[str]:
    """What the tokenizer learns from."""
    for seed in TOKENIZER_SEEDS:
        row = row_of(level, seed)
        yield row["prompt"][0]["content"]
        yield row["completion"][0]["content"]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Where two jobs want the same SFT, one trains it and the other waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _load(folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model


def _silent(step: int, logs: dict[str, float]) -> None:
    pass
