import pytest
import torch
from boxes_strategies import group_ious
from hypothesis import given
from hypothesis import strategies as st

from rsreward import consistency_weight, group_statistics, scale_advantages


def group_with(mean, var):
    """Two IoUs with this mean and this population variance."""
    return torch.tensor([mean - var**0.5, mean + var**0.5], dtype=torch.float64)


# The values of reference/method.md: (m, v) -> w.
@pytest.mark.parametrize(
    ("mean", "var", "weight"),
    [(0, 0, 3.0), (0.3, 0.1, 2.56), (0.5, 0.25, 2.34), (0.7, 0.05, 1.51), (0.9, 0.01, 1.14), (1, 0, 1.0)],
)
def test_check_values_of_the_method(mean, var, weight):
    assert consistency_weight(group_with(mean, var)).item() == pytest.approx(weight, abs=5e-3)


@given(group_ious)
def test_statistics_are_the_mean_and_the_population_variance(ious):
    mean, var = group_statistics(torch.tensor(ious, dtype=torch.float64))
    m = sum(ious) / len(ious)
    assert mean.item() == pytest.approx(m)
    assert var.item() == pytest.approx(sum((i - m) ** 2 for i in ious) / len(ious), abs=1e-12)


@given(group_ious)
def test_the_weight_is_within_its_bounds(ious):
    assert 1 <= consistency_weight(torch.tensor(ious, dtype=torch.float64)) <= 3


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


def test_normalized_weights_have_mean_1_and_the_same_order():
    ious = torch.rand(20, 8, generator=torch.Generator().manual_seed(0))
    plain, normalized = consistency_weight(ious), consistency_weight(ious, normalize=True)
    assert normalized.mean().item() == pytest.approx(1)
    assert torch.allclose(normalized, plain / plain.mean())


def test_a_rollout_without_a_box_counts_as_iou_0():
    assert consistency_weight(torch.tensor([torch.nan, 1.0])) == consistency_weight(torch.tensor([0.0, 1.0]))


def test_half_precision_is_computed_in_float32():
    ious = torch.rand(64, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    assert torch.equal(consistency_weight(ious), consistency_weight(ious.float()).bfloat16())


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
