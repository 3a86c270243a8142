import numpy as np
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsreward import (
    CONVENTIONS,
    grounding_breakdown,
    grounding_columns,
    grounding_metrics,
    image_region,
    size_class,
    to_pixels,
)
from rsreward.metrics import counted_iou


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


@pytest.mark.parametrize("convention", ["dior_rsvg", "opt_rsvg"])
def test_two_benchmarks_count_at_five_thresholds(convention):
    metrics = grounding_metrics(*with_ious(0.55, 0.65, 0.75, 0.85, 0.95), convention=convention, width=1, height=1)
    counted = {name: share for name, share in metrics.items() if name.startswith("acc")}
    assert counted == {"acc@0.5": 1, "acc@0.6": 0.8, "acc@0.7": 0.6, "acc@0.8": 0.4, "acc@0.9": 0.2}


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
    target = torch.tensor([[0, 0, 10, 10], [3, 3, 13, 13], [100.1, 100.1, 100.2, 100.2]], dtype=torch.float64)
    pred = target.clone()
    pred[:, 3] -= (1 - k) * torch.tensor([10, 10, 0.1], dtype=torch.float64)
    closed, strict = CONVENTIONS["plain"], CONVENTIONS["dior_rsvg"]
    overlaps = counted_iou(pred, target)
    assert closed.hits(overlaps, k).all()
    assert not strict.hits(overlaps, k).any()


def test_one_prediction_for_many_targets():
    metrics = grounding_metrics(torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.tensor([[0.0, 0.0, 1.0, 1.0]] * 4))
    assert (metrics["rows"], metrics["parse_rate"], metrics["miou"]) == (4, 1, 1)


SIZE = (640, 480)
cell = st.integers(0, 99)
grid_box = st.tuples(cell, cell, cell, cell).map(lambda c: [min(c[0], c[2]), min(c[1], c[3]), *map(max, c[:2], c[2:])])
grid_boxes = st.lists(st.tuples(grid_box, grid_box), min_size=1, max_size=20)
coordinate = st.floats(-300, 900, width=32)
true_box = st.tuples(*[st.integers(0, 400)] * 2, *[st.integers(1, 79)] * 2).map(
    lambda b: [b[0], b[1], b[0] + b[2], b[1] + b[3]]
)
pairs = st.lists(st.tuples(st.lists(coordinate, min_size=4, max_size=4), true_box), min_size=1, max_size=20)


@given(grid_boxes)
def test_vrsbench_counts_the_cells_of_the_grid_that_both_boxes_cover(boxes):
    """Whole numbers of 0..100 as a model writes them, by way of float32 pixels; the last row and column included."""
    pred, target = (to_pixels(torch.tensor(b).float(), "norm100", *SIZE) for b in zip(*boxes, strict=True))
    both = either = 0
    ious = []
    for p, t in boxes:
        cells = np.zeros((2, 100, 100), bool)
        for mask, (x1, y1, x2, y2) in zip(cells, (p, t), strict=True):
            mask[y1 : y2 + 1, x1 : x2 + 1] = True
        ious.append((cells[0] & cells[1]).sum() / (cells[0] | cells[1]).sum())
        both, either = both + (cells[0] & cells[1]).sum(), either + (cells[0] | cells[1]).sum()
    metrics = grounding_metrics(pred, target, convention="vrsbench", width=SIZE[0], height=SIZE[1])
    assert metrics["miou"] == pytest.approx(np.mean(ious), abs=1e-8)
    assert metrics["cum_iou"] == pytest.approx(both / either)
    assert metrics["acc@0.5"] == np.mean([iou >= 0.5 for iou in ious])


def polygons(boxes, order_corners):
    """Boxes as shapely has them, cut to the image; those that are inverted empty."""
    image = shapely.box(0, 0, *SIZE)
    for x1, y1, x2, y2 in boxes:
        if order_corners:
            x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
        yield shapely.Polygon() if x2 < x1 or y2 < y1 else shapely.box(x1, y1, x2, y2).intersection(image)


@given(pairs, st.sampled_from(["dior_rsvg", "opt_rsvg", "refgeo"]))
def test_clipped_conventions_compare_what_lies_inside_the_image(boxes, convention):
    pred, target = (torch.tensor(b, dtype=torch.float64) for b in zip(*boxes, strict=True))
    rule = CONVENTIONS[convention]
    both, either, ious = 0, 0, []
    for p, t in zip(polygons(pred.tolist(), rule.order_corners), polygons(target.tolist(), False), strict=True):
        inside, around = p.intersection(t).area, p.union(t).area
        both, either = both + inside, either + around
        ious.append(inside / around)
    metrics = grounding_metrics(pred, target, convention=convention, width=SIZE[0], height=SIZE[1])
    assert metrics["miou"] == pytest.approx(np.mean(ious), abs=1e-8)
    if rule.cum_iou:
        assert metrics["cum_iou"] == pytest.approx(both / either, abs=1e-8)


def test_opt_rsvg_sums_shares_of_the_image_and_dior_rsvg_pixels():
    box, half = torch.tensor([[0.0, 0.0, 100.0, 100.0]] * 2), torch.tensor([[0, 0, 100, 100], [0, 0, 100, 50]])
    sizes = {"width": [100, 200], "height": [100, 200]}
    assert grounding_metrics(half, box, convention="dior_rsvg", **sizes)["cum_iou"] == pytest.approx(0.75)
    assert grounding_metrics(half, box, convention="opt_rsvg", **sizes)["cum_iou"] == pytest.approx(1.125 / 1.25)


