"""Files that a run writes and a later one takes up."""

import json
from pathlib import Path
from typing import Any

from .errors import InputError
from .outputs import part_of


def resume_lines(path: Path, fields: tuple[str, ...]) -> list[dict[str, Any]]:
    """The rows of an earlier run; a last line that was cut off is removed from the file.

    Args:
        fields: what every row has, the first one first.

    Raises:
        InputError: if the file holds something else, which is left as it is.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    start, rest = f'{{"{fields[0]}"'.encode(), content[len(whole) :]
    try:
        rows = [json.loads(line) for line in whole.splitlines()]
        ours = all(isinstance(row, dict) and row.keys() >= set(fields) for row in rows)
    except ValueError:
        ours = False
    if not ours or not (rest.startswith(start) or start.startswith(rest)):
        raise InputError(f"{path} is not what this command writes: move it away or give another --out.")
    if rest:
        with path.open("r+b") as file:
            file.truncate(len(whole))
    return rows


def same_settings(path: Path, settings: dict[str, Any]) -> None:
    """Keep the settings of a run beside what it writes, and refuse to go on under others.

    Raises:
        InputError: naming a setting that differs.
    """
    settings = json.loads(json.dumps(settings))
    try:
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else settings
    except ValueError:
        raise InputError(f"{path} is not what this command writes: move it away or give another --out.") from None
    for name in settings:
        if not isinstance(before, dict) or before.get(name) != settings[name]:
            raise InputError(f"{path.parent} holds what was asked for with another {name}: give another --out.")
    write_whole(path, json.dumps(settings, indent=1) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all, also for another process that reads it."""
    part = part_of(path)
    part.write_text(text, encoding="utf-8")
    part.replace(path)
