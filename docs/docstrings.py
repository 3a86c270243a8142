"""Docstrings are written as Markdown and Google's sections; Sphinx reads reStructuredText."""

import re
from typing import Any

_CODE = re.compile(r"(`[^`]+`)")
_SECTION = re.compile(r"(Args|Returns|Raises|Attributes|Yields|Note):$")


def as_rst(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """For `autodoc-process-docstring`: an indented paragraph is a block of code, and marks are not markup.

    >>> lines = ["The `area` |P|:", "", "    a = w * h", "", "Args:", "    w: of the *box*."]
    >>> as_rst(None, "function", "area", None, None, lines)
    >>> print(*lines, sep=chr(10))
    The ``area`` \\|P\\|:
    <BLANKLINE>
    ::
    <BLANKLINE>
        a = w * h
    <BLANKLINE>
    Args:
        w: of the \\*box\\*.
    """
    out: list[str] = []
    text_indent, in_code, in_example = 0, False, False
    for line in lines:
        indent = len(line) - len(line.lstrip())
        after_blank = not out or not out[-1]
        if not line.strip():
            in_example = False
        elif line.lstrip().startswith(">>>"):
            in_example, in_code = True, False
        elif not in_example:
            bullet = 2 if line.lstrip().startswith("* ") else 0
            was_code = in_code
            in_code = (was_code and indent > text_indent) or (after_blank and indent >= text_indent + 4)
            if in_code and not was_code:
                out += [" " * text_indent + "::", ""]
            elif not in_code:
                text_indent = indent + bullet
                marked = line[: indent + bullet]
                line = marked + _escaped(line[indent + bullet :])
                if _SECTION.match(line):
                    text_indent = indent + 4
        out.append(line)
    lines[:] = out


def _escaped(text: str) -> str:
    parts = _CODE.split(text)
    plain = [re.sub(r"([*|\\]|_\b)", r"\\\1", part) for part in parts[::2]]
    code = [f"`{part}`" for part in parts[1::2]]
    return "".join(a + b for a, b in zip(plain, [*code, ""], strict=True))
