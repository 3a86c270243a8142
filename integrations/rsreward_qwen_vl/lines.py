"""Files of JSON lines that a run appends to and a later one takes up."""

import json
from pathlib import Path
from typing import Any

from .errors import InputError


def resume_lines(path: Path) -> list[dict[str, Any]]:
    """The rows of an earlier run; a last line that was cut off is removed from the file.

    Raises:
        InputError: if the file holds something else.
    """
    if not path.exists():
        return []
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if whole != content:
        with path.open("r+b") as file:
            file.truncate(len(whole))
    try:
        rows = [json.loads(line) for line in whole.splitlines()]
        if all(isinstance(row, dict) and "source_id" in row for row in rows):
            return rows
    except ValueError:
        pass
    raise InputError(f"{path} is not what this command writes: move it away or give another --out.")
