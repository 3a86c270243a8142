"""`rsreward score` on a file of completions: what the whole command costs, in a process of its own.

python benchmarks/scored_file.py                     # a million rows of about 430 characters
python benchmarks/scored_file.py --also ../older     # another checkout too, in the same run

Time is that of the processor, user and system together, so that a busy machine matters less than for a clock's. The
yardstick is what no scorer can do without: `json.loads` of each line and `parse_answer` of its completion.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from itertools import cycle, islice
from pathlib import Path
from time import process_time

import numpy as np

from cases import Row, told
from paired import boxes
from rsreward import parse_answer
from step import FORMS, THOUGHT

ROOT = Path(__file__).parent.parent
ROWS = {"quick": 200, "full": 1_000_000, "large": 1_000_000}
DIFFERENT = 4_096  # rows, which then come again
YARDSTICK = 100_000  # rows
TITLE = "`rsreward score` on a file"


def write_rows(path: Path, rows: int) -> None:
    random = np.random.default_rng(0)
    pred, target = boxes(DIFFERENT, "cpu")
    shares = np.array(list(FORMS.values())) / sum(FORMS.values())
    words, lines = THOUGHT.split(), []
    forms = random.choice(list(FORMS), DIFFERENT, p=shares)
    for box, truth, form in zip(pred.round().int().tolist(), target.tolist(), forms, strict=True):
        thought = "<think>" + " ".join(random.choice(words, 49))
        completion = f"{thought}</think>\n{form.format(*box)}" if form else thought
        row = {"completion": completion, "target": [round(v, 1) for v in truth], "width": 1000, "height": 800}
        lines.append(json.dumps(row) + "\n")
    with path.open("w") as file:
        file.writelines(islice(cycle(lines), rows))


def yardstick(path: Path) -> float:
    """Processor seconds a row of `json.loads` and `parse_answer`."""
    with path.open() as file:
        lines = list(islice(file, YARDSTICK))
    start = process_time()
    for line in lines:
        parse_answer(json.loads(line)["completion"])
    return (process_time() - start) / len(lines)


def scored(checkout: Path, path: Path) -> tuple[float, int]:
    """Processor seconds and peak bytes of the command of a checkout."""
    entry = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["scripts"]["rsreward"]
    module, _, function = entry.partition(":")
    peak = "print([line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line][0])"
    run = (
        f"import atexit, sys; from {module} import {function}; sys.argv[0] = 'rsreward'; "
        f"atexit.register(lambda: {peak}); {function}()"
    )
    environment = os.environ | {"PYTHONPATH": f"{checkout}{os.pathsep}{checkout / 'integrations'}"}
    command = [sys.executable, "-c", run, "score", str(path), "--space", "qwen3-vl", "--json"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    result, _, peak_kilobytes = process.stdout.read().decode().strip().rpartition("\n")
    _, status, usage = os.wait4(process.pid, 0)
    if status or not json.loads(result)["rows"]:
        raise RuntimeError(f"rsreward score of {checkout} failed: {process.stderr.read().decode()[-300:]}")  # type: ignore[union-attr]
    return usage.ru_utime + usage.ru_stime, 1024 * int(peak_kilobytes)


def rows(sizes: str, also: Path | None = None, size: int | None = None) -> list[Row]:
    """One row for this checkout, and one for another."""
    size, found = size or ROWS[sizes], []
    checkouts: dict[str, Path] = {"this version": ROOT} | ({str(also): also.resolve()} if also else {})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.jsonl"
        write_rows(path, size)
        for who, checkout in checkouts.items():
            before = yardstick(path)
            seconds, peak = scored(checkout, path)
            least = (before + yardstick(path)) / 2 * size
            figures = {"seconds": seconds, "peak_bytes": peak, "times_yardstick": seconds / least}
            cells = {
                "rows": f"{size:,}",
                "characters a row": f"{path.stat().st_size / size:.0f}",
                "CPU seconds": f"{seconds:.1f}",
                "rows a second": f"{size / seconds:,.0f}",
                "over json.loads and parse_answer": f"{seconds / least:.1f}x",
                "peak memory": f"{peak / 1e6:.0f} MB",
            }
            found.append(told("file", TITLE, size, who, cells, **figures))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS["full"])
    parser.add_argument("--also", type=Path, help="another checkout of this repository, such as an older one")
    options = parser.parse_args()
    from report import show, tables

    show(tables(rows("full", options.also, options.rows)))


if __name__ == "__main__":
    main()
