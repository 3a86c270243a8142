"""Several boxes an answer, with labels or without: who stands for whom, the reward of a set, counts and AP."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .boxes import pairwise_iou
from .checks import check_tensors
from .conventions import convention_named
from .oriented import pairwise_oriented_iou
from .positional import Proximity, positional_reward

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


def set_reward(
    preds: Sequence[Tensor],
    targets: Sequence[Tensor],
    *,
    alpha: float = 2.5,
    beta: float = 0.1,
    proximity: Proximity = "center",
    labels: Labels = None,
) -> Tensor:
    """The reward of answers with several boxes, in [0, 1 + beta].

        R = max over one-to-one assignments of sum positional_reward(matched pair) / max(n_pred, n_true)

    so that extra, missing and repeated boxes all cost. With labels a pair of two labels is worth 0. No box where there
    is none to find scores 1; a box where there is none, and none where there are some, scores 0. So does a prediction
    of NaN alone, which is no answer.

    Args:
        preds, targets: B of each: `(n, 4)` or `(n, 5)`. Rows of NaN are not boxes and are left out; a prediction that
            is inverted counts as one and scores 0.
        alpha, beta, proximity: as in `positional_reward`.
        labels: those of the predictions and those of the targets, for detection: B lists of each, a label a box, rows
            of NaN included. Labels match if they are equal: bring them to one spelling first.

    Returns:
        `(B,)`, float32 or wider.

    Raises:
        ValueError: if there are not as many predictions as targets or labels as boxes, or shapes or options are wrong.

    The right box alone, and among three:

    >>> box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    >>> set_reward([box, box.repeat(3, 1), torch.empty(0, 4)], [box, box, torch.empty(0, 4)])
    tensor([1.1000, 0.3667, 1.0000])

    The right box under another name:

    >>> set_reward([box], [box], labels=([["ship"]], [["harbor"]]))
    tensor([0.])
    """
    rows = []
    for answer, row in zip(preds, _rows(preds, targets, labels), strict=True):
        pred, target = row.pred, row.target
        dtype = torch.promote_types(torch.promote_types(pred.dtype, target.dtype), torch.float32)
        pred, target = pred.to(dtype), target.to(dtype)
        if len(pred) == 0 or len(target) == 0:
            rows.append(pred.new_tensor(float(len(answer) == len(target) == 0)))
            continue
        scores = positional_reward(pred[:, None], target[None], alpha=alpha, beta=beta, proximity=proximity)
        scores = torch.where(row.alike, scores, 0)
        i, j = assign(scores)
        rows.append(scores[i, j].sum() / max(len(pred), len(target)))
    return torch.stack(rows) if rows else torch.empty(0)


def set_metrics(
    preds: Sequence[Tensor],
    targets: Sequence[Tensor],
    *,
    thresholds: Sequence[float] | None = None,
    convention: str = "plain",
    labels: Labels = None,
) -> dict[str, float]:
    """Precision, recall and F1 over all rows, with boxes matched by IoU.

        precision = hits / predictions,    recall = hits / true boxes,    F1 = 2 hits / (predictions + true boxes)

    Args:
        preds, targets: as in `set_reward`.
        thresholds: the least IoU of a hit; the matching is the one with the most hits, then the greatest IoU. None:
            those of the convention.
        convention: "plain", one to one; or "earthdial", where hits are those of `meets_any`.
        labels: as in `set_reward`. A pair of two labels is not a hit.

    Returns:
        `predictions`, `targets`, for each threshold k `hits@k`, `precision@k`, `recall@k`, `f1@k`, and `mean_f1`, the
        mean over the thresholds. Of rows without true boxes: `empty_targets`, how many there are; `false_alarms`, how
        many of them were answered by a box; `none_recall`, the share answered by no box; and `none_precision`, the
        share of the answers without a box that are right. An unreadable answer (NaN) is none of these. A ratio without
        a denominator is 1, for there was nothing to miss. Of "earthdial" no recall and F1, which it does not define.
        AP ranks boxes by their scores, so it is undefined for answers that give none; for those that do:
        `average_precision`.

    Raises:
        ValueError: if the lengths, the shapes or the convention are wrong.

    >>> box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    >>> metrics = set_metrics([box.repeat(2, 1)], [box], thresholds=[0.5])
    >>> metrics["precision@0.5"], metrics["recall@0.5"]
    (0.5, 1.0)
    """
    rule = convention_named(convention)
    if convention != "plain" and not rule.any_true:
        raise ValueError(f"the convention {convention!r} is for one box a row: use grounding_metrics.")
    thresholds = rule.thresholds if thresholds is None else thresholds
    counts = dict.fromkeys(("predictions", "targets", "empty_targets", "false_alarms", "none", "none_right"), 0.0)
    counts |= {f"hits@{k}": 0.0 for k in thresholds}
    for answer, row in zip(preds, _rows(preds, targets, labels), strict=True):
        pred, target = row.pred, row.target
        counts["empty_targets"] += len(target) == 0
        counts["false_alarms"] += len(target) == 0 < len(pred)
        counts["none"] += len(answer) == 0
        counts["none_right"] += len(answer) == len(target) == 0
        counts["predictions"] += len(pred)
        counts["targets"] += len(target)
        if len(pred) == 0 or len(target) == 0:
            continue
        overlaps = _overlaps(pred, target)
        for k in thresholds:
            hit = (overlaps >= k) & row.alike
            if rule.any_true:
                counts[f"hits@{k}"] += meets_any(hit).sum().item()
                continue
            i, j = assign(hit + overlaps / (len(pred) + len(target)))
            counts[f"hits@{k}"] += hit[i, j].sum().item()
    n_pred, n_true = counts["predictions"], counts["targets"]
    for k in thresholds:
        ratios = precision_recall_f1(counts[f"hits@{k}"], n_pred, n_true)
        counts |= {f"{name}@{k}": value for name, value in ratios.items() if name == "precision" or not rule.any_true}
    none = precision_recall_f1(counts.pop("none_right"), counts.pop("none"), counts["empty_targets"])
    counts |= {f"none_{name}": none[name] for name in ("precision", "recall")}
    f1 = [counts[f"f1@{k}"] for k in thresholds if not rule.any_true]
    return counts | ({"mean_f1": sum(f1) / len(f1)} if f1 else {})


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
    rows = _rows(preds, targets, labels)
    if [boxes.shape[:1] for boxes in preds] != [each.shape for each in scores]:
        raise ValueError("scores need one number for each predicted box: as many rows, and as many in each.")
    kept = [each[~boxes.isnan().all(-1)] for boxes, each in zip(preds, scores, strict=True)]
    names = dict.fromkeys(name for row in rows for name in row.true_names)
    if not names:
        return float(not any(len(row.pred) for row in rows))
    return sum(_precision_of(name, rows, kept, threshold) for name in names) / len(names)


def _precision_of(name: Any, rows: Sequence["_Row"], scores: Sequence[Tensor], threshold: float) -> float:
    """The AP of one label."""
    sure, hits, n_true = [], [], 0
    for row, certain in zip(rows, scores, strict=True):
        mine = [i for i, each in enumerate(row.pred_names) if each == name]
        true = [j for j, each in enumerate(row.true_names) if each == name]
        order = certain[mine].argsort(descending=True, stable=True)
        overlaps = _overlaps(row.pred[mine][order], row.target[true])
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


def meets_any(hit: Tensor) -> Tensor:
    """Which predictions meet any true box, however often that box is met: `(n, m)` -> `(n,)`, bool.

        hits = sum over predictions i of [max over true boxes j of IoU_ij >= k]

    EarthDial's evaluation counts so: copies of one right box are all right.

    Args:
        hit: whether prediction i and true box j overlap enough.

    >>> meets_any(torch.tensor([[True, False], [True, False], [False, False]]))
    tensor([ True,  True, False])
    """
    return hit.any(1)


def precision_recall_f1(hits: float, predictions: float, targets: float) -> dict[str, float]:
    """Precision, recall and F1 from counts; 1 where there is no denominator, for there was nothing to miss."""
    return {
        "precision": hits / predictions if predictions else 1.0,
        "recall": hits / targets if targets else 1.0,
        "f1": 2 * hits / (predictions + targets) if predictions + targets else 1.0,
    }


class _Row(NamedTuple):
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


def _rows(preds: Sequence[Tensor], targets: Sequence[Tensor], labels: Labels = None) -> list[_Row]:
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
        rows.append(_Row(parts[0], parts[2], parts[1], parts[3]))
    return rows


def _overlaps(pred: Tensor, target: Tensor) -> Tensor:
    pairwise = pairwise_iou if pred.shape[1] == 4 else pairwise_oriented_iou
    return pairwise(pred.double(), target.double()).round(decimals=9)
