"""Sets of labelled boxes: matching within a label, and AP, against brute force and COCO's own program."""

from itertools import permutations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rsreward import iou, positional_reward, set_metrics, set_reward
from rsreward.matching import average_precision

from .samples import FORMS, box

names = st.sampled_from(["ship", "plane", "tank"])
labelled = st.lists(st.tuples(box(st.floats(0, 9), st.floats(3, 9)), names), min_size=1, max_size=4)
TARGET = torch.tensor([[0.0, 0.0, 10.0, 10.0], [100.0, 0.0, 110.0, 10.0]])
NONE = torch.empty(0, 4)


def split(rows):
    return torch.stack([box for box, _ in rows]), [name for _, name in rows]


def best_sum(values, pred_names, true_names):
    """Over all assignments, of the pairs with one label."""
    best = 0.0
    n, m = values.shape
    for order in permutations(range(max(n, m)), n):
        pairs = [(i, j) for i, j in enumerate(order) if j < m and pred_names[i] == true_names[j]]
        best = max(best, sum(values[i, j].item() for i, j in pairs))
    return best


@settings(max_examples=60, deadline=None)
@given(labelled, labelled, st.sampled_from(FORMS))
def test_the_matching_is_the_best_of_all_within_the_labels(preds, targets, proximity):
    (pred, p), (target, t) = split(preds), split(targets)
    reward = set_reward([pred], [target], labels=([p], [t]), proximity=proximity).item()
    values = positional_reward(pred[:, None], target[None], proximity=proximity)
    assert reward == pytest.approx(best_sum(values, p, t) / max(len(p), len(t)))
    assert reward <= set_reward([pred], [target], proximity=proximity).item() + 1e-12
    for k in (0.3, 0.5):
        hits = best_sum((iou(pred[:, None], target[None]) >= k).double(), p, t)
        assert set_metrics([pred], [target], thresholds=[k], labels=([p], [t]))[f"hits@{k}"] == hits


@given(labelled)
def test_one_label_for_all_is_as_without_labels(rows):
    target, _ = split(rows)
    pred, of = target + 1, ["ship"] * len(target)
    assert set_reward([pred], [target], labels=([of], [of])) == set_reward([pred], [target])
    assert set_metrics([pred], [target], labels=([of], [of])) == set_metrics([pred], [target])


def test_a_right_box_under_a_wrong_name_is_worth_nothing():
    true = [["ship", "plane"]]
    assert set_reward([TARGET], [TARGET], labels=([["ship", "plane"]], true)).item() == pytest.approx(1.1)
    assert set_reward([TARGET], [TARGET], labels=([["plane", "ship"]], true)).item() < 1e-6
    assert set_reward([TARGET], [TARGET], labels=([["ship", "ship"]], true)).item() == pytest.approx(0.55)
    assert set_reward([NONE, TARGET], [NONE, NONE], labels=([[], ["a", "b"]], [[], []])).tolist() == [1, 0]


@pytest.mark.parametrize("hack", [(TARGET.repeat(2, 1), ["ship", "ship", "plane", "plane"]), (TARGET, ["ship"] * 2)])
def test_naming_every_box_in_every_way_earns_half(hack):
    pred, of = hack
    assert set_reward([pred], [TARGET], labels=([of], [["ship", "plane"]])).item() == pytest.approx(0.55)


def test_a_row_of_nan_takes_its_label_with_it():
    padded = torch.cat([torch.full((1, 4), torch.nan), TARGET])
    labels = ([["tank", "ship", "plane"]], [["ship", "plane"]])
    assert set_reward([padded], [TARGET], labels=labels).item() == pytest.approx(1.1)
    assert average_precision([padded], [TARGET], [torch.tensor([0.9, 0.8, 0.7])], labels=labels) == 1


def test_the_mean_f1_is_over_the_thresholds():
    metrics = set_metrics([TARGET * 0.8], [TARGET], thresholds=[0.5, 0.6, 0.9])
    assert metrics["mean_f1"] == pytest.approx((metrics["f1@0.5"] + metrics["f1@0.6"] + metrics["f1@0.9"]) / 3)


def test_labels_have_a_gradient_through_the_pairs_that_match():
    pred = (TARGET + 1).requires_grad_()
    set_reward([pred], [TARGET], labels=([["ship", "tank"]], [["ship", "plane"]])).sum().backward()
    assert pred.grad[0].abs().sum() > 0
    assert (pred.grad[1] == 0).all()


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (([["ship"]], [["ship", "plane"]]), "row 0 has 2 boxes and the labels"),
        ((["ab"], [["ship", "plane"]]), "row 0 has 2 boxes and the labels 'ab'"),
        (([], [["ship", "plane"]]), "two lists"),
    ],
)
def test_what_does_not_fit_is_named(labels, named):
    with pytest.raises(ValueError, match=named):
        set_reward([TARGET], [TARGET], labels=labels)


