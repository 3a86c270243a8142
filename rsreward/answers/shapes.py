"""The shapes that boxes usually have in an answer, as one pattern, and what each way of writing them is called."""

import re

NUMBER = r"[-+]?+(?:\d++(?:\.\d*+)?+|\.\d++)(?:[eE][-+]?+\d++)?+"
COMMA = r"(?:\s*+[,;]\s*+|\s++)"
PAIR = rf"\s*+{NUMBER}{COMMA}{NUMBER}\s*+"
NUMBERS = re.compile(NUMBER)
_NEXT = rf"\s*+,\s*+[\[(]{PAIR}[\])]"
_FOUR_TO_NINE = rf"\s*+{NUMBER}(?:{COMMA}{NUMBER}){{3,8}}+\s*+"
_BIN = r"<-?+\d{1,4}+(?:\.\d++)?+>"

# The idea: a box begins behind one of the signs [ ( < : = { or a comma, so the pattern looks only at these places. The
# first character there decides which shapes are tried, and the first shape that fits is taken. All steps are possessive
# and never go back, so the time is linear. A "label" (a text in JSON that is not a list) and a "key" with brackets are
# skipped: they hold no box. A "cut" is a box that the end of the text cuts off.
_SHAPES = {
    r"(?<=[\[(])(?=\s*+[-+.\d])": {
        # (112,364),(198,449), not the first two of four corners
        "pair": rf"(?<=\(){PAIR}\)\s*+,?+\s*+\({PAIR}\)(?!\s*+,\s*+\(\s*+[-+.\d]|(?:{_NEXT}){{2}})",
        # [112, 364, 198, 449], and with 5 to 9 numbers
        "list": rf"{_FOUR_TO_NINE}(?:,\s*+)?+[\])]",
    },
    rf"(?<=[\[(])(?={PAIR}[\])])": {
        # [112, 364], [198, 364], [198, 449], [112, 449]
        "corners": rf"{PAIR}[\])](?:{_NEXT}){{3,}}+",
        # (112, 364)
        "point": rf"{PAIR}[\])]",
    },
    r"(?<=[\[(])": {
        # [112, 364, 19
        "cut": rf"\s*+{NUMBER}(?:{COMMA}{NUMBER}){{0,8}}+(?:{COMMA})?+\Z",
    },
    "(?<=:)": {
        # "label": "gate (9, 9, 10, 10)"
        "label": r"""\s*+(?!["']\s*+[\[{]|["'][\s\d.,;()+-]*+["'])"""
        r"""(?:"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"(?=\s*+[},\]"])|\Z)"""
        r"""|'[^'\\]*+(?:\\.[^'\\]*+)*+'(?=\s*+[},\]"]))""",
    },
    # "plane (1, 2, 3, 4)": ...
    "(?<=[{,])": {"key": r"""\s*+"[^"\\\[(]*+[\[(][^"\\]*+"(?=\s*+:)"""},
    "(?<=<)": {
        # <46><91><94><95>, {<46><91><94><95>|<40>}
        "bins": rf"{_BIN[1:]}(?:{_BIN}){{3}}(?:\|{_BIN}|(?!\|))",
        # <point x="50.5" y="69.0">
        "tag": rf"""point\s++x=["']{NUMBER}["']\s++y=["']{NUMBER}["']""",
    },
    # data-bbox="112 364 198 449"
    "(?<=data-bbox=)": {"html": rf"""["']{_FOUR_TO_NINE}["']"""},
}
BOX = re.compile(
    r"[\[(<:={,](?:"
    + "|".join(
        rf"{start}(?:{'|'.join(f'(?P<{name}>{shape})' for name, shape in shapes.items())})"
        for start, shapes in _SHAPES.items()
    )
    + ")"
)

# One box as most answers write it, with nothing else in brackets. It finds what `BOX` finds, in half the time.
PLAIN = re.compile(
    r"\s*+(?P<fence>```(?:json)?+\s*+)?+(?:\[\s*+)?(?P<brace>\{\s*+\"\w++\"\s*+:\s*+)?+"
    + rf"\[\s*+({NUMBER})\s*+,\s*+({NUMBER})\s*+,\s*+({NUMBER})\s*+,\s*+({NUMBER})\s*+\]"
    + r"[^\[(<=]*+\Z"
)

# Shape, dialect, and the text that stands before the box, in order of priority. None: only brackets stand there.
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
USUAL_DIALECTS = tuple(dialect for _, dialect, _ in _DIALECTS)
_BY_SHAPE = {
    shape: [(dialect, marker) for of, dialect, marker in _DIALECTS if of == shape] for shape, _, _ in _DIALECTS
}


def dialect_of(match: re.Match[str]) -> str:
    """How this box was written, by its shape and by the text before it."""
    shape = "list" if match.lastgroup == "point" else match.lastgroup or ""
    before = match.string[: match.start()]
    return next(
        dialect
        for dialect, marker in _BY_SHAPE[shape]
        if (marker in before if marker is not None else not before.translate(_OPENING).strip())
    )
