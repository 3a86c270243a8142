import pytest
import torch

from rsreward import gaussian_proximity, iou, oriented_iou, positional_reward
from rsreward.parts import positional_parts


@pytest.mark.parametrize("proximity", ["center", "region", "keypoints"])
@pytest.mark.parametrize("oriented", [False, True])
def test_the_parts_are_those_of_the_reward_to_the_bit(proximity, oriented):
    draw = torch.rand(2, 2000, 4, generator=torch.Generator().manual_seed(0)) * 100
    pred, target = torch.cat([draw[..., :2], draw[..., :2] + draw[..., 2:]], -1)
    if oriented:
        pred, target = (torch.cat([boxes, boxes[:, :1]], 1).double() for boxes in (pred, target))
    pred[::7] = torch.nan
    pred[3::7, 2] = -1
    options = {"alpha": 1.7, "beta": 0.3, "proximity": proximity}
    reward, overlap, near = positional_parts(pred, target, **options)
    assert torch.equal(reward, positional_reward(pred, target, **options))
    assert torch.equal(overlap, (oriented_iou if oriented else iou)(pred, target))
    assert torch.equal(near, gaussian_proximity(pred, target, alpha=1.7, over=proximity))
