"""Conventions that reproduce published figures, against transcriptions of the published formulas, box by box."""

import json
import math
import re
from pathlib import Path

import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st
from shapely import affinity

from rsreward import (
    grounding_columns,
    grounding_metrics,
    parse_answer,
    parse_box_sets,
    parse_boxes,
    set_metrics,
    space_named,
)
from rsreward.truth import read_truth

SHARED = Path(__file__).parents[2].parent / "shared" / "data"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real answers are not here (../shared/data)")

side = st.integers(1, 400)
boxes = st.tuples(side, side, side, side).map(lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]])
pairs = st.lists(st.tuples(boxes, boxes), min_size=1, max_size=12)


def rsthinker(box1, box2):
    """RS_Tester/metrics.py, VGMetrics.calculate_iou with transfer, as its caller asks for."""
    (x1, y1, x2, y2), (x1_p, y1_p, x2_p, y2_p) = box1, box2
    x2, y2, x2_p, y2_p = x1 + x2, y1 + y2, x1_p + x2_p, y1_p + y2_p
    inter = max(0, min(x2, x2_p) - max(x1, x1_p)) * max(0, min(y2, y2_p) - max(y1, y1_p))
    return inter / ((x2 - x1) * (y2 - y1) + (x2_p - x1_p) * (y2_p - y1_p) - inter)


def lhrs_bot(box1, box2):
    """main_vg.py, calculate_iou."""
    (x1, y1, x2, y2), (x3, y3, x4, y4) = box1, box2
    inter = max(0, min(x2, x4) - max(x1, x3) + 1) * max(0, min(y2, y4) - max(y1, y3) + 1)
    return inter / ((x2 - x1 + 1) * (y2 - y1 + 1) + (x4 - x3 + 1) * (y4 - y3 + 1) - inter)


def earthdial(answer, truth):
    """rs_detection/detection_eval.py: the hits and the predictions of a row."""

    def polygon(x1, y1, x2, y2, degrees):
        return affinity.rotate(shapely.box(x1, y1, x2, y2), -degrees, origin="center")

    hits = 0
    for box in answer:
        for true in truth:
            p, t = polygon(*box), polygon(*true)
            if p.is_valid and t.is_valid and p.intersection(t).area / p.union(t).area >= 0.5:
                hits += 1
                break
    return hits, len(answer)


def fives(text):
    return [[int(number) for number in box.split(",")] for box in re.findall(r"\[\[(.*?)\]\]", text)]


def tensors(rows):
    return (torch.tensor(side, dtype=torch.float64) for side in zip(*rows, strict=True))


def test_rsthinker_takes_corners_for_width_and_height():
    pred, target = torch.tensor([[300.0, 300.0, 340.0, 340.0]]), torch.tensor([[320.0, 320.0, 360.0, 360.0]])
    assert grounding_metrics(pred, target)["miou"] == pytest.approx(20 * 20 / (2 * 40 * 40 - 20 * 20))
    lifted = 320**2 / (340**2 + 360**2 - 320**2)
    assert grounding_metrics(pred, target, convention="rsthinker")["miou"] == pytest.approx(lifted)
    assert rsthinker(pred[0].tolist(), target[0].tolist()) == pytest.approx(lifted)


@given(pairs)
def test_rsthinker_is_the_published_formula(rows):
    metrics = grounding_metrics(*tensors(rows), convention="rsthinker")
    ious = [rsthinker(*row) for row in rows]
    assert metrics["miou"] == pytest.approx(sum(ious) / len(ious), abs=1e-8)
    for k in (0.5, 0.75, 0.95):
        assert metrics[f"acc@{k}"] == sum(iou >= k for iou in ious) / len(ious)


@given(pairs)
def test_lhrs_bot_is_the_published_formula_on_shares_of_the_image(rows):
    metrics = grounding_metrics(*tensors(rows), convention="lhrs_bot", width=800, height=1000)
    shares = [[[box[0] / 800, box[1] / 1000, box[2] / 800, box[3] / 1000] for box in row] for row in rows]
    ious = [lhrs_bot(*row) for row in shares]
    assert metrics["miou"] == pytest.approx(sum(ious) / len(ious), abs=1e-8)
    assert metrics["acc@0.5"] == sum(round(iou, 9) > 0.5 for iou in ious) / len(ious)


def test_lhrs_bot_calls_boxes_right_that_do_not_touch():
    pred, target = torch.tensor([[560.0, 560.0, 640.0, 640.0]]), torch.tensor([[400.0, 400.0, 480.0, 480.0]])
    told = [grounding_metrics(pred, target, convention=name, width=800, height=800) for name in ("plain", "lhrs_bot")]
    assert (told[0]["miou"], told[1]["acc@0.5"]) == (0, 1)


def test_lhrs_bot_leaves_out_what_could_not_be_read():
    target = torch.tensor([[0.0, 0.0, 50.0, 50.0]] * 4)
    pred = target.clone()
    pred[2:] = torch.nan
    told = [grounding_metrics(pred, target, convention=name, width=100, height=100) for name in ("plain", "lhrs_bot")]
    assert [metrics["acc@0.5"] for metrics in told] == [0.5, 1.0]
    assert [metrics["parse_rate"] for metrics in told] == [0.5, 0.5]
    nothing = grounding_metrics(pred[2:], target[2:], convention="lhrs_bot", width=100, height=100)
    assert (nothing["acc@0.5"], nothing["parse_rate"]) == (0, 0)


