"""Synthetic scenes as a data set, in files."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from ...files import alone_in, writing
from ..example import SPLITS, Example, write_examples
from . import PLACES, Scene, draw_scene, generate_scene


def write_scenes(
    out: Path, counts: dict[str, int], *, level: int, size: int, seed: int = 0, absent: float = 0.0
) -> None:
    """`images/*.png` of size x size and `train.parquet`, `val.parquet`, `test.parquet` of scenes no two of which agree.

    Scene n of a split has the seed `seed * 10^7 + split * 10^6 + n`; its source_id is `level:seed`. A share `absent` of
    the scenes asks for what is not there, see `absent_query`; they have no box, and a source_id that ends in `:absent`.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        _write(out, counts, level, size, seed, absent)


def _write(out: Path, counts: dict[str, int], level: int, size: int, seed: int, absent: float) -> None:
    for number, split in enumerate(SPLITS):
        examples = []
        for scene_seed in range(seed * 10**7 + number * 10**6, seed * 10**7 + number * 10**6 + counts.get(split, 0)):
            scene = generate_scene(scene_seed, level)
            image = f"images/{level}-{scene_seed}.png"
            with writing(out / image) as part:
                draw_scene(scene, size).save(part, "PNG")
            query, boxes, source_id = scene.query, [[float(v) for v in scene.box(size)]], f"{level}:{scene_seed}"
            if np.random.default_rng([scene_seed, level, 1]).random() < absent:
                query, boxes, source_id = absent_query(scene), [], f"{source_id}:absent"
            examples.append(Example(image, size, size, query, boxes, None, None, None, split, "scenes", source_id))
        if examples:
            write_examples(out / f"{split}.parquet", examples)


def absent_query(scene: Scene) -> str:
    """The scene's question with a category in it that the scene has not: only who looks can tell them apart.

    >>> scene = generate_scene(7, level=2)
    >>> scene.query, absent_query(scene)
    ('the ship to the left of the pier', 'the car to the left of the pier')
    """
    there = {thing.category for thing in scene.objects}
    others = sorted({category for place in PLACES.values() for category in place.lookalikes} - there)
    return str(replace(scene.phrase, category=others[scene.seed % len(others)]))
