"""Synthetic scenes as rows for TRL: images, prompt, completion (for SFT), target and size (for GRPO and evaluation)."""

from functools import lru_cache, partial
from typing import Any

from datasets import Dataset
from PIL import Image

from rsreward import iou, parse_boxes

from .prompts import prompt, response
from .scenes import LEVELS, Scene, SceneObject, draw_scene, generate_scene, reasoning

SPACE = "qwen3-vl"  # the tiny models answer in 0..1000, as Qwen3-VL does
ANSWER_IOU = 0.5  # a reasoning chain whose rounded box overlaps the true one by less is a mistake


def explained(scene: Scene) -> str:
    """The completion to learn: reasoning from the scene's geometry, and the box it ends in.

    Raises:
        ValueError: if the box at the end is not the true one up to rounding.
    """
    grid = LEVELS[scene.level].grid

    def rounded(share: float, step: int) -> int:
        return round(share * 1000 / step) * step

    def point(thing: SceneObject) -> str:
        x, y = thing.centre
        return f"({rounded(x, 2 * grid)}, {rounded(y, 2 * grid)})"

    text = response(reasoning(scene.phrase, scene.objects, point), [rounded(v, grid) for v in scene.box(1)])
    if iou(parse_boxes([text]), parse_boxes([str(list(scene.box(1000)))])).item() < ANSWER_IOU:
        raise ValueError(f"the reasoning about scene {scene.seed} of level {scene.level} ends in another box: {text}")
    return text


@lru_cache(maxsize=4096)
def _drawn(seed: int, level: int, size: int) -> tuple[Scene, Image.Image]:
    scene = generate_scene(seed, level)
    return scene, draw_scene(scene, size)


def scene_row(seed: int, level: int, size: int) -> dict[str, Any]:
    """One row; `target` in pixels of the image of `size` x `size`."""
    scene, image = _drawn(seed, level, size)
    return {
        "seed": seed,
        "images": [image],
        "prompt": prompt(scene.query),
        "completion": [{"role": "assistant", "content": explained(scene)}],
        "target": list(scene.box(size)),
        "width": size,
        "height": size,
    }


def _rows(batch: dict[str, list[int]], level: int, size: int, without: tuple[str, ...]) -> dict[str, list[Any]]:
    rows = [scene_row(seed, level, size) for seed in batch["seed"]]
    return {name: [row[name] for row in rows] for name in rows[0] if name not in without}


def scene_dataset(seeds: range, level: int, size: int, *, completions: bool = True) -> Dataset:
    """Rows of these scenes, drawn when they are asked for."""
    without = () if completions else ("completion",)
    return Dataset.from_dict({"seed": list(seeds)}).with_transform(
        partial(_rows, level=level, size=size, without=without)
    )
