"""Files of completions with their targets, and the command that scores them."""

import json
import subprocess
import sys
from pathlib import Path

COMMAND = Path(sys.executable).with_name("rsreward")
GOOD = {"completion": "<think>a</think><answer>[0, 0, 500, 500]</answer>", "target": [0, 0, 500, 250], "log": "a"}


def score(*arguments):
    return subprocess.run([COMMAND, "score", *map(str, arguments)], capture_output=True, text=True, check=False)


def written(tmp_path, *rows):
    file = tmp_path / "rows.jsonl"
    lines = [json.dumps(row) if isinstance(row, dict) else row for row in rows]
    file.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines))
    return file
