import sys
from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsreward import positional_reward, set_metrics, set_reward
from rsreward.matching import assign

from .samples import FORMS, box

boxes = st.lists(box(), min_size=1, max_size=6).map(torch.stack)
WIDTH, HEIGHT = 800.0, 800.0
TARGET = torch.tensor([[300.0, 420.0, 360.0, 470.0]])
NEAR_MISS = TARGET + torch.tensor([12.0, -10.0, 12.0, -10.0])  # IoU 0.47
NONE = torch.empty(0, 4)


def best_by_brute_force(scores):
    if scores.shape[0] > scores.shape[1]:
        scores = scores.T
    n, m = scores.shape
    return max(sum(scores[i, p[i]].item() for i in range(n)) for p in permutations(range(m), n))


@settings(max_examples=60)
@given(boxes, boxes)
def test_the_matching_is_the_best_of_all_permutations(pred, target):
    scores = positional_reward(pred[:, None], target[None])
    i, j = assign(scores)
    assert scores[i, j].sum().item() == pytest.approx(best_by_brute_force(scores))
    expected = best_by_brute_force(scores) / max(len(pred), len(target))
    assert set_reward([pred], [target]).item() == pytest.approx(expected)


@given(boxes, st.randoms())
def test_the_order_of_boxes_does_not_matter(target, random):
    order = random.sample(range(len(target)), len(target))
    assert set_reward([target[order]], [target]).item() == pytest.approx(1.1)


@given(boxes)
def test_extra_missing_and_repeated_boxes_cost(target):
    whole = set_reward([target], [target])
    far = torch.tensor([[1e5, 1e5, 1e5 + 1, 1e5 + 1]], dtype=torch.float64)
    assert set_reward([torch.cat([target, far])], [target]) < whole
    assert set_reward([torch.cat([target, target[:1]])], [target]) < whole
    assert set_reward([target[1:]], [target]) < whole


def test_nothing_to_find_and_nothing_found_agree():
    assert set_reward([NONE, TARGET, NONE], [NONE, NONE, TARGET]).tolist() == [1, 0, 0]


def test_one_box_each_is_the_positional_reward():
    assert set_reward([NEAR_MISS], [TARGET]) == positional_reward(NEAR_MISS, TARGET)


def test_rows_of_nan_are_no_boxes():
    padded = torch.cat([TARGET, torch.full((3, 4), torch.nan)])
    assert set_reward([padded], [TARGET]).item() == pytest.approx(1.1)


def test_oriented_sets():
    target = torch.tensor([[10.0, 10.0, 8.0, 4.0, 0.3], [50.0, 50.0, 8.0, 4.0, 1.0]])
    turned = target.flip(0) + torch.tensor([0, 0, 0, 0, torch.pi])
    assert set_reward([turned], [target]).item() == pytest.approx(1.1, abs=1e-5)


def test_metrics_count_hits_over_all_rows():
    far = TARGET + 300
    metrics = set_metrics([torch.cat([TARGET, far]), NONE, TARGET], [TARGET, TARGET, torch.cat([TARGET, far])])
    assert metrics["predictions"] == 3
    assert metrics["targets"] == 4
    assert metrics["hits@0.5"] == 2
    assert metrics["precision@0.5"] == pytest.approx(2 / 3)
    assert metrics["recall@0.5"] == pytest.approx(1 / 2)
    assert metrics["f1@0.5"] == pytest.approx(4 / 7)


def test_metrics_match_for_the_most_hits():
    target = torch.tensor([[0.0, 0.0, 10.0, 10.0], [4.0, 0.0, 14.0, 10.0]])
    pred = torch.tensor([[2.9, 0.0, 12.9, 10.0], [-3.2, 0.0, 6.8, 10.0]])
    assert set_metrics([pred], [target], thresholds=[0.5])["hits@0.5"] == 2


def test_metrics_of_nothing_are_perfect():
    assert set_metrics([], [])["f1@0.5"] == 1
    assert set_reward([], []).shape == (0,)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="1 and 2"):
        set_reward([TARGET], [TARGET, TARGET])
    with pytest.raises(ValueError, match=r"\(1, 4\) and \(1, 5\)"):
        set_reward([TARGET], [torch.zeros(1, 5)])


def test_where_scipy_is_missing_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    with pytest.raises(ImportError, match=r"needs scipy: pip install 'rsreward\[matching\]'"):
        set_reward([TARGET], [TARGET])


# Ways to be paid without looking. None may earn what an honest near miss earns.


def grid(n):
    x, y = torch.meshgrid(torch.arange(n) * WIDTH / n, torch.arange(n) * HEIGHT / n, indexing="xy")
    corner = torch.stack([x.flatten(), y.flatten()], 1)
    return torch.cat([corner, corner + WIDTH / n], 1)


HACKS = {
    "a box of the whole image": torch.tensor([[0.0, 0.0, WIDTH, HEIGHT]]),
    "a huge box around the target": TARGET + torch.tensor([-150.0, -150.0, 150.0, 150.0]),
    "a tiny box at its centre": torch.tensor([[329.0, 444.0, 331.0, 446.0]]),
    "ten copies of the right box": TARGET.repeat(10, 1),
    "a grid of boxes": grid(12),
    "the centre of the image always": torch.tensor([[370.0, 375.0, 430.0, 425.0]]),
}


@pytest.mark.parametrize("hack", HACKS)
@pytest.mark.parametrize("proximity", FORMS)
def test_hacking_earns_less_than_an_honest_near_miss(hack, proximity):
    honest = set_reward([NEAR_MISS], [TARGET], proximity=proximity)
    assert set_reward([HACKS[hack]], [TARGET], proximity=proximity) < honest
    if len(HACKS[hack]) == 1:
        assert positional_reward(HACKS[hack], TARGET, proximity=proximity) < honest


@pytest.mark.parametrize("hack", HACKS)
def test_hacking_with_oriented_boxes_earns_less_too(hack):
    def oriented(box, angle):
        centre, sides = (box[:, :2] + box[:, 2:]) / 2, box[:, 2:] - box[:, :2]
        return torch.cat([centre, sides, torch.full((len(box), 1), angle)], 1)

    target = oriented(TARGET, 0.4)
    honest = set_reward([oriented(NEAR_MISS, 0.4)], [target])
    assert set_reward([oriented(HACKS[hack], 0.4 if len(HACKS[hack]) == 10 else 0.0)], [target]) < honest


def test_half_precision_and_whole_numbers_score_as_float32():
    for dtype in (torch.float16, torch.bfloat16, torch.long):
        reward = set_reward([TARGET.to(dtype)[:0], TARGET.to(dtype)], [TARGET.to(dtype)] * 2)
        assert reward.dtype == torch.float32
        assert reward.tolist() == [0, pytest.approx(1.1)]


def test_no_answer_is_not_the_answer_that_there_is_nothing():
    none, nothing = torch.full((1, 4), torch.nan), torch.empty(0, 4)
    box = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    assert set_reward([none, nothing, none, nothing], [nothing, nothing, box, box]).tolist() == [0, 1, 0, 0]
