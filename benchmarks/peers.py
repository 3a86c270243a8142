"""The other libraries, each touched here alone: imported when first used, inputs in its own form before the clock."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from importlib import import_module
from math import exp
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

import torchvision_on_cpu
from rsreward import corners
from timing import Call

ALPHA, BETA = 2.5, 0.1


@cache
def torchvision() -> ModuleType:
    """torchvision's functions, also on a build of torch without the CUDA that its wheel asks for."""
    if torch.version.cuda is None:
        torchvision_on_cpu.load()  # before it looks for its compiled part itself
    import torchvision.ops

    return torchvision.ops


@cache
def ultralytics() -> ModuleType:
    torchvision()  # which it imports
    os.environ.setdefault("YOLO_VERBOSE", "false")
    threads = torch.get_num_threads()
    from ultralytics.utils import metrics

    torch.set_num_threads(threads)
    return metrics


def _reward(xp: ModuleType, p: Any, t: Any) -> Any:
    """IoU + beta K on columns, as one writes it by hand in numpy or torch."""
    x = (xp.minimum(p[:, 2], t[:, 2]) - xp.maximum(p[:, 0], t[:, 0])).clip(0)
    y = (xp.minimum(p[:, 3], t[:, 3]) - xp.maximum(p[:, 1], t[:, 1])).clip(0)
    overlap, width, height = x * y, t[:, 2] - t[:, 0], t[:, 3] - t[:, 1]
    union = (p[:, 2] - p[:, 0]) * (p[:, 3] - p[:, 1]) + width * height - overlap
    dx = (p[:, 0] + p[:, 2] - t[:, 0] - t[:, 2]) / (ALPHA * width)
    dy = (p[:, 1] + p[:, 3] - t[:, 1] - t[:, 3]) / (ALPHA * height)
    return overlap / union + BETA * xp.exp(-0.5 * (dx * dx + dy * dy))


def numpy_reward(pred: Tensor, target: Tensor) -> Call:
    p, t = pred.numpy(), target.numpy()
    return lambda: _reward(np, p, t)


def torch_reward(pred: Tensor, target: Tensor) -> Call:
    return lambda: _reward(torch, pred, target)


def reward_of_row(p: Sequence[float], t: Sequence[float]) -> float:
    """The same for one row in plain Python, as reward functions in public training code do."""
    x, y = max(min(p[2], t[2]) - max(p[0], t[0]), 0), max(min(p[3], t[3]) - max(p[1], t[1]), 0)
    width, height = t[2] - t[0], t[3] - t[1]
    union = (p[2] - p[0]) * (p[3] - p[1]) + width * height - x * y
    dx, dy = (p[0] + p[2] - t[0] - t[2]) / (ALPHA * width), (p[1] + p[3] - t[1] - t[3]) / (ALPHA * height)
    return x * y / union + BETA * exp(-0.5 * (dx * dx + dy * dy))


def loop_reward(pred: Tensor, target: Tensor) -> Call:
    p, t = pred.tolist(), target.tolist()
    return lambda: [reward_of_row(a, b) for a, b in zip(p, t, strict=True)]


def torchvision_loss(name: str) -> Callable[[Tensor, Tensor], Call]:
    """`1 - ` an overlap of paired boxes."""

    def make(pred: Tensor, target: Tensor) -> Call:
        loss = getattr(torchvision(), name)
        return lambda: loss(pred, target)

    return make


def ultralytics_iou(**form: bool) -> Callable[[Tensor, Tensor], Call]:
    def make(pred: Tensor, target: Tensor) -> Call:
        bbox_iou = ultralytics().bbox_iou
        return lambda: bbox_iou(pred, target, xywh=False, **form)

    return make


def torchvision_pairwise(a: Tensor, b: Tensor) -> Call:
    box_iou = torchvision().box_iou
    return lambda: box_iou(a, b)


def torchvision_groups(a: Tensor, b: Tensor) -> Call:
    box_iou = torchvision().box_iou
    return lambda: torch.stack([box_iou(x, y) for x, y in zip(a, b, strict=True)])


def supervision_pairwise(a: Tensor, b: Tensor) -> Call:
    from supervision.detection.utils.iou_and_nms import box_iou_batch

    x, y = a.numpy(), b.numpy()
    return lambda: box_iou_batch(x, y)


