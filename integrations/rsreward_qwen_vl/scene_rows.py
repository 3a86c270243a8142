"""Synthetic scenes as rows for TRL: images, prompt, completion (for SFT), target and size (for GRPO and evaluation)."""

from functools import lru_cache, partial
from typing import Any

from datasets import Dataset
from PIL import Image
from rsreward_tools.data.prompts import prompt
from rsreward_tools.data.scenes import Scene, draw_scene, generate_scene
from rsreward_tools.data.scenes.explained import explained

SPACE = "qwen3-vl"  # the tiny models answer in 0..1000, as Qwen3-VL does


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
    """Rows of these scenes, which are drawn when they are needed."""
    without = () if completions else ("completion",)
    return Dataset.from_dict({"seed": list(seeds)}).with_transform(
        partial(_rows, level=level, size=size, without=without)
    )
