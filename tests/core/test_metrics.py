import pytest
import torch

from rsreward import grounding_metrics


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
