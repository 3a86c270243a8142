import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

import rsreward
from rsreward import dispatch
from rsreward.checks import broadcast

shapes = st.lists(st.sampled_from([0, 1, 2, 3]), max_size=4).map(torch.Size)


@given(shapes, shapes)
def test_shapes_broadcast_as_in_torch(a, b):
    try:
        expected = tuple(torch.broadcast_shapes(a, b))
    except RuntimeError:
        with pytest.raises(ValueError, match="do not broadcast"):
            broadcast(a, b)
    else:
        assert broadcast(a, b) == expected


OF_PAIRS = [
    rsreward.positional_reward, rsreward.gaussian_proximity, rsreward.iou, rsreward.giou, rsreward.diou,
    rsreward.pairwise_iou, rsreward.oriented_iou, rsreward.pairwise_oriented_iou, rsreward.grounding_metrics,
    rsreward.consistency_weight_from_statistics, rsreward.scale_advantages, rsreward.point_reward,
]  # fmt: skip


@pytest.mark.parametrize("other", [[[1.0, 2.0, 3.0, 4.0]], np.ones((1, 4)), None])
@pytest.mark.parametrize("function", OF_PAIRS)
def test_what_is_not_a_tensor_is_named(function, other):
    boxes = torch.ones(1, 4)
    for pair in ((boxes, other), (other, boxes), (other, other)):
        with pytest.raises(TypeError, match=f"torch tensors are needed, got {type(other).__name__}: torch.as_tensor"):
            function(*pair)
    for alone in (rsreward.consistency_weight, rsreward.group_agreement, rsreward.size_class):
        with pytest.raises(TypeError, match="torch tensors are needed"):
            alone(other)
    with pytest.raises(TypeError, match="torch tensors are needed"):
        rsreward.set_reward([other], [other])


def test_tensors_may_be_named_and_options_must_be():
    pred, target = torch.tensor([0.0, 0, 2, 2]), torch.tensor([1.0, 0, 3, 2])
    assert rsreward.iou(target=target, pred=pred) == rsreward.iou(pred, target=target) == rsreward.iou(pred, target)
    for wrong in (
        lambda: rsreward.iou(pred),
        lambda: rsreward.iou(pred, target, target),
        lambda: rsreward.iou(pred, target, alpha=1.0),
        lambda: rsreward.positional_reward(pred, target, 2.5),
    ):
        with pytest.raises(TypeError, match=r"iou|check_pair|positional_reward"):
            wrong()


def test_an_implementation_may_be_forced_and_the_choice_comes_back():
    boxes = torch.tensor([[0.0, 0.0, 0.3, 0.3]])
    with dispatch.implementation("plain"):
        assert not dispatch._suits_kernel((boxes.double(),))
        with pytest.raises(ZeroDivisionError), dispatch.implementation("cpu"):
            raise ZeroDivisionError
        assert dispatch._forced == "plain"
    assert dispatch._forced is None


def test_a_first_call_loads_no_symbolic_algebra():
    code = (
        "import sys, torch, rsreward; boxes = torch.ones(3, 5); rsreward.oriented_iou(boxes, boxes);"
        "rsreward.positional_reward(boxes[:, :4], boxes[:, :4]); print('sympy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("strict", [True, False])
def test_export_keeps_the_batch_size_open(strict):
    class Model(torch.nn.Module):
        def forward(self, pred, target):
            from rsreward import positional_reward

            return positional_reward(pred, target)

    boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0]]).repeat(4, 1)
    rows = torch.export.Dim("rows")
    exported = torch.export.export(Model(), (boxes, boxes), dynamic_shapes=({0: rows}, {0: rows}), strict=strict)
    assert exported.module()(boxes[:3], boxes[:3] + 1).shape == (3,)


class NoFloat64(TorchDispatchMode):
    """Refuses what Apple's GPUs refuse."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **kwargs or {})
        if isinstance(result, torch.Tensor) and result.dtype == torch.float64:
            raise TypeError(f"there is no float64: {function}")
        return result


@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0])
def test_without_float64_the_same_is_computed_in_float32(monkeypatch, degrees):
    generator = torch.Generator().manual_seed(0)
    pred, target = (torch.rand(200, 4, generator=generator) * 400 for _ in range(2))
    pred[:, 2:] += pred[:, :2] + 1
    target[:, 2:] += target[:, :2] + 1
    turned = [torch.cat([b[:, :2], b[:, 2:] / 4, torch.full((200, 1), degrees).deg2rad()], 1) for b in (pred, target)]
    of_four = rsreward.iou, rsreward.giou, rsreward.diou, rsreward.positional_reward
    pairs = dict.fromkeys(of_four, (pred, target))
    pairs |= dict.fromkeys((rsreward.oriented_iou, rsreward.gaussian_proximity), turned)
    expected = {function: function(*pair) for function, pair in pairs.items()}
    with NoFloat64(), pytest.raises(TypeError, match="no float64"):
        rsreward.iou(pred, target)
    monkeypatch.setattr(dispatch, "WIDE", {"cpu": torch.float32})
    with NoFloat64():
        found = {function: function(*pair) for function, pair in pairs.items()}
        weights = rsreward.consistency_weight(found[rsreward.iou].view(-1, 4))
    for function, value in found.items():
        assert expected[function].max() > 0.1
        assert torch.allclose(value, expected[function], atol=1e-5), function.__name__
    assert torch.allclose(weights, rsreward.consistency_weight(expected[rsreward.iou].view(-1, 4)), atol=1e-4)
