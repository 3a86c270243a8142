"""Do the tests notice when a formula of the core is wrong? Small edits, one at a time, each in a copy of the tree.

    python tests/mutants.py [--only rsreward/boxes.py ...] [--out runs/mutants.jsonl] [--seconds 300]

Edits are made from the syntax tree: operators and comparisons exchanged, numbers changed, minimum and maximum
exchanged, clamps removed, results multiplied by 0.9. A mutant is killed if the tests of its file fail or do not end in
time. What is in the file of results is not run again; the report counts all of it and lists the survivors.
"""

import argparse
import ast
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parents[1]
HORIZONTAL = ["test_boxes.py", "test_positional.py", "test_consistency.py", "fast/test_cpu.py"]
TESTS = {
    "rsreward/boxes.py": HORIZONTAL,
    "rsreward/positional.py": ["test_positional.py", "test_oriented.py"],
    "rsreward/oriented.py": ["test_oriented.py"],
    "rsreward/consistency.py": ["test_consistency.py"],
    "rsreward/matching.py": ["test_matching.py"],
    "rsreward/metrics.py": ["test_metrics.py"],
    "rsreward/tally.py": ["test_tally.py"],
    "rsreward/fast/cpu.py": HORIZONTAL,
    "rsreward/fast/cpu_oriented.py": ["test_oriented.py"],
    "rsreward/fast/triton/paired.py": ["test_boxes.py", "test_positional.py", "fast/test_triton.py"],
    "rsreward/fast/triton/oriented.py": ["test_oriented.py", "fast/test_triton.py"],
    "rsreward/fast/triton/group.py": ["test_consistency.py", "fast/test_triton.py"],
}
EXCHANGED = [
    (ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.BitAnd, ast.BitOr), (ast.Lt, ast.LtE), (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
]  # fmt: skip
OTHER = dict(EXCHANGED) | {b: a for a, b in EXCHANGED}
OPPOSITE = {"minimum": "maximum", "maximum": "minimum", "amin": "amax", "amax": "amin", "min": "max", "max": "min"}


def edits(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What may become of one node: the kind of edit and the node instead."""
    changed = deepcopy(node)
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OTHER:
        changed.op = OTHER[type(node.op)]()
        yield "operator", changed
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        changed.ops[0] = OTHER[type(node.ops[0])]()
        yield "comparison", changed
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        changed.value = node.value * 2 if node.value else 1
        yield "number", changed
    elif isinstance(node, ast.Attribute) and node.attr in OPPOSITE:
        changed.attr = OPPOSITE[node.attr]
        yield "opposite", changed
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("clamp"):
        yield "no clamp", node.func.value
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Call | ast.BinOp | ast.Name):
        changed.value = ast.BinOp(ast.Constant(0.9), ast.Mult(), changed.value)
        yield "times 0.9", changed


def mutants(file: str) -> Iterator[tuple[str, str]]:
    """A name that stays the same from run to run, and the source of the whole module."""
    source = (ROOT / file).read_text()
    for number, node in enumerate(ast.walk(ast.parse(source))):
        for kind, instead in edits(node):
            tree = ast.parse(source)
            original = next(each for i, each in enumerate(ast.walk(tree)) if i == number)
            before = ast.unparse(original)
            for parent in ast.walk(tree):
                for field, value in ast.iter_fields(parent):
                    if value is original:
                        setattr(parent, field, instead)
                    elif isinstance(value, list) and any(each is original for each in value):
                        value[[each is original for each in value].index(True)] = instead
            ast.fix_missing_locations(tree)
            yield (
                f"{file}:{node.lineno}:{node.col_offset} {kind}: {before} -> {ast.unparse(instead)}",
                ast.unparse(tree),
            )


def killed(tree: Path, file: str, source: str, seconds: float) -> bool:
    original = (tree / file).read_text()
    (tree / file).write_text(source)
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header"]
    try:
        ran = subprocess.run(
            command + [f"tests/core/{test}" for test in TESTS[file]],
            cwd=tree, env=os.environ | {"PYTHONPATH": str(tree)}, capture_output=True, timeout=seconds,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return True
    finally:
        (tree / file).write_text(original)
    return ran.returncode != 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(TESTS), choices=list(TESTS))
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "mutants.jsonl")
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    known = dict(json.loads(line) for line in options.out.read_text().splitlines()) if options.out.exists() else {}
    todo = [(file, *mutant) for file in options.only for mutant in mutants(file) if mutant[0] not in known]
    with tempfile.TemporaryDirectory() as folder, options.out.open("a") as out, ThreadPoolExecutor(2) as pool:
        trees: Queue[Path] = Queue()
        for name in ("a", "b"):
            for part in ("rsreward", "tests"):
                shutil.copytree(ROOT / part, Path(folder, name, part), ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy(ROOT / "pyproject.toml", Path(folder, name))
            trees.put(Path(folder, name))

        def run(mutant: tuple[str, str, str]) -> None:
            tree = trees.get()
            file, name, source = mutant
            known[name] = killed(tree, file, source, options.seconds)
            out.write(json.dumps([name, known[name]]) + "\n")
            out.flush()
            trees.put(tree)

        list(pool.map(run, todo))
    survivors = [name for name, dead in known.items() if not dead]
    print(*survivors, f"{len(known) - len(survivors)} of {len(known)} mutants were killed.", sep="\n")


if __name__ == "__main__":
    main()
