"""Boxes out of what a model wrote. Never raises, never evaluates, linear in the length of the text.

The answer is what follows the last `</think>`; inside it the last closed `<answer>` element, else one that never
closes, else the whole rest. A completion whose `<think>` never closes has no answer but an `<answer>` element that it
opens all the same. Shapes are read by their brackets and numbers, not as JSON, which half of them fail to be.
"""

import re
from collections.abc import Sequence
from typing import Literal, NamedTuple

Kind = Literal["horizontal", "oriented", "quad", "point", "none"]
BoxKind = Literal["horizontal", "oriented"]
Select = Literal["first", "last", "only"]

READ_AS: dict[str, tuple[Kind, ...]] = {
    "horizontal": ("horizontal",),
    "oriented": ("horizontal", "oriented", "quad"),  # four numbers are a box that is not turned
}
MAX_ANSWER = 16_384  # characters: more than two hundred boxes with labels


class Answer(NamedTuple):
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
_NEXT = rf"\s*+,\s*+[\[(]{_PAIR}[\])]"
_FOUR_TO_NINE = rf"\s*+{_NUMBER}(?:{_COMMA}{_NUMBER}){{3,8}}+\s*+"
_BIN = r"<\d{1,4}+>"

# By what a shape starts with; the first to fit is taken. A "label", a text in JSON that is no list, and a "key" with
# brackets are passed over: they hold no box. A "cut" is a box that the text ends in.
_SHAPES = {
    r"(?<=[\[(（【])(?=\s*+[-+.\d])": {
        "pair": rf"(?<=\(){_PAIR}\)\s*+,?+\s*+\({_PAIR}\)(?!\s*+,\s*+\(\s*+[-+.\d]|(?:{_NEXT}){{2}})",
        "list": rf"{_FOUR_TO_NINE}(?:,\s*+)?+[\])）】]",
    },
    rf"(?<=[\[(（【])(?={_PAIR}[\])）】])": {
        "corners": rf"{_PAIR}[\])](?:{_NEXT}){{3,}}+",
        "point": rf"{_PAIR}[\])）】]",
    },
    r"(?<=[\[(（【])": {
        "cut": rf"\s*+{_NUMBER}(?:{_COMMA}{_NUMBER}){{0,8}}+(?:{_COMMA})?+\Z",
    },
    "(?<=:)": {
        "label": r"""\s*+(?!["']\s*+[\[{]|["'][\s\d.,;()+-]*+["'])"""
        r"""(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"(?=\s*+[},\]】"])|\Z)"""
        r"""|'[^'\\]*+(?:\\.[^'\\]*+)*+'(?=\s*+[},\]】"]))""",
    },
    "(?<=[{,])": {"key": r"""\s*+"[^"\\\[(]*+[\[(][^"\\]*+"(?=\s*+:)"""},
    "(?<=<)": {
        "bins": rf"\d{{1,4}}+>(?:{_BIN}){{3}}(?:\|<-?+\d{{1,4}}+>|(?!\|))",
        "tag": rf"""point\s++x=["']{_NUMBER}["']\s++y=["']{_NUMBER}["']""",
    },
    "(?<=data-bbox=)": {"html": rf"""["']{_FOUR_TO_NINE}["']"""},
}
_BOX = re.compile(
    r"[\[(（【<:={,](?:"
    + "|".join(
        rf"{start}(?:{'|'.join(f'(?P<{name}>{shape})' for name, shape in shapes.items())})"
        for start, shapes in _SHAPES.items()
    )
    + ")"
)
_NUMBERS = re.compile(_NUMBER)

# One box as most answers write it, with nothing else in brackets: what `_BOX` finds there, in half the time.
_PLAIN = re.compile(
    r"\s*+(?P<fence>```(?:json)?+\s*+)?+(?:\[\s*+)?(?P<brace>\{\s*+\"\w++\"\s*+:\s*+)?+"
    + rf"\[\s*+({_NUMBER})\s*+,\s*+({_NUMBER})\s*+,\s*+({_NUMBER})\s*+,\s*+({_NUMBER})\s*+\]"
    + r"[^\[(（【<=]*+\Z"
)
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
_OPENING = str.maketrans("", "", "[(")
DIALECTS = tuple(dialect for _, dialect, _ in _DIALECTS)
_BY_SHAPE = {
    shape: [(dialect, marker) for of, dialect, marker in _DIALECTS if of == shape] for shape, _, _ in _DIALECTS
}


def check_texts(completions: Sequence[str]) -> None:
    """Refuse what is no list of texts.

    Raises:
        TypeError: naming the row that is none.
    """
    if isinstance(completions, str):
        raise TypeError("completions must be a list of texts, got one text: put it into a list.")
    for row, text in enumerate(completions):
        if not isinstance(text, str):
            raise TypeError(
                f"completions must be texts, and row {row} is a {type(text).__name__}; "
                f"of chat messages rsreward_trl.completion_text gives the text."
            )


def answer_region(text: str) -> tuple[str, list[str]]:
    """The part of a completion that is its answer, and what is wrong with its frame."""
    problems = []
    thought = text.rfind("</think>")
    rest = text[thought + len("</think>") :] if thought >= 0 else text
    thinks = "<think>" in rest
    closing = rest.rfind("</answer>")
    opening = rest.rfind("<answer>", 0, closing) if closing >= 0 else -1
    if opening >= 0:
        closing = rest.find("</answer>", opening)
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
        region = region.partition("<think>")[0]
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
    return read_region(*answer_region(text))


def read_region(region: str, problems: Sequence[str] = ()) -> Answer:
    """What stands in the part of a completion that is its answer, with these problems of its frame.

    Of a part that is too long only the beginning is read.
    """
    problems = [*problems]
    if len(region) > MAX_ANSWER:
        problems.append("too-long")
        region = region[:MAX_ANSWER]
    return _plain_answer(region, problems) or _any_answer(region, problems)


def _plain_answer(region: str, problems: list[str]) -> Answer | None:
    match = _PLAIN.match(region)
    if not match:
        return None
    fence, brace, *written = match.groups()
    numbers = tuple(map(float, written))
    if _flaw(numbers):
        return None
    return Answer((numbers,), "horizontal", "fenced-json" if fence else "json" if brace else "list", tuple(problems))


def _any_answer(region: str, problems: list[str]) -> Answer:
    found: list[tuple[Kind, tuple[float, ...], re.Match[str]]] = []
    for match in _BOX.finditer(region):
        shape = match.lastgroup
        if shape in ("label", "key"):
            continue
        if shape == "cut":
            problems.append("truncated")
            continue
        written = match.group()
        inner = written[1:-1]
        if shape == "bins":
            inner = inner.replace(">|<", ",").replace("><", ",")
        elif shape == "pair":
            inner = inner.replace("),(", ",")
        try:
            numbers = tuple(map(float, inner.split(",")))
        except ValueError:  # rarer separators
            numbers = tuple(map(float, _NUMBERS.findall(written)))
        kind = _KINDS.get(len(numbers))
        flaw = _flaw(numbers)
        if flaw:
            problems.append(flaw)
            if flaw == "not-finite":
                continue
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
        if marker in before if marker is not None else not before.translate(_OPENING).strip():
            return dialect
    raise AssertionError(f"no dialect for the shape {shape}")
