import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, bootstrap

from rsreward import Tally, paired_differences

RATIOS = {"acc": ("hits", "rows"), "cum": ("inside", "around")}


def rows(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    around = torch.rand(count, generator=generator, dtype=torch.float64) + 0.5
    share = torch.rand(count, generator=generator, dtype=torch.float64)
    return {"hits": (share > 0.4).double(), "inside": share * around, "around": around}


def tally_of(*batches):
    tally = Tally(RATIOS)
    for batch in batches:
        tally.update(batch)
    return tally


@given(st.lists(st.integers(0, 700), max_size=6))
def test_batches_add_up_to_the_whole(sizes):
    whole = rows(sum(sizes))
    parts = [dict(zip(whole, cut, strict=True)) for cut in zip(*(c.split(sizes) for c in whole.values()), strict=True)]
    at_once, in_parts = tally_of(whole), tally_of(*parts)
    assert torch.allclose(at_once.sums, in_parts.sums, rtol=1e-12)
    assert in_parts.rows == sum(sizes)
    assert in_parts.compute()["cum"] == pytest.approx((whole["inside"].sum() / whole["around"].sum()).nan_to_num())


def test_no_rows_give_what_empty_says():
    assert tally_of().compute() == {"acc": 0, "cum": 0}
    assert tally_of().intervals() == {"acc": (0, 0), "cum": (0, 0)}
    assert Tally(RATIOS, empty=1.0).compute() == {"acc": 1, "cum": 1}


def test_intervals_are_those_of_scipys_bootstrap():
    columns = rows(300)
    got = tally_of(columns).intervals(resamples=10000)
    pairs = tuple(columns[name].numpy() for name in ("inside", "around"))
    for name, data, statistic in (
        ("acc", (columns["hits"].numpy(),), lambda hits, axis: hits.mean(axis)),
        ("cum", pairs, lambda inside, around, axis: inside.sum(axis) / around.sum(axis)),
    ):
        options = {
            "n_resamples": 10000,
            "method": "percentile",
            "paired": len(data) > 1,
            "random_state": 0,
            "vectorized": True,
        }
        wanted = bootstrap(data, statistic, **options).confidence_interval
        assert got[name] == pytest.approx(tuple(wanted), abs=0.05 * (wanted.high - wanted.low))


@pytest.mark.parametrize("count", [900, 1500, 60000])
def test_intervals_of_a_share_are_the_binomials_however_many_rows_a_bucket_holds(count):
    columns = rows(count)
    share = columns["hits"].mean().item()
    wanted = binom.interval(0.95, count, share)
    got = tally_of(columns).intervals(resamples=4000)["acc"]
    assert got == pytest.approx([bound / count for bound in wanted], abs=0.08 * (wanted[1] - wanted[0]) / count)


@pytest.mark.parametrize("count", [300, 5000])
def test_rollouts_of_one_prompt_that_all_end_alike_tell_no_more_than_one_of_them(count):
    once = rows(count)
    alone, clustered, apart = tally_of(once), Tally(RATIOS), tally_of({n: v.repeat(8) for n, v in once.items()})
    for numbers in torch.arange(count).split(1000):
        cluster = numbers.repeat_interleave(8)
        clustered.update({name: values[cluster] for name, values in once.items()}, cluster)
    assert clustered.rows == 8 * count
    for name, bounds in alone.intervals().items():
        assert clustered.intervals()[name] == pytest.approx(bounds, abs=1e-9)
        low, high = apart.intervals()[name]
        assert high - low < 0.5 * (bounds[1] - bounds[0])


def test_intervals_hold_the_truth_as_often_as_they_say():
    inside = 0
    for seed in range(300):
        hits = torch.rand(400, generator=torch.Generator().manual_seed(seed)) < 0.3
        tally = Tally({"acc": ("hits", "rows")})
        tally.update({"hits": hits})
        low, high = tally.intervals(level=0.9, resamples=300, seed=seed)["acc"]
        inside += low <= 0.3 <= high
    assert 0.85 * 300 <= inside <= 0.95 * 300


def test_the_same_seed_gives_the_same_intervals():
    tally = tally_of(rows(2000))
    assert tally.intervals(seed=3) == tally.intervals(seed=3) != tally.intervals(seed=4)


def test_paired_intervals_are_narrower_than_those_of_independent_runs():
    first, second = rows(3000), rows(3000)
    second["hits"][:60] = 1 - second["hits"][:60]
    a, b = tally_of(first), tally_of(second)
    difference, low, high = paired_differences(a, b)["acc"]
    assert difference == pytest.approx(b.compute()["acc"] - a.compute()["acc"])
    assert low <= difference <= high
    bounds = a.intervals()["acc"]
    assert high - low < (bounds[1] - bounds[0]) / 2


def test_a_run_does_not_differ_from_itself():
    a = tally_of(rows(5000))
    assert set(paired_differences(a, a).values()) == {(0, 0, 0)}


def test_pairs_over_other_rows_are_refused():
    with pytest.raises(ValueError, match="4 and 5 rows"):
        paired_differences(tally_of(rows(4)), tally_of(rows(5)))


def test_wrong_columns_are_named():
    with pytest.raises(ValueError, match="inside, around"):
        tally_of({"hits": torch.ones(3)})
    with pytest.raises(ValueError, match=r"\(2,\)"):
        tally_of(rows(3) | {"hits": torch.ones(2)})
    for clusters in (torch.zeros(2, dtype=torch.long), torch.zeros(3)):
        with pytest.raises(ValueError, match="clusters must be 3 integers"):
            Tally(RATIOS).update(rows(3), clusters)


TWO_RANKS = """
import sys, torch, torch.distributed as dist
from test_tally import rows, tally_of
rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
tally = tally_of(rows((700, 1500)[rank], seed=rank))
dist.all_reduce(tally.sums)
torch.save((tally.sums, tally.compute(), tally.intervals()), sys.argv[2] + f".{rank}")
dist.destroy_process_group()
"""


def test_two_processes_add_up(tmp_path):
    command = [sys.executable, "-c", TWO_RANKS]
    ranks = [
        subprocess.Popen([*command, str(rank), str(tmp_path / "ranks")], cwd=Path(__file__).parent) for rank in (0, 1)
    ]
    assert [rank.wait(120) for rank in ranks] == [0, 0]
    sums, metrics, bounds = torch.load(tmp_path / "ranks.0")
    assert (metrics, bounds) == torch.load(tmp_path / "ranks.1")[1:]
    alone = tally_of(rows(700, seed=0), rows(1500, seed=1))
    assert sums[:, 0].sum() == alone.rows == 2200
    assert metrics == pytest.approx(alone.compute(), rel=1e-12)
    assert bounds["acc"] == pytest.approx(alone.intervals()["acc"], abs=0.01)