@pytest.mark.parametrize("convention", [name for name, rule in CONVENTIONS.items() if rule.counts_unread])
def test_failures_count_as_0_in_every_convention_and_in_the_union_but_of_vrsbench(convention):
    target = torch.tensor([[0.0, 0.0, 50.0, 50.0]] * 4)
    pred = target.clone()
    pred[2], pred[3] = torch.nan, torch.tensor([0.0, 0.0, torch.inf, 50.0])
    metrics = grounding_metrics(pred, target, convention=convention, width=100, height=100)
    assert (metrics["rows"], metrics["parse_rate"], metrics["acc@0.5"], metrics["miou"]) == (4, 0.5, 0.5, 0.5)
    assert metrics.get("cum_iou") in (None, 1 if convention == "vrsbench" else 0.5)


def test_refgeo_puts_inverted_boxes_right():
    target, turned = torch.tensor([[10.0, 20.0, 30.0, 40.0]]), torch.tensor([[30.0, 40.0, 10.0, 20.0]])
    for convention, right in (("refgeo", 1), ("plain", 0), ("dior_rsvg", 0), ("opt_rsvg", 0), ("vrsbench", 0)):
        metrics = grounding_metrics(turned, target, convention=convention, width=100, height=100)
        assert (metrics["miou"], metrics["parse_rate"]) == (right, 1)


def test_the_plus_one_of_vrsbench_favours_small_boxes():
    pred, target = torch.tensor([[10.0, 10.0, 13.0, 13.0]]), torch.tensor([[10.0, 10.0, 14.0, 14.0]])
    plain = grounding_metrics(pred, target)["miou"]
    assert plain == pytest.approx(9 / 16)
    wide = grounding_metrics(pred, target, convention="vrsbench", width=100, height=100)["miou"]
    assert wide == pytest.approx(16 / 25)


@pytest.mark.parametrize("convention", ["opt_rsvg", "refgeo"])
@pytest.mark.parametrize("sizes", [{}, {"width": [100, None], "height": [100, 100]}])
def test_a_convention_that_needs_sizes_says_so(convention, sizes):
    with pytest.raises(ValueError, match=f"'{convention}' needs the width and height"):
        grounding_metrics(torch.ones(2, 4), torch.ones(2, 4), convention=convention, **sizes)


def test_the_size_of_the_benchmarks_own_images_is_known():
    pred, target = torch.tensor([[-5.0, 0.0, 10.0, 900.0]]), torch.tensor([[0.0, 0.0, 10.0, 800.0]])
    assert grounding_metrics(pred, target, convention="dior_rsvg")["acc@0.9"] == 1
    assert grounding_metrics(pred, target, convention="dior_rsvg", width=[None], height=[None])["acc@0.9"] == 1


def test_vrsbench_takes_images_without_a_size_for_its_own():
    target = torch.tensor([[0.0, 0.0, 256.0, 256.0]])
    pred = torch.tensor([[0.0, 0.0, 256.0, 128.0]])
    expected = grounding_metrics(pred, target, convention="vrsbench", width=512, height=512)
    assert grounding_metrics(pred, target, convention="vrsbench") == expected
    assert expected["miou"] == pytest.approx(26 / 51)


def test_oriented_boxes_have_the_plain_convention_only():
    box = torch.tensor([[5.0, 5.0, 4.0, 2.0, 0.3]])
    assert grounding_metrics(box, box)["acc@0.7"] == 1
    with pytest.raises(ValueError, match="horizontal boxes"):
        grounding_metrics(box, box, convention="vrsbench")


def test_groups_are_measured_apart():
    pred, target = with_ious(0.9, 0.6, 0.2, None)
    groups = grounding_breakdown(pred, target, [True, False, True, False])
    assert {group: (values["rows"], values["acc@0.5"]) for group, values in groups.items()} == {
        True: (2, 0.5), False: (2, 0.5),
    }  # fmt: skip
    assert groups[False]["parse_rate"] == 0.5
    with pytest.raises(ValueError, match="each of the 4 rows, got 1"):
        grounding_breakdown(pred, target, ["a"])


def test_sizes_are_cocos_and_turning_a_box_does_not_change_its_size():
    sides = torch.tensor([31.9, 32.0, 95.9, 96.0])
    square = torch.stack([sides * 0 + 5, sides * 0, sides + 5, sides], 1)
    turned = torch.stack([sides, sides, sides, sides, sides], 1)
    assert size_class(square) == size_class(turned) == ["small", "medium", "medium", "large"]


def test_the_nine_regions_of_an_image():
    centres = [(x, y) for y in (0, 50, 100) for x in (0, 100, 200)]
    boxes = torch.tensor([[x - 3.0, y - 3.0, x + 3.0, y + 3.0] for x, y in centres])
    names = image_region(boxes, 200, 100)
    assert names[0::4] == ["top left", "middle centre", "bottom right"]
    assert len(set(names)) == 9
    assert image_region(torch.tensor([[50.0, 50.0, 1.0, 1.0, 0.0]]), [200], [100]) == ["middle left"]
    with pytest.raises(ValueError, match="every image"):
        image_region(boxes[:1], [None], [100])


def test_the_intersection_and_union_of_a_row():
    columns = grounding_columns(torch.tensor([[0, 0, 2, 2]]), torch.tensor([[1, 0, 3, 2]]), convention="dior_rsvg")
    assert (columns["intersection"].item(), columns["union"].item()) == (2, 6)
