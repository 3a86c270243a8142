"""What tests are tried on: boxes for hypothesis, near, odd and grouped boxes, and the kinds of pairs of oriented boxes
that overlap kernels fail on, with shapely's IoU of them."""

from math import pi

import numpy as np
import shapely
import torch
from hypothesis import strategies as st

FORMS = ["center", "region", "keypoints", "wasserstein"]
ODD = [0, 1, 2.5, 1e-3, 1e7, -1, torch.inf, -torch.inf, torch.nan, 3e38, -3e38, 1e30, 1e-38, 1e-45]
HALF = {torch.float32: 0, torch.bfloat16: 2**-8, torch.float16: 2**-11}  # relative rounding of the result
KINDS = ["random", "touching", "nested", "slivers", "crossed slivers", "sliver in box", "noise 1", "noise 0.01",
         "noise 0.0001", "equal angles", "upright", "far away", "sliver along the edge", "nearly upright", "tiny",
         "many turns"]  # fmt: skip
NOISE = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.01], dtype=torch.float64)

_coordinate = st.floats(-1e3, 1e3, width=32)
_side = st.floats(0.125, 1e3, width=32)


def box(corner=_coordinate, side=_side):
    """A box with area as `(4,)`, float64."""
    return st.builds(
        lambda x, y, w, h: torch.tensor([x, y, x + w, y + h], dtype=torch.float64), corner, corner, side, side
    )


any_float = st.floats(allow_nan=True, allow_infinity=True)
any_row = st.lists(any_float, min_size=4, max_size=4)
group_ious = st.lists(st.floats(0, 1), min_size=2, max_size=16)


def near_pairs(n, seed=0):
    """True boxes, and predictions from 1e-4 pixel to 10 pixels off, `(n, 4)` each."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(n, 4, generator=generator) * 60
    target[:, 2:] += target[:, :2] + 4
    return target + torch.randn(n, 4, generator=generator) * torch.logspace(-4, 1, n)[:, None], target


def odd_pairs(n, numbers, seed=1):
    """Rows of numbers that are seldom those of a box, `(n, numbers)` each."""
    rows = torch.randint(0, len(ODD), (2, n, numbers), generator=torch.Generator().manual_seed(seed))
    return torch.tensor(ODD)[rows].unbind(0)


def group_boxes(groups, size, seed=2):
    """Rollouts about one place a group, some missing, one inverted, `(groups, size, 4)`; and true boxes."""
    pred, target = near_pairs(groups * size, seed)
    target = target.view(groups, size, 4)[:, 0].clone()
    pred = target[:, None] + pred.view(groups, size, 4).roll(1, 0) % 8
    pred[1::3, ::2] = torch.nan
    pred[2, -1] = torch.tensor([9.0, 0, 0, 9])
    return pred, target


def random_boxes(generator, n, extent=100.0):
    draw = torch.rand(n, 5, generator=generator, dtype=torch.float64)
    return draw * torch.tensor([extent, extent, 60, 60, 2 * pi]) + torch.tensor([0, 0, 1, 1, -pi])


def pairs(kind, generator, n):
    """Prediction and truth, `(n, 5)` each, float64."""
    a, b = random_boxes(generator, n), random_boxes(generator, n)
    noise = torch.randn(n, 5, generator=generator, dtype=torch.float64) * NOISE
    along = torch.stack([b[:, 4].cos(), b[:, 4].sin()], 1)
    if kind.startswith("noise"):
        a = b + noise * float(kind.split()[1])
        a[:, 2:4] = a[:, 2:4].abs()
    elif kind == "touching":
        a = b.clone()
        a[:, :2] += b[:, 2:3] * along
    elif kind == "nested":
        a = b.clone()
        a[:, 2:4] *= torch.rand(n, 2, generator=generator, dtype=torch.float64)
    elif kind == "slivers":
        b[:, 2], b[:, 3] = 1e5, 1.0
        a = b.clone()
        a[:, :2] += 3e3 * noise[:, :1] * along
        a[:, 4] += 1e-3 * noise[:, 4]
    elif kind == "crossed slivers":
        a[:, 2:4], b[:, 2:4] = torch.tensor([500.0, 0.5]), torch.tensor([500.0, 0.5])
    elif kind == "sliver in box":
        a[:, 2:4] = torch.tensor([1e4, 1e-2])
    elif kind == "sliver along the edge":
        a = b.clone()
        a[:, 2:4] = torch.tensor([1e4, 1e-2])
        a[:, :2] += torch.stack([-along[:, 1], along[:, 0]], 1) * b[:, 3:4] / 2
    elif kind == "equal angles":
        a[:, 4] = b[:, 4]
    elif kind == "upright":
        a[:, 4], b[:, 4] = 0.0, pi / 2
    elif kind == "nearly upright":
        a = b + 1e-3 * noise
        a[:, 4], b[:, 4] = 1e-7 * noise[:, 4], pi / 2
        a[:, 2:4] = a[:, 2:4].abs().flip(1)
    elif kind == "far away":
        a = b + 10 * noise
        a[:, 2:4] = a[:, 2:4].abs() + 0.1
        a[:, :2], b[:, :2] = a[:, :2] + 9e4, b[:, :2] + 9e4
    elif kind == "tiny":
        a[:, :4], b[:, :4] = 1e-3 * a[:, :4], 1e-3 * b[:, :4]
    elif kind == "many turns":
        a = b + noise
        a[:, 2:4] = a[:, 2:4].abs()
        a[:, 4] += 2 * pi * torch.randint(-9, 10, (n,), generator=generator)
    return a, b


def turned(boxes, turn, order):
    return boxes[:, order] + boxes.new_tensor([0, 0, 0, 0, turn])


def polygons(boxes):
    cx, cy, w, h, angle = boxes.double().numpy().T
    c, s = np.cos(angle), np.sin(angle)
    signs = [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    points = [[cx + (x * w * c - y * h * s) / 2, cy + (x * w * s + y * h * c) / 2] for x, y in signs]
    return shapely.polygons(np.array(points).transpose(2, 0, 1))


def shapely_iou(pred, target):
    p, t = polygons(pred), polygons(target)
    overlap = shapely.area(shapely.intersection(p, t))
    return torch.tensor(overlap / (shapely.area(p) + shapely.area(t) - overlap))
