"""Boxes that kernels are tried on, by the interpreter and by a GPU alike."""

import torch

FORMS = ["center", "region", "keypoints"]
ODD = [0, 1, 2.5, -1, torch.inf, -torch.inf, torch.nan, 3e38, -3e38, 1e30, 1e-38, 1e-45]
HALF = {torch.float32: 0, torch.bfloat16: 2**-8, torch.float16: 2**-11}  # relative rounding of the result


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
