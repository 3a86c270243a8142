"""Advantages do not depend on the number of processes, and a process that stops leaves no hang of ours."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from ranks import FAULTS, SETUPS
from rsreward_trl.rewards import _ALL_LOG

RANKS = Path(__file__).with_name("ranks.py")


def run(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", RANKS, folder, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}, capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def trained(folder, *worlds, setups=tuple(SETUPS)):
    """What each rank of each world wrote down."""
    run(folder, *map(str, worlds), "--setups", *setups)
    return {
        world: [json.loads((folder / f"{world}-{rank}.json").read_text()) for rank in range(world)] for world in worlds
    }


def of_all_ranks(ranks, generation, name):
    """The rollouts of one generation, in the order of the ranks."""
    return [value for seen in ranks for value in seen[generation][name]]


def iou(text, target):
    """Of a box that is as high as the true one: the overlap of two stretches."""
    found = re.search(r"\[(.*), .*, (.*), .*\]", text)
    if found is None:
        return 0.0
    (a, b), (x1, _, x2, _) = map(float, found.groups()), target
    both = max(0.0, min(b, x2) - max(a, x1))
    return both / (b - a + x2 - x1 - both)


def closed_form(generation):
    """exp(1.2 (1 - mean) + variance) of the group of each rollout, in [0.5, 3]; 1 for a group without targets."""
    weights, size = [], generation["size"]
    rows = list(zip(generation["texts"], generation["targets"], strict=True))
    for start in range(0, len(rows), size):
        group, weight = rows[start : start + size], torch.tensor(1.0, dtype=torch.float64)
        if all(target is not None for _, target in group):
            ious = torch.tensor([iou(*row) for row in group], dtype=torch.float64)
            weight = torch.exp(1.2 * (1 - ious.mean()) + ious.var(correction=0)).clamp(0.5, 3)
        weights += [weight.item()] * size
    return torch.tensor(weights)


def check_single(name, told):
    """One process: the weight of each group is the closed form of its answers."""
    for generation in told["seen"]:
        plain, weighted, weight = (
            torch.tensor(generation["plain"]),
            torch.tensor(generation["weighted"]),
            closed_form(generation),
        )
        assert plain.abs().max() > 0.5, name
        assert weight.max() - weight.min() > 0.05 or len(weight) == generation["size"], name
        assert torch.allclose(weighted, plain * weight, atol=1e-5), name
        assert generation["logged"][-len(weighted) :] == pytest.approx(generation["weighted"], abs=1e-6), name


def check_equal(name, alone, ranks):
    """Several processes: the same questions and answers in the same order, and the same advantages to 1e-6."""
    for part in ("seen", "resumed") if "resumed" in alone else ("seen",):
        of_ranks = [told[part] for told in ranks]
        assert {len(seen) for seen in of_ranks} == {len(alone[part])}, name
        for number, generation in enumerate(alone[part]):
            count = len(generation["texts"])
            assert {seen[number]["step"] for seen in of_ranks} == {generation["step"]}
            for what in ("texts", "targets"):  # accelerate fills the last batch of an evaluation with its first rows
                assert of_all_ranks(of_ranks, number, what)[:count] == generation[what], (name, number, what)
            for what in ("plain", "weighted"):
                values = of_all_ranks(of_ranks, number, what)
                assert values[:count] == pytest.approx(generation[what], abs=1e-6), (name, number, what)
            for seen in of_ranks:
                assert seen[number]["logged"] == pytest.approx(values, abs=1e-6), (name, number)
    for told in ranks:
        assert told["watched"], name
        for metric in ("consistency/weight_mean", "consistency/iou_mean", "rewards/positional_reward/mean"):
            assert told["logs"][metric] == pytest.approx(alone["logs"][metric], abs=1e-6), (name, metric)
        assert _ALL_LOG or 0 < told["logs"]["positional_reward/iou"] < 1, name  # not NaN where a rank has no target


def check_collectives(ranks):
    """All ranks call the same collectives in the same order, and the weight adds one a generation."""
    calls = [rank["calls"] for rank in ranks]
    assert all(each == calls[0] for each in calls)
    added = Counter(calls[0]["Weighted"]) - Counter(calls[0]["Unweighted"])
    assert sum(added.values()) == len(calls[0]["Weighted"]) - len(calls[0]["Unweighted"]) == 1
    assert next(iter(added)).startswith("all_gather [")


def check(worlds):
    [alone] = worlds.pop(1)
    for name, told in alone["setups"].items():
        check_single(name, told)
        for ranks in worlds.values():
            check_equal(name, told, [rank["setups"][name] for rank in ranks])
    for ranks in worlds.values():
        check_collectives(ranks)


def test_two_processes_with_groups_split_and_targets_missing_on_one_rank_are_as_one_process(tmp_path):
    check(trained(tmp_path, 1, 2, setups=["groups split", "questions without a target"]))


@pytest.mark.slow
def test_two_and_four_processes_are_as_one_process_in_every_setup(tmp_path):
    worlds = trained(tmp_path, 1, 2, 4)
    [alone] = worlds[1]
    sizes = [len(generation["texts"]) for generation in alone["setups"]["other groups in evaluation"]["seen"]]
    assert sizes == [8, 8, 6]  # one to train on, two to measure
    assert [len(g["texts"]) for g in alone["setups"]["a last batch that is cut"]["seen"]] == [12, 12, 12, 4]
    whole, rest = (alone["setups"]["resumed"][part] for part in ("seen", "resumed"))
    assert rest == whole[2:]
    check(worlds)


@pytest.mark.slow
def test_a_rank_that_stops_leaves_no_hang_of_ours(tmp_path):
    run(tmp_path, "--faults")
    ends = json.loads((tmp_path / "faults.json").read_text())
    assert ends == {f"{fault} {place}": 1 for fault, place in FAULTS}
    for fault, place in FAULTS:
        assert (tmp_path / f"{fault} {place} reached").exists()
        told = (tmp_path / f"{fault} {place} 0").read_text()
        assert "imed out" in told if fault == "stands still" else "peer" in told, told
