"""Synthetic scenes as a data set, in files."""

from pathlib import Path

from ..example import SPLITS, Example, write_examples
from . import draw_scene, generate_scene


def write_scenes(out: Path, counts: dict[str, int], *, level: int, size: int, seed: int = 0) -> None:
    """`images/*.png` of size x size and `train.parquet`, `val.parquet`, `test.parquet` of scenes no two of which agree.

    Scene n of a split has the seed `seed * 10^7 + split * 10^6 + n`; its source_id is `level:seed`.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    for number, split in enumerate(SPLITS):
        examples = []
        for scene_seed in range(seed * 10**7 + number * 10**6, seed * 10**7 + number * 10**6 + counts.get(split, 0)):
            scene = generate_scene(scene_seed, level)
            image = f"images/{level}-{scene_seed}.png"
            draw_scene(scene, size).save(out / image)
            box, source_id = [float(v) for v in scene.box(size)], f"{level}:{scene_seed}"
            examples.append(
                Example(image, size, size, scene.query, [box], None, None, None, split, "scenes", source_id)
            )
        if examples:
            write_examples(out / f"{split}.parquet", examples)
