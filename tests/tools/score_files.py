"""Files of completions with their targets."""

import json
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("rsreward")
GOOD = {"completion": "<think>a</think><answer>[0, 0, 500, 500]</answer>", "target": [0, 0, 500, 250], "log": "a"}


def written(folder, *rows, name="rows.jsonl"):
    """A file of rows: objects, or lines as they are."""
    file = folder / name
    lines = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
    file.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return file
