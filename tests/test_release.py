"""What is released: the same bytes from the same files, nothing missing, and nothing that runs what it reads."""

import ast
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*ROOT.glob("rsreward/**/*.py"), *ROOT.glob("integrations/**/*.py")])


def build(source, out):
    """The hashes of the archives that hatchling makes of a checkout."""
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-d", out], cwd=source, check=True, capture_output=True)
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in out.iterdir()}


@pytest.fixture(scope="module")
def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="module")
def copies(tracked, tmp_path_factory):
    """Two checkouts of the same files, written in another order at another time under another umask."""
    folders = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("another")
    for folder, names, mode, when in zip(
        folders, (tracked, tracked[::-1]), (0o644, 0o600), (1.5e9, 1.7e9), strict=True
    ):
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, path)
            path.chmod(mode)
            os.utime(path, (when, when))
    return folders


def test_the_same_files_give_the_same_bytes(copies, tmp_path):
    first, second = (build(folder, tmp_path / folder.name) for folder in copies)
    assert len(first) == 2
    assert first == second


def test_the_archive_of_sources_holds_what_git_holds_and_makes_the_same_wheel(copies, tracked, tmp_path):
    hashes = build(copies[0], tmp_path / "dist")
    [archive] = (tmp_path / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as sources:
        sources.extractall(tmp_path, filter="data")
    unpacked = tmp_path / archive.name.removesuffix(".tar.gz")
    held = {str(path.relative_to(unpacked)) for path in unpacked.rglob("*") if path.is_file()}
    assert {name for name in tracked if not name.startswith(".")} == held - {"PKG-INFO", ".gitignore"}
    again = build(unpacked, tmp_path / "again")
    assert [again[name] == hashes[name] for name in hashes if name.endswith(".whl")] == [True]


def test_no_import_opens_a_socket():
    code = """
import socket
def refuse(*arguments, **options):
    raise AssertionError(f"a socket was opened: {arguments[1:]}")
socket.socket.__init__ = socket.getaddrinfo = refuse
import rsreward, rsreward_trl, rsreward_verl.reward, rsreward_verl.settings
import rsreward_tools.cli.main, rsreward_qwen_vl.commands
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def imported(tree):
    """The packages that a file imports, here or there."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


RUNS = {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
REACHES = {"socket", "urllib", "http", "ftplib", "smtplib", "requests", "httpx", "aiohttp", "openai", "wandb"}
REACHES |= {"trackio", "sentry_sdk", "posthog"}
ALLOWED = {
    "integrations/rsreward_tools/data/layouts/refer.py": {"pickle"},  # refuses all but plain data
    "integrations/rsreward_qwen_vl/asking.py": {"openai"},  # the server that the user names
    "integrations/rsreward_qwen_vl/cot/teacher.py": {"openai"},
    "integrations/rsreward_qwen_vl/gallery.py": {"wandb", "trackio"},  # where the user's `report_to` has them
}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "torch.load"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_source_runs_what_it_reads_and_none_reaches_out_unasked(path):
    tree, allowed = ast.parse(path.read_text()), ALLOWED.get(str(path.relative_to(ROOT)), set())
    assert set(imported(tree)) & (RUNS | REACHES) == allowed
    calls = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert not calls & (CALLS | {"yaml.load", "yaml.unsafe_load"})
