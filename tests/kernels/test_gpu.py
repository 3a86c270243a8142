"""The kernels on a GPU against the plain path in float64 on the CPU."""

import pytest
import torch
from kernel_cases import FORMS, HALF, group_boxes, near_pairs, odd_pairs
from oriented_pairs import KINDS, pairs

from rsreward import (
    consistency_weight,
    consistency_weight_from_boxes,
    gaussian_proximity,
    group_agreement,
    iou,
    kernels,
    oriented_iou,
    positional_reward,
)

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
halves = pytest.mark.parametrize("dtype", HALF)


def check(function, *boxes, atol=2e-6, dtype=torch.float32, **options):
    """`function` of these on the GPU, of their float64 copies on the CPU."""
    boxes = [b.to(dtype) for b in boxes]
    got = function(*(b.cuda() for b in boxes), **options)
    assert got.is_cuda
    assert got.dtype == dtype
    expected = function(*(b.double() for b in boxes), **options)
    torch.testing.assert_close(got.cpu().double(), expected, rtol=HALF[dtype], atol=max(atol, HALF[dtype] * 1e-3))


@halves
@pytest.mark.parametrize("form", FORMS)
def test_horizontal_boxes(form, dtype):
    pred, target = near_pairs(100_000)
    assert kernels.usable(pred.cuda(), target.cuda())
    check(iou, pred, target, dtype=dtype)
    check(gaussian_proximity, pred, target, over=form, dtype=dtype, atol=1e-5)
    check(positional_reward, pred, target, proximity=form, dtype=dtype)
    check(positional_reward, pred, target[0], proximity=form, dtype=dtype)
    check(positional_reward, pred.view(100, -1, 4), target.view(100, -1, 4)[:, :1], proximity=form, dtype=dtype)
    check(positional_reward, pred.T.contiguous().T, target, proximity=form, dtype=dtype)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("numbers", [4, 5])
def test_odd_rows_score_as_on_the_plain_path(form, numbers):
    pred, target = odd_pairs(100_000, numbers)
    if numbers == 5:
        pred, target = pred.clamp(-1e3, 1e3), target.clamp(-1e3, 1e3)
        target[:, 2:4] = torch.where(target[:, 2:4] < 1e-30, target[:, 2:4] * 0, target[:, 2:4])
    got = positional_reward(pred.cuda(), target.cuda(), proximity=form).cpu()
    plain = positional_reward(pred.requires_grad_(), target, proximity=form).detach()
    torch.testing.assert_close(got, plain, rtol=0, atol=2e-6)
    assert ((got >= 0) & (got <= 1.1 + 1e-6)).all()


def test_equal_boxes_score_1_exactly():
    _, target = near_pairs(100_000)
    for scale in (1e-44, 1e-30, 1.0, 1e30, 1e36):
        boxes = (target.round() * scale).cuda()
        assert (iou(boxes, boxes) == 1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_oriented_boxes(kind):
    boxes = pairs(kind, torch.Generator().manual_seed(0), 10_000)
    check(oriented_iou, *boxes, atol=1e-7)
    for form in FORMS:
        check(positional_reward, *boxes, proximity=form, atol=1e-6)


@halves
@pytest.mark.parametrize("size", [1, 2, 8, 64, 300])
def test_groups(size, dtype):
    pred, target = group_boxes(200, size)
    ious = torch.rand(200, size, generator=torch.Generator().manual_seed(0))
    for options in ({}, {"normalize": True}):
        check(consistency_weight, ious, dtype=dtype, **options)
        check(consistency_weight_from_boxes, pred, target, dtype=dtype, **options)
    check(group_agreement, pred, dtype=dtype)


def test_empty_batches():
    empty = torch.empty(0, 3, 4, device="cuda")
    assert iou(empty, empty).shape == (0, 3)
    assert positional_reward(empty, empty[:, :1]).shape == (0, 3)
    assert group_agreement(empty).shape == (0, 3)
    assert consistency_weight_from_boxes(empty, empty[:, 0]).shape == (0,)


def test_more_than_2_31_numbers():
    rows = 2**29 + 3
    if torch.cuda.mem_get_info()[0] < 24e9:
        pytest.skip("less than 24 GB of GPU memory are free")
    pred = torch.rand(1000, 4, device="cuda").sort(-1).values.repeat(rows // 1000 + 1, 1)[:rows]
    reward = positional_reward(pred, pred[0])
    assert torch.equal(reward[-703:], positional_reward(pred[-703:].clone(), pred[0]))
    del pred, reward
    box = torch.tensor([1.0, 1, 3, 3], device="cuda", dtype=torch.float16)
    many = iou(box.expand(2**31 + 5, 4), box)
    assert many.min() == 1


def test_compiled_code_takes_them_without_a_graph_break():
    def step(pred, target):
        reward = positional_reward(pred, target[:, None]) + group_agreement(pred)
        return reward * consistency_weight(reward)[:, None]

    compiled = torch.compile(step, fullgraph=True)
    for groups in (4, 9):
        boxes = [b.cuda() for b in group_boxes(groups, 5)]
        torch.testing.assert_close(compiled(*boxes), step(*boxes))


def test_the_host_never_waits():
    pred, target = (boxes.cuda() for boxes in group_boxes(50, 8))
    oriented = torch.cat([pred, pred[..., :1]], -1)

    def everything():
        for form in FORMS:
            positional_reward(pred, target[:, None], proximity=form)
            positional_reward(oriented, oriented[:, :1], proximity=form)
        consistency_weight(iou(pred, target[:, None]), normalize=True)
        consistency_weight_from_boxes(pred, target, normalize=True)
        group_agreement(pred)

    everything()
    torch.cuda.set_sync_debug_mode("error")
    try:
        everything()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_gradients_are_those_of_the_plain_path():
    pred, target = near_pairs(500)
    gradients = []
    for device in ("cpu", "cuda"):
        leaf = pred.to(device).requires_grad_()
        positional_reward(leaf, target.to(device)).sum().backward()
        gradients.append(leaf.grad.cpu())
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)
