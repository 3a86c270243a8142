"""Referring expressions that need position to be resolved, and the reasoning that resolves them.

A phrase is a category, a relation and, for most relations, an anchor that is a phrase itself. What it means is decided
by `resolve` alone: a phrase is used only where it picks out exactly one object with a margin, so that a person would
not hesitate either.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import atan2, hypot, pi

from .objects import SceneObject

MARGIN = 0.07  # least difference, as a share of the image's side, that a comparison may rest on
TOLERANCE = pi / 7  # a direction holds within this angle; between it and twice as much it is undecided

DIRECTIONS = {
    "to the right of": 0.0, "at the lower right of": pi / 4, "below": pi / 2, "at the lower left of": 3 * pi / 4,
    "to the left of": pi, "at the upper left of": -3 * pi / 4, "above": -pi / 2, "at the upper right of": -pi / 4,
}  # fmt: skip
EXTREMES: dict[str, Callable[[SceneObject], float]] = {
    "left": lambda o: o.centre[0], "right": lambda o: -o.centre[0],
    "upper": lambda o: o.centre[1], "lower": lambda o: -o.centre[1],
    "largest": lambda o: -o.length, "smallest": lambda o: o.length,
}  # fmt: skip
ORDINALS = ("nearest", "second", "third", "fourth")
SUPERLATIVES = {"left": "leftmost", "right": "rightmost", "upper": "uppermost", "lower": "lowest"}


@dataclass(frozen=True)
class Phrase:
    """`the CATEGORY`, `the EXTREME CATEGORY`, `the CATEGORY DIRECTION ANCHOR` or `the ORDINAL CATEGORY from ANCHOR`."""

    category: str
    relation: str | None = None
    anchor: "Phrase | None" = None
    paired: bool = False  # one of just two: "the left ship", not "the leftmost ship"

    def __str__(self) -> str:
        if self.relation is None:
            return f"the {self.category}"
        if self.anchor is None:
            return f"the {self.word} {self.category}"
        if self.relation in ORDINALS:
            link = "to" if self.relation == "nearest" else "from"
            return f"the {self.relation} {self.category} {link} {self.anchor}"
        return f"the {self.category} {self.relation} {self.anchor}"

    @property
    def word(self) -> str:
        """What an extreme is called: the left of two, the leftmost of many."""
        relation = self.relation or ""
        return relation if self.paired else SUPERLATIVES.get(relation, relation)

    @property
    def depth(self) -> int:
        """How many relations have to be followed."""
        return (self.relation is not None) + (self.anchor.depth if self.anchor else 0)


def resolve(phrase: Phrase, objects: Sequence[SceneObject]) -> int | None:
    """The index of the one object that the phrase means, or None where it is not plain."""
    chain = _chain(phrase, objects)
    return chain[-1] if chain else None


def _chain(phrase: Phrase, objects: Sequence[SceneObject]) -> list[int]:
    """The objects on the way to the meant one, which is the last; empty where a step is not plain.

    A chain never comes back to where it was: nobody says "the car left of the car right of the truck" for that car.
    """
    before = _chain(phrase.anchor, objects) if phrase.anchor else []
    if phrase.anchor and not before:
        return []
    candidates = [i for i, o in enumerate(objects) if o.category == phrase.category and i not in before[-1:]]
    found = _pick(phrase.relation, candidates, before, objects)
    return [] if found is None or found in before else [*before, found]


def _pick(relation: str | None, candidates: list[int], before: list[int], objects: Sequence[SceneObject]) -> int | None:
    if relation is None:
        return candidates[0] if len(candidates) == 1 else None
    if relation in DIRECTIONS:
        return _in_direction(DIRECTIONS[relation], candidates, before[-1], objects)
    if relation in EXTREMES:
        return _ranked(0, candidates, [EXTREMES[relation](objects[i]) for i in candidates], _margin(relation))
    x, y = objects[before[-1]].centre
    distances = [hypot(objects[i].centre[0] - x, objects[i].centre[1] - y) for i in candidates]
    return _ranked(ORDINALS.index(relation), candidates, distances, _margin(relation))


def _margin(relation: str) -> float:
    return MARGIN / 2 if relation in ("largest", "smallest") else MARGIN


def _ranked(rank: int, candidates: list[int], keys: list[float], margin: float) -> int | None:
    """The candidate of this rank, if both neighbours in the order are further away than the margin."""
    order = sorted(zip(keys, candidates, strict=True))
    if rank >= len(order) or len(order) == 1:
        return None
    key, found = order[rank]
    neighbours = order[max(rank - 1, 0) : rank] + order[rank + 1 : rank + 2]
    return found if all(abs(k - key) >= margin for k, _ in neighbours) else None


def _in_direction(angle: float, candidates: list[int], anchor: int, objects: Sequence[SceneObject]) -> int | None:
    ax, ay = objects[anchor].centre
    found = None
    for i in candidates:
        x, y = objects[i].centre
        off = abs((atan2(y - ay, x - ax) - angle + pi) % (2 * pi) - pi)
        if off <= TOLERANCE:
            if found is not None:
                return None
            found = i
        elif off < 2 * TOLERANCE:
            return None
    return found


def phrases(objects: Sequence[SceneObject], depth: int) -> Iterator[Phrase]:
    """Every phrase of just this depth that means exactly one object."""
    counts = {o.category: sum(p.category == o.category for p in objects) for o in objects}
    for category, count in counts.items():
        if depth == 0:
            candidates = [Phrase(category)] if count == 1 else []
        elif count == 1:
            candidates = []
        else:
            candidates = [Phrase(category, r, paired=count == 2) for r in EXTREMES] if depth == 1 else []
            anchors = list(phrases(objects, depth - 1))
            candidates += [Phrase(category, r, a) for a in anchors for r in (*DIRECTIONS, *ORDINALS)]
        yield from (p for p in candidates if resolve(p, objects) is not None)


def reasoning(phrase: Phrase, objects: Sequence[SceneObject], point: Callable[[SceneObject], str]) -> str:
    """Where the reference is, then where the target is from there: one short sentence each.

    `point` writes an object's centre in the coordinates of the answer.
    """
    index = resolve(phrase, objects)
    if index is None:
        raise ValueError(f"'{phrase}' does not mean one object of the scene.")
    here = point(objects[index])
    if phrase.anchor is not None:
        first = reasoning(phrase.anchor, objects, point)
        step = phrase.relation or ""
        if step in ORDINALS:
            step = f"the {step} {phrase.category} {'to' if step == 'nearest' else 'from'}"
        return f"{first} {step.capitalize()} it is {here}."
    if phrase.relation is None:
        return f"{str(phrase).capitalize()} is at {here}."
    alike = sorted((o for o in objects if o.category == phrase.category), key=lambda o: o.centre)
    where = " and ".join([", ".join(map(point, alike[:-1])), point(alike[-1])])
    return f"The {phrase.category}s are at {where}. The {phrase.word} one is at {here}."
