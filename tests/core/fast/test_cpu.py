"""The NumPy forms give what the plain formulas give, and are taken where they can be."""

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx

from rsreward import diou, dispatch, gaussian_proximity, giou, iou, oriented_iou, pairwise_iou, positional_reward
from rsreward.fast import cpu

from ..samples import KINDS, any_row, box, pairs

rows = st.lists(st.tuples(any_row.map(torch.tensor) | box(), any_row.map(torch.tensor) | box()), min_size=1, max_size=9)


def plain(function, *tensors, **options):
    with dispatch.implementation("plain"):
        return function(*tensors, **options)


def in_numpy(*tensors):
    return dispatch._suits_numpy(tensors)


def planes(pairs, dtype):
    """Beyond 1e100 and below 1e-100 results are finite, and no more is promised."""
    for i in (0, 1):
        rows = torch.stack([pair[i].to(torch.float64) for pair in pairs])
        beyond = (rows.abs() < 1e-100) | ((rows.abs() > 1e100) & rows.isfinite())
        yield torch.where(beyond, 0, rows).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(rows)
def test_overlaps_are_equal_to_a_few_units_in_the_last_place(dtype, pairs):
    pred, target = planes(pairs, dtype)
    assert in_numpy(pred, target)
    found = iou(pred, target)
    torch.testing.assert_close(found, plain(iou, pred, target), rtol=6 * torch.finfo(dtype).eps, atol=1.001e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(rows)
def test_a_row_scores_the_same_whatever_stands_beside_it(dtype, pairs):
    pred, target = planes(pairs, dtype)
    for function in (positional_reward, giou, diou):
        alone = [function(p, t) for p, t in zip(pred, target, strict=True)]
        assert torch.equal(function(pred, target), torch.stack(alone))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(rows, st.sampled_from([1e-6, 0.5, 2.5, 1e6]))
def test_rewards_and_proximities_are_equal_to_rounding(dtype, pairs, alpha):
    pred, target = planes(pairs, dtype)
    tolerance = 100 * torch.finfo(dtype).eps + 1e-9
    options = {"alpha": alpha, "beta": 0.5}
    for function, used in ((gaussian_proximity, {"alpha": alpha}), (positional_reward, options)):
        expected = plain(function, pred, target, **used)
        torch.testing.assert_close(function(pred, target, **used), expected, rtol=0, atol=tolerance)


def test_beside_a_thin_true_box_all_are_as_exact_as_their_coordinates(implementation):
    pred, target = torch.tensor([-307.444, 0, 307.5067, 500]), torch.tensor([0, 0, 0.125, 500])
    exact = gaussian_proximity(*implementation.rounded(pred, target), alpha=0.5)
    found = implementation(gaussian_proximity, pred, target, alpha=0.5)
    torch.testing.assert_close(found, exact, rtol=0, atol=2e-7)


def random_boxes(*shape):
    draw = torch.rand(*shape, 4, generator=torch.Generator().manual_seed(0)) * 100
    return torch.cat([draw[..., :2], draw[..., :2] + draw[..., 2:]], -1)


SHAPES = [((), ()), ((7,), ()), ((), (7,)), ((0,), (0,)), ((0, 3), (3,)), ((3, 1), (1, 0)), ((5, 8), (5, 1)),
          ((3, 1), (1, 70)), ((2, 3, 4), (4,)), ((cpu.CHUNK + 1,), (cpu.CHUNK + 1,)), ((2, 5000), (2, 5000)),
          ((2, 1), (cpu.BROADCAST_CHUNK + 3,)), ((200, 1), (1, 200)), ((1, 2, 1), (100, 1, 100))]  # fmt: skip


@pytest.mark.parametrize(("p", "t"), SHAPES)
def test_rows_broadcast_as_in_the_plain_formula(p, t):
    pred, target = random_boxes(*p), random_boxes(*t) + 20
    reward, expected = positional_reward(pred, target), plain(positional_reward, pred, target)
    assert reward.shape == expected.shape
    torch.testing.assert_close(reward, expected, rtol=0, atol=1e-6)


dimension = st.sampled_from([0, 1, 1, 2, 3, 7, 40])


@given(st.lists(st.tuples(dimension, st.sampled_from("ptb")), max_size=4), st.integers(0, 3), st.integers(1, 50))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_chunks_of_any_size_make_the_same_whole(monkeypatch, dimensions, shorter, most):
    """Of each dimension p or t may have 1; the first ones of t may be missing."""
    p = [1 if who == "t" else size for size, who in dimensions]
    t = [1 if who == "p" else size for size, who in dimensions][shorter:]
    pred, target = random_boxes(*p), random_boxes(*t) + 20
    whole = positional_reward(pred, target)
    with monkeypatch.context() as patch:
        for name in ("CHUNK", "BROADCAST_CHUNK"):
            patch.setattr(cpu, name, most)
        assert torch.equal(positional_reward(pred, target), whole)
    torch.testing.assert_close(whole, plain(positional_reward, pred, target), rtol=0, atol=1e-6)
    assert whole.is_contiguous()


def test_rows_need_not_lie_next_to_each_other():
    pred, target = random_boxes(50, 3)[:, 1].flip(0), random_boxes(4, 50).movedim(1, 0)[:, 0]
    torch.testing.assert_close(iou(pred, target), plain(iou, pred, target), rtol=1e-6, atol=0)


@pytest.mark.parametrize("scale", [1, 1e-8, 1e-15, 1e15, 1e30])
@given(rows)
@settings(max_examples=20)
def test_all_pairs_are_equal_to_rounding(scale, pairs):
    a = torch.cat([random_boxes(3, 40) * scale, torch.stack([p.float() for p, _ in pairs]).expand(3, -1, 4)], 1)
    b = random_boxes(3, 90) * scale + 10 * scale
    expected = plain(pairwise_iou, a, b)
    torch.testing.assert_close(pairwise_iou(a, b), expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(pairwise_iou(a[:, :40], b), expected[:, :40], rtol=0, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64])
def test_other_numbers_are_computed_in_float32(dtype):
    pred, target = random_boxes(30).to(dtype), (random_boxes(30) + 9).to(dtype)
    expected = iou(pred.float(), target.float())
    assert torch.equal(iou(pred, target), expected.to(dtype if dtype.is_floating_point else torch.float32))


@pytest.mark.parametrize("kind", KINDS)
def test_oriented_overlaps_are_equal_to_the_last_digits_of_float64(kind):
    pred, target = pairs(kind, torch.Generator().manual_seed(0), 2_000)
    torch.testing.assert_close(oriented_iou(pred, target), plain(oriented_iou, pred, target), rtol=0, atol=1e-12)


def test_odd_oriented_rows_score_as_in_the_plain_formula():
    generator = torch.Generator().manual_seed(0)
    rows = torch.rand(2, 20_000, 5, generator=generator, dtype=torch.float64) * 50
    strange = torch.tensor([torch.nan, torch.inf, -torch.inf, -1.0, 0.0, 1e-40, 3e38], dtype=torch.float64)
    drawn = strange[torch.randint(len(strange), rows.shape, generator=generator)]
    pred, target = torch.where(torch.rand(rows.shape, generator=generator) < 0.1, drawn, rows)
    torch.testing.assert_close(oriented_iou(pred, target), plain(oriented_iou, pred, target), rtol=0, atol=1e-12)


def test_inputs_are_left_as_they_are():
    pred, target = random_boxes(10), random_boxes(10)
    before = pred.clone(), target.clone()
    positional_reward(pred, target)
    assert torch.equal(pred, before[0])
    assert torch.equal(target, before[1])


@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_what_is_recorded_takes_the_plain_formulas():
    pred, target = random_boxes(6), random_boxes(6) + 5
    for function in (iou, giou, diou):
        for recorded in (make_fx(function)(pred, target), torch.jit.trace(function, (pred, target))):
            expected = function(pred + 3, target)
            torch.testing.assert_close(recorded(pred + 3, target), expected, rtol=0, atol=1e-6)
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert type(iou(pred, target)) is FakeTensor


def test_the_distance_of_boxes_at_both_ends_of_float32_is_no_missing_box():
    pred, target = torch.tensor([[-1.0, 3e38, 1.0, 3e38]]), torch.tensor([[-3e38, -3e38, 0.0, 1.0]])
    torch.testing.assert_close(diou(pred, target), plain(diou, pred, target))


def test_a_view_with_the_signs_turned_is_read_as_it_stands():
    pred, target = random_boxes(6), random_boxes(6) + 5
    assert torch.equal(iou(torch._neg_view(-pred), target), plain(iou, pred, target))


def test_what_needs_a_gradient_or_has_no_memory_takes_the_plain_formulas():
    pred, target = random_boxes(6), random_boxes(6) + 5
    assert positional_reward(pred.clone().requires_grad_(), target).requires_grad
    assert not in_numpy(pred.clone().requires_grad_(), target)
    assert not in_numpy(pred.to("meta"), target.to("meta"))
    assert positional_reward(pred.to("meta"), target.to("meta")).shape == (6,)
    with torch.no_grad():
        assert in_numpy(pred.clone().requires_grad_(), target)
    _, slope = torch.func.jvp(lambda box: iou(box, target), (pred,), (torch.ones_like(pred),))
    assert slope.any()
    each = torch.vmap(positional_reward)(pred, target)
    torch.testing.assert_close(each, positional_reward(pred, target), rtol=0, atol=1e-6)
