"""Synthetic scenes as a data set, in files."""

from pathlib import Path

from ...files import alone_in, writing
from ..example import SPLITS, Example, write_examples
from . import draw_scene, generate_scene


def write_scenes(out: Path, counts: dict[str, int], *, level: int, size: int, seed: int = 0) -> None:
    """`images/*.png` of size x size and `train.parquet`, `val.parquet`, `test.parquet` of scenes no two of which agree.

    Scene n of a split has the seed `seed * 10^7 + split * 10^6 + n`; its source_id is `level:seed`.
    """
    (out / "images").mkdir(parents=True, exist_ok=True)
    with alone_in(out):
        _write(out, counts, level, size, seed)


def _write(out: Path, counts: dict[str, int], level: int, size: int, seed: int) -> None:
    for number, split in enumerate(SPLITS):
        examples = []
        for scene_seed in range(seed * 10**7 + number * 10**6, seed * 10**7 + number * 10**6 + counts.get(split, 0)):
            scene = generate_scene(scene_seed, level)
            image = f"images/{level}-{scene_seed}.png"
            with writing(out / image) as part:
                draw_scene(scene, size).save(part, "PNG")
            box, source_id = [float(v) for v in scene.box(size)], f"{level}:{scene_seed}"
            examples.append(
                Example(image, size, size, scene.query, [box], None, None, None, split, "scenes", source_id)
            )
        if examples:
            write_examples(out / f"{split}.parquet", examples)
