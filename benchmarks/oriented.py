"""Oriented IoU of 100,000 pairs on one thread, against every peer that is installed, in one run.

    pip install shapely powerboxes supervision opencv-python-headless ultralytics
    OMP_NUM_THREADS=1 python benchmarks/oriented.py

Repeats are interleaved and medians reported. Peers that only do all pairs get 316 x 316 boxes; those that are slow get
fewer pairs. `worst error` is against shapely in float64 on the same boxes.
"""

import statistics
import time
from collections.abc import Callable

import numpy as np
import torch

from rsreward import corners, oriented_iou, pairwise_oriented_iou

PAIRS, SIDE, REPEATS = 100_000, 316, 7


def random_boxes(n: int, generator: torch.Generator) -> torch.Tensor:
    draw = torch.rand(n, 5, generator=generator)
    return draw * torch.tensor([40.0, 40.0, 60.0, 60.0, 6.28]) + torch.tensor([0.0, 0.0, 1.0, 1.0, -3.14])


def shapely_iou(pred: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    import shapely

    p, t = (shapely.polygons(corners(b.double()).numpy()) for b in (pred, target))
    overlap = shapely.area(shapely.intersection(p, t))
    return overlap / (shapely.area(p) + shapely.area(t) - overlap)


def opencv_iou(pred: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    import cv2

    def one(p: list[float], t: list[float]) -> float:
        a, b = (((x, y), (w, h), np.degrees(angle)) for x, y, w, h, angle in (p, t))
        _, points = cv2.rotatedRectangleIntersection(a, b)
        overlap = cv2.contourArea(cv2.convexHull(points)) if points is not None else 0.0
        return overlap / (p[2] * p[3] + t[2] * t[3] - overlap)

    return np.array([one(p, t) for p, t in zip(pred.tolist(), target.tolist(), strict=True)])


def powerboxes_iou(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    import powerboxes

    def degrees(boxes: torch.Tensor) -> np.ndarray:
        return np.concatenate([boxes[:, :4].double().numpy(), boxes[:, 4:].double().rad2deg().numpy()], 1)

    return 1 - powerboxes.rotated_iou_distance(degrees(a), degrees(b))


def supervision_iou(a: torch.Tensor, b: torch.Tensor) -> np.ndarray:
    from supervision.detection.utils.iou_and_nms import oriented_box_iou_batch

    return oriented_box_iou_batch(corners(a).numpy(), corners(b).numpy())


def ultralytics_iou(pred: torch.Tensor, target: torch.Tensor) -> np.ndarray:
    from ultralytics.utils.metrics import probiou

    return probiou(pred, target).squeeze(-1).numpy()


def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    pred, target = random_boxes(PAIRS, generator), random_boxes(PAIRS, generator)
    a, b = pred[:SIDE], target[:SIDE]
    paired: dict[str, tuple[Callable[..., object], int]] = {
        "rsreward": (oriented_iou, PAIRS), "shapely": (shapely_iou, PAIRS), "OpenCV": (opencv_iou, 2_000),
        "ultralytics probiou (an approximation)": (ultralytics_iou, PAIRS),
    }  # fmt: skip
    pairwise: dict[str, tuple[Callable[..., object], int]] = {
        "rsreward, all pairs": (pairwise_oriented_iou, SIDE), "powerboxes, all pairs": (powerboxes_iou, SIDE),
        "supervision, all pairs": (supervision_iou, 32),
    }  # fmt: skip
    jobs = {name: (f, pred[:n], target[:n], n) for name, (f, n) in paired.items()}
    jobs |= {name: (f, a[:n], b[:n], n * n) for name, (f, n) in pairwise.items()}
    times: dict[str, list[float]] = {}
    errors: dict[str, float] = {}
    for repeat in range(REPEATS):
        for name, (function, p, t, pairs) in list(jobs.items()):
            try:
                start = time.perf_counter()
                result = np.asarray(function(p, t))
                times.setdefault(name, []).append((time.perf_counter() - start) / pairs * 1e9)
            except ImportError as error:
                print(f"{name}: left out, {error}")
                del jobs[name]
                continue
            if repeat == 0:
                rows = (p, t) if result.ndim == 1 else (p.repeat_interleave(len(t), 0), t.repeat(len(p), 1))
                errors[name] = float(np.abs(result.ravel() - shapely_iou(*rows)).max())
    print(f"\n{'':40}{'ns a pair':>12}{'x rsreward':>12}{'worst error':>14}")
    for name, samples in times.items():
        ours = times["rsreward, all pairs" if "all pairs" in name else "rsreward"]
        median = statistics.median(samples)
        print(f"{name:40}{median:12,.0f}{median / statistics.median(ours):12.1f}{errors[name]:14.1e}")


if __name__ == "__main__":
    main()