def test_rsthinker_counts_what_could_not_be_read_as_0():
    target = torch.tensor([[0.0, 0.0, 50.0, 50.0]] * 2)
    pred = torch.stack([target[0], target[0] * torch.nan])
    metrics = grounding_metrics(pred, target, convention="rsthinker")
    assert (metrics["acc@0.95"], metrics["miou"], metrics["parse_rate"]) == (0.5, 0.5, 0.5)


def test_earthdial_counts_copies_of_a_right_box_and_misses_no_box_that_was_not_found():
    box, far = torch.tensor([[0.0, 0.0, 10.0, 10.0]]), torch.tensor([[50.0, 50.0, 60.0, 60.0]])
    both = torch.cat([box, far])
    one_to_one = set_metrics([box.repeat(3, 1)], [both], thresholds=[0.5])
    assert (one_to_one["precision@0.5"], one_to_one["recall@0.5"]) == (1 / 3, 1 / 2)
    metrics = set_metrics([box.repeat(3, 1)], [both], convention="earthdial")
    told = {name: metrics[name] for name in ("predictions", "targets", "hits@0.5", "precision@0.5")}
    assert told == {"predictions": 3, "targets": 2, "hits@0.5": 3, "precision@0.5": 1}
    assert not {"recall@0.5", "f1@0.5", "mean_f1"} & set(metrics), "it does not define them"


def test_a_convention_of_several_boxes_is_not_for_one_and_the_other_way_round():
    box = torch.tensor([[0.0, 0.0, 10.0, 10.0]])
    with pytest.raises(ValueError, match="'earthdial' is for several boxes a row: use set_metrics"):
        grounding_columns(box, box, convention="earthdial")
    with pytest.raises(ValueError, match="'dior_rsvg' is for one box a row: use grounding_metrics"):
        set_metrics([box], [box], convention="dior_rsvg")


@pytest.mark.parametrize(
    "text",
    [
        "[[1, 2, 3, 4, 5]][[1, 2, 3, 4, 5]][[7, 8, 9, 10, 5]]",
        "[1, 2, 3, 4] [1, 2, 3, 4] {<7><8><9><10>|<5>} {<7><8><9><10>|<5>}",
        "<loc_1><loc_2><loc_3><loc_4><loc_1><loc_2><loc_3><loc_4>",
    ],
)
def test_repeated_boxes_are_kept_where_asked_for(text):
    once, written = parse_answer(text), parse_answer(text, repeats=True)
    for name in ("boxes", "mixed"):
        assert tuple(dict.fromkeys(getattr(written, name))) == getattr(once, name)
    assert len(written.boxes + written.mixed) > len(once.boxes + once.mixed)
    assert written.problems == once.problems


@real
def test_rsthinker_on_real_answers():
    rows = [json.loads(line) for line in (SHARED / "rollouts_dev.jsonl").read_text().splitlines()]
    pred = parse_boxes([row["completion"] for row in rows]).double()
    target = torch.tensor([row["target"] for row in rows], dtype=torch.float64)
    ious = [0.0 if math.isnan(p[0]) else rsthinker(p, t) for p, t in zip(pred.tolist(), target.tolist(), strict=True)]
    metrics = grounding_metrics(pred, target, convention="rsthinker")
    assert metrics["miou"] == pytest.approx(sum(ious) / len(ious), abs=1e-8)
    assert metrics["acc@0.75"] == sum(iou >= 0.75 for iou in ious) / len(ious)
    assert metrics["acc@0.75"] == pytest.approx(0.835, abs=5e-4)


@real
def test_lhrs_bot_on_real_answers():
    rows = [json.loads(line) for line in (SHARED / "rollouts_dev.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "width" in row]
    sizes = {name: [row[name] for row in rows] for name in ("width", "height")}
    pred = parse_boxes([row["completion"] for row in rows], space="qwen2.5-vl", **sizes).double()
    target = torch.tensor([row["target"] for row in rows], dtype=torch.float64)
    image = torch.tensor([sizes["width"], sizes["height"]] * 2).T
    read = [i for i, box in enumerate(pred.tolist()) if not math.isnan(box[0])]
    ious = [lhrs_bot((pred / image)[i].tolist(), (target / image)[i].tolist()) for i in read]
    metrics = grounding_metrics(pred, target, convention="lhrs_bot", **sizes)
    assert metrics["miou"] == pytest.approx(sum(ious) / len(ious), abs=1e-8)
    assert metrics["acc@0.5"] == sum(iou > 0.5 for iou in ious) / len(ious)


@real
def test_earthdial_on_its_own_published_answers():
    lines = (SHARED / "earthdial" / "geochat_bench.jsonl").read_text().splitlines()[:600]
    rows = [json.loads(line) for line in lines]
    counts = [earthdial(fives(row["answer"]), fives(row["gt_bbox"])) for row in rows]
    answers = [parse_answer(row["answer"], repeats=True) for row in rows]
    space = space_named("earthdial", five="corners-ccw")  # as the script turns them
    frame = {"kind": "oriented", "space": space, "width": 100, "height": 100}
    preds = parse_box_sets(answers, **frame)
    truth = [torch.tensor(read_truth(row["gt_bbox"], **frame).boxes, dtype=torch.float64) for row in rows]
    metrics = set_metrics(preds, truth, convention="earthdial")
    assert metrics["predictions"] == sum(predictions for _, predictions in counts)
    assert metrics["hits@0.5"] == sum(hits for hits, _ in counts)
    assert metrics["predictions"] > sum(len(set(map(tuple, fives(row["answer"])))) for row in rows)
