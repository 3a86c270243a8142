"""Boxes in rarer spellings: read only where an answer holds none in the usual ones, in the order of `_READERS`.

What could be one thing or another is not read but named: numbers in prose, x and y beside a width (a corner here, the
centre there), percentages, an element of an unknown name, lists of another length.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from .shapes import COMMA, NUMBER, NUMBERS, PAIR

Numbers = tuple[float, ...]

_FULL_WIDTH = re.compile("[！-～、【】〔〕−]")  # signs that ASCII has too: １，［
_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | str.maketrans("、【】〔〕−", ",[][]-")
_LATEX = re.compile(r"\\(?:left|right)\b|\\(?=[\[\](){},;! ])")  # \left[112, 364\, 198, 449\right]

_UNIT = r"(?:\s?+(?:px|pixels?+)\b)?+"
_N = NUMBER + _UNIT
_FOUR = rf"\s*+(?P<numbers>{_N}(?:{COMMA}{_N}){{3}}(?:(?:{COMMA}{_N}){{4}})?+)\s*+"  # or eight
_ITEM = rf"[\"']?+{_N}[\"']?+"
_LABEL = r"(?:[\"'](?![\s\d.+-])[^\"'\[\]]*+[\"']|[^\W\d][\w -]*+)"
_BOX = (
    r"(?i:(?:[a-z]{1,20}[-_ ])?(?:bnd|bounding[-_ ]?|b)?box(?:es)?(?:[-_ ]?2d)?|(?:box[-_ ])?coord(?:inate)?s?"
    r"|location|loc|position|quad|polygon|obb|rbox)"
)
_X, _Y = (rf"(?:[\"']?+{axis}[\"']?+\s*+[:=])?+\s*+{NUMBER}" for axis in "xy")
_POINT = rf"[^\d\[({{]{{0,40}}[\[({{]\s*+{_X}{COMMA}{_Y}\s*+[\])}}]"
_TOP_LEFT = r"(?i:(?:top|upper)[-_ ]?left|left[-_ ]?(?:top|upper)|[\"'](?:tl|lt|min)[\"'])"
_BOTTOM_RIGHT = r"(?i:(?:bottom|lower)[-_ ]?right|right[-_ ]?(?:bottom|lower)|[\"'](?:br|rb|max)[\"'])"
_LOC = r"<\|?+(?:loc|bin|coord)_?+\d{1,4}+\|?+>\s*+"

# Each with an example. The group "numbers" or "first" holds the box, or else the whole match does.
_PATTERNS = {
    # <box>112 364 198 449</box>, < bbox >112, 364, 198, 449</ bbox >
    "element": rf"<\s*+(?P<tag>{_BOX})\s*+>{_FOUR}<\s*+/\s*+(?P=tag)\s*+>",
    # <|box_start|>112, 364, 198, 449<|box_end|>
    "token-element": rf"<\|(?:box_start|begin_of_box|det|box)\|>{_FOUR}<\|",
    # bbox="112 364 198 449", {"bbox_2d": "112, 364, 198, 449"}
    "string": rf"(?<!\w){_BOX}[\"']?+\s*+[:=]\s*+[\"'][\[(]?+{_FOUR}[\])]?+[\"']",
    # bbox: 112, 364, 198, 449 and the line ends, {"bbox_2d": 112, 364, 198, 449}
    "key": rf"(?<!\w){_BOX}[\"'*]*+\s*+[:=]\**+{_FOUR}(?=[}}\]`]|\.?+\Z|(?<=\n))",
    # \boxed{112, 364, 198, 449}
    "boxed": rf"\\boxed\s*+\{{{_FOUR}\}}",
    # [[112, 364], [198, 449]], but for the value of "points"
    "corner-lists": rf"(?<!points\": )(?<!point\": )(?<!point_2d\": )"
    rf"[\[(]\s*+[\[(]{PAIR}[\])]{COMMA}[\[(]{PAIR}[\])]\s*+[\])]",
    # {"top_left": [112, 364], "bottom_right": [198, 449]}, from the top-left (112, 364) to the bottom-right (198, 449)
    "named-corners": rf"{_TOP_LEFT}{_POINT}[^\d\[({{]{{0,40}}?{_BOTTOM_RIGHT}{_POINT}",
    # ["112", "364", "198", "449"], [112px, 364px, 198px, 449px], {112, 364, 198, 449}
    "loose-list": rf"[\[({{]\s*+{_ITEM}(?:{COMMA}{_ITEM}){{3,7}}\s*+[\])}}]",
    # ["ship", 112, 364, 198, 449], [112, 364, 198, 449, "ship"]
    "labelled-list": rf"[\[({{]\s*+(?:{_LABEL}\s*+,\s*+(?P<numbers>{_ITEM}(?:{COMMA}{_ITEM}){{3}})"
    rf"|(?P<first>{_ITEM}(?:{COMMA}{_ITEM}){{3}})\s*+,\s*+{_LABEL})\s*+[\])}}]",
    # 112, 364, 198, 449: all that there is
    "bare": rf"\A[\s`*$\"']*+{_FOUR}[\s`*$\"'.]*+\Z",
    # [112, 364], [198, 449]: all that there is
    "two-lists": rf"\A(?:```\w*+)?+[\s`]*+[\[(]{PAIR}[\])]{COMMA}[\[(]{PAIR}[\])][\s`.]*+\Z",
}
_LOCS = re.compile(rf"(?:{_LOC}){{4,}}+")  # <loc_112><loc_364><loc_198><loc_449>, <loc0112>...: Florence-2, PaliGemma

_BOX_KEY = re.compile(rf"{_BOX}[\"']?+\s*+\Z")  # "bbox_2d"

# x1=112, "x_min": 112, <xmin>112</xmin>, left="112"
_NAMED = re.compile(
    rf"(?<![\w-])(?P<name>[A-Za-z][\w-]{{0,19}})[\"']?+\s*+[:=>]\s*+[\"']?+(?P<number>{NUMBER})(?!\s?+%)"
)
_ROLES = {
    name: role
    for role, names in {
        "left": "x1 xmin minx left xleft leftx xstart x0 xtl topleftx",
        "top": "y1 ymin miny top ytop topy ystart y0 ytl toplefty",
        "right": "x2 xmax maxx right xright rightx xend xbr bottomrightx",
        "bottom": "y2 ymax maxy bottom ybottom bottomy yend ybr bottomrighty",
        "centre x": "cx xc centerx xcenter centrex xcentre",
        "centre y": "cy yc centery ycenter centrey ycentre",
        "width": "w width",
        "height": "h height",
        "x": "x",
        "y": "y",
        "angle": "angle theta rotation",
    }.items()
    for name in names.split()
}

# Why the numbers there are not read, the first to fit; with the signs of which one stands in every such text.
_UNREAD = {
    "percent": ("%", re.compile(rf"(?<![\d.])(?:{NUMBER}\s?+%{COMMA}){{3}}{NUMBER}\s?+%")),
    "unknown-element": ("/", re.compile(rf"<(?P<tag>\w++)>{_FOUR}</(?P=tag)>")),
    "wrong-count": (
        "])>",
        re.compile(rf"[\[(<](?:\s*+{_ITEM}(?:{COMMA}{_ITEM}){{2,}}+\s*+[\])>]|(?<=<){_LOC[1:]})"),
    ),
}
_DIGIT = re.compile(r"\d")
_LOOSE = re.compile(rf"(?<!\w){NUMBER}")
# "[]", "null", "None.", "There are no ships.", "does not contain any", 没有; not "I have no idea", "I cannot help"
_NOTHING = re.compile(
    r"\[\s*+\]|\{\s*+\}|\A\W*+\Z|(?i:\bnull\b|\bn/?a\b|\bnone\b|\bnothing\b"
    r"|(?:\A\W*+|\b(?:there(?:'s|’s)?|is|are|was|were|contains?|shows?|has|see|finds?|found|detected)\s++)no\b"
    r"(?!\s++(?:idea|comment|answer|image|access|way|information|problem))"
    r"|(?:not|n['’]t)\s++(?:any\b|(?:be\s++)?+(?:found|present|visible|detected|exist|contain|appear|there)"
    r"|(?:see|find|detect|locate)\s++(?:any|an?|such)\b))|^\W*+无|没有|不存在|未(?:发现|找到|检测)"
)


def usual_signs(text: str) -> str:
    """Full-width digits, brackets and signs as the usual ones, and brackets without the commands of LaTeX."""
    if "\\" in text:
        text = _LATEX.sub("", text)
    return text.translate(_ASCII) if _FULL_WIDTH.search(text) else text


def without(text: str, passed: list[re.Match[str]]) -> str:
    """The text without these matches, labels and keys; but what a key of a box holds stays."""
    kept, end = [], 0
    for match in passed:
        if not _BOX_KEY.search(text, max(end, match.start() - 30), match.start()):
            kept.append(text[end : match.start() + 1])
            end = match.end()
    return "".join([*kept, text[end:]])


def read_rare(text: str) -> tuple[str, list[Numbers], list[str]]:
    """The dialect and the boxes of an answer in which no usual one stands, and what is there that cannot be read.

    >>> read_rare("left=10, top=20, right=30, bottom=40")
    ('named-keys', [(10.0, 20.0, 30.0, 40.0)], [])
    >>> read_rare('{"x": 10, "y": 20, "width": 30, "height": 40}')
    ('none', [], ['ambiguous-keys'])
    """
    numbers = len([*islice(NUMBERS.finditer(text), 4)]) if _DIGIT.search(text) else 0  # 4: four or more
    if numbers == 4:
        for dialect, (signs, read) in _READERS.items():
            boxes = [*read(text)] if any(sign in text for sign in signs) else []
            if boxes:
                known = [box for box in boxes if box]
                return dialect if known else "none", known, ["ambiguous-keys"] if () in boxes else []
    for name, (signs, pattern) in _UNREAD.items() if numbers > 2 else ():
        if any(sign in text for sign in signs) and pattern.search(text):
            return "none", [], [name]
    if says_nothing(text):
        return "none", [], []
    loose = numbers == 4 and len([*islice(_LOOSE.finditer(text), 4)]) == 4
    return "none", [], ["loose-numbers" if loose else "no-box"]


def says_nothing(text: str) -> bool:
    """Whether these are words, or empty brackets, for "there is none"."""
    return len(text) <= 500 and _NOTHING.search(text) is not None


def _found(pattern: re.Pattern[str], text: str) -> Iterator[Numbers]:
    for match in pattern.finditer(text):
        groups = match.groupdict()
        numbers = _floats(groups.get("numbers") or groups.get("first") or match.group())
        if len(numbers) in (4, 5, 8):
            yield numbers


def _loc_tokens(text: str) -> Iterator[Numbers]:
    for match in _LOCS.finditer(text):
        numbers = _floats(match.group())
        if len(numbers) % 4 == 0:
            yield from zip(*[iter(numbers)] * 4, strict=True)


def _named_keys(text: str) -> Iterator[Numbers]:
    """Boxes of numbers with names, () where the names leave open which; a name that comes again begins the next."""
    found = [(re.sub("[-_]", "", name.lower()), float(number)) for name, number in _NAMED.findall(text)]
    second = {"x1": "right", "y1": "bottom"} if {"x0", "y0"} <= {name for name, _ in found} else {}
    box: dict[str, float] = {}
    for name, number in [*found, ("end", 0.0)]:
        role = second.get(name) or _ROLES.get(name)
        if role in box or name == "end":
            if "angle" not in box and (corners := _corners(box)):
                yield corners
            elif len(box) >= 4:
                yield ()
            box = {}
        if role:
            box[role] = number


def _corners(box: dict[str, float]) -> Numbers:
    match box:
        case {"left": x1, "top": y1, "right": x2, "bottom": y2} | {"x": x1, "y": y1, "right": x2, "bottom": y2}:
            return x1, y1, x2, y2
        case {"left": x, "top": y, "width": width, "height": height}:
            return x, y, x + width, y + height
        case {"centre x": x, "centre y": y, "width": width, "height": height}:
            return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    return ()


def _floats(text: str) -> Numbers:
    return tuple(map(float, NUMBERS.findall(text)))


# With the signs of which one stands in every such answer.
_SIGNS = {
    "element": "/",
    "token-element": "|",
    "string": "\"'",
    "key": ":=",
    "boxed": "\\",
    "corner-lists": "])",
    "named-corners": "tTlL",
    "loose-list": "\"'p{",
    "labelled-list": "\"'aeiou",
    "bare": " ,;",
    "two-lists": "])",
}
_READERS: dict[str, tuple[str, Callable[[str], Iterator[Numbers]]]] = {
    "loc-tokens": ("<", _loc_tokens),
    "named-keys": ("=:>", _named_keys),
    **{name: (_SIGNS[name], partial(_found, re.compile(pattern))) for name, pattern in _PATTERNS.items()},
}
RARE_DIALECTS = tuple(_READERS)
