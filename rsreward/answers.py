"""Boxes out of what a model wrote. Never raises, never evaluates, linear in the length of the text.

The answer is what follows the last `</think>`; inside it the last closed `<answer>` element, else one that never
closes, else the whole rest. A completion whose `<think>` never closes has no answer but an `<answer>` element that it
opens all the same. Shapes are read by their brackets and numbers, not as JSON, which half of them fail to be.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .coordinates import Sizes, Space, space_named, to_pixels
from .oriented import from_corners

Kind = Literal["horizontal", "oriented", "quad", "point", "none"]
Select = Literal["first", "last", "only"]
BoxKind = Literal["horizontal", "oriented"]

MAX_ANSWER = 16_384  # characters: more than two hundred boxes with labels


@dataclass(frozen=True)
class Answer:
    """What was read.

    Attributes:
        boxes: the numbers of each box as written: 4 (horizontal), 5 (oriented, the angle last), 8 (quad) or 2 (point).
        kind: what the boxes are.
        dialect: how the first of them was written, one of `DIALECTS`; "none" without boxes.
        problems: names of what is wrong with the answer; see `PROBLEMS`.
    """

    boxes: tuple[tuple[float, ...], ...] = ()
    kind: Kind = "none"
    dialect: str = "none"
    problems: tuple[str, ...] = ()


PROBLEMS = {
    "no-answer": "no answer region: empty, or a <think> that never closes",
    "after-think-unclosed": "an <answer> inside a <think> that never closes",
    "answer-unclosed": "an <answer> that never closes",
    "trailing-text": "text after the </answer>",
    "too-long": f"only the first {MAX_ANSWER} characters of the answer were read",
    "truncated": "cut off inside a box",
    "duplicate": "the same box more than once",
    "inverted": "x2 < x1 or y2 < y1",
    "degenerate": "a box without area",
    "not-finite": "a number too large to be a coordinate",
}

_NUMBER = r"[-+]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?+\d++)?+"
_COMMA = r"(?:\s*+[,，;]\s*+|\s++)"
_PAIR = rf"\s*+{_NUMBER}{_COMMA}{_NUMBER}\s*+"
_FOUR_TO_NINE = rf"\s*+{_NUMBER}(?:{_COMMA}{_NUMBER}){{3,8}}+\s*+"
_BIN = r"<\d{1,4}+>"

# By what a shape starts with; the first to fit is taken. A "label", a text in JSON that does not begin as a list, is
# passed over: it holds no box. A "cut" is a box that the text ends in.
_SHAPES = {
    r"(?<=[\[(（【])(?=\s*+[-+.\d])": {
        "list": rf"{_FOUR_TO_NINE}(?:,\s*+)?+[\])）】]",
        "corners": rf"{_PAIR}[\])](?:\s*+,\s*+[\[(]{_PAIR}[\])]){{3,}}+",
        "pair": rf"(?<=\(){_PAIR}\)\s*+,?+\s*+\({_PAIR}\)",
        "point": rf"{_PAIR}[\])）】]",
        "cut": rf"\s*+{_NUMBER}(?:{_COMMA}{_NUMBER}){{0,8}}+(?:{_COMMA})?+\Z",
    },
    "(?<=:)": {
        "label": r"""\s*+(?!["']\s*+[\[(])(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|'[^'\\]*+(?:\\.[^'\\]*+)*+')"""
        r"""(?=\s*+[},\]】"])""",
    },
    "(?<=<)": {
        "bins": rf"\d{{1,4}}+>(?:{_BIN}){{3}}(?:\|<-?+\d{{1,4}}+>)?+",
        "tag": rf"""point\s++x=["']{_NUMBER}["']\s++y=["']{_NUMBER}["']""",
    },
    "(?<=data-bbox=)": {"html": rf"""["']{_FOUR_TO_NINE}["']"""},
}
_BOX = re.compile(
    r"[\[(（【<:=](?:"
    + "|".join(
        rf"{start}(?:{'|'.join(f'(?P<{name}>{shape})' for name, shape in shapes.items())})"
        for start, shapes in _SHAPES.items()
    )
    + ")"
)
_NUMBERS = re.compile(_NUMBER)
_LARGEST = 1e30  # what any space times any image size keeps within float32
_KINDS: dict[int, Kind] = {4: "horizontal", 5: "oriented", 8: "quad", 2: "point"}

# Shape, dialect, and what stands somewhere before the box, in order of priority. None: nothing but brackets does.
_DIALECTS: tuple[tuple[str, str, str | None], ...] = (
    ("bins", "geochat", "{"),
    ("bins", "bins", ""),
    ("html", "html", ""),
    ("tag", "point-tag", ""),
    ("pair", "qwen-tokens", "<|box_start|>"),
    ("pair", "corner-pairs", ""),
    ("corners", "corner-points", ""),
    ("list", "fenced-json", "```"),
    ("list", "json", "{"),
    ("list", "deepseek", "<|det|>"),
    ("list", "internvl", "<box>"),
    ("list", "glm", "<|begin_of_box|>"),
    ("list", "list", None),
    ("list", "prose", ""),
)
DIALECTS = tuple(dialect for _, dialect, _ in _DIALECTS)
_BY_SHAPE = {
    shape: [(dialect, marker) for of, dialect, marker in _DIALECTS if of == shape] for shape, _, _ in _DIALECTS
}


