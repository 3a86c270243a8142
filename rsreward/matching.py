"""Several boxes an answer: who stands for whom, the reward of a set, and counts."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .boxes import pairwise_iou
from .checks import check_tensors
from .conventions import convention_named
from .oriented import pairwise_oriented_iou
from .positional import Proximity, positional_reward


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
) -> Tensor:
    """The reward of answers with several boxes, in [0, 1 + beta].

        R = max over one-to-one assignments of sum positional_reward(matched pair) / max(n_pred, n_true)

    so that extra, missing and repeated boxes all cost. No box where there is none to find scores 1; a box where there
    is none, and none where there are some, scores 0. So does a prediction of NaN alone, which is no answer.

    Args:
        preds, targets: B of each: `(n, 4)` or `(n, 5)`. Rows of NaN are not boxes and are left out; a prediction that
            is inverted counts as one and scores 0.
        alpha, beta, proximity: as in `positional_reward`.

    Returns:
        `(B,)`, float32 or wider.

    Raises:
        ValueError: if there are not as many predictions as targets, or shapes or options are wrong.

    The right box alone, and among three:

    >>> box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    >>> set_reward([box, box.repeat(3, 1), torch.empty(0, 4)], [box, box, torch.empty(0, 4)])
    tensor([1.1000, 0.3667, 1.0000])
    """
    rows = []
    for answer, (pred, target) in zip(preds, _rows(preds, targets), strict=True):
        dtype = torch.promote_types(torch.promote_types(pred.dtype, target.dtype), torch.float32)
        pred, target = pred.to(dtype), target.to(dtype)
        if len(pred) == 0 or len(target) == 0:
            rows.append(pred.new_tensor(float(len(answer) == len(target) == 0)))
            continue
        scores = positional_reward(pred[:, None], target[None], alpha=alpha, beta=beta, proximity=proximity)
        i, j = assign(scores)
        rows.append(scores[i, j].sum() / max(len(pred), len(target)))
    return torch.stack(rows) if rows else torch.empty(0)


def set_metrics(
    preds: Sequence[Tensor],
    targets: Sequence[Tensor],
    *,
    thresholds: Sequence[float] | None = None,
    convention: str = "plain",
) -> dict[str, float]:
    """Precision, recall and F1 over all rows, with boxes matched by IoU.

        precision = hits / predictions,    recall = hits / true boxes,    F1 = 2 hits / (predictions + true boxes)

    Args:
        preds, targets: as in `set_reward`.
        thresholds: the least IoU of a hit; the matching is the one with the most hits, then the greatest IoU. None:
            those of the convention.
        convention: "plain", one to one; or "earthdial", where hits are those of `meets_any`.

    Returns:
        `predictions`, `targets`, and for each threshold k `hits@k`, `precision@k`, `recall@k`, `f1@k`; a ratio without
        a denominator is 1, for there was nothing to miss. Of "earthdial" no recall and F1, which it does not define.

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
    counts = {"predictions": 0.0, "targets": 0.0} | {f"hits@{k}": 0.0 for k in thresholds}
    for pred, target in _rows(preds, targets):
        counts["predictions"] += len(pred)
        counts["targets"] += len(target)
        if len(pred) == 0 or len(target) == 0:
            continue
        pairwise = pairwise_iou if pred.shape[1] == 4 else pairwise_oriented_iou
        overlaps = pairwise(pred.double(), target.double()).round(decimals=9)
        for k in thresholds:
            hit = overlaps >= k
            if rule.any_true:
                counts[f"hits@{k}"] += meets_any(hit).sum().item()
                continue
            i, j = assign(hit + overlaps / (len(pred) + len(target)))
            counts[f"hits@{k}"] += hit[i, j].sum().item()
    n_pred, n_true = counts["predictions"], counts["targets"]
    for k in thresholds:
        ratios = precision_recall_f1(counts[f"hits@{k}"], n_pred, n_true)
        counts |= {f"{name}@{k}": value for name, value in ratios.items() if name == "precision" or not rule.any_true}
    return counts


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


def _rows(preds: Sequence[Tensor], targets: Sequence[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Pairs of sets without their rows of NaN."""
    if len(preds) != len(targets):
        raise ValueError(f"preds and targets need as many rows each, got {len(preds)} and {len(targets)}.")
    rows = []
    for pred, target in zip(preds, targets, strict=True):
        check_tensors(pred, target)
        if pred.dim() != 2 or target.dim() != 2 or pred.shape[1] != target.shape[1] or pred.shape[1] not in (4, 5):
            raise ValueError(
                f"each row needs boxes (n, 4) or (n, 5), alike for preds and targets, "
                f"got {tuple(pred.shape)} and {tuple(target.shape)}."
            )
        rows.append(tuple(boxes[~boxes.isnan().all(-1)] for boxes in (pred, target)))
    return rows  # type: ignore[return-value]
