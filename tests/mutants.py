"""Do the tests notice when a formula of the core is wrong? Small edits, one at a time, each in a copy of the tree.

    python tests/mutants.py [--only rsreward/boxes.py ...] [--share 0.2 --seed 0] [--jobs 2] [--out runs/mutants.jsonl]

Edits are made from the syntax tree: operators and comparisons exchanged, numbers changed, minimum and maximum
exchanged, clamps removed, results multiplied by 0.9. A mutant is killed if the tests of its file fail or do not end in
time; where a formula exists several times, only the tests that compare it with an oracle or the plain formula count,
so an error in the plain one must be seen by an oracle. Everything big is imported once, and each mutant runs in a fork.

What is in the file of results is not run again. Survivors that change nothing anybody could measure stand in
`mutants_equivalent.txt` with the reason; the others are listed.
"""

import argparse
import ast
import compileall
import json
import os
import random
import resource
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.txt")
BIG = ["torch.fx.experimental.proxy_tensor", "scipy.optimize", "shapely", "hypothesis.strategies", "triton.language"]
PLAIN, CPU, CUDA = "not cpu-float and not cuda-float", "not plain-float and not cuda-float", "cuda-float or test_triton"
TESTS = {
    "rsreward/boxes.py": (["test_boxes.py", "test_positional.py"], PLAIN),
    "rsreward/positional.py": (["test_positional.py", "test_oriented.py"], PLAIN),
    "rsreward/oriented.py": (["test_oriented.py"], PLAIN),
    "rsreward/consistency.py": (["test_consistency.py"], PLAIN),
    "rsreward/pointing.py": (["test_pointing.py"], PLAIN),
    "rsreward/matching/rows.py": (["test_matching.py", "test_labels.py"], PLAIN),
    "rsreward/matching/reward.py": (["test_matching.py", "test_labels.py"], PLAIN),
    "rsreward/matching/counts.py": (["test_matching.py", "test_conventions.py", "test_labels.py"], PLAIN),
    "rsreward/matching/average_precision.py": (["test_labels.py"], PLAIN),
    "rsreward/metrics/grounding.py": (["test_metrics.py"], PLAIN),
    "rsreward/metrics/conventions.py": (["test_metrics.py", "test_conventions.py"], PLAIN),
    "rsreward/metrics/tally.py": (["test_tally.py"], PLAIN),
    "rsreward/fast/cpu.py": (["test_boxes.py", "test_positional.py", "test_consistency.py", "fast/test_cpu.py"], CPU),
    "rsreward/fast/cpu_oriented.py": (["test_oriented.py", "fast/test_cpu.py"], CPU),
    "rsreward/fast/triton/paired.py": (["test_boxes.py", "test_positional.py", "fast/test_triton.py"], CUDA),
    "rsreward/fast/triton/oriented.py": (["test_oriented.py", "fast/test_triton.py"], CUDA),
    "rsreward/fast/triton/group.py": (["test_consistency.py", "fast/test_triton.py"], CUDA),
}
RESULTS = {"iou", "_iou", "oriented_iou", "positional_reward", "reward", "paired_kernel", "oriented_kernel"}
SIZES = {"BLOCK", "CHUNK", "BROADCAST_CHUNK"}  # they change the speed alone
EXCHANGED = [
    (ast.Add, ast.Sub), (ast.Mult, ast.Div), (ast.BitAnd, ast.BitOr), (ast.Lt, ast.LtE), (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
]  # fmt: skip
OTHER = dict(EXCHANGED) | {b: a for a, b in EXCHANGED}
OPPOSITE = {"minimum": "maximum", "maximum": "minimum", "amin": "amax", "amax": "amin", "min": "max", "max": "min"}


class Mutant(NamedTuple):
    """One edit: its file, a name that stays the same while the code does, and the number of the node."""

    file: str
    name: str
    number: int
    always: bool  # the result of a reward or an overlap times 0.9: in every sample


def edit(node: ast.AST) -> tuple[str, ast.AST] | None:
    """What becomes of one node: the kind of edit and the node instead."""
    changed = deepcopy(node)
    if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in OTHER:
        changed.op = OTHER[type(node.op)]()
        return "operator", changed
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        changed.ops[0] = OTHER[type(node.ops[0])]()
        return "comparison", changed
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        changed.value = node.value * 2 if node.value else 1
        return "number", changed
    elif isinstance(node, ast.Attribute) and node.attr in OPPOSITE:
        changed.attr = OPPOSITE[node.attr]
        return "opposite", changed
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.startswith("clamp"):
        return "no clamp", node.func.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "store":
        changed.args[1] = ast.BinOp(ast.Constant(0.9), ast.Mult(), changed.args[1])
        return "times 0.9", changed
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Call | ast.BinOp | ast.Name):
        changed.value = ast.BinOp(ast.Constant(0.9), ast.Mult(), changed.value)
        return "times 0.9", changed
    return None


