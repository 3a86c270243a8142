"""Oriented boxes, paired and all pairs."""

from collections.abc import Iterator

import torch
from torch import Tensor

import peers
from cases import Case, Peer
from paired import repeats
from rsreward import oriented_iou, pairwise_oriented_iou

SIZES = {"quick": [64], "full": [1_000, 10_000, 100_000], "large": [1_000, 10_000, 100_000, 16_777_216]}
SIDES = {"quick": 8, "full": 316, "large": 316}
PAIRED = [
    Peer("shapely", peers.shapely_oriented, limit=10_000, package="shapely"),
    Peer("OpenCV, pair by pair", peers.opencv_oriented, limit=1_000, package="cv2"),
    Peer(
        "ultralytics probiou", peers.ultralytics_probiou, computes="an approximation", cuda=True,
        value=lambda iou: iou.squeeze(-1), package="ultralytics",
    ),
]  # fmt: skip
PAIRWISE = [
    Peer('torchvision box_iou(fmt="cxcywhr")', peers.torchvision_oriented, cuda=True, package="torchvision"),
    *(
        Peer(
            f"powerboxes {name}", peers.powerboxes_oriented_distance(name), package="powerboxes",
            value=lambda distance: 1 - torch.as_tensor(distance),
        )
        for name in ("rotated_iou_distance", "parallel_rotated_iou_distance")
    ),
    Peer("supervision oriented_box_iou_batch", peers.supervision_oriented, limit=32, package="supervision"),
]  # fmt: skip


def boxes(n: int, device: str, generator: torch.Generator) -> Tensor:
    """Sides of 1 to 61 pixels at any angle, centres within 40 x 40: most pairs overlap."""
    draw = torch.rand(n, 5, generator=generator)
    drawn = draw * torch.tensor([40.0, 40.0, 60.0, 60.0, 6.28]) + torch.tensor([0.0, 0.0, 1.0, 1.0, -3.14])
    return drawn.to(device)


def cases(sizes: str, device: str) -> Iterator[Case]:
    generator = torch.Generator().manual_seed(0)
    for n in SIZES[sizes]:
        yield Case(
            "oriented", "oriented IoU", n, (boxes(n, device, generator), boxes(n, device, generator)), oriented_iou,
            "rsreward oriented_iou", PAIRED, lambda pred, _: len(pred), result_bytes=4 * n, peak=n >= 100_000,
            repeats=repeats(n, device),
        )  # fmt: skip
    n = SIDES[sizes]
    yield Case(
        "oriented", "oriented IoU, all pairs of N and N boxes", n,
        (boxes(n, device, generator), boxes(n, device, generator)), pairwise_oriented_iou,
        "rsreward pairwise_oriented_iou", PAIRWISE, lambda a, b: len(a) * len(b), result_bytes=4 * n**2,
    )  # fmt: skip
