"""`torch.compile` of every function of tensors: one graph, and the same one for other batch sizes."""

import shutil

import pytest
import torch
from torch._dynamo.testing import CompileCounter

import rsreward


@pytest.fixture(autouse=True)
def _tiny_numbers():
    """What torch 2.5 compiles sets tiny numbers to 0 in the whole process, and hypothesis refuses to draw then."""
    yield
    torch.set_flush_denormal(False)


def boxes(n, numbers=4):
    draw = torch.rand(n, numbers, generator=torch.Generator().manual_seed(n)) * 100
    return draw if numbers == 5 else torch.cat([draw[:, :2], draw[:, :2] + draw[:, 2:]], 1)


def horizontal(n):
    return boxes(n), boxes(n) + 9


def oriented(n):
    return boxes(n, 5), boxes(n, 5) + 1


def groups(n):
    return (torch.rand(n, 8, generator=torch.Generator().manual_seed(n)),)


def grouped_boxes(n):
    return (boxes(8 * n).view(n, 8, 4),)


def statistics(n):
    return rsreward.group_statistics(*groups(n))


def advantages(n):
    return (*groups(n), *groups(n))


def all_pairs(n):
    return boxes(n), boxes(2 * n)


CASES = {
    "is_box": (rsreward.is_box, lambda n: (boxes(n),), {}),
    "area": (rsreward.area, lambda n: (boxes(n),), {}),
    "iou": (rsreward.iou, horizontal, {}),
    "giou": (rsreward.giou, horizontal, {}),
    "diou": (rsreward.diou, horizontal, {}),
    "pairwise_iou": (rsreward.pairwise_iou, all_pairs, {}),
    "positional_reward": (rsreward.positional_reward, horizontal, {}),
    "positional_reward, one target": (rsreward.positional_reward, lambda n: (boxes(n), boxes(1)[0]), {}),
    "positional_reward, region": (rsreward.positional_reward, horizontal, {"proximity": "region"}),
    "positional_reward, keypoints": (rsreward.positional_reward, horizontal, {"proximity": "keypoints"}),
    "positional_reward, oriented": (rsreward.positional_reward, oriented, {}),
    "positional_reward, oriented region": (rsreward.positional_reward, oriented, {"proximity": "region"}),
    "positional_reward, wasserstein": (rsreward.positional_reward, horizontal, {"proximity": "wasserstein"}),
    "positional_reward, oriented wasserstein": (rsreward.positional_reward, oriented, {"proximity": "wasserstein"}),
    "point_reward": (rsreward.point_reward, lambda n: (boxes(n)[:, :2], boxes(n)), {}),
    "point_reward, oriented": (rsreward.point_reward, lambda n: (boxes(n)[:, :2], boxes(n, 5)), {}),
    "gaussian_proximity": (rsreward.gaussian_proximity, horizontal, {}),
    "oriented_iou": (rsreward.oriented_iou, oriented, {}),
    "pairwise_oriented_iou": (rsreward.pairwise_oriented_iou, lambda n: (boxes(n, 5), boxes(2 * n, 5)), {}),
    "corners": (rsreward.corners, lambda n: (boxes(n, 5),), {}),
    "from_corners": (rsreward.from_corners, lambda n: (rsreward.corners(boxes(n, 5)),), {}),
    "canonical": (rsreward.canonical, lambda n: (boxes(n, 5),), {}),
    "convert_angles": (rsreward.convert_angles, lambda n: (boxes(n, 5),), {"source": "degrees", "target": "opencv"}),
    "group_statistics": (rsreward.group_statistics, groups, {}),
    "consistency_weight": (rsreward.consistency_weight, groups, {}),
    "consistency_weight, normalized": (rsreward.consistency_weight, groups, {"normalize": True}),
    "consistency_weight_from_statistics": (rsreward.consistency_weight_from_statistics, statistics, {}),
    "group_agreement": (rsreward.group_agreement, grouped_boxes, {}),
    "scale_advantages": (rsreward.scale_advantages, advantages, {}),
    "scale_advantages, flat": (
        rsreward.scale_advantages, lambda n: tuple(x.flatten() for x in advantages(n)), {"group_size": 8},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_one_graph_for_all_batch_sizes(name):
    function, inputs, options = CASES[name]
    torch._dynamo.reset()
    counter = CompileCounter()
    compiled = torch.compile(function, backend=counter, fullgraph=True, dynamic=True)
    for n in (6, 13, 9000):
        n = min(n, 70) if "pairwise" in name else n
        found, expected = compiled(*inputs(n), **options), function(*inputs(n), **options)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert counter.frame_count == 1


@pytest.mark.skipif(not shutil.which("g++"), reason="torch.compile on the CPU needs a C++ compiler")
@pytest.mark.parametrize("name", ["positional_reward", "oriented_iou", "consistency_weight"])
def test_inductor_gives_the_same_values(name):
    function, inputs, _ = CASES[name]
    torch._dynamo.reset()
    compiled = torch.compile(function, fullgraph=True, dynamic=True)
    torch.testing.assert_close(compiled(*inputs(300)), function(*inputs(300)), rtol=0, atol=1e-5)