def nodes(tree: ast.AST, inside: str = "") -> Iterator[tuple[ast.AST, str]]:
    """Every node and the function that it stands in, but for numbers that change the speed alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in SIZES:
            continue
        name = node.name if isinstance(node, ast.FunctionDef) else inside
        yield node, name
        yield from nodes(node, name)


def mutants(file: str) -> Iterator[Mutant]:
    seen = Counter[str]()
    for number, (node, inside) in enumerate(nodes(ast.parse((ROOT / file).read_text()))):
        if edited := edit(node):
            kind, instead = edited
            name = f"{file} {inside} {kind}: {ast.unparse(node)} -> {ast.unparse(instead)}"
            seen[name] += 1
            name += f" ({seen[name]})" if seen[name] > 1 else ""
            yield Mutant(file, name, number, kind == "times 0.9" and inside in RESULTS)


def source_of(mutant: Mutant) -> str:
    """The whole module with the edit in it."""
    tree = ast.parse((ROOT / mutant.file).read_text())
    original, _ = [*nodes(tree)][mutant.number]
    _, instead = edit(original) or ("", original)
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is original:
                setattr(parent, field, instead)
            elif isinstance(value, list) and any(each is original for each in value):
                value[[each is original for each in value].index(True)] = instead
    return ast.unparse(ast.fix_missing_locations(tree))


def run_tests(tree: Path, file: str, seconds: int) -> int:
    """The tests of this file, in this tree, in a fork that may take so much processor time. Returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        os.chdir(tree)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        sys.path.insert(0, str(tree))
        names, chosen = TESTS[file]
        options = ["-x", "--no-header", "-p", "no:cacheprovider", "-k", chosen]
        status = int(pytest.main([*options, *(f"tests/core/{name}" for name in names)]))
    finally:
        os._exit(status)


def copy_of_tree(folder: Path) -> Path:
    for part in ("rsreward", "tests/core"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    for part in ("pyproject.toml", "tests/conftest.py"):
        shutil.copy2(ROOT / part, folder / part)
    compileall.compile_dir(folder / "rsreward", quiet=1)
    return folder


class Results:
    """A line of JSON for each run: the name, whether a test failed, and the seconds of processor time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text().splitlines() if path.exists() else []
        self.known: dict[str, tuple[bool, float]] = {
            name: (failed, used) for name, failed, used in map(json.loads, lines)
        }

    def wait(self, names: dict[int, str]) -> int:
        """For the first of these forks to end. Returns its pid."""
        pid, status, usage = os.wait3(0)
        self.known[names[pid]] = failed, used = status != 0, round(usage.ru_utime + usage.ru_stime, 1)
        with self.path.open("a") as file:
            file.write(json.dumps([names[pid], failed, used]) + "\n")
        return pid


def limit(tree: Path, file: str, results: Results) -> int:
    """Seconds for the tests of this file, which must pass without an edit: twice what they take then, and more."""
    name = f"{file} without an edit"
    if name not in results.known:
        results.wait({run_tests(tree, file, 3600): name})
    failed, used = results.known[name]
    if failed:
        raise SystemExit(f"The tests of {file} fail without any edit.")
    return round(10 + 2 * used)


def run(todo: list[Mutant], jobs: int, results: Results) -> None:
    with tempfile.TemporaryDirectory() as folder:
        free = [copy_of_tree(Path(folder, str(job))) for job in range(jobs)]
        limits = {file: limit(free[0], file, results) for file in sorted({mutant.file for mutant in todo})}
        running: dict[int, tuple[Mutant, Path]] = {}
        while todo or running:
            while todo and free:
                mutant, tree = todo.pop(), free.pop()
                (tree / mutant.file).write_text(source_of(mutant))
                running[run_tests(tree, mutant.file, limits[mutant.file])] = mutant, tree
            mutant, tree = running.pop(results.wait({pid: mutant.name for pid, (mutant, _) in running.items()}))
            shutil.copy2(ROOT / mutant.file, tree / mutant.file)
            free.append(tree)


def equivalent() -> set[str]:
    """Names of mutants that no test can kill."""
    lines = EQUIVALENT.read_text().splitlines() if EQUIVALENT.exists() else []
    return {line for line in lines if line and not line.startswith("#")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", default=list(TESTS), choices=list(TESTS))
    parser.add_argument("--share", type=float, default=1.0, help="of all mutants, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "mutants.jsonl")
    options = parser.parse_args()
    sys.dont_write_bytecode = True  # two edits in a second would be one to the files of bytecode
    os.environ |= {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    for module in BIG:
        if find_spec(module.partition(".")[0]):
            import_module(module)
    every = [mutant for file in options.only for mutant in mutants(file)]
    drawn = [random.Random(f"{options.seed} {mutant.name}").random() < options.share for mutant in every]  # noqa: S311
    sample = [mutant for mutant, chosen in zip(every, drawn, strict=True) if chosen or mutant.always]
    results = Results(options.out)
    todo = [mutant for mutant in sample if mutant.name not in results.known]
    random.Random(options.seed).shuffle(todo)  # noqa: S311
    todo.sort(key=lambda mutant: mutant.always)  # taken from the end
    print(f"{len(sample)} of {len(every)} mutants, {len(todo)} of them to run.", flush=True)
    run(todo, options.jobs, results)
    alive = [mutant.name for mutant in sample if not results.known[mutant.name][0]]
    unexplained = [name for name in alive if name not in equivalent()]
    print(*unexplained, sep="\n")
    print(
        f"{len(sample) - len(alive)} of {len(sample)} mutants were killed, {len(alive) - len(unexplained)} change "
        f"nothing that can be measured, {len(unexplained)} are errors that no test has noticed."
    )


if __name__ == "__main__":
    main()
