"""A picture of some examples with their boxes, to look at before training on them."""

import random
from collections.abc import Sequence
from pathlib import Path
from textwrap import wrap

from PIL import Image, ImageDraw
from torch import tensor

from rsreward import corners

from .example import Example, inside

TILE, CAPTION, COLUMNS = 300, 46, 4
HORIZONTAL, ORIENTED = (255, 214, 10), (0, 200, 255)


def choose(examples: Sequence[Example], *, count: int, seed: int) -> list[Example]:
    """`count` examples chosen by the seed, or all."""
    return random.Random(seed).sample(list(examples), min(count, len(examples)))  # noqa: S311


def contact_sheet(chosen: Sequence[Example], root: Path) -> Image.Image:
    """The examples' images: horizontal boxes yellow, oriented ones blue, an image that cannot be read grey."""
    rows = -(-len(chosen) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * TILE, rows * (TILE + CAPTION)), "white")
    for index, example in enumerate(chosen):
        left, top = index % COLUMNS * TILE, index // COLUMNS * (TILE + CAPTION)
        sheet.paste(_tile(example, root), (left + 2, top + 2))
        caption = "\n".join(wrap(f"{example.source_id}: {example.query}", 48)[:3])
        ImageDraw.Draw(sheet).multiline_text((left + 4, top + TILE), caption, fill="black")
    return sheet


def _tile(example: Example, root: Path) -> Image.Image:
    side = TILE - 4
    path = inside(root, example.image)
    try:
        with Image.open(path) as image:
            scale = side / max(image.size)
            tile = image.convert("RGB").resize((round(image.width * scale), round(image.height * scale)))
    except (OSError, SyntaxError):
        tile = Image.new("RGB", (side, side), "lightgrey")
        what = f"{example.image} cannot be read" if path.is_file() else f"no file {example.image}"
        ImageDraw.Draw(tile).text((10, side // 2), what, fill="black")
        return tile
    draw = ImageDraw.Draw(tile)
    for box in example.boxes:
        draw.rectangle([v * scale for v in box], outline=HORIZONTAL, width=2)
    for box in example.oriented or ():
        points = (corners(tensor(box)) * scale).tolist()
        draw.line([tuple(p) for p in (*points, points[0])], fill=ORIENTED, width=2)
    return tile
