"""README.md beside a model or a data set: a card as Hugging Face has them, which never takes the place of your own."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from .files import regular_file, write_whole

CARD = "README.md"
_MARK = re.compile(r"<!-- written by rsreward, ([0-9a-f]{16}) -->\n\Z")


def write_card(folder: Path, text: str) -> str:
    """Write `README.md`, unless there is one that rsreward did not write, or that was changed since.

    Returns:
        A sentence if there is one; else nothing.
    """
    file = folder / CARD
    if file.exists() and own_card(folder) is None:
        return f"{file} is your own, or was changed by hand: it is left as it is."
    write_whole(file, f"{text}<!-- written by rsreward, {_digest(text)} -->\n")
    return ""


def own_card(folder: Path) -> str | None:
    """The text of a card that rsreward wrote and nobody changed; None if there is none."""
    try:
        written = regular_file(folder / CARD).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    mark = _MARK.search(written)
    return written[: mark.start()] if mark and mark[1] == _digest(written[: mark.start()]) else None


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:16]


def card(head: Mapping[str, Any], *parts: str) -> str:
    """The text of a card: its front matter, in which what is None is left out, and its paragraphs."""
    lines = [f"{name}: {json.dumps(value)}" for name, value in head.items() if value is not None]  # JSON is YAML too
    return "\n\n".join(["\n".join(["---", *lines, "---"]), *filter(None, parts)]) + "\n\n"


def table(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown.

    >>> print(table(["split", "questions"], [["train", 3]]))
    | split | questions |
    |---|---|
    | train | 3 |
    """
    rows = [" | ".join(str(cell).replace("|", r"\|").replace("\n", " ") for cell in line) for line in (header, *lines)]
    return "\n".join([f"| {rows[0]} |", f"|{'---|' * len(header)}", *(f"| {row} |" for row in rows[1:])])
