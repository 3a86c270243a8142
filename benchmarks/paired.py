"""Horizontal boxes: the paired reward and its relatives, and all pairs."""

from collections.abc import Iterator

import torch
from torch import Tensor

import peers
from cases import Case, Peer
from rsreward import diou, giou, iou, pairwise_iou, positional_reward

SIZES = {
    "quick": [256],
    "full": [1_024, 4_096, 65_536, 1_048_576],
    "large": [1_024, 4_096, 65_536, 1_048_576, 16_777_216],
}
RELATIVE_SIZES = {"quick": [256], "full": [4_096, 1_048_576], "large": [4_096, 1_048_576, 16_777_216]}
SIDES = {"quick": [16], "full": [32, 1_000], "large": [32, 1_000]}
LOOP = 4_096  # rows


def boxes(n: int, device: str, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Objects of 10 to 300 pixels in an image of 1,000 x 800, and predictions off by about a quarter of their sides."""
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(n, 2, generator=generator) * torch.tensor([1000.0, 800.0])
    sides = 10 * 30 ** torch.rand(n, 2, generator=generator)
    target = torch.cat([centre - sides / 2, centre + sides / 2], 1)
    moved = centre + 0.25 * sides * torch.randn(n, 2, generator=generator)
    other = sides * torch.exp(0.25 * torch.randn(n, 2, generator=generator))
    return torch.cat([moved - other / 2, moved + other / 2], 1).to(device), target.to(device)


def repeats(n: int, device: str) -> int | None:
    """Fewer where a CPU takes seconds."""
    return 5 if n > 2**20 and device == "cpu" else None


def _one_less(loss: Tensor) -> Tensor:
    return 1 - loss


def _one_less_array(distance: object) -> Tensor:
    return 1 - torch.as_tensor(distance)


def _column(overlap: Tensor) -> Tensor:
    return overlap.squeeze(-1)


def _peer(name: str, package: str, make: object, **more: object) -> Peer:
    value = _one_less if package == "torchvision" else _column
    return Peer(name, make, value=value, cuda=True, package=package, **more)  # type: ignore[arg-type]


TV_DISTANCE = ("torchvision distance_box_iou_loss", "torchvision", peers.torchvision_loss("distance_box_iou_loss"))
TV_GENERAL = ("torchvision generalized_box_iou_loss", "torchvision", peers.torchvision_loss("generalized_box_iou_loss"))
UL_DISTANCE = ("ultralytics bbox_iou(DIoU)", "ultralytics", peers.ultralytics_iou(DIoU=True))
REWARD = [
    Peer("by hand, torch", peers.torch_reward, cuda=True),
    Peer("by hand, numpy", peers.numpy_reward),
    Peer("a Python loop", peers.loop_reward, limit=LOOP),
    _peer(*TV_DISTANCE, computes="DIoU", like=diou),
]
RELATIVES = {
    "IoU": (iou, "rsreward iou", [_peer("ultralytics bbox_iou", "ultralytics", peers.ultralytics_iou())]),
    "DIoU": (diou, "rsreward diou", [_peer(*TV_DISTANCE), _peer(*UL_DISTANCE)]),
    "GIoU": (
        giou,
        "rsreward giou",
        [_peer(*TV_GENERAL), _peer("ultralytics bbox_iou(GIoU)", "ultralytics", peers.ultralytics_iou(GIoU=True))],
    ),
}
PAIRWISE = [
    Peer("torchvision box_iou", peers.torchvision_pairwise, cuda=True, package="torchvision"),
    Peer("supervision box_iou_batch", peers.supervision_pairwise, package="supervision"),
    Peer("pycocotools mask.iou", peers.coco_pairwise("pycocotools.mask"), package="pycocotools"),
    Peer("faster-coco-eval mask.iou", peers.coco_pairwise("faster_coco_eval.core.mask"), package="faster_coco_eval"),
    *(
        Peer(f"powerboxes {name}", peers.powerboxes_distance(name), value=_one_less_array, package="powerboxes")
        for name in ("iou_distance", "parallel_iou_distance")
    ),
]


def cases(sizes: str, device: str) -> Iterator[Case]:
    for n in SIZES[sizes]:
        yield Case(
            "paired", "the reward, IoU + beta K", n, boxes(n, device), positional_reward, "rsreward positional_reward",
            REWARD, lambda pred, _: len(pred), result_bytes=4 * n, peak=n >= 2**20,
            repeats=repeats(n, device),
        )  # fmt: skip
    for title, (function, name, others) in RELATIVES.items():
        for n in RELATIVE_SIZES[sizes]:
            yield Case(
                "paired", title, n, boxes(n, device), function, name, others, lambda pred, _: len(pred),
                result_bytes=4 * n, repeats=repeats(n, device),
            )  # fmt: skip
    for side in SIDES[sizes]:
        pred, target = boxes(side, device)
        yield Case(
            "paired", "all pairs of N and N boxes", side, (pred, target), pairwise_iou, "rsreward pairwise_iou",
            PAIRWISE, lambda a, b: len(a) * len(b), result_bytes=4 * side**2,
        )  # fmt: skip
