"""Boxes out of what a model wrote. Never raises, never evaluates, linear in the length of the text.

The answer is looked for behind the last `</think>`: the last closed `<answer>` element, else one that never closes,
else the whole rest. If a `<think>` never closes, the only answer is an `<answer>` that opens all the same. Boxes are
found by their brackets and numbers, not by reading JSON: half of the answers are not valid JSON. One pattern runs over
the answer from bracket to bracket and takes at each the first shape that fits.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from .region import answer_region
from .shapes import BOX, NUMBERS, PLAIN, USUAL_DIALECTS, dialect_of
from .spellings import RARE_DIALECTS, read_rare, usual_signs, without

Kind = Literal["horizontal", "oriented", "quad", "point", "none"]
BoxKind = Literal["horizontal", "oriented"]
Select = Literal["first", "last", "only"]

READ_AS: dict[str, tuple[Kind, ...]] = {
    "horizontal": ("horizontal",),
    "oriented": ("horizontal", "oriented", "quad"),  # four numbers are a box that is not turned
}
MAX_ANSWER = 16_384  # characters: more than two hundred boxes with labels
DIALECTS = (*USUAL_DIALECTS, *RARE_DIALECTS)


class Answer(NamedTuple):
    """What was read from one completion.

    Attributes:
        boxes: the numbers of each box as written: 4 (horizontal), 5 (oriented, the angle last), 8 (quad) or 2 (point).
        kind: what the boxes are.
        dialect: how the first of them was written, one of `DIALECTS`; "none" without boxes.
        problems: names of what is wrong with the answer; see `PROBLEMS`.
        mixed: if there are boxes of two kinds, all of them in the order written; else empty.

    >>> answer = parse_answer("Sorry, I cannot help.")
    >>> answer.boxes, answer.problems, answer.says_none
    ((), ('no-box',), False)
    """

    boxes: tuple[tuple[float, ...], ...] = ()
    kind: Kind = "none"
    dialect: str = "none"
    problems: tuple[str, ...] = ()
    mixed: tuple[tuple[float, ...], ...] = ()

    @property
    def says_none(self) -> bool:
        """Whether the answer is that there is nothing: `none`, `[]`, or `[0, 0, 0, 0]`, which cannot be a box.

        It is False for a refusal, a thought that was cut off and a box that cannot be read.
        """
        return not any(map(any, self.boxes)) and _MAY_STAND_WITH_NONE.issuperset(self.problems)


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
    "two-kinds": "horizontal boxes and turned ones",
    "coarse-and-turned": "as many horizontal boxes as turned ones, under keys that say so: the same objects twice",
    "crossed": "four corners that are not in order around their box",
    "fraction-fifth": "a fifth number between 0 and 1, read as an angle, that may be a score",
    "ambiguous-keys": "numbers named x, y, width, height (a corner or the centre?), or with an angle: not read",
    "percent": "four percentages: not read",
    "unknown-element": "four numbers in an element whose name does not say what they are: not read",
    "wrong-count": "a list of three, six, seven or more than eight numbers: not read",
    "loose-numbers": "four numbers or more without brackets, or in no known order: not read",
    "no-box": "neither a box nor the answer that there is none",
}
_MAY_STAND_WITH_NONE = {"answer-unclosed", "trailing-text", "degenerate", "duplicate"}
_NO_REASON = {"answer-unclosed", "after-think-unclosed", "trailing-text", "too-long"}  # of finding no box

LARGEST = 1e30  # times any scale and image size it is still finite in float32
_ORDERS = ((0, 1, 2, 3), (0, 2, 1, 3), (0, 1, 3, 2))  # of four corners; the others go round the same ways
_KINDS: dict[int, Kind] = {4: "horizontal", 5: "oriented", 8: "quad", 2: "point"}


def check_texts(completions: Sequence[object], read: bool = False) -> None:
    """Refuse anything but a list of texts; with `read` also answers that have been read.

    Raises:
        TypeError: naming the first wrong row.
    """
    if isinstance(completions, str | Answer):
        raise TypeError("completions must be a list of texts, got one text: put it into a list.")
    for row, text in enumerate(completions):
        if not isinstance(text, str) and not (read and isinstance(text, Answer)):
            raise TypeError(
                f"completions must be texts, and row {row} is a {type(text).__name__}; "
                f"rsreward.answers.completion_text gives the text of chat messages."
            )


def parse_answer(text: str, think_in_prompt: bool = False, *, repeats: bool = False) -> Answer:
    """Read the boxes of one completion.

    Args:
        text: the whole completion.
        think_in_prompt: the chat template opened the think element in the prompt. The text up to the closing tag is
            thought then; without a closing tag all of it is.
        repeats: keep a box as often as it is written, for evaluations that count it again.

    Returns:
        An `Answer`. Boxes come in the order written, a repeated box once. If an answer holds several kinds, `boxes` are
        those of the kind of the first one. Points are taken only if there is no box.

    >>> parse_answer('<think>Near (5, 6).</think><answer>{"bbox_2d": [10, 20, 30, 40]}</answer>')
    Answer(boxes=((10.0, 20.0, 30.0, 40.0),), kind='horizontal', dialect='json', problems=(), mixed=())
    >>> parse_answer("There is none.").says_none, parse_answer("Sorry, I cannot help.").problems
    (True, ('no-box',))
    """
    return read_region(*answer_region(text, think_in_prompt), repeats)


def read_region(region: str, problems: list[str], repeats: bool = False) -> Answer:
    """Read the part of a completion that is its answer; `problems` are those of the elements around it.

    Only the beginning of a part that is too long is read.
    """
    if len(region) > MAX_ANSWER:
        problems.append("too-long")
        region = region[:MAX_ANSWER]
    if "\\" in region or not region.isascii():
        region = usual_signs(region)
    plain = PLAIN.match(region)
    return (plain and _plain_answer(plain, problems)) or _any_answer(region, problems, repeats)


def _plain_answer(match: re.Match[str], problems: list[str]) -> Answer | None:
    fence, brace, *written = match.groups()
    numbers = tuple(map(float, written))
    if _flaw(numbers):
        return None
    return Answer((numbers,), "horizontal", "fenced-json" if fence else "json" if brace else "list", tuple(problems))


def _any_answer(region: str, problems: list[str], repeats: bool = False) -> Answer:
    found: list[tuple[Kind, tuple[float, ...], re.Match[str]]] = []
    passed = []
    for match in BOX.finditer(region):
        shape = match.lastgroup
        if shape in ("label", "key"):
            passed.append(match)
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
            numbers = tuple(map(float, NUMBERS.findall(written)))
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
    if not found or (found[0][0] == "point" and all(kind == "point" for kind, *_ in found)):
        rare = _rare_answer(without(region, passed), problems, bool(found), repeats)
        if rare:
            return rare
    kind, numbers, first = found[0]
    boxes: tuple[tuple[float, ...], ...] = (numbers,)
    mixed: tuple[tuple[float, ...], ...] = ()
    if len(found) > 1:
        found = [each for each in found if each[0] != "point"] or found
        kind, _, first = found[0]
        boxes = tuple([box for of, box, _ in found if of == kind])
        if len(boxes) < len(found):
            mixed = _kept([box for _, box, _ in found], repeats)
            problems.append(_kinds_problem(mixed, region))
        if kind != "point" and len(set(boxes)) < len(boxes):
            problems.append("duplicate")
            boxes = _kept(boxes, repeats)
    return Answer(boxes, kind, dialect_of(first), tuple(dict.fromkeys(problems)) if problems else (), mixed)


def _rare_answer(text: str, problems: list[str], has_points: bool, repeats: bool) -> Answer | None:
    """Boxes in a rarer spelling, or the reason why there are none; None if there are points and no box."""
    dialect, boxes, unread = read_rare(text)
    if not boxes and has_points:
        return None
    if boxes or _NO_REASON.issuperset(problems):
        problems += unread
    flaws = [_flaw(box) for box in boxes]
    problems += filter(None, flaws)
    boxes = [box for box, flaw in zip(boxes, flaws, strict=True) if flaw != "not-finite"]
    kind = _KINDS[len(boxes[0])] if boxes else "none"
    kept = _kept([box for box in boxes if len(box) == len(boxes[0])], repeats)
    return Answer(kept, kind, dialect if boxes else "none", tuple(dict.fromkeys(problems)))


def _kept(boxes: Iterable[tuple[float, ...]], repeats: bool) -> tuple[tuple[float, ...], ...]:
    return tuple(boxes if repeats else dict.fromkeys(boxes))


def _kinds_problem(boxes: tuple[tuple[float, ...], ...], text: str) -> str:
    """Whether boxes of two kinds are two objects or, by their keys, one object that is written twice."""
    turned = sum(len(box) != 4 for box in boxes)
    named = re.search(r"(?i)horizontal|hbb", text) and re.search(r"(?i)oriented|rotated|obb", text)
    return "coarse-and-turned" if named and 2 * turned == len(boxes) else "two-kinds"


def boxes_of(answer: Answer, kind: BoxKind) -> tuple[tuple[float, ...], ...]:
    """The boxes of an answer that can be of this kind, as written. If there are two kinds, those of this one."""
    if answer.mixed:
        return tuple(box for box in answer.mixed if (len(box) == 4) == (kind == "horizontal"))
    return answer.boxes if answer.kind in READ_AS[kind] else ()


def _flaw(numbers: tuple[float, ...]) -> str | None:
    if len(numbers) == 4:
        x1, y1, x2, y2 = numbers
        if -LARGEST <= x1 < x2 <= LARGEST and -LARGEST <= y1 < y2 <= LARGEST:
            return None
    elif len(numbers) == 5 and 1 <= abs(numbers[4]) <= LARGEST and not _flaw(numbers[:4]):
        return None
    if not all(abs(number) <= LARGEST for number in numbers):
        return "not-finite"
    if len(numbers) == 8:
        return None if uncrossed(numbers) == numbers else "crossed"
    if len(numbers) not in (4, 5):
        return None
    x1, y1, x2, y2 = numbers[:4]
    if x2 < x1 or y2 < y1:
        return "inverted"
    if x2 == x1 or y2 == y1:
        return "degenerate"
    return "fraction-fifth" if 0 < numbers[-1] < 1 else None  # of five: four in order have returned


def uncrossed(quad: tuple[float, ...]) -> tuple[float, ...]:
    """Four corners in order around their box: of the three possible orders, the one that encloses the largest area.

    >>> uncrossed((1, 1, 9, 9, 9, 1, 1, 9))
    (1, 1, 9, 1, 9, 9, 1, 9)
    """
    corners = [*zip(quad[::2], quad[1::2], strict=True)]

    def area(order: tuple[int, ...]) -> float:  # half the cross product of the diagonals
        (px, py), (qx, qy), (rx, ry), (sx, sy) = (corners[i] for i in order)
        return abs((rx - px) * (sy - qy) - (ry - py) * (sx - qx)) / 2

    best = max(_ORDERS, key=area)
    if area(best) <= area(_ORDERS[0]) * (1 + 1e-9):
        return quad
    return tuple(number for i in best for number in corners[i])
