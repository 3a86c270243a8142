"""The study: which reward, which weight? See docs/study.md.

python benchmarks/study/run.py                     # all that is missing, then the tables and figures of docs/study.md
python benchmarks/study/run.py --only shared       # one section
python benchmarks/study/run.py --quick             # few seeds and steps, into runs/study-quick; docs/ stays as it is

A section is a module with `configs()`, its runs as frozen dataclasses with a field `seeds`, their number, and
`run(config)`, which returns figures by name, each with a value for every seed. Where a run takes minutes, it has one
`seed`, and `run(config, models)` may keep trained models in a folder. A section also has a function
`blocks(results, figures)`, which returns Markdown by the name of its place in the page and draws into the folder
`figures`. SECTIONS lists them.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, fields, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from types import ModuleType
from typing import Any

import boxes
import boxes_tables
import evidence
import hacks
import photos
import photos_tables
import qwen
import qwen_tables
import shared
import shared_tables
import torch
from page import update_page
from store import Result, Store

ROOT = Path(__file__).parents[2]
QUICK = {"seeds": 4, "targets": 10, "steps": 40}  # what is smaller with --quick, where a configuration has it


@dataclass(frozen=True)
class Section:
    """What to run and how to tell it."""

    module: ModuleType
    blocks: Callable[[list[Result], Path], dict[str, str]]
    trains: bool = False  # whether its runs share trained models


SECTIONS = {
    "boxes": Section(boxes, boxes_tables.blocks),
    "hacks": Section(hacks, boxes_tables.hack_blocks),
    "shared": Section(shared, shared_tables.blocks),
    "qwen": Section(qwen, qwen_tables.blocks, trains=True),
    "photos": Section(photos, photos_tables.blocks, trains=True),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(SECTIONS), help=f"some of {', '.join(SECTIONS)}")
    parser.add_argument("--out", type=Path, help="where the finished runs are kept (runs/study)")
    parser.add_argument("--page", type=Path, help="the page to write into (docs/study.md); figures go beside it")
    parser.add_argument("--photos", default=os.environ.get(photos.FOLDER), help="the folder of the KIT AIS photographs")
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time; each takes a core")
    parser.add_argument("--finished", action="store_true", help="run nothing: tables of the runs that are there")
    parser.add_argument("--quick", action="store_true", help="few seeds and steps: to see that all runs")
    options = parser.parse_args()
    unknown = set(options.only.split(",")) - set(SECTIONS)
    if unknown:
        parser.error(f"--only knows {', '.join(SECTIONS)}, not {', '.join(sorted(unknown))}.")
    folder = ROOT / "runs" / ("study-quick" if options.quick else "study")
    options.out = options.out or folder
    if options.photos:
        os.environ[photos.FOLDER] = options.photos  # for the jobs too
    options.page = options.page or (options.out / "study.md" if options.quick else ROOT / "docs" / "study.md")
    return options


def smaller(config: Any) -> Any:
    """The quick form of a configuration of a section that does not say its own."""
    return replace(config, **{field.name: QUICK[field.name] for field in fields(config) if field.name in QUICK})


def results_of(name: str, store: Store, options: argparse.Namespace) -> list[Result]:
    """The section's results by the configurations as they are listed. What is not on disk yet is run."""
    module = SECTIONS[name].module
    quick = getattr(module, "quick", smaller)
    done_as = {config: quick(config) if options.quick else config for config in module.configs()}
    missing = [config for config in dict.fromkeys(done_as.values()) if not store.path(name, config).exists()]
    print(f"{name}: {len(done_as)} runs, {len(missing)} to do", flush=True)
    if options.finished:
        missing = []
    with ProcessPoolExecutor(options.jobs, get_context("spawn")) if options.jobs > 1 else nullcontext() as pool:
        seconds = (pool.map if pool else map)(partial(make, name, store.folder), missing)
        for count, (config, took) in enumerate(zip(missing, seconds, strict=True), 1):
            print(f"{name} {count}/{len(missing)} {took:.1f} s  {config}", flush=True)
    there = {config: done for config, done in done_as.items() if store.path(name, done).exists()}
    return [Result(config, store.read(name, done)) for config, done in there.items()]


def make(name: str, folder: Path, config: Any) -> float:
    """Do one run; returns its seconds."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    section = SECTIONS[name]
    run = partial(section.module.run, models=folder / "models") if section.trains else section.module.run
    return Store(folder).make(name, run, config)


def main() -> None:
    options = arguments()
    store, figures = Store(options.out), options.page.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    results: dict[str, list[Result]] = {}
    blocks: dict[str, str] = {}
    for name in options.only.split(","):
        if name == "photos" and not options.photos:
            print("photos: left out, as --photos does not name the folder of the photographs; its tables stay")
            continue
        results[name] = results_of(name, store, options)
        blocks |= SECTIONS[name].blocks(results[name], figures)
    if results.keys() >= set(evidence.NEEDED):
        evidence.draw(results, figures / "study_evidence.svg")
    if options.quick:
        options.page.unlink(missing_ok=True)
    update_page(options.page, blocks)
    print(f"Tables and figures: {options.page}")


if __name__ == "__main__":
    main()
