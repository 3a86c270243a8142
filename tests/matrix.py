"""With which versions does it work? Each cell is an environment of its own, kept in .venv-matrix, and runs some tests.

    python tests/matrix.py [--only CELL ...] [--docs]

A cell installs the checkout with its extras, so that pip holds pyproject.toml's ranges against the cell's pins; what is
not pinned is the newest that pip finds. `--docs` writes the table into docs/trust.md. A cell whose Python is not on
PATH is left out, and the table says so.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
ENVIRONMENTS = ROOT / ".venv-matrix"
RESULTS = ROOT / "runs/matrix.json"
SHOWN = ("torch", "numpy", "scipy", "trl", "transformers", "peft", "verl", "ray")
VERSIONS = f"""
import json, platform, importlib.metadata as m
found = {{"python": platform.python_version()}}
for name in {SHOWN}:
    try: found[name] = m.version(name)
    except m.PackageNotFoundError: pass
print(json.dumps(found))"""
BEGIN, END = "<!-- matrix -->\n", "<!-- end of matrix -->"

WITHOUT_KERNELS = (
    "--ignore=tests/core/fast/test_triton.py",
    "--ignore=tests/core/fast/test_builds.py",
    "-k",
    "not cuda",
)
CORE = ("tests/core", "rsreward", *WITHOUT_KERNELS)
TRL = ("tests/trl", "integrations/rsreward_trl")
VERL = (
    "tests/verl",
    "tests/test_parity.py",
    "integrations/rsreward_verl/weights.py",
    "--ignore=tests/verl/test_ray.py",
    "-m",
    "not slow",
)
OLD_VERL = (*VERL, "--ignore=tests/verl/test_settings.py")  # whose configurations are those of verl 0.9


@dataclass(frozen=True)
class Cell:
    """An environment, by what it must hold, and the tests that run in it."""

    python: str
    extras: str
    pins: tuple[str, ...]
    tests: tuple[str, ...]


CELLS = {
    "core-lowest": Cell("3.11", "matching", ("torch==2.5.1", "numpy==1.26.0", "scipy==1.11.1"), CORE),
    "core-newest": Cell("3.13", "matching", (), CORE),
    "trl-lowest": Cell("3.11", "trl", ("torch==2.13.0", "trl==1.0.0", "transformers==5.5.0"), TRL),
    "trl-newest": Cell("3.12", "trl", (), TRL),
    "verl-lowest": Cell(
        "3.11",
        "verl,trl,tools",
        ("torch==2.13.0", "verl==0.7.1", "transformers==5.5.0", "pyarrow==21.0.0"),  # verl 0.7 holds numpy below 2
        OLD_VERL,
    ),
    "verl-newest": Cell("3.11", "verl,trl,tools", ("torch==2.13.0",), VERL),
}


def install(name: str, cell: Cell, python: str) -> Path:
    """The cell's Python, with everything installed."""
    folder = ENVIRONMENTS / name
    ready, wanted = folder / "ready.json", json.dumps([cell.python, cell.extras, cell.pins])
    if not ready.exists() or ready.read_text() != wanted:
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        tests = "pytest", "hypothesis", "shapely", "psutil"
        subprocess.run([*pip, "--editable", f"{ROOT}[{cell.extras}]", *cell.pins, *tests], check=True)
        ready.write_text(wanted)
    return folder / "bin/python"


def run(name: str, cell: Cell) -> dict:
    """What the cell's tests say, and with which versions."""
    found = {"date": datetime.datetime.now(datetime.UTC).date().isoformat(), **asdict(cell)}
    python = shutil.which(f"python{cell.python}")
    if python is None or subprocess.run([python, "--version"], capture_output=True).returncode:
        return found | {"fault": f"python{cell.python} is not on PATH"}
    try:
        python = str(install(name, cell, python))
    except subprocess.CalledProcessError as error:
        return found | {"fault": f"pip could not install it, exit code {error.returncode}"}
    found["versions"] = json.loads(subprocess.run([python, "-c", VERSIONS], capture_output=True, check=True).stdout)
    report = ENVIRONMENTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    options = f"--junitxml={report} -p no:cacheprovider --tb=short"
    environment = os.environ | {"PYTHONPATH": "", "PYTEST_ADDOPTS": options}
    subprocess.run([python, "-m", "pytest", *cell.tests], cwd=ROOT, env=environment)
    if not report.exists():
        return found | {"fault": "pytest did not start"}
    cases = list(ElementTree.parse(report).iter("testcase"))  # noqa: S314  # pytest's own
    failed = [f"{c.get('classname')}::{c.get('name')}" for c in cases if {"failure", "error"} & {e.tag for e in c}]
    skipped = sum(e.tag == "skipped" for c in cases for e in c)
    return found | {"passed": len(cases) - len(failed) - skipped, "skipped": skipped, "failed": failed}


def table(results: dict[str, dict]) -> str:
    """The results as a table in Markdown."""
    columns = ["tests", "Python", *SHOWN, "passed", "failed", "skipped", "on"]
    lines = [columns, ["---"] * len(columns)]
    for name, found in results.items():
        versions = found.get("versions", {"python": found["python"]})
        counts = (
            [found["passed"], len(found["failed"]), found["skipped"]] if "passed" in found else [found["fault"], "", ""]
        )
        lines.append([name, *(versions.get(each, "") for each in ("python", *SHOWN)), *counts, found["date"]])
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=CELLS, default=list(CELLS), help="cells to run; default: all")
    parser.add_argument("--docs", action="store_true", help="write the table into docs/trust.md")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in arguments.only:
        print(f"== {name}", flush=True)
        results[name] = run(name, CELLS[name])
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps({n: results[n] for n in CELLS if n in results}, indent=1) + "\n")
    told = table({n: results[n] for n in CELLS if n in results})
    print(told)
    if arguments.docs:
        page = ROOT / "docs/trust.md"
        before, rest = page.read_text().split(BEGIN)
        page.write_text(before + BEGIN + told + END + rest.split(END)[1])
    sys.exit(any(results[name].get("failed") or "fault" in results[name] for name in arguments.only))


if __name__ == "__main__":
    main()
