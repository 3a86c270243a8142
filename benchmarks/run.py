"""rsreward side by side with other libraries: one process, interleaved, the least times. See docs/performance.md.

python benchmarks/run.py                            # everything, on the CPU, into runs/bench
python benchmarks/run.py --only paired,group --large
python benchmarks/run.py --device cuda --out runs/bench-gpu --docs
"""

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

import forms
import group
import oriented
import oriented_accuracy
import paired
import parsing
import scored_file
import startup
import step
import trainers
from cases import Key, measure, peaks
from plot import save_plot
from report import show, tables, update_page
from timing import give_back_at_once, machine

FAMILIES = {
    "paired": paired.cases,
    "group": group.cases,
    "oriented": oriented.cases,
    "parsing": parsing.cases,
    "hostile": parsing.hostile,
    "step": step.cases,
    "trainers": trainers.cases,
    "startup": startup.cases,
}
OTHERS = {"accuracy": oriented_accuracy.rows, "file": scored_file.rows, "forms": forms.rows}  # not side by side
NAMES = (*FAMILIES, *OTHERS)
ON_CUDA = ("paired", "group", "oriented")
WITH_PEAKS = ("paired", "oriented")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(NAMES), help=f"some of {', '.join(NAMES)}")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="results.json, tables.md, performance.png")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", dest="sizes", action="store_const", const="quick", help="tiny: to see that all runs")
    size.add_argument("--large", dest="sizes", action="store_const", const="large", help="up to 16 M pairs")
    parser.add_argument("--repeats", type=int, default=15, help="fewer where the machine is slow or busy")
    parser.add_argument("--docs", action="store_true", help="put tables and plot into docs/performance.md too")
    parser.set_defaults(sizes="full")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(NAMES)
    if unknown:
        parser.error(f"--only knows {', '.join(NAMES)}, not {', '.join(sorted(unknown))}.")
    if options.docs and (options.only != parser.get_default("only") or options.sizes == "quick"):
        parser.error("--docs shows a whole run: leave out --only and --quick.")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no CUDA device.")
    if options.device == "cuda" and options.sizes == "full":
        options.sizes = "large"  # a GPU is full from some millions of pairs on
    return options


def peak_memory(family: str, sizes: str, device: str) -> dict[Key, float]:
    """Of a family's large cases; on a CPU in a fresh process, where the process's own count is exact."""
    if device == "cuda":
        return peaks(FAMILIES[family](sizes, device), device)
    with ProcessPoolExecutor(1, get_context("spawn"), give_back_at_once) as fresh:
        return fresh.submit(_peaks, family, sizes).result()


def _peaks(family: str, sizes: str) -> dict[Key, float]:
    torch.set_num_threads(1)
    return peaks(FAMILIES[family](sizes, "cpu"), "cpu")


def main() -> None:
    options = arguments()
    torch.set_num_threads(1)
    repeats = 2 if options.sizes == "quick" else options.repeats
    left_out: dict[str, str] = {}
    versions: dict[str, str] = {}
    rows = []
    families = [name for name in options.only.split(",") if options.device == "cpu" or name in ON_CUDA]
    for family in families:
        rows += OTHERS[family](options.sizes) if family in OTHERS else []
        for case in FAMILIES[family](options.sizes, options.device) if family in FAMILIES else ():
            rows += measure(case, options.device, repeats, left_out, versions)
        if family in WITH_PEAKS and options.sizes != "quick":
            found = peak_memory(family, options.sizes, options.device)
            for row in rows:
                row["peak_ratio"] = found.get((row["case"], row["size"], row["who"]), row["peak_ratio"])
        show(tables([row for row in rows if row["family"] == family]))
    results = {"machine": machine(options.device, repeats), "peers": versions, "left out": left_out, "rows": rows}
    for name, reason in left_out.items():
        print(f"left out: {name} ({reason})")
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    picture = "performance_cuda.png" if options.device == "cuda" else "performance.png"
    save_plot(rows, options.out / picture)
    update_page(results, options.out / "tables.md", picture)
    if options.docs:
        docs = Path(__file__).parent.parent / "docs"
        save_plot(rows, docs / picture)
        update_page(results, docs / "performance.md", picture, options.device)


if __name__ == "__main__":
    main()
