"""Worst error of `oriented_iou` against shapely on 200,000 pairs of each kind that overlap kernels fail on.

    OMP_NUM_THREADS=1 python benchmarks/oriented_accuracy.py

Boxes are rounded to float32 and given to both. GEOS, under shapely, itself fails on rare pairs of nearly the same box:
where it is off by more than 1e-5 from clipping one box by the other (Sutherland-Hodgman, in plain Python), clipping is
the oracle, and `shapely failed` counts such rows. The worst float64 errors are of shapely's own size.

`make bench` puts the other libraries beside it, on fewer pairs of the kinds that a good policy gives.
"""

import sys
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import pi
from pathlib import Path

import torch
from torch import Tensor

import peers
from cases import Row, told
from rsreward import oriented_iou
from timing import Call

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


def drawn(kind: str, how: str, count: int) -> tuple[Tensor, Tensor]:
    """Pairs of a kind, the prediction written in this way, in float32."""
    turn, order = WRITTEN[how]
    generator = torch.Generator().manual_seed(0)
    if kind == "same box":
        pred = target = random_boxes(generator, count)
    else:
        pred, target = pairs(kind, generator, count)
    return turned(pred, turn, order).float(), target.float()


def expected_iou(pred: Tensor, target: Tensor, double: Tensor) -> tuple[Tensor, int]:
    """shapely's IoU, or by clipping where it is far from ours in float64; and how often shapely was wrong there."""
    expected, failed = shapely_iou(pred, target), 0
    for row in ((double - expected).abs() > 1e-5).nonzero()[:, 0].tolist():
        clipped = clipped_iou(pred[row : row + 1], target[row : row + 1])
        failed += abs(clipped - expected[row].item()) > 1e-5
        expected[row] = clipped
    return expected, failed


def rows(sizes: str) -> list[Row]:
    """The errors of rsreward and of the other libraries, for the table."""
    count, found = 64 if sizes == "quick" else 4_096, []
    for kind, how in (("random", ""), ("noise 0.0001", ""), *(("same box", how) for how in WRITTEN)):
        pred, target = drawn(kind, how, count)
        expected, _ = expected_iou(pred, target, oriented_iou(pred.double(), target.double()))
        cells = {name: _error(measure, pred, target, expected) for name, measure in LIBRARIES.items()}
        found.append(told("accuracy", TITLE, count, f"{kind}{how}", cells))
    return found


def _error(measure: Callable[[Tensor, Tensor], Tensor], pred: Tensor, target: Tensor, expected: Tensor) -> str:
    try:
        off = (measure(pred, target) - expected).abs().nan_to_num(1)
    except Exception as error:
        return type(error).__name__
    wrong = (off > 0.01).double().mean()
    return f"{off.max():.0e}" + (f", {wrong:.1%} off by 0.01" if wrong else "")


def _diagonal(
    make: Callable[[Tensor, Tensor], Call], to_iou: Callable[..., object], pred: Tensor, target: Tensor
) -> Tensor:
    """Of a function of all pairs: of a few boxes at a time the pairs that are wanted."""
    blocks = zip(pred.split(8), target.split(8), strict=True)
    return torch.cat([torch.as_tensor(to_iou(make(p, t)())).diagonal().double() for p, t in blocks])


LIBRARIES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "rsreward": oriented_iou,
    "torchvision": partial(_diagonal, peers.torchvision_oriented, lambda iou: iou),
    "powerboxes": partial(_diagonal, peers.powerboxes_oriented_distance("rotated_iou_distance"), lambda away: 1 - away),
    "supervision": partial(_diagonal, peers.supervision_oriented, lambda iou: iou),
    "OpenCV": lambda pred, target: torch.tensor(peers.opencv_oriented(pred, target)()),
}
TITLE = "oriented IoU: the worst error, and how many pairs are off by more than 0.01"


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'':40}{'float32':>10}{'float64':>10}{'shapely failed':>16}")
    for kind in [*KINDS, "same box"]:
        for how in WRITTEN:
            pred, target = drawn(kind, how, PAIRS)
            double = oriented_iou(pred.double(), target.double())
            expected, failed = expected_iou(pred, target, double)
            single = (oriented_iou(pred, target) - expected).abs().max()
            print(f"{kind + how:40}{single:10.1e}{(double - expected).abs().max():10.1e}{failed:16,}", flush=True)


if __name__ == "__main__":
    main()
