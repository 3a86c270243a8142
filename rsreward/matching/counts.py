"""Precision, recall and F1 of answers with several boxes."""

from collections.abc import Sequence

from torch import Tensor

from ..metrics import convention_named
from .rows import Labels, assign, labelled_rows, overlaps_of


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

    >>> import torch
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
    for answer, row in zip(preds, labelled_rows(preds, targets, labels), strict=True):
        pred, target = row.pred, row.target
        counts["empty_targets"] += len(target) == 0
        counts["false_alarms"] += len(target) == 0 < len(pred)
        counts["none"] += len(answer) == 0
        counts["none_right"] += len(answer) == len(target) == 0
        counts["predictions"] += len(pred)
        counts["targets"] += len(target)
        if len(pred) == 0 or len(target) == 0:
            continue
        overlaps = overlaps_of(pred, target)
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


def meets_any(hit: Tensor) -> Tensor:
    """Which predictions meet any true box, however often that box is met: `(n, m)` -> `(n,)`, bool.

        hits = sum over predictions i of [max over true boxes j of IoU_ij >= k]

    EarthDial's evaluation counts so: copies of one right box are all right.

    Args:
        hit: whether prediction i and true box j overlap enough.

    >>> import torch
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
