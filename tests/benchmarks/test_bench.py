"""The benchmarks at tiny sizes, with the peers that are installed: no time is judged here."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[2]
FAMILIES = ["paired", "group", "oriented", "parsing", "hostile", "step", "trainers", "accuracy", "file", "forms"]


def run(out, *arguments):
    command = [sys.executable, ROOT / "benchmarks" / "run.py", "--quick", "--out", out, *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return json.loads((out / "results.json").read_text())


def disagreeing(rows):
    return [row for row in rows if (row.get("difference") or 0) > 1e-5 and row["computes"] != "an approximation"]


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bench")
    run(folder, "--only", ",".join(FAMILIES))
    return folder


@pytest.fixture(scope="module")
def results(out):
    return json.loads((out / "results.json").read_text())


def test_a_run_leaves_figures_tables_and_a_plot(out, results):
    assert list(dict.fromkeys(row["family"] for row in results["rows"])) == FAMILIES
    assert results["machine"]["torch"] == torch.__version__
    assert "| rsreward positional_reward |" in (out / "tables.md").read_text()
    assert (out / "performance.png").read_bytes().startswith(b"\x89PNG")


def test_peers_give_what_rsreward_gives(results):
    compared = {row["who"] for row in results["rows"] if row.get("difference") is not None}
    assert {"by hand, torch", "by hand, numpy", "a Python loop", "shapely", "lazy patterns"} <= compared
    assert not disagreeing(results["rows"])


def test_a_peer_is_measured_or_left_out_with_the_reason(results):
    measured = {row["who"] for row in results["rows"]}
    assert measured.isdisjoint(results["left out"])
    assert {"torchvision box_iou", "powerboxes iou_distance"} <= measured | set(results["left out"])
    assert all(results["left out"].values())


def test_both_trainers_and_a_file_are_measured(results):
    measured = {row["who"] for row in results["rows"] if row["family"] in ("trainers", "file")}
    assert {"GRPOTrainer with the weight", "compute_score", "this version"} <= measured


def test_the_page_keeps_what_a_person_wrote_around_the_figures(tmp_path, results, monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from report import update_page

    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- cpu -->\nold\n<!-- /cpu -->\nAfter.\n")
    for _ in range(2):
        update_page(results, page, "performance.png", "cpu")
    written = page.read_text()
    assert written.startswith("Before.\n<!-- cpu -->\nMeasured on: ")
    assert written.endswith("\n<!-- /cpu -->\nAfter.\n")
    assert "old" not in written
    with pytest.raises(ValueError, match="no part <!-- cuda -->"):
        update_page(results, page, "performance_cuda.png", "cuda")


def test_targets_and_faster_peers_are_told_from_the_rows(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from targets import CUDA_TARGETS, judged

    ours = {"family": "paired", "case": "the reward", "size": 2**24, "who": "rsreward", "ours": True, "computes": ""}
    peer = ours | {"who": "peer", "ours": False, "times_ours": 0.5}
    targets, faster = judged([ours | {"times_copy": 1.3}, peer], CUDA_TARGETS)
    assert targets == [["paired reward, 16 M: at most 1.2 x copy", "1.30", "NOT met"]]
    assert faster == [["peer: the reward", "16,777,216", "0.50"]]


def test_peak_memory_is_what_a_call_holds_at_once(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from timing import peak_bytes

    peak = peak_bytes(lambda: torch.ones(2**23) + torch.ones(2**23), "cpu")
    if peak is None:
        pytest.skip("this system does not tell")
    assert peak == pytest.approx(3 * 4 * 2**23, rel=0.1)


def test_the_help_has_an_example():
    command = [sys.executable, ROOT / "benchmarks" / "run.py", "--help"]
    assert (
        "python benchmarks/run.py --only" in subprocess.run(command, check=True, capture_output=True, text=True).stdout
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_the_same_on_cuda(tmp_path):
    results = run(tmp_path, "--device", "cuda")
    assert [*dict.fromkeys(row["family"] for row in results["rows"])] == ["paired", "group", "oriented"]
    assert "GPU" in results["machine"]
    assert not disagreeing(results["rows"])
