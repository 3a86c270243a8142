import pytest
import torch
from rsreward_verl.weights import GroupWeights

from rsreward import consistency_weight, group_statistics

IOUS = {"a": [0.1, 0.9, 0.3, 0.7], "b": [0.0, 0.0, 0.0, 0.0], "c": [0.8, 0.9, 1.0, 0.9]}


@pytest.mark.parametrize("options", [{}, {"lambda_mean": 0.3, "clip": (0.9, 1.1)}, {"normalize": True}])
def test_groups_of_one_size_weigh_what_the_core_says(options):
    weights, _ = GroupWeights(options)(IOUS)
    expected = consistency_weight(torch.tensor(list(IOUS.values()), dtype=torch.float64), **options)
    assert list(weights.values()) == pytest.approx(expected.tolist(), abs=1e-12)


def test_groups_of_many_sizes_weigh_what_each_would_alone():
    ious = {str(n): torch.rand(n, generator=torch.Generator().manual_seed(n)).tolist() for n in range(1, 12)}
    weights, _ = GroupWeights({})(ious)
    for group, values in ious.items():
        alone = consistency_weight(torch.tensor(values, dtype=torch.float64)).item()
        assert weights[group] == pytest.approx(alone, abs=1e-9)


def test_the_mean_of_normalised_weights_is_1_over_groups_of_many_sizes():
    weights, _ = GroupWeights({"normalize": True})({"a": [0.0], "b": [0.5, 1.0], "c": [1.0, 0.9, 0.8]})
    assert sum(weights.values()) / 3 == pytest.approx(1)


def test_the_statistics_are_those_of_the_groups():
    weights, metrics = GroupWeights({})(IOUS)
    mean, var = group_statistics(torch.tensor(list(IOUS.values())))
    assert metrics["consistency/iou_mean"] == pytest.approx(mean.mean().item())
    assert metrics["consistency/iou_var"] == pytest.approx(var.mean().item())
    assert metrics["consistency/weight_mean"] == pytest.approx(sum(weights.values()) / 3)
    assert metrics["consistency/weight_max"] == max(weights.values()) == 3
    assert metrics["consistency/weight_at_bound"] == pytest.approx(1 / 3)


def test_a_group_with_a_rollout_of_another_reward_keeps_weight_1_and_is_not_counted():
    weights, metrics = GroupWeights({})(IOUS | {"d": [0.0, None]})
    assert weights["d"] == 1
    assert metrics == GroupWeights({})(IOUS)[1]


def test_a_reward_without_iou_is_told_at_once_and_a_batch_without_later_is_let_through():
    group_weights = GroupWeights({})
    with pytest.raises(ValueError, match=r"'iou' in reward_extra_info.*rsreward_verl.reward"):
        group_weights({"a": [None, None]})
    group_weights(IOUS)
    assert group_weights({"a": [None, None]}) == ({"a": 1.0}, {})
    assert GroupWeights({})({}) == ({}, {})


def test_wrong_options_are_refused_when_the_trainer_is_built():
    with pytest.raises(ValueError, match="clip"):
        GroupWeights({"clip": (3.0, 0.5)})
