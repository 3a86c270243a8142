"""Kinds of pairs of oriented boxes that overlap kernels fail on, and shapely's IoU of them."""

from math import pi

import numpy as np
import shapely
import torch

KINDS = ["random", "touching", "nested", "slivers", "crossed slivers", "sliver in box", "noise 1", "noise 0.01",
         "noise 0.0001", "equal angles", "upright", "far away", "sliver along the edge", "nearly upright", "tiny",
         "many turns"]  # fmt: skip
NOISE = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.01], dtype=torch.float64)


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
