from math import exp

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsreward import (
    consistency_weight,
    consistency_weight_from_statistics,
    group_agreement,
    group_statistics,
    pairwise_iou,
    scale_advantages,
)

from .samples import any_row, box, group_ious


def group_with(mean, var):
    """Two IoUs with this mean and this population variance."""
    return torch.tensor([mean - var**0.5, mean + var**0.5], dtype=torch.float64)


# The values of the method: (m, v) -> w.
@pytest.mark.parametrize(
    ("mean", "var", "weight"),
    [(0, 0, 3.0), (0.3, 0.1, 2.56), (0.5, 0.25, 2.34), (0.7, 0.05, 1.51), (0.9, 0.01, 1.14), (1, 0, 1.0)],
)
def test_check_values_of_the_method(implementation, mean, var, weight):
    assert implementation(consistency_weight, group_with(mean, var)).item() == pytest.approx(weight, abs=5e-3)
    statistics = torch.tensor([mean, var], dtype=torch.float64)
    assert implementation(consistency_weight_from_statistics, *statistics).item() == pytest.approx(weight, abs=5e-3)


@given(group_ious, st.floats(-2, 2), st.floats(-2, 2), st.floats(0, 1), st.floats(1, 9))
def test_the_weight_is_its_equation(implementation, ious, lambda_mean, lambda_var, low, high):
    m = sum(ious) / len(ious)
    v = sum((i - m) ** 2 for i in ious) / len(ious)
    expected = min(max(exp(lambda_mean * (1 - m) + lambda_var * v), low), high)
    options = {"lambda_mean": lambda_mean, "lambda_var": lambda_var, "clip": (low, high)}
    found = implementation(consistency_weight, torch.tensor(ious, dtype=torch.float64), **options).item()
    assert found == pytest.approx(expected, rel=0, abs=20 * implementation.tolerance)


@given(group_ious)
def test_statistics_are_the_mean_and_the_population_variance(ious):
    mean, var = group_statistics(torch.tensor(ious, dtype=torch.float64))
    m = sum(ious) / len(ious)
    assert mean.item() == pytest.approx(m)
    assert var.item() == pytest.approx(sum((i - m) ** 2 for i in ious) / len(ious), abs=1e-12)


@given(group_ious)
def test_the_weight_is_within_its_bounds(implementation, ious):
    assert 1 <= implementation(consistency_weight, torch.tensor(ious, dtype=torch.float64)) <= 3


@given(group_ious, st.randoms())
def test_the_order_within_a_group_does_not_matter(ious, random):
    shuffled = random.sample(ious, len(ious))
    weights = consistency_weight(torch.tensor([ious, shuffled], dtype=torch.float64))
    assert weights[0].item() == pytest.approx(weights[1].item())


@given(st.floats(0, 0.5), st.floats(0.001, 0.5), st.floats(0, 0.2), st.floats(0.001, 0.1))
def test_the_weight_falls_with_the_mean_and_rises_with_the_variance(mean, easier, var, more):
    bounds = {"clip": (0.0, 100.0)}
    here = consistency_weight(group_with(mean, var), **bounds)
    assert consistency_weight(group_with(mean + easier, var), **bounds) < here
    assert consistency_weight(group_with(mean, var + more), **bounds) > here


def test_normalized_weights_have_mean_1_and_the_same_order(implementation):
    ious = torch.rand(20, 8, generator=torch.Generator().manual_seed(0))
    plain, normalized = (implementation(consistency_weight, ious, normalize=choice) for choice in (False, True))
    assert normalized.mean().item() == pytest.approx(1)
    assert torch.allclose(normalized, plain / plain.mean())


def test_a_rollout_without_a_box_counts_as_iou_0(implementation):
    missing, none = torch.tensor([torch.nan, 1.0]), torch.tensor([0.0, 1.0])
    assert implementation(consistency_weight, missing) == implementation(consistency_weight, none)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    ious = torch.rand(64, 8, generator=torch.Generator().manual_seed(0)).to(dtype)
    assert torch.equal(consistency_weight(ious), consistency_weight(ious.float()).to(dtype))


def test_grouped_flat_and_per_token_advantages_get_the_same_weights():
    generator = torch.Generator().manual_seed(0)
    ious, advantages = torch.rand(5, 4, generator=generator), torch.randn(5, 4, generator=generator)
    tokens = advantages[..., None].expand(5, 4, 3)
    expected = advantages * consistency_weight(ious)[:, None]
    assert torch.equal(scale_advantages(advantages, ious), expected)
    assert torch.equal(scale_advantages(tokens, ious), expected[..., None].expand(5, 4, 3))
    flat = scale_advantages(advantages.flatten(), ious.flatten(), group_size=4)
    assert torch.equal(flat, expected.flatten())
    per_token = scale_advantages(tokens.reshape(20, 3), ious.flatten(), group_size=4)
    assert torch.equal(per_token, expected.flatten()[:, None].expand(20, 3))


