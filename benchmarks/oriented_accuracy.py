"""Worst error of `oriented_iou` against shapely on 200,000 pairs of each kind that overlap kernels fail on.

    OMP_NUM_THREADS=1 python benchmarks/oriented_accuracy.py

Boxes are rounded to float32 and given to both. GEOS, under shapely, itself fails on rare pairs of nearly the same box:
where it is off by more than 1e-5 from clipping one box by the other (Sutherland-Hodgman, in plain Python), clipping is
the oracle, and `shapely failed` counts such rows. The worst float64 errors are of shapely's own size.
"""

import sys
from itertools import pairwise
from math import pi
from pathlib import Path

import torch

from rsreward import oriented_iou

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "core"))
from samples import KINDS, pairs, polygons, random_boxes, shapely_iou, turned

PAIRS = 200_000
WRITTEN = {
    "": (0.0, [0, 1, 2, 3, 4]),
    ", +180 degrees": (pi, [0, 1, 2, 3, 4]),
    ", swapped +90": (pi / 2, [0, 1, 3, 2, 4]),
}


def clipped_iou(pred: torch.Tensor, target: torch.Tensor) -> float:
    """IoU of one pair `(1, 5)` by clipping."""
    points, clip = ([complex(x, y) for x, y in polygons(b)[0].exterior.coords[:4]] for b in (pred, target))
    for start, end in zip(clip, clip[1:] + clip[:1], strict=True):
        sides = [((end - start).conjugate() * (point - start)).imag for point in points]
        kept = []
        for i, (point, side) in enumerate(zip(points, sides, strict=True)):
            before = sides[i - 1]
            if side * before < 0:
                kept.append(points[i - 1] + (point - points[i - 1]) * (before / (before - side)))
            if side >= 0:
                kept.append(point)
        points = kept
    first = points[0] if points else 0
    overlap = sum(((a - first).conjugate() * (b - first)).imag for a, b in pairwise(points)) / 2
    p, t = (float(b[0, 2].double() * b[0, 3].double()) for b in (pred, target))
    return overlap / (p + t - overlap)


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'':40}{'float32':>10}{'float64':>10}{'shapely failed':>16}")
    for kind in [*KINDS, "same box"]:
        for how, (turn, order) in WRITTEN.items():
            generator = torch.Generator().manual_seed(0)
            if kind == "same box":
                target = random_boxes(generator, PAIRS)
                pred = target
            else:
                pred, target = pairs(kind, generator, PAIRS)
            pred, target = turned(pred, turn, order).float(), target.float()
            expected = shapely_iou(pred, target)
            double = oriented_iou(pred.double(), target.double())
            failed = 0
            for row in ((double - expected).abs() > 1e-5).nonzero()[:, 0].tolist():
                clipped = clipped_iou(pred[row : row + 1], target[row : row + 1])
                failed += abs(clipped - expected[row].item()) > 1e-5
                expected[row] = clipped
            single = (oriented_iou(pred, target) - expected).abs().max()
            print(f"{kind + how:40}{single:10.1e}{(double - expected).abs().max():10.1e}{failed:16,}", flush=True)


if __name__ == "__main__":
    main()
