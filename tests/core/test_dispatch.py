import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

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