def ap_by_definition(preds, targets, scores, k):
    """Every prefix has a recall and a precision: the area under the best precision from each recall on."""
    ranked = sorted(
        ((s, row, i) for row, of in enumerate(scores) for i, s in enumerate(of.tolist())), key=lambda each: -each[0]
    )
    taken, points, hits = set(), [], 0
    true = sum(map(len, targets))
    for rank, (_, row, i) in enumerate(ranked, 1):
        free = [j for j in range(len(targets[row])) if (row, j) not in taken]
        overlaps = {j: iou(preds[row][i], targets[row][j]).item() for j in free}
        best = max(overlaps, key=overlaps.get, default=None)
        if best is not None and overlaps[best] >= k:
            taken.add((row, best))
            hits += 1
        points.append((hits / true, hits / rank))
    return sum(max((p for r, p in points if r >= (i + 1) / true - 1e-9), default=0) for i in range(true)) / true


def drawn(seed, rows=6):
    draw = torch.Generator().manual_seed(seed)
    targets = [torch.rand(3, 4, generator=draw, dtype=torch.float64) * 20 for _ in range(rows)]
    targets = [torch.cat([t[:, :2], t[:, :2] + t[:, 2:] + 5], 1) for t in targets]
    preds = [torch.cat([t, t[:2]]) + 4 * torch.rand(5, 4, generator=draw, dtype=torch.float64) for t in targets]
    return preds, targets, [torch.rand(5, generator=draw, dtype=torch.float64) for _ in targets]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("k", [0.3, 0.5, 0.7])
def test_ap_is_the_area_under_the_curve(seed, k):
    preds, targets, scores = drawn(seed)
    found = average_precision(preds, targets, scores, threshold=k)
    assert found == pytest.approx(ap_by_definition(preds, targets, scores, k))
    labels = [["a", "b", "b"]] * 6, [["a", "b", "b", "b", "a"]] * 6
    of = {"a": ([0], [0, 4]), "b": ([1, 2], [1, 2, 3])}
    each = [
        ap_by_definition([p[i] for p in preds], [t[j] for t in targets], [s[i] for s in scores], k)
        for j, i in of.values()
    ]
    assert average_precision(preds, targets, scores, threshold=k, labels=labels[::-1]) == pytest.approx(sum(each) / 2)


def test_ap_is_that_of_cocos_own_program():
    coco, evaluation = pytest.importorskip("pycocotools.coco"), pytest.importorskip("pycocotools.cocoeval")

    def written(boxes):
        return [*boxes[:2].tolist(), *(boxes[2:] - boxes[:2]).tolist()]

    preds, targets, scores = drawn(1)
    truth, found = coco.COCO(), coco.COCO()
    marks = [(row, each) for row, of in enumerate(targets) for each in of]
    truth.dataset = {"images": [{"id": row} for row in range(6)], "categories": [{"id": 1}], "annotations": [
        {"id": i + 1, "image_id": row, "category_id": 1, "bbox": written(each), "iscrowd": 0, "area": 100}
        for i, (row, each) in enumerate(marks)]}  # fmt: skip
    truth.createIndex()
    answers = [(row, each, s) for row, of in enumerate(preds) for each, s in zip(of, scores[row].tolist(), strict=True)]
    found = truth.loadRes(
        [{"image_id": row, "category_id": 1, "bbox": written(b), "score": s} for row, b, s in answers]
    )
    run = evaluation.COCOeval(truth, found, "bbox")
    run.params.recThrs = (torch.arange(1, 19).double() / 18 - 1e-9).numpy()  # every recall that there is: all-point
    run.evaluate()
    run.accumulate()
    for i, k in enumerate(run.params.iouThrs):
        expected = run.eval["precision"][i, :, 0, 0, -1].mean()
        assert average_precision(preds, targets, scores, threshold=float(k)) == pytest.approx(expected, abs=1e-9)


def test_ap_of_nothing_is_that_there_was_nothing_to_miss():
    empty = torch.empty(0)
    assert average_precision([NONE], [NONE], [empty]) == 1
    assert average_precision([TARGET], [NONE], [torch.ones(2)]) == 0
    assert average_precision([NONE], [TARGET], [empty]) == 0
    with pytest.raises(ValueError, match="scores need one number for each predicted box"):
        average_precision([TARGET], [TARGET], [torch.ones(1)])


def test_what_was_said_of_rows_without_objects_is_counted():
    unreadable = torch.full((1, 4), torch.nan)
    preds, targets = [NONE, TARGET[:1], unreadable, NONE, TARGET], [NONE, NONE, NONE, TARGET, TARGET]
    metrics = set_metrics(preds, targets, thresholds=[0.5])
    assert set_reward(preds, targets).tolist() == pytest.approx([1, 0, 0, 0, 1.1])
    assert (metrics["empty_targets"], metrics["false_alarms"]) == (3, 1)
    assert metrics["none_recall"] == pytest.approx(1 / 3)
    assert metrics["none_precision"] == 1 / 2
    nothing = set_metrics([TARGET], [TARGET])
    assert (nothing["empty_targets"], nothing["false_alarms"]) == (0, 0)
    assert nothing["none_recall"] == nothing["none_precision"] == 1
