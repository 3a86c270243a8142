"""A scene as a picture: textured ground, shadows, objects."""

from math import cos, sin

import numpy as np
from PIL import Image, ImageDraw

from .layout import PLACES, Scene
from .objects import SHAPES, Colour, Point

OVERSAMPLING = 2


def draw_scene(scene: Scene, size: int) -> Image.Image:
    """The scene as an RGB image of `size` x `size` pixels."""
    rng = np.random.default_rng([scene.seed, scene.level, 1])
    big = size * OVERSAMPLING
    image = _ground(PLACES[scene.place].ground, big, rng)
    draw = ImageDraw.Draw(image)
    sun = rng.uniform(0.3, 1.2)
    for o in scene.objects:
        reach = SHAPES[o.category].height * o.length
        shadow = [(x + reach * cos(sun), y + reach * sin(sun)) for x, y in o.place(SHAPES[o.category].outline)]
        _fill(draw, shadow, _dimmed(PLACES[scene.place].ground), big)
    for o in scene.objects:
        _fill(draw, o.place(SHAPES[o.category].outline), o.colour, big)
        for points, colour in SHAPES[o.category].details:
            _fill(draw, o.place(points), colour, big)
    return image.reduce(OVERSAMPLING)


def _dimmed(colour: Colour) -> Colour:
    red, green, blue = colour
    return int(0.45 * red), int(0.45 * green), int(0.45 * blue)


def _fill(draw: ImageDraw.ImageDraw, points: list[Point], colour: Colour, size: int) -> None:
    draw.polygon([(x * size, y * size) for x, y in points], fill=colour)


def _ground(colour: Colour, size: int, rng: np.random.Generator) -> Image.Image:
    """Broad patches and fine grain around one colour."""
    patches = Image.fromarray(rng.integers(0, 256, (6, 6), dtype=np.uint8)).resize(
        (size, size), Image.Resampling.BICUBIC
    )
    grain = rng.integers(-10, 11, (size, size), dtype=np.int16)
    shade = (np.asarray(patches, np.int16) - 128) // 8 + grain
    return Image.fromarray(np.clip(np.array(colour, np.int16) + shade[..., None], 0, 255).astype(np.uint8))
