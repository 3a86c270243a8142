"""The reward of answers with several boxes."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..positional import Proximity, positional_reward
from .rows import Labels, assign, labelled_rows


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
    for answer, row in zip(preds, labelled_rows(preds, targets, labels), strict=True):
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
