"""Throw what nobody would write at everything that reads, for minutes or hours.

    python tests/fuzz/fuzz.py [--minutes 10] [--inputs N] [--only parser ...] [--seed 0] [--first N]

Input number N of a seed is always the same, given the same files in ../shared. What was found and the counts are in
runs/fuzz/HARNESS-SEED.json, written as it goes; the same command goes on behind the last input. Each harness gets the
minutes, of CPU time. `--first N --inputs 1` repeats one input and writes nothing. The exit code is 1 if any input found
something.
"""

import argparse
import faulthandler
import json
import resource
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import process_time
from typing import Any

import fuzz_adapters
import fuzz_core
import fuzz_files
import torch

HARNESSES: dict[str, tuple[Callable[[Random], Any], Callable[[Any], None]]] = {
    "parser": (fuzz_core.draw_answer, fuzz_core.check_answer),
    "spaces": (fuzz_core.draw_space, fuzz_core.check_space),
    "truth": (fuzz_core.draw_truth, fuzz_core.check_truth),
    "adapters": (fuzz_adapters.draw_batch, fuzz_adapters.check_batch),
    "loaders": (fuzz_files.draw_file, fuzz_files.check_file),
    "pages": (fuzz_files.draw_page, fuzz_files.check_page),
}
FOLDER = Path(__file__).parents[2] / "runs/fuzz"
LONGEST = 5.0  # seconds of CPU time for one input
SAVED = 5.0  # seconds between two writes of the file


def attempt(name: str, seed: int, number: int) -> dict[str, Any] | None:
    """What one input found."""
    draw, check = HARNESSES[name]
    drawn: Any = "it could not be drawn"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn = draw(Random(f"{name} {seed} {number}"))
            check(drawn)
    except Exception as error:
        return {
            "error": "".join(traceback.format_exception_only(error)).strip()[:2000],
            "at": [
                f"{Path(frame.filename).name}:{frame.lineno}" for frame in traceback.extract_tb(error.__traceback__)
            ],
            "repeat": f"python tests/fuzz/fuzz.py --only {name} --seed {seed} --first {number} --inputs 1",
            "input": _shown(drawn),
        }
    return None


def _shown(drawn: Any) -> str:
    try:
        return ascii(drawn)[:20_000]
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, lists 3,000 deep
        return f"it cannot be shown: {error}"


def run(name: str, seed: int, minutes: float, inputs: int | None, first: int | None = None) -> dict[str, Any]:
    """Try inputs of one harness, and return what its file holds; with `first` nothing is read or written."""
    file = FOLDER / f"{name}-{seed}.json"
    known = {
        "harness": name,
        "seed": seed,
        "inputs": 0,
        "cpu_minutes": 0.0,
        "exceptions": 0,
        "peak_mb": 0,
        "findings": [],
    }
    if first is None and file.exists():
        known = json.loads(file.read_text())
    number, start, saved = known["inputs"] if first is None else first, process_time(), process_time()
    end = None if inputs is None else number + inputs
    while number != end and process_time() - start < minutes * 60:
        signal.setitimer(signal.ITIMER_VIRTUAL, LONGEST)
        found = attempt(name, seed, number)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        number += 1
        known["inputs"] += 1
        if found:
            known["exceptions"] += 1
            places = [each["at"][-1] for each in known["findings"]]
            if places.count(found["at"][-1]) < 3:  # more of the same say no more
                known["findings"].append(found)
        now = process_time()
        if first is None and (now - saved > SAVED or number == end or now - start >= minutes * 60):
            known["cpu_minutes"] += (now - saved) / 60
            known["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            saved = now
            FOLDER.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(known, indent=1) + "\n")
    return known


def too_long(*_: object) -> None:
    raise TimeoutError(f"it took more than {LONGEST:g} s of CPU time")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--inputs", type=int)
    parser.add_argument("--only", nargs="+", choices=HARNESSES, default=list(HARNESSES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int)
    arguments = parser.parse_args()
    faulthandler.enable()
    signal.signal(signal.SIGVTALRM, too_long)
    torch.set_num_threads(1)
    found = 0
    for name in arguments.only:
        known = run(name, arguments.seed, arguments.minutes, arguments.inputs, arguments.first)
        print(f"{name}: {known['inputs']:,} inputs, {known['exceptions']:,} exceptions", flush=True)
        for finding in known["findings"]:
            print(f"  {finding['error'][:300]}\n    {' '.join(finding['at'][-3:])}\n    {finding['repeat']}")
            if arguments.first is not None:
                print(f"    {finding['input']}")
        found += known["exceptions"]
    sys.exit(found > 0)


if __name__ == "__main__":
    main()
