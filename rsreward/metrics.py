"""Acc@k and mean IoU, under the named conventions of the benchmarks."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .boxes import iou
from .oriented import oriented_iou


@dataclass(frozen=True)
class Convention:
    """How a benchmark counts.

    Attributes:
        thresholds: the k of Acc@k.
        closed: whether an IoU of just k counts.
    """

    thresholds: tuple[float, ...] = (0.5, 0.7)
    closed: bool = True

    def hits(self, overlaps: Tensor, k: float) -> Tensor:
        """Which of these IoUs, from `counted_iou`, count at threshold k."""
        return overlaps >= k if self.closed else overlaps > k


CONVENTIONS = {
    "plain": Convention(),
    "dior_rsvg": Convention(thresholds=(0.5, 0.6, 0.7, 0.8, 0.9), closed=False),
}


def grounding_metrics(pred: Tensor, target: Tensor, *, convention: str = "plain") -> dict[str, float]:
    """Acc@k, mean IoU and the share of predictions that could be read. Missing predictions count as IoU 0.

        Acc@k = mean(IoU >= k)    (> k under "dior_rsvg"),        mIoU = mean(IoU)

    Args:
        pred: `(N, 4)` or `(N, 5)`, rows of NaN where there is no prediction.
        target: of the same kind.
        convention: a key of `CONVENTIONS`.

    Returns:
        `rows`, `acc@k` for each threshold, `miou` and `parse_rate`; shares of N, 0 where N is 0.

    Raises:
        ValueError: if the shapes do not fit or the convention is unknown.

    >>> import torch
    >>> target = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 10.0]])
    >>> pred = torch.tensor([[0.0, 0.0, 10.0, 6.0], [torch.nan] * 4])
    >>> {name: round(value, 2) for name, value in grounding_metrics(pred, target).items()}
    {'rows': 2, 'acc@0.5': 0.5, 'acc@0.7': 0.0, 'miou': 0.3, 'parse_rate': 0.5}
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"unknown convention {convention!r}: use one of {', '.join(CONVENTIONS)}.")
    rule = CONVENTIONS[convention]
    overlaps = counted_iou(pred, target)
    rows = max(overlaps.numel(), 1)
    metrics: dict[str, Any] = {"rows": overlaps.numel()}
    for k in rule.thresholds:
        metrics[f"acc@{k}"] = rule.hits(overlaps, k).sum().item() / rows
    metrics["miou"] = overlaps.sum().item() / rows
    metrics["parse_rate"] = is_readable(pred).expand(overlaps.shape).sum().item() / rows
    return metrics


def counted_iou(pred: Tensor, target: Tensor) -> Tensor:
    """IoU in float64 to nine decimals, so that one of just 7/10 is neither above nor below 0.7. `(..., 4)` or 5."""
    overlap = oriented_iou if target.shape[-1:] == (5,) else iou
    return overlap(pred.double(), target.double()).round(decimals=9)


def is_readable(pred: Tensor) -> Tensor:
    """Which rows hold a prediction at all, inverted ones included: `(...)`, bool."""
    return pred.isfinite().all(-1)