def answer_region(text: str) -> tuple[str, list[str]]:
    """The part of a completion that is its answer, and what is wrong with its frame."""
    problems = []
    thought = text.rfind("</think>")
    rest = text[thought + len("</think>") :] if thought >= 0 else text
    thinks = "<think>" in rest
    closing = rest.rfind("</answer>")
    opening = rest.rfind("<answer>", 0, closing) if closing >= 0 else -1
    if opening >= 0:
        if rest[closing + len("</answer>") :].strip():
            problems.append("trailing-text")
        region = rest[opening + len("<answer>") : closing]
    else:
        opening = rest.rfind("<answer>")
        region = rest[opening + len("<answer>") :] if opening >= 0 else rest
        if opening >= 0:
            problems.append("answer-unclosed")
        elif thinks or not rest.strip():
            return "", ["no-answer"]
    if thinks:
        problems.append("after-think-unclosed")
    if len(region) > MAX_ANSWER:
        problems.append("too-long")
        region = region[:MAX_ANSWER]
    return region, problems


def parse_answer(text: str) -> Answer:
    """Read the boxes of one completion.

    Args:
        text: the whole completion.

    Returns:
        An `Answer`. Boxes come in the order written, a repeated box once. Where several kinds stand in one answer,
        that of the first box counts, and points only where there is no box.

    >>> parse_answer('<think>Near (5, 6).</think><answer>{"bbox_2d": [10, 20, 30, 40]}</answer>')
    Answer(boxes=((10.0, 20.0, 30.0, 40.0),), kind='horizontal', dialect='json', problems=())
    >>> parse_answer("There is none.").kind
    'none'
    """
    region, problems = answer_region(text)
    found: list[tuple[Kind, tuple[float, ...], re.Match[str]]] = []
    for match in _BOX.finditer(region):
        shape = match.lastgroup
        if shape == "label":
            continue
        if shape == "cut":
            problems.append("truncated")
            continue
        written = match.group()
        pieces = written[1:-1].split(",") if shape == "list" else _NUMBERS.findall(written)
        try:
            numbers = tuple(map(float, pieces))
        except ValueError:  # a list with other separators than commas
            numbers = tuple(map(float, _NUMBERS.findall(written)))
        flaw = _flaw(numbers)
        if flaw:
            problems.append(flaw)
        if flaw == "not-finite":
            continue
        kind = _KINDS.get(len(numbers))
        if kind:
            found.append((kind, numbers, match))
        elif shape == "corners":  # more than four points
            found += [("point", point, match) for point in zip(numbers[::2], numbers[1::2], strict=True)]
    if not found:
        return Answer(problems=tuple(dict.fromkeys(problems)))
    kind, numbers, first = found[0]
    boxes: tuple[tuple[float, ...], ...] = (numbers,)
    if len(found) > 1:
        found = [each for each in found if each[0] != "point"] or found
        kind, _, first = found[0]
        boxes = tuple([box for of, box, _ in found if of == kind])
        if kind != "point" and len(set(boxes)) < len(boxes):
            problems.append("duplicate")
            boxes = tuple(dict.fromkeys(boxes))
    return Answer(boxes, kind, _dialect(first), tuple(dict.fromkeys(problems)) if problems else ())


def _flaw(numbers: tuple[float, ...]) -> str | None:
    if len(numbers) == 4:
        x1, y1, x2, y2 = numbers
        if -_LARGEST <= x1 < x2 <= _LARGEST and -_LARGEST <= y1 < y2 <= _LARGEST:
            return None
    if not all(abs(number) <= _LARGEST for number in numbers):
        return "not-finite"
    if len(numbers) not in (4, 5):
        return None
    x1, y1, x2, y2 = numbers[:4]
    if x2 < x1 or y2 < y1:
        return "inverted"
    return "degenerate" if x2 == x1 or y2 == y1 else None


def _dialect(match: re.Match[str]) -> str:
    """How this box was written, from its shape and what stands before it."""
    shape = "list" if match.lastgroup == "point" else match.lastgroup or ""
    before = match.string[: match.start()]
    for dialect, marker in _BY_SHAPE[shape]:
        if marker in before if marker is not None else not before.strip(" \n[("):
            return dialect
    raise AssertionError(f"no dialect for the shape {shape}")


