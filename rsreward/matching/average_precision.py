"""Average precision of answers that say how sure they are of each box."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .rows import Labels, Row, labelled_rows, overlaps_of


def average_precision(
    preds: Sequence[Tensor],
    targets: Sequence[Tensor],
    scores: Sequence[Tensor],
    *,
    threshold: float = 0.5,
    labels: Labels = None,
) -> float:
    """AP of answers that say how sure they are of each box, in [0, 1]; its mean over the true labels if there are some.

        AP = integral over recall r in [0, 1] of the greatest precision at any recall >= r          (all-point)

    As COCO counts it, predictions take true boxes from the surest on, each the free one of its row with the greatest
    IoU of at least the threshold. COCO itself reads the curve at 101 recalls, which differs by some thousandths.

    Args:
        preds, targets: as in `set_reward`.
        scores: B tensors `(n,)`, one number for each predicted box, larger where it is surer. Of equal ones the first
            counts first, so constant scores measure the order of the answer, not its boxes.
        threshold: the least IoU of a hit.
        labels: as in `set_reward`. Predictions of a label that no true box has are not counted.

    Returns:
        The AP; without true boxes 0 if there are predictions, else 1.

    Raises:
        ValueError: as in `set_reward`, and if there are not as many scores as boxes.

    A wrong box that is less sure than the right one costs nothing, a surer one does:

    >>> box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    >>> both = torch.cat([box, box + 50])
    >>> [average_precision([both], [box], [torch.tensor(scores)]) for scores in ([0.9, 0.8], [0.8, 0.9])]
    [1.0, 0.5]
    """
    rows = labelled_rows(preds, targets, labels)
    if [boxes.shape[:1] for boxes in preds] != [each.shape for each in scores]:
        raise ValueError("scores need one number for each predicted box: as many rows, and as many in each.")
    kept = [each[~boxes.isnan().all(-1)] for boxes, each in zip(preds, scores, strict=True)]
    names = dict.fromkeys(name for row in rows for name in row.true_names)
    if not names:
        return float(not any(len(row.pred) for row in rows))
    return sum(_precision_of(name, rows, kept, threshold) for name in names) / len(names)


def _precision_of(name: Any, rows: Sequence[Row], scores: Sequence[Tensor], threshold: float) -> float:
    """The AP of one label."""
    sure, hits, n_true = [], [], 0
    for row, certain in zip(rows, scores, strict=True):
        mine = [i for i, each in enumerate(row.pred_names) if each == name]
        true = [j for j, each in enumerate(row.true_names) if each == name]
        order = certain[mine].argsort(descending=True, stable=True)
        overlaps = overlaps_of(row.pred[mine][order], row.target[true])
        n_true += len(true)
        sure += certain[mine][order].tolist()
        for i in range(len(mine)):
            hits.append(bool(true) and bool(overlaps[i].max() >= threshold))
            if hits[-1]:
                overlaps[:, overlaps[i].argmax()] = -1  # taken
    ranked = torch.tensor(hits, dtype=torch.float64)[torch.tensor(sure).argsort(descending=True, stable=True)]
    precision = ranked.cumsum(0) / torch.arange(1, len(ranked) + 1)
    greatest = precision.flip(0).cummax(0).values.flip(0)  # at this recall or a greater one
    return float((greatest * ranked).sum()) / n_true
