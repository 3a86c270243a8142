import pytest
import torch

from rsreward import grounding_metrics
from rsreward.metrics import CONVENTIONS, counted_iou


def with_ious(*ious):
    """Predictions of these IoUs with the target, a missing one for None."""
    target = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    rows = [[torch.nan] * 4 if i is None else [0.0, 0.0, i, 1.0] for i in ious]
    return torch.tensor(rows, dtype=torch.float64), target.expand(len(rows), 4)


def test_missing_predictions_stay_in_the_denominator():
    metrics = grounding_metrics(*with_ious(0.9, 0.6, 0.2, None))
    assert metrics == {
        "rows": 4, "acc@0.5": 0.5, "acc@0.7": 0.25, "miou": pytest.approx(1.7 / 4), "parse_rate": 0.75,
    }  # fmt: skip


def test_the_threshold_is_closed_in_plain_and_open_in_dior_rsvg():
    boxes = with_ious(0.5)
    assert grounding_metrics(*boxes)["acc@0.5"] == 1
    assert grounding_metrics(*boxes, convention="dior_rsvg")["acc@0.5"] == 0


def test_an_inverted_box_was_read_but_scores_0():
    metrics = grounding_metrics(torch.tensor([[5.0, 0.0, 0.0, 5.0]]), torch.tensor([[0.0, 0.0, 5.0, 5.0]]))
    assert (metrics["parse_rate"], metrics["miou"]) == (1, 0)


def test_no_rows_give_zeros():
    assert set(grounding_metrics(torch.empty(0, 4), torch.empty(0, 4)).values()) == {0}


def test_an_unknown_convention_is_named():
    with pytest.raises(ValueError, match=r"'coco'.*plain"):
        grounding_metrics(torch.empty(0, 4), torch.empty(0, 4), convention="coco")


@pytest.mark.parametrize("k", [0.5, 0.6, 0.7, 0.8, 0.9])
def test_an_iou_of_just_the_threshold_is_neither_above_nor_below(k):
    target = torch.tensor([[0.0, 0.0, 10.0, 10.0], [3.0, 3.0, 13.0, 13.0]])
    pred = target.clone()
    pred[:, 3] -= 10 - 10 * k
    closed, strict = CONVENTIONS["plain"], CONVENTIONS["dior_rsvg"]
    overlaps = counted_iou(pred, target)
    assert closed.hits(overlaps, k).all()
    assert not strict.hits(overlaps, k).any()


def test_one_prediction_for_many_targets():
    metrics = grounding_metrics(torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 4))
    assert (metrics["rows"], metrics["parse_rate"], metrics["miou"]) == (4, 1, 1)
