"""Which objects stand where: five kinds of place, four levels of difficulty, one seed."""

from dataclasses import dataclass
from functools import cached_property
from math import pi

import numpy as np

from .objects import SHAPES, Colour, SceneObject
from .phrases import DIRECTIONS, Phrase, phrases, resolve


@dataclass(frozen=True)
class Place:
    """`lookalikes`: categories that stand there several times; `references`: categories that stand there once."""

    lookalikes: tuple[str, ...]
    references: tuple[str, ...]
    ground: Colour
    headings: int  # parked objects head into one of so many directions around the scene's own


PLACES = {
    "airfield": Place(("airplane",), ("hangar",), (74, 84, 66), 4),
    "harbour": Place(("ship",), ("pier",), (26, 56, 84), 2),
    "tank farm": Place(("storage tank",), ("building",), (104, 90, 66), 1),
    "sports ground": Place(("tennis court", "baseball field"), ("building",), (58, 88, 50), 4),
    "parking lot": Place(("car",), ("truck",), (62, 64, 70), 2),
}


@dataclass(frozen=True)
class Level:
    """How hard a scene is: how many look-alikes, how long the chain of relations, how fine the coordinates."""

    lookalikes: tuple[int, int]
    references: tuple[int, int]
    depth: int
    size: tuple[float, float]  # length of an object, as a share of the image's side
    grid: int  # boxes are rounded to multiples of this, of 1000; points on the way there to twice as much


LEVELS = {
    1: Level((2, 2), (0, 0), 1, (0.26, 0.42), 50),
    2: Level((2, 3), (1, 1), 1, (0.18, 0.32), 25),
    3: Level((4, 5), (1, 1), 2, (0.13, 0.24), 10),
    4: Level((6, 8), (1, 2), 3, (0.09, 0.18), 5),
}


@dataclass(frozen=True)
class Scene:
    """A place with its objects and one question about it. Lengths are shares of the image's side."""

    seed: int
    level: int
    place: str
    objects: tuple[SceneObject, ...]
    phrase: Phrase

    @property
    def query(self) -> str:
        """The question in words, such as "the left ship"."""
        return str(self.phrase)

    @cached_property
    def target(self) -> SceneObject:
        """The object meant."""
        index = resolve(self.phrase, self.objects)
        if index is None:
            raise ValueError(f"'{self.phrase}' does not mean one object of the scene.")
        return self.objects[index]

    def box(self, size: int) -> tuple[float, ...]:
        """The target's horizontal box in pixels of an image of `size` x `size`."""
        return tuple(v * size for v in self.target.box)

    def oriented_box(self, size: int) -> tuple[float, ...]:
        """The target's oriented box `cx, cy, w, h` in pixels and `angle` in radians."""
        *lengths, angle = self.target.oriented_box
        return (*(v * size for v in lengths), angle)


def generate_scene(seed: int, level: int = 1) -> Scene:
    """A scene and a question about it, the same for the same seed and level.

    >>> scene = generate_scene(7, level=2)
    >>> scene == generate_scene(7, level=2)
    True
    """
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(map(str, LEVELS))}, got {level!r}.")
    rng = np.random.default_rng([seed, level])
    while True:
        place = str(rng.choice(list(PLACES)))
        objects = _furnish(PLACES[place], LEVELS[level], rng)
        questions = _questions(objects, LEVELS[level], level)
        directed = [q for q in questions if q.relation in DIRECTIONS]
        if directed and rng.random() < 0.6:  # else the many ordinals would crowd them out
            questions = directed
        if questions:
            return Scene(seed, level, place, objects, questions[rng.integers(len(questions))])


def _questions(objects: tuple[SceneObject, ...], level: Level, number: int) -> list[Phrase]:
    found = [p for p in phrases(objects, level.depth) if p.relation is not None]
    if number == 1:  # position alone tells the pair apart
        return [p for p in found if p.relation not in ("largest", "smallest")]
    return [p for p in found if p.anchor is not None]


def _furnish(place: Place, level: Level, rng: np.random.Generator) -> tuple[SceneObject, ...]:
    """Objects that neither touch nor leave the image; fewer than asked for where there is no more room."""
    wanted = [str(rng.choice(place.lookalikes))] * int(rng.integers(level.lookalikes[0], level.lookalikes[1] + 1))
    wanted += list(rng.permutation(place.references))[: rng.integers(level.references[0], level.references[1] + 1)]
    heading, objects = rng.uniform(0, pi), list[SceneObject]()
    for category in wanted:
        for _ in range(60):
            candidate = _place(str(category), place, level, heading, rng)
            if _fits(candidate, objects):
                objects.append(candidate)
                break
    return tuple(objects)


def _place(category: str, place: Place, level: Level, heading: float, rng: np.random.Generator) -> SceneObject:
    shape = SHAPES[category]
    length = rng.uniform(*level.size)
    turn = 0.0 if place.headings == 1 else heading + rng.integers(place.headings) * 2 * pi / place.headings
    colour = shape.colours[rng.integers(len(shape.colours))]
    return SceneObject(
        category, rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.9), length, length / shape.aspect, float(turn), colour
    )


def _fits(candidate: SceneObject, objects: list[SceneObject], gap: float = 0.02) -> bool:
    x1, y1, x2, y2 = candidate.box
    if min(x1, y1) < gap or max(x2, y2) > 1 - gap:
        return False
    for other in objects:
        a1, b1, a2, b2 = other.box
        if x1 < a2 + gap and a1 < x2 + gap and y1 < b2 + gap and b1 < y2 + gap:
            return False
    return True
