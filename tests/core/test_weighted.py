import pytest
import torch

from rsreward import consistency_weight
from rsreward.weighted import weighted_rewards

DRAW = torch.Generator().manual_seed(0)
REWARDS = torch.rand(50, 8, generator=DRAW, dtype=torch.float64) * 2
IOUS = torch.rand(50, 8, generator=DRAW, dtype=torch.float64)


@pytest.mark.parametrize("setting", ["none", False])
@pytest.mark.parametrize("flat", [False, True])
def test_advantages_without_deviation_carry_the_weight(setting, flat):
    shape = (-1,) if flat else (50, 8)
    options = {"scale_rewards": setting, "lambda_mean": 0.7, "group_size": 8 if flat else None}
    weighted = weighted_rewards(REWARDS.view(shape), IOUS.view(shape), **options).view(50, 8)
    weight = consistency_weight(IOUS, lambda_mean=0.7)[:, None]
    for rest in (8, 7):  # GRPO: the mean of all; RLOO: of the others

        def advantages(r, rest=rest):
            return r - (r.sum(1, keepdim=True) - r * (8 - rest)) / rest

        assert torch.allclose(advantages(weighted), weight * advantages(REWARDS), atol=1e-12)


@pytest.mark.parametrize("setting", ["group", "batch", True, "gdpo"])
def test_trainers_that_divide_by_the_deviation_are_refused(setting):
    with pytest.raises(ValueError, match="divides by the deviation"):
        weighted_rewards(REWARDS, IOUS, scale_rewards=setting)


def test_shapes_must_be_the_same():
    with pytest.raises(ValueError, match="one shape"):
        weighted_rewards(REWARDS, IOUS[:, 0], scale_rewards="none")
