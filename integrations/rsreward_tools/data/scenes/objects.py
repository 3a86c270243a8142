"""What can stand in a scene: the outline and the details of each category, seen from above.

A shape lives in its own frame: x runs along the object from -0.5 (back) to 0.5 (front), y across it. Everything is a
polygon, so that the boxes of an object follow from the very points that are drawn.
"""

from dataclasses import dataclass
from math import cos, pi, sin

Point = tuple[float, float]
Colour = tuple[int, int, int]


def _rectangle(x1: float, y1: float, x2: float, y2: float) -> list[Point]:
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def _disc(radius: float, centre: Point = (0.0, 0.0), corners: int = 24) -> list[Point]:
    turns = [2 * pi * i / corners for i in range(corners)]
    return [(centre[0] + radius * cos(t), centre[1] + radius * sin(t)) for t in turns]


def _fan(radius: float, corners: int = 10) -> list[Point]:
    """A quarter of a disc with its corner at (-0.5, -0.5): a baseball field from home plate outwards."""
    turns = [pi / 2 * i / corners for i in range(corners + 1)]
    return [(-0.5, -0.5)] + [(-0.5 + radius * cos(t), -0.5 + radius * sin(t)) for t in turns]


_AIRPLANE = [
    (0.5, 0.0), (0.4, 0.06), (0.12, 0.07), (-0.1, 0.5), (-0.2, 0.5), (-0.1, 0.07), (-0.36, 0.05), (-0.46, 0.2),
    (-0.5, 0.2), (-0.47, 0.0),
]  # fmt: skip
_HULL = [(0.5, 0.0), (0.32, 0.36), (0.15, 0.5), (-0.45, 0.5), (-0.5, 0.35)]


def _mirrored(half: list[Point]) -> list[Point]:
    """The outline that is symmetric about the object's axis, from its points with y >= 0."""
    return half + [(x, -y) for x, y in reversed(half) if y > 0]


@dataclass(frozen=True)
class Shape:
    """`outline` fills the frame, -0.5 to 0.5 both ways; `details` are drawn on it; `aspect` is length over width."""

    outline: list[Point]
    details: list[tuple[list[Point], Colour]]
    colours: list[Colour]
    aspect: float = 1.0
    height: float = 0.06  # of its shadow, as a share of the object's length


WHITE, GREY, DARK = (235, 235, 235), (150, 150, 155), (60, 62, 66)
_FRAME = _rectangle(-0.5, -0.5, 0.5, 0.5)

SHAPES: dict[str, Shape] = {
    "airplane": Shape(
        _mirrored(_AIRPLANE),
        details=[(_rectangle(-0.4, -0.02, 0.4, 0.02), GREY)],
        colours=[WHITE, (214, 222, 236)],
    ),
    "hangar": Shape(
        _FRAME,
        details=[(_rectangle(-0.5, -0.03, 0.5, 0.03), DARK)],
        colours=[(186, 194, 208)],
        aspect=1.4,
        height=0.12,
    ),
    "ship": Shape(
        _mirrored(_HULL),
        details=[(_rectangle(-0.4, -0.25, -0.2, 0.25), WHITE)],
        colours=[(214, 120, 96), (216, 212, 204), (170, 186, 200)],
        aspect=2.6,
    ),
    "pier": Shape(
        _FRAME,
        details=[(_rectangle(-0.5, -0.06, 0.5, 0.06), DARK)],
        colours=[(196, 188, 172)],
        aspect=4.0,
    ),
    "storage tank": Shape(
        _disc(0.5),
        details=[(_disc(0.36, (-0.04, -0.04)), (250, 250, 248)), (_disc(0.06), GREY)],
        colours=[(205, 205, 200), (222, 214, 196)],
        height=0.15,
    ),
    "building": Shape(
        _FRAME,
        details=[(_rectangle(-0.5, -0.5, 0.5, 0.0), (206, 112, 92))],
        colours=[(226, 140, 116)],
        aspect=1.3,
        height=0.12,
    ),
    "tennis court": Shape(
        _FRAME,
        details=[
            (_rectangle(-0.36, -0.3, 0.36, 0.3), (120, 176, 216)),
            (_rectangle(-0.01, -0.34, 0.01, 0.34), WHITE),
        ],
        colours=[(224, 140, 100)],
        aspect=1.9,
        height=0.01,
    ),
    "baseball field": Shape(
        _fan(1.0),
        details=[(_fan(0.45), (232, 200, 150)), (_rectangle(-0.42, -0.42, -0.22, -0.22), (170, 214, 130))],
        colours=[(150, 206, 110)],
        height=0.01,
    ),
    "car": Shape(
        _FRAME,
        details=[(_rectangle(0.05, -0.4, 0.22, 0.4), DARK)],
        colours=[(232, 96, 84), (112, 170, 240), WHITE],
        aspect=2.0,
        height=0.08,
    ),
    "truck": Shape(
        _FRAME,
        details=[(_rectangle(0.26, -0.5, 0.3, 0.5), DARK)],
        colours=[(226, 190, 60)],
        aspect=2.8,
        height=0.12,
    ),
}


@dataclass(frozen=True)
class SceneObject:
    """One object: centre, length and width as shares of the image's side, angle in radians from +x towards +y."""

    category: str
    cx: float
    cy: float
    length: float
    width: float
    angle: float
    colour: Colour

    def place(self, points: list[Point]) -> list[Point]:
        """Points of the object's own frame, in the image's."""
        c, s = cos(self.angle), sin(self.angle)
        scaled = [(x * self.length, y * self.width) for x, y in points]
        return [(self.cx + c * x - s * y, self.cy + s * x + c * y) for x, y in scaled]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The horizontal box around what is drawn."""
        xs, ys = zip(*self.place(SHAPES[self.category].outline), strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    @property
    def oriented_box(self) -> tuple[float, float, float, float, float]:
        """`cx, cy, w, h, angle`."""
        return self.cx, self.cy, self.length, self.width, self.angle

    @property
    def centre(self) -> Point:
        """The centre of the horizontal box."""
        x1, y1, x2, y2 = self.box
        return (x1 + x2) / 2, (y1 + y2) / 2