def coco_pairwise(module: str) -> Callable[[Tensor, Tensor], Call]:
    """`mask.iou` of pycocotools, or of faster_coco_eval, which takes its place."""

    def make(a: Tensor, b: Tensor) -> Call:
        mask = import_module(module)
        x, y = (torch.cat([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1).double().numpy() for boxes in (a, b))
        crowd = [0] * len(y)
        return lambda: mask.iou(x, y, crowd)

    return make


def powerboxes_distance(name: str) -> Callable[[Tensor, Tensor], Call]:
    def make(a: Tensor, b: Tensor) -> Call:
        import powerboxes

        distance = getattr(powerboxes, name)
        x, y = a.numpy(), b.numpy()
        return lambda: distance(x, y)

    return make


def torch_agreement(boxes: Tensor) -> Call:
    """With the table of all pairs of each group."""
    a, b, others = boxes.unsqueeze(-2), boxes.unsqueeze(-3), boxes.shape[-2] - 1

    def mean_overlap() -> Tensor:
        shared = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
        area = (boxes[..., 2:] - boxes[..., :2]).prod(-1)
        overlap = shared / (area.unsqueeze(-1) + area.unsqueeze(-2) - shared)
        return (overlap.sum(-1) - 1) / others

    return mean_overlap


def numpy_weight(iou: Tensor) -> Call:
    each = iou.numpy()
    return lambda: np.exp(1.2 * (1 - each.mean(-1)) + each.var(-1)).clip(0.5, 3.0)


def weight_of_group(iou: list[float]) -> float:
    mean = sum(iou) / len(iou)
    variance = sum((each - mean) ** 2 for each in iou) / len(iou)
    return min(max(exp(1.2 * (1 - mean) + variance), 0.5), 3.0)


def loop_weight(iou: Tensor) -> Call:
    groups = iou.tolist()
    return lambda: [weight_of_group(group) for group in groups]


def shapely_oriented(pred: Tensor, target: Tensor) -> Call:
    import shapely

    p, t = (shapely.polygons(corners(boxes.double()).numpy()) for boxes in (pred, target))

    def iou() -> Any:
        overlap = shapely.area(shapely.intersection(p, t))
        return overlap / (shapely.area(p) + shapely.area(t) - overlap)

    return iou


def opencv_oriented(pred: Tensor, target: Tensor) -> Call:
    import cv2

    cv2.setNumThreads(1)
    rectangles = [[((x, y), (w, h), np.degrees(r)) for x, y, w, h, r in b.tolist()] for b in (pred, target)]
    areas = (pred[:, 2] * pred[:, 3] + target[:, 2] * target[:, 3]).tolist()

    def one(p: object, t: object, both: float) -> float:
        _, points = cv2.rotatedRectangleIntersection(p, t)
        overlap = cv2.contourArea(cv2.convexHull(points)) if points is not None else 0.0
        return float(overlap / (both - overlap))

    return lambda: [one(*pair) for pair in zip(*rectangles, areas, strict=True)]


def in_degrees(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :4], boxes[:, 4:].rad2deg()], 1)


def powerboxes_oriented_distance(name: str) -> Callable[[Tensor, Tensor], Call]:
    def make(a: Tensor, b: Tensor) -> Call:
        import powerboxes

        distance = getattr(powerboxes, name)
        x, y = (in_degrees(each.double()).numpy() for each in (a, b))
        return lambda: distance(x, y)

    return make


def torchvision_oriented(a: Tensor, b: Tensor) -> Call:
    """All pairs, in C++ that comes from detectron2. Its angles go against the clock, as one looks at the image."""
    box_iou = torchvision().box_iou
    x, y = (in_degrees(each * torch.tensor([1, 1, 1, 1, -1])) for each in (a, b))
    return lambda: box_iou(x, y, fmt="cxcywhr")


def supervision_oriented(a: Tensor, b: Tensor) -> Call:
    from supervision.detection.utils.iou_and_nms import oriented_box_iou_batch

    x, y = corners(a).numpy(), corners(b).numpy()
    return lambda: oriented_box_iou_batch(x, y)


def ultralytics_probiou(pred: Tensor, target: Tensor) -> Call:
    probiou = ultralytics().probiou
    return lambda: probiou(pred, target)
