"""Rows of predicted and true boxes, with labels or without: who may stand for whom."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..boxes import pairwise_iou
from ..checks import check_tensors
from ..oriented import pairwise_oriented_iou

Labels = tuple[Sequence[Any], Sequence[Any]] | None


def assign(scores: Tensor) -> Tensor:
    """The one-to-one assignment of rows to columns with the greatest sum, as `(2, K)` indices, K = min(N, M).

    By scipy's `linear_sum_assignment`; what is not finite counts as 0.

    Args:
        scores: `(N, M)`.

    Raises:
        ImportError: if scipy is not installed.

    >>> assign(torch.tensor([[0.9, 0.8], [0.7, 0.1]]))
    tensor([[0, 1],
            [1, 0]])
    """
    try:
        from scipy.optimize import linear_sum_assignment
    except ImportError:
        raise ImportError("matching several boxes needs scipy: pip install 'rsreward[matching]'.") from None
    table = torch.where(scores.isfinite(), scores, 0).detach().double().cpu().numpy()
    pairs = linear_sum_assignment(table, maximize=True)
    return torch.stack([torch.as_tensor(i, device=scores.device) for i in pairs])


class Row(NamedTuple):
    """A prediction and its truth, without their rows of NaN; a box without a label has the name None."""

    pred: Tensor
    target: Tensor
    pred_names: list[Any]
    true_names: list[Any]

    @property
    def alike(self) -> Tensor:
        """Which pairs have one label, `(n_pred, n_true)`."""
        number = {name: i for i, name in enumerate(dict.fromkeys(self.pred_names + self.true_names))}
        p, t = (torch.tensor([number[name] for name in names]) for names in (self.pred_names, self.true_names))
        return (p[:, None] == t).to(self.pred.device)


def labelled_rows(preds: Sequence[Tensor], targets: Sequence[Tensor], labels: Labels = None) -> list[Row]:
    if len(preds) != len(targets):
        raise ValueError(f"preds and targets need as many rows each, got {len(preds)} and {len(targets)}.")
    if labels is not None and [len(of) for of in labels] != [len(preds)] * 2:
        raise ValueError(f"labels need two lists, of predictions and of targets, with {len(preds)} rows each.")
    rows = []
    for row, (pred, target) in enumerate(zip(preds, targets, strict=True)):
        check_tensors(pred, target)
        if pred.dim() != 2 or target.dim() != 2 or pred.shape[1] != target.shape[1] or pred.shape[1] not in (4, 5):
            raise ValueError(
                f"each row needs boxes (n, 4) or (n, 5), alike for preds and targets, "
                f"got {tuple(pred.shape)} and {tuple(target.shape)}."
            )
        parts: list[Any] = []
        for boxes, of in zip((pred, target), labels or (None, None), strict=True):
            names = [None] * len(boxes) if of is None else of[row]
            if isinstance(names, str) or len(names) != len(boxes):
                raise ValueError(
                    f"each box needs its label: row {row} has {len(boxes)} boxes and the labels {names!r}."
                )
            keep = ~boxes.isnan().all(-1)
            parts += [boxes[keep], [name for name, stays in zip(names, keep.tolist(), strict=True) if stays]]
        rows.append(Row(parts[0], parts[2], parts[1], parts[3]))
    return rows


def overlaps_of(pred: Tensor, target: Tensor) -> Tensor:
    pairwise = pairwise_iou if pred.shape[1] == 4 else pairwise_oriented_iou
    return pairwise(pred.double(), target.double()).round(decimals=9)