def test_options_reach_the_weight():
    scaled = scale_advantages(torch.ones(1, 2), torch.zeros(1, 2), lambda_mean=0.5)
    assert scaled.tolist() == [[pytest.approx(1.6487, abs=1e-4)] * 2]


@pytest.mark.parametrize(
    ("advantages", "iou", "group_size"), [((6,), (6,), 4), ((6,), (2, 3), 3), ((5,), (6,), None), ((6,), (6,), 0)]
)
def test_shapes_that_do_not_fit_are_named(advantages, iou, group_size):
    with pytest.raises(ValueError, match=r"shape|got \("):
        scale_advantages(torch.ones(advantages), torch.ones(iou), group_size=group_size)


def test_no_groups_and_no_rollouts():
    assert consistency_weight(torch.empty(0, 4), normalize=True).shape == (0,)
    with pytest.raises(ValueError, match="at least one rollout"):
        consistency_weight(torch.empty(3, 0))


def test_bounds_in_the_wrong_order_are_named():
    with pytest.raises(ValueError, match="clip"):
        consistency_weight(torch.ones(2), clip=(3.0, 0.5))
    for clip in (2.0, (1.0,), None):
        with pytest.raises(ValueError, match="clip must be"):
            consistency_weight(torch.ones(2), clip=clip)
    for wrong in ({"lambda_mean": float("inf")}, {"lambda_var": float("nan")}):
        with pytest.raises(ValueError, match="lambda_mean and lambda_var must be finite"):
            consistency_weight(torch.ones(2), **wrong)


@given(st.lists(box(), min_size=2, max_size=9))
def test_agreement_is_the_mean_iou_with_the_others(implementation, boxes):
    boxes = torch.stack(boxes)
    table = implementation(pairwise_iou, boxes, boxes).fill_diagonal_(0)
    expected = table.sum(1) / (len(boxes) - 1)
    assert torch.allclose(implementation(group_agreement, boxes), expected, atol=implementation.tolerance)


def test_agreement_of_groups_is_that_of_each_alone():
    corner, side = torch.rand(2, 3, 5, 7, 2, generator=torch.Generator().manual_seed(0))
    boxes = torch.cat([corner, corner + side], -1)
    whole = group_agreement(boxes)
    assert whole.shape == (3, 5, 7)
    each = [group_agreement(group) for group in boxes.view(-1, 7, 4)]
    assert torch.allclose(torch.stack(each).view(3, 5, 7), whole)


def test_agreement_of_all_of_half_and_of_none(implementation):
    box, other, none = [0.0, 0.0, 2.0, 2.0], [5.0, 5.0, 6.0, 6.0], [torch.nan] * 4
    assert implementation(group_agreement, torch.tensor([box] * 4)).tolist() == [1, 1, 1, 1]
    assert implementation(group_agreement, torch.tensor([box, other, box])).tolist() == [0.5, 0, 0.5]
    assert implementation(group_agreement, torch.tensor([box, none])).tolist() == [0, 0]
    assert implementation(group_agreement, torch.tensor([box])).tolist() == [0]
    assert implementation(group_agreement, torch.tensor([[[0.0, 0.0, 2.0, 2.0], [0.0, 0.0, 2.0, 1.0]]])).tolist() == [
        [0.5, 0.5]
    ]
    assert implementation(group_agreement, torch.empty(0, 3, 4)).shape == (0, 3)


@given(st.lists(any_row, min_size=1, max_size=5), st.sampled_from([None, torch.float16]))
def test_agreement_of_anything_lies_between_0_and_1(implementation, rows, dtype):
    agreement = implementation(group_agreement, torch.tensor(rows, dtype=torch.float64), dtype=dtype)
    assert ((agreement >= 0) & (agreement <= 1)).all()


def test_the_gradient_of_agreement_is_right():
    boxes = torch.tensor([[0, 0, 4, 4], [1, 0.5, 5, 4.2], [2, 2, 3, 3.5]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(group_agreement, boxes)


@pytest.mark.parametrize("shape", [(4,), (3, 5), (0, 4)])
def test_boxes_that_are_no_groups_are_named(shape):
    with pytest.raises(ValueError, match="got"):
        group_agreement(torch.zeros(shape))
