"""The study at two steps: that it runs, takes up where it was cut off and writes its page; and its estimator."""

import importlib.util
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import scipy.stats
import torch
from torch.distributions import Normal

import rsreward

STUDY = Path(__file__).parents[2] / "benchmarks" / "study"


@pytest.fixture(scope="module")
def study():
    """The program, with its modules importable by their names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STUDY)
        spec = importlib.util.spec_from_file_location("study_run", STUDY / "run.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "study_run", module)
        spec.loader.exec_module(module)
        patch.setattr(module, "QUICK", {"seeds": 2, "targets": 2, "steps": 2, "scenes": 8, "warmup": 1})
        yield module


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    """Where a whole run has been."""
    folder = tmp_path_factory.mktemp("study")
    run(study, folder)
    return folder


def run(study, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["run.py", "--quick", "--out", str(folder)])
        study.main()


def places(page):
    return sorted(line for line in page.read_text().splitlines() if line.startswith("<!-- "))


def test_a_second_call_does_only_what_is_missing_and_gives_the_same(study, folder, capsys):
    page = (folder / "study.md").read_text()
    figures = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    lost = sorted((folder / "shared").iterdir())[3]
    row = pq.read_table(lost).to_pylist()[0]
    lost.unlink()
    run(study, folder)
    told = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[1] for line in told if line.endswith(" to do")] == ["0 to do", "0 to do", "1 to do"]
    assert pq.read_table(lost).to_pylist()[0] | {"seconds": 0} == row | {"seconds": 0}
    assert (folder / "study.md").read_text() == page
    assert {path.name: path.read_bytes() for path in (folder / "figures").iterdir()} == figures
    assert row["seeds"] == [0, 1]
    assert (row["rsreward"], row["torch"]) == (rsreward.__version__, torch.__version__)


def test_the_page_has_a_place_for_every_table(folder):
    assert places(STUDY.parents[1] / "docs" / "study.md") == places(folder / "study.md")


def test_a_page_without_a_place_is_refused_and_the_rest_of_a_page_is_kept(study, tmp_path):
    from page import update_page

    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- a -->\nold\n<!-- /a -->\nAfter.\n")
    update_page(page, {"a": "new"})
    assert page.read_text() == "Before.\n<!-- a -->\nnew\n<!-- /a -->\nAfter.\n"
    with pytest.raises(ValueError, match="no place <!-- b -->"):
        update_page(page, {"b": "new"})


def test_the_estimator_is_the_gradient_of_the_expected_reward(study):
    """Of r(x) = c x - |x - t|^2 it is c - 2 (mu - t); less the group's own mean it is (G - 1) / G of that."""
    from policy import policy_gradient

    draw = torch.Generator().manual_seed(0)
    mean, sigma, group = torch.tensor([0.5, -1.0]), torch.tensor([0.3, 0.6]), 8
    slope, best = torch.tensor([1.0, -2.0]), torch.tensor([0.2, 0.4])
    noise = torch.randn(200_000, group, 2, generator=draw)
    x = mean + sigma * noise
    rewards = x @ slope - (x - best).square().sum(-1)
    estimates = policy_gradient(rewards - rewards.mean(-1, keepdim=True), noise, sigma)
    expected = (group - 1) / group * (slope - 2 * (mean - best))
    error = estimates.std(0) / len(estimates) ** 0.5
    assert ((estimates.mean(0) - expected).abs() < 4 * error).all()


def test_the_estimator_is_autograd_of_the_advantages_times_log_probabilities(study):
    from policy import group_advantages, policy_gradient

    draw = torch.Generator().manual_seed(0)
    mean, sigma = torch.randn(5, 4, generator=draw, requires_grad=True), torch.tensor([0.1, 0.2, 0.3, 0.4])
    noise = torch.randn(5, 8, 4, generator=draw)
    advantages = group_advantages(torch.rand(5, 8, generator=draw))
    x = (mean.unsqueeze(1) + sigma * noise).detach()
    (advantages * Normal(mean.unsqueeze(1), sigma).log_prob(x).sum(-1)).mean(1).sum().backward()
    assert torch.allclose(policy_gradient(advantages, noise, sigma), mean.grad, atol=1e-5)


def test_a_target_out_of_reach_has_no_gradient_by_iou_and_has_one_by_the_positional_reward(study):
    from boxes import Boxes
    from boxes import run as train

    small = {"distance": 3.0, "seeds": 2, "targets": 8, "steps": 200, "noise": 0.25}
    iou, positional = (train(Boxes(reward, **small)) for reward in ("iou", "center"))
    assert iou["silent"] == [1, 1]
    assert max(iou["miou"]) == 0
    assert positional["silent"] == [0, 0]
    assert min(positional["miou"]) > 0.3


def test_controls_have_the_means_that_they_are_named_for(study):
    from shared import WEIGHTS

    overlap = torch.rand(3, 16, 8, generator=torch.Generator().manual_seed(0)) ** 3
    paper = WEIGHTS["paper"](overlap)
    assert torch.allclose(WEIGHTS["constant"](overlap), paper.mean(1, keepdim=True).expand(-1, 16))
    for seed in range(3):
        expected = rsreward.consistency_weight(overlap[seed], normalize=True)
        assert torch.allclose(WEIGHTS["normalized"](overlap)[seed], expected)
    assert torch.allclose(WEIGHTS["inverse"](overlap).mean(1), torch.ones(3))
    assert torch.allclose(WEIGHTS["univg"](overlap), (1 - overlap.mean(-1)).exp())
    assert set(WEIGHTS["none"](overlap).flatten().tolist()) == {1.0}


def test_intervals_are_students(study):
    from policy import interval

    values = torch.rand(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    middle, half = interval(values)
    low, high = scipy.stats.t.interval(0.95, 19, loc=values.mean(), scale=scipy.stats.sem(values))
    assert (middle - half, middle + half) == pytest.approx((low, high))


def test_an_unknown_section_is_refused(study, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "boxes,nothing"])
    with pytest.raises(SystemExit):
        study.main()
    assert "--only knows boxes, hacks, shared, not nothing." in capsys.readouterr().err