def parse_boxes(
    completions: Sequence[str],
    *,
    select: Select = "first",
    kind: BoxKind = "horizontal",
    space: str | Space = "pixel",
    width: Sizes = None,
    height: Sizes = None,
) -> Tensor:
    """One box a completion, in pixels of the original image.

    Args:
        completions: N texts.
        select: which box of an answer with several. Of 25 such answers to a question about one object the first box
            was right 15 times, the last 3; "only" takes none of them.
        kind: "horizontal" or "oriented"; what each reads is said in `parse_box_sets`.
        space: the coordinate space the model answers in, see `coordinates`.
        width, height: of the original images in pixels, N of each or one for all; not needed for "pixel". None where
            a size is unknown: there is no box then.

    Returns:
        `(N, 4)`, or `(N, 5)` for oriented boxes, float32; a row of NaN where there was no box to read.

    Raises:
        ValueError: if the space, the kind or the selection is unknown, or the space needs the image sizes.

    >>> parse_boxes(["<answer>[10, 20, 30, 40]</answer>", "none"], space="qwen3-vl", width=500, height=800)
    tensor([[ 5., 16., 15., 32.],
            [nan, nan, nan, nan]])
    """
    if select not in ("first", "last", "only"):
        raise ValueError(f"select must be 'first', 'last' or 'only', got {select!r}.")
    _check_kind(kind)
    rows: list[tuple[float, ...]] = []
    for text in completions:
        boxes = _read(text, kind)
        usable = len(boxes) == 1 or (boxes and select != "only")
        rows.append(boxes[-1 if select == "last" else 0] if usable else ())
    return _in_pixels(rows, kind, space, width, height)


def parse_box_sets(
    completions: Sequence[str],
    *,
    kind: BoxKind = "horizontal",
    space: str | Space = "pixel",
    width: Sizes = None,
    height: Sizes = None,
) -> list[Tensor]:
    """All boxes of each completion, in pixels of the original image.

    Horizontal boxes are read from answers of four numbers. Oriented ones are read from five (GeoChat, EarthDial: the
    corners x1, y1, x2, y2 of the box before it is turned, and degrees from +x towards +y), from eight (four corners in
    order), and from four as boxes that are not turned.

    Args and errors as in `parse_boxes`.

    Returns:
        N tensors `(n, 4)` or `(n, 5)`, float32; n is 0 where there was no box to read.

    >>> parse_box_sets(["{<0><0><40><20>|<90>}", "none"], kind="oriented", space="norm100", width=100, height=100)
    [tensor([[20.0000, 10.0000, 40.0000, 20.0000,  1.5708]]), tensor([], size=(0, 5))]
    """
    _check_kind(kind)
    sets = [_read(text, kind) for text in completions]
    counts = [len(boxes) for boxes in sets]
    sizes = [_repeated(side, counts) for side in (width, height)]
    flat = _in_pixels([box for boxes in sets for box in boxes], kind, space, *sizes)
    return list(torch.split(flat, counts)) if counts else []


def _check_kind(kind: BoxKind) -> None:
    if kind not in ("horizontal", "oriented"):
        raise ValueError(f"kind must be 'horizontal' or 'oriented', got {kind!r}.")


def _read(text: str, kind: BoxKind) -> tuple[tuple[float, ...], ...]:
    """The boxes of a completion that can be of this kind, as written."""
    answer = parse_answer(text)
    if kind == "horizontal":
        return answer.boxes if answer.kind == "horizontal" else ()
    return answer.boxes if answer.kind in ("horizontal", "oriented", "quad") else ()


def _in_pixels(
    rows: Sequence[tuple[float, ...]], kind: BoxKind, space: str | Space, width: Sizes, height: Sizes
) -> Tensor:
    """Boxes as written, of 4, 5 or 8 numbers and empty ones, as `(N, 4)` or `(N, 5)` in pixels."""
    padded = [(*row, *(torch.nan,) * (8 - len(row))) for row in rows]
    table = torch.tensor(padded, dtype=torch.float64).view(-1, 8)
    first, second = (to_pixels(half, space_named(space), width, height) for half in torch.split(table, 4, 1))
    if kind == "horizontal":
        return first.float()
    low, high = first[:, :2], first[:, 2:]
    angle = torch.tensor([row[4] if len(row) == 5 else 0.0 for row in rows], dtype=torch.float64).deg2rad()
    turned = torch.cat([(low + high) / 2, high - low, angle[:, None]], 1)
    quads = from_corners(torch.cat([first, second], 1).view(-1, 4, 2))
    is_quad = torch.tensor([len(row) == 8 for row in rows], dtype=torch.bool)
    missing = torch.tensor([not row for row in rows], dtype=torch.bool)
    boxes = torch.where(is_quad[:, None], quads, turned)
    return torch.where(missing[:, None], torch.nan, boxes).float()


def _repeated(side: Sizes, counts: Sequence[int]) -> Sizes:
    """Image sizes, one for each of the boxes of all images."""
    if side is None or isinstance(side, int | float) or (isinstance(side, Tensor) and side.dim() == 0):
        return side
    if len(side) != len(counts):
        raise ValueError(
            f"width and height must be one number, or one for each of {len(counts)} images, got {len(side)}."
        )
    return [value for value, count in zip(side, counts, strict=True) for _ in range(count)]
