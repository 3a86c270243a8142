"""Groups of rollouts: the consistency weight, all pairs within each group and their mean, by group size."""

from collections.abc import Iterator

import torch
from torch import Tensor

import peers
from cases import Case, Peer
from paired import boxes
from rsreward import consistency_weight, group_agreement, pairwise_iou

GROUPS = {"quick": 8, "full": 1_024, "large": 1_024}
SIZES = {"quick": [4], "full": [4, 8, 16, 32, 64], "large": [4, 8, 16, 32, 64, 128]}
WEIGHT = [
    Peer("by hand, numpy", peers.numpy_weight),
    Peer("a Python loop", peers.loop_weight, limit=512),
]
AGREEMENT = [Peer("by hand, torch, all pairs", peers.torch_agreement, cuda=True)]
PAIRS = [
    Peer("torchvision box_iou, group by group", peers.torchvision_groups, limit=256, cuda=True, package="torchvision")
]


def cases(sizes: str, device: str) -> Iterator[Case]:
    groups = GROUPS[sizes]
    for g in SIZES[sizes]:
        iou = torch.rand(groups, g, generator=torch.Generator().manual_seed(g)).to(device)
        yield Case(
            "group", f"the weight of {groups:,} groups of G", g, (iou,), consistency_weight,
            "rsreward consistency_weight", WEIGHT, lambda iou: iou.numel(), "ns a rollout", result_bytes=4 * groups,
        )  # fmt: skip
    for g in SIZES[sizes]:
        grouped = boxes(groups * g, device)[0].view(groups, g, 4)
        yield Case(
            "group", f"all pairs within {groups:,} groups of G", g, (grouped, grouped), pairwise_iou,
            "rsreward pairwise_iou", PAIRS, _pairs, result_bytes=4 * groups * g**2,
        )  # fmt: skip
    for g in SIZES[sizes]:
        yield _agreement(groups, g, device)
    if device == "cuda":
        yield _agreement(100_000, 64, device)


def _agreement(groups: int, g: int, device: str) -> Case:
    grouped = boxes(groups * g, device)[0].view(groups, g, 4)
    return Case(
        "group", f"mean IoU with the others of {groups:,} groups of G", g, (grouped,), group_agreement,
        "rsreward group_agreement", AGREEMENT, lambda boxes: len(boxes) * g**2, result_bytes=4 * groups * g,
    )  # fmt: skip


def _pairs(a: Tensor, b: Tensor) -> int:
    return a.shape[0] * a.shape[1] * b.shape[1]
