import pytest
import torch

from rsreward import gaussian_proximity, iou, oriented_iou, positional_reward
from rsreward.positional import positional_parts

from .samples import FORMS


@pytest.mark.parametrize("proximity", FORMS)
@pytest.mark.parametrize("oriented", [False, True])
def test_the_parts_are_those_of_the_reward_to_the_bit(proximity, oriented):
    draw = torch.rand(2, 2000, 4, generator=torch.Generator().manual_seed(0)) * 100
    pred, target = torch.cat([draw[..., :2], draw[..., :2] + draw[..., 2:]], -1)
    if oriented:
        pred, target = (torch.cat([boxes, boxes[:, :1]], 1).double() for boxes in (pred, target))
    pred[::7] = torch.nan
    pred[3::7, 2] = -1
    options = {"alpha": 2.5 if proximity == "wasserstein" else 1.7, "beta": 0.3, "proximity": proximity}
    for rows in (slice(None), slice(0, 60), slice(0, 1), slice(1, 2), slice(0, 0)):
        check(pred[rows], target[rows], options)
    check(pred[:60], target[:1], options)
    check(pred[1], target[:60], options)


def check(pred, target, options):
    reward, overlap, near = positional_parts(pred, target, **options)
    assert torch.equal(reward, positional_reward(pred, target, **options))
    assert torch.equal(overlap, (oriented_iou if target.shape[-1] == 5 else iou)(pred, target))
    assert torch.equal(near, gaussian_proximity(pred, target, alpha=options["alpha"], over=options["proximity"]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.int64])
def test_the_parts_of_boxes_tiny_huge_and_flat_are_those_of_the_reward_to_the_bit(dtype):
    side = torch.tensor([1e-30, 1e-12, 0.3, 5.0, 1e12, 1e30], dtype=torch.float64)
    low = torch.zeros(6, 2, dtype=torch.float64)
    target = torch.cat([low, side[:, None].expand(-1, 2)], 1).clamp(max=1e18)
    pred = torch.cat([target * 0.9, target * 1.1, target.flip(1), torch.zeros(1, 4).double()])
    options = {"alpha": 2.5, "beta": 0.1, "proximity": "center"}
    check(pred.to(dtype), target.repeat(3, 1)[[*range(18), 3]].to(dtype), options)


def test_the_parts_have_gradients():
    pred = torch.tensor([[0.0, 0.0, 2.0, 1.0]], requires_grad=True)
    positional_parts(pred, torch.tensor([[0.0, 0.0, 2.0, 2.0]]))[0].sum().backward()
    assert pred.grad[0, 3] > 0
