"""The tiny Qwen-VL of the demo: SFT on explained scenes, then GRPO by boxes alone, with each reward and weight.

Two levels. `demo` is the demo's. `far` has the same scenes with objects about half as long, and in its SFT all
coordinates stand 400 of 1,000 to the right of the truth: a model that has learnt another frame than the data's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from datasets import Dataset
from PIL import Image
from rsreward_qwen_vl.demo import HELD_OUT, SEEDS_PER_RUN, TOKENIZER_SEEDS
from rsreward_qwen_vl.model.tiny import build_model, build_processor, train_tokenizer
from rsreward_qwen_vl.scene_rows import scene_row
from rsreward_tools.data.prompts import prompt, response
from rsreward_tools.data.scenes import Phrase, Scene, SceneObject, draw_scene, generate_scene, reasoning, resolve
from tiny import PRESET, SIZE, Model, Rows, improved, scenes_of, trained

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
    """The measures on held-out scenes before and after GRPO, and the mean IoU of its rollouts along the way.

    Args:
        models: a folder. The SFT of a level and seed is kept there, for all runs from it.
    """
    first = config.seed * SEEDS_PER_RUN + SEEDS_PER_RUN // 2
    folder, before = started(config, models)
    rows = rows_of(config.level, range(first, first + scenes_of(config.steps)))
    arm = {"reward": config.reward, "weight": config.weight}
    return {"before": before, **improved(folder, rows, config.steps, held_out(config), config.seed, **arm)}


def held_out(config: Qwen) -> Rows:
    """The same scenes for all runs of a level."""
    return [row_of(config.level, HELD_OUT + i) for i in range(config.held_out)]


def started(config: Qwen, models: Path) -> tuple[Path, dict[str, Any]]:
    """The folder of the SFT of this level and seed, and its measures."""
    folder = models / f"{config.level}-{config.explained}-{config.sft_steps}-{config.seed}"
    first = config.seed * SEEDS_PER_RUN
    rows = partial(rows_of, config.level, range(first, first + config.explained), completions=True)
    return folder, trained(folder, partial(_untrained, config), rows, config.sft_steps, held_out(config), config.seed)


def _untrained(config: Qwen) -> Model:
    tokenizer = train_tokenizer(_texts(config.level))
    sizes = {name: getattr(PRESET, name) for name in ("width", "layers", "vision_width", "vision_layers")}
    model = build_model(tokenizer, "qwen3-vl", SIZE, **sizes, seed=config.seed)
    return model, build_processor(tokenizer, "qwen3-vl", SIZE)


def _texts(level: str) -> Iterator[str]:
    """What the tokenizer learns from."""
    for seed in TOKENIZER_SEEDS:
        row = row_of(level, seed)
        yield row["prompt"][0]["content"]
        yield row["completion"][0]["content"]


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
    scene, image = _far(seed)
    return {
        "seed": seed,
        "images": [image],
        "prompt": prompt(scene.query),
        "completion": [{"role": "assistant", "content": explained(scene.phrase, scene.objects, scene.target, SHIFT)}],
        "target": list(scene.box(SIZE)),
        "width": SIZE,
        "height": SIZE,
    }


@lru_cache(maxsize=4096)
def _far(seed: int) -> tuple[Scene, Image.Image]:
    scene = far_scene(seed)
    return scene, draw_scene(scene, SIZE)


def far_scene(seed: int) -> Scene:
    """The demo's scene with shorter objects in the same places. One in 300 is no longer plain: another is taken."""
    scene = generate_scene(seed, PRESET.level)
    objects = tuple(replace(o, length=SHRINK * o.length, width=SHRINK * o.width) for o in scene.objects)
    if resolve(scene.phrase, objects) is None:
        return far_scene(seed + 10**8)
    return replace(scene, objects=objects)


def explained(phrase: Phrase, objects: Sequence[SceneObject], target: SceneObject, shift: int = 0) -> str:
    """The chain and the box of what the phrase means, all coordinates too far to the right by the shift."""

    def rounded(share: float, step: int) -> int:
        return round(share * 1000 / step) * step

    def point(thing: SceneObject) -> str:
        x, y = thing.centre
        return f"({rounded(x, 2 * GRID) + shift}, {rounded(y, 2 * GRID)})"

    x1, y1, x2, y2 = (rounded(v, GRID) for v in target.box)
    return response(reasoning(phrase, objects, point), [x1 + shift, y1, x2 + shift, y2])
