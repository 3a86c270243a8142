"""True boxes of any form. The oracles are shapely and the corners that a rectangle was made of."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsreward import SPACES, canonical, corners, from_corners, oriented_iou, parse_box_sets
from rsreward.polygons import hull_of_oriented
from rsreward.truth import TruthError, check_area, read_truth, target_boxes, target_sets

FIELD = Path(__file__).parents[3] / "shared" / "data" / "field"
BOX = [80.0, 160.0, 240.0, 400.0]
QUAD = [[584.0, 337.0], [619.0, 313.0], [601.0, 282.0], [565.0, 304.0]]  # a published row of GeoChat-Bench


def boxes(value, **options):
    return read_truth(value, **options).boxes


def polygon(box):
    return shapely.Polygon(corners(torch.tensor(box, dtype=torch.float64)).tolist())


def rectangles():
    return st.tuples(
        st.floats(-1000, 1000), st.floats(-1000, 1000), st.floats(1, 500), st.floats(1, 500), st.floats(-10, 10)
    )


@pytest.mark.parametrize(
    "value",
    [
        BOX, tuple(BOX), np.array(BOX), torch.tensor(BOX), list(map(str, BOX)), {"bbox": BOX}, json.dumps(BOX),
        json.dumps({"bbox": BOX, "width": 800}), "[80, 160, 240, 400]", "<answer>[80, 160, 240, 400]</answer>",
        '[{"bbox_2d": [80, 160, 240, 400], "label": "ship"}]', "<think>x</think><answer>[80, 160, 240, 400]</answer>",
    ],
)  # fmt: skip
def test_one_box_in_every_guise(value):
    assert read_truth(value, kind="horizontal") == ([BOX], "horizontal", False)
    assert read_truth(value).kind == "horizontal"


@pytest.mark.parametrize("value", [[BOX, BOX], np.array([BOX, BOX]), json.dumps([BOX, BOX]), {"bbox": [BOX, BOX]}])
def test_several_boxes_in_every_guise(value):
    assert read_truth(value) == ([BOX, BOX], "horizontal", True)


def test_a_list_of_one_box_or_of_none_is_a_list():
    assert read_truth([BOX]).several
    assert read_truth("[]") == read_truth("<answer>none</answer>") == ([], "oriented", True)
    assert read_truth([], kind="horizontal") == ([], "horizontal", True)


@pytest.mark.parametrize(
    ("written", "format"),
    [
        ([80, 160, 160, 240], "xywh"), ([160, 280, 160, 240], "cxcywh"), (BOX, "xyxy"),
        ([160, 280, 160, 240, 0.0], "oriented"), ([160, 280, 240, 160, 90], "oriented-degrees"),
        ([80, 160, 240, 160, 240, 400, 80, 400], "quad"),
    ],
)  # fmt: skip
def test_every_format_becomes_both_kinds(written, format):
    assert boxes(written, kind="horizontal", format=format)[0] == pytest.approx(BOX)
    [turned] = boxes(written, kind="oriented", format=format)
    assert polygon(turned).symmetric_difference(shapely.box(*BOX)).area < 1e-6
    assert boxes(json.dumps(written), kind="horizontal", format=format)[0] == pytest.approx(BOX)


def test_turned_boxes_come_in_radians_or_if_told_in_degrees():
    assert boxes([5, 5, 4, 2, 0.5]) == [[5, 5, 4, 2, 0.5]]
    assert boxes([5, 5, 4, 2, 30], format="oriented-degrees") == [[5, 5, 4, 2, math.radians(30)]]


@given(rectangles(), st.permutations(range(4)), st.booleans())
def test_a_rectangle_is_read_the_same_from_any_corner_and_in_any_order(box, order, closed):
    points = corners(torch.tensor(box, dtype=torch.float64)).tolist()
    first = read_truth(points).boxes
    written = [points[i] for i in order]
    if closed:
        written.append(written[0])
    assert boxes(written) == first
    assert boxes([number for point in written for number in point]) == first
    assert polygon(first[0]).symmetric_difference(polygon(box)).area < 1e-6 * polygon(box).area
    assert boxes(written, kind="horizontal")[0] == pytest.approx(shapely.Polygon(points).bounds)


def test_an_exact_rectangle_is_exactly_itself():
    assert boxes([0, 0, 3, 4, -1, 7, -4, 3]) == [[-0.5, 3.5, 5, 5, pytest.approx(math.atan2(4, 3) - math.pi / 2)]]
    assert boxes([[80, 160], [240, 400], [80, 400], [240, 160]], kind="horizontal") == [BOX]


def test_a_quad_that_is_not_a_rectangle_has_the_mean_sides():
    [box] = boxes([QUAD])
    quad = torch.tensor(QUAD, dtype=torch.float64)
    either = torch.stack([from_corners(quad), from_corners(quad.roll(1, 0))])
    assert min(abs(canonical(torch.tensor(box)) - row).max() for row in either) < 1e-4
    assert boxes(QUAD[::-1]) == boxes(QUAD[1:] + QUAD[:1]) == [box]


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)), min_size=5, max_size=12, unique=True))
def test_more_corners_give_the_smallest_rectangle_around_them(points):
    outline = shapely.MultiPoint(points)
    [box] = boxes(list(map(list, points)), kind="oriented")
    if outline.convex_hull.area == 0:
        assert min(box[2:4]) < 1e-6
        return
    assert box[2] * box[3] == pytest.approx(shapely.minimum_rotated_rectangle(outline).area)
    assert polygon(box).buffer(1e-6).covers(outline)


def test_polygons_in_a_space_are_turned_in_pixels():
    square = [0.1, 0.1, 0.2, 0.2, 0.1, 0.3, 0.0, 0.2]
    [box] = boxes(square, space="unit", width=100, height=100)
    assert oriented_iou(torch.tensor(box), torch.tensor([10, 20, 200**0.5, 200**0.5, math.pi / 4])) > 0.999
    assert boxes(square, kind="horizontal", space="unit", width=1000, height=100)[0] == pytest.approx([0, 10, 200, 30])


@pytest.mark.parametrize(
    ("text", "kind"), [("[10, 20, 30, 40]", "horizontal"), ("{<10><20><30><40>|<30>}", "oriented"),
                       ("[[10, 20, 30, 40, 90]]", "oriented"), ("[10, 20, 30, 40]", "oriented")],
)  # fmt: skip
@pytest.mark.parametrize("space", ["geochat", "qwen2.5-vl", "qwen3-vl", "pixel", "unit"])
def test_a_truth_in_a_space_is_read_as_an_answer_would_be(text, kind, space):
    sizes = {"width": 900, "height": 500}
    expected = [pytest.approx(box) for box in parse_box_sets([text], kind=kind, space=space, **sizes)[0].tolist()]
    assert boxes(text, kind=kind, space=space, **sizes) == expected
    if "<" not in text:
        assert boxes(json.loads(text), kind=kind, space=space, **sizes) == expected
        assert boxes(json.loads(text), kind=kind, space=SPACES[space], **sizes) == expected


def test_other_formats_in_a_space_are_scaled():
    sizes = {"space": "norm100", "width": 200, "height": 400}
    assert boxes([10, 20, 30, 40], format="xywh", **sizes) == [[20, 80, 80, 240]]
    assert boxes([20, 20, 10, 10, 0.5], format="oriented", **sizes)[0] == pytest.approx([40, 80, 20, 20, 0.5])


def test_hulls_of_turned_boxes_are_shapelys_bounds_and_those_of_no_boxes_nan():
    turned = torch.tensor([[50, 40, 30, 10, 0.7], [5, 5, 4, 2, 0.0], [5, 5, 4, 2, math.pi / 2]])
    expected = [polygon(box).bounds for box in turned.tolist()]
    assert torch.allclose(hull_of_oriented(turned), torch.tensor(expected), atol=1e-4)
    bad = torch.tensor([[5, 5, -4, 2, 0.0], [5, 5, 4, 2, torch.nan], [torch.inf, 5, 4, 2, 0.0]])
    assert hull_of_oriented(bad).isnan().all()


@pytest.mark.parametrize(
    ("value", "options", "told"),
    [
        ([0, 0, 1], {}, "has 3 numbers, not 5"),
        ([0, 0, 1], {"kind": "horizontal"}, "has 3 numbers, not 4"),
        ([1, 2, 3, 4, 5], {"kind": "horizontal"}, "has 5 numbers, not 4"),
        ([1, 2, 3, 4], {"kind": "oriented"}, "has 4 numbers, not 5"),
        ([3, 2, 1, 4], {}, "x2 < x1 or y2 < y1"),
        ([10, 20, -5, 5], {"format": "xywh"}, "x2 < x1"),
        ([1, 2, 3, -4, 0], {}, "negative side"),
        ([0, 0, 1, math.nan], {}, "not a finite number"),
        ([0, 0, 1, 10**400], {}, "not a finite number"),
        ([0, 0, 1, 1e31], {}, "not a finite number"),
        ([0, None, 1, 1], {}, "not a finite number"),
        ([[1, 2], [3, 4]], {}, "at least three corners"),
        ([[1, 2], [3, 4], [5, 6, 7]], {}, "at least three corners"),
        (["a", "b", "c", "d"], {}, "not a finite number"),
        ("here", {}, "no box can be read in the text 'here'"),
        ("[5, 6]", {"space": "pixel"}, "no box can be read"),
        ("1234", {}, "no box can be read"),
        ("[" * 100_000, {}, "no box can be read"),
        (3, {}, "3 is not a box"),
        ({"x": 1}, {}, "under 'bbox'.*x"),
        ({"id": 1, "bbox": [1, 1, 2, 2], "area": 4, "category_id": 3}, {}, "COCO.*'xywh'"),
        ([BOX, 7], {}, "neither a box nor a list"),
        ([BOX, [1, 2, 3, 4, 5]], {}, "has 4 numbers, not 5"),
        ([[]], {}, "has 0 numbers"),
        ([10, 20, 30, 40, 90], {"kind": "horizontal", "space": "pixel"}, "turned box.*say which format"),
        (BOX, {"space": "unit"}, "needs the width and height"),
    ],
)  # fmt: skip
def test_what_is_not_a_box_is_told(value, options, told):
    with pytest.raises(ValueError, match=told):
        read_truth(value, **options)


def test_unknown_options_are_told():
    for options, told in (({"format": "yxyx"}, "xyxy, xywh"), ({"kind": "round"}, "kind"), ({"space": "m"}, "'m'")):
        with pytest.raises(ValueError, match=told):
            read_truth(BOX, **options)


def test_boxes_without_area_are_read_but_not_as_targets():
    for kind, box in (("horizontal", [0, 0, 0, 0]), ("horizontal", [1, 2, 3, 2]), ("oriented", [5, 5, 4, 0, 1.0])):
        with pytest.raises(TruthError, match="no area"):
            check_area(read_truth(box, kind=kind))
        with pytest.raises(TruthError, match=r"row 1.*no area"):
            target_boxes([None, box], kind, "the column 'target'")
        with pytest.raises(TruthError, match=r"row 0.*no area"):
            target_sets([[box]], kind, "the column 'target'")


def test_columns_are_tensors():
    column = [BOX, None, [BOX], json.dumps(BOX)]
    read = target_boxes(column, "horizontal", "the column 'target'")
    assert read[[0, 2, 3]].tolist() == [BOX] * 3
    assert read[1].isnan().all()
    assert target_boxes([], "oriented", "x").shape == (0, 5)
    sets = target_sets([[BOX, BOX], None, [], "[1, 1, 2, 2], [3, 3, 4, 4]", "[1, 1, 2, 2]"], "horizontal", "x")
    assert [None if each is None else len(each) for each in sets] == [2, None, 0, 2, 1]


def test_columns_of_sizes_go_with_their_rows():
    column = [[0, 0, 50, 50], None, "[0, 0, 50, 50]"]
    options = {"space": "norm100", "width": [200, None, 400], "height": [100, None, 100]}
    read = target_boxes(column, "horizontal", "x", **options)
    assert read[[0, 2]].tolist() == [[0, 0, 100, 50], [0, 0, 200, 50]]


def test_columns_tell_the_row():
    with pytest.raises(TruthError, match=r"x must hold finite boxes .*and row 1 of this batch does not: no box can be"):
        target_boxes([BOX, "here"], "horizontal", "x")
    with pytest.raises(TruthError, match="x must hold one box a row, and row 1 of this batch holds 2"):
        target_boxes([BOX, [BOX, BOX]], "horizontal", "x")
    with pytest.raises(TruthError, match=r"x must hold lists of .*row 0 of this batch holds one box"):
        target_sets([BOX], "horizontal", "x")


def field(name):
    if not FIELD.exists():
        pytest.skip("the field inputs of ../shared/data are not here")
    return [json.loads(line) for line in (FIELD / name).read_text().splitlines()]


def test_field_a_polygon_of_geochat_bench():
    [row] = field("geochat_row.jsonl")
    [box] = boxes(row["ground_truth"])
    truth = shapely.Polygon(row["ground_truth"][0])
    assert polygon(box).intersection(truth).area / polygon(box).union(truth).area > 0.95


@pytest.mark.parametrize(
    ("file", "column", "options", "expected"),
    [
        ("easyr1.jsonl", "gts", {}, [[100, 100, 200, 200], [300, 300, 400, 420]]),
        ("easyr1_single.jsonl", "gts", {}, [[100, 100, 200, 200]]),
        ("llamafactory.jsonl", "label", {}, [[100, 100, 200, 200]]),
        ("swift.jsonl", "labels", {}, [[100, 100, 200, 200]]),
        ("swift.jsonl", "objects", {}, [[100, 100, 200, 200]]),
        ("visual_rft.jsonl", "solution", {}, [[100, 100, 200, 200]]),
        ("vlm_r1_rows.jsonl", "ground_truth", {}, [[100, 100, 200, 200]]),
        ("cxcywh.jsonl", "target", {"format": "cxcywh"}, [[100, 100, 200, 200]]),
        ("coco.jsonl", "target", {"format": "xywh"}, [[100, 100, 200, 200]]),
        ("vrsbench.jsonl", "ground_truth", {"space": "norm100"}, [[128, 204.8, 153.6, 256]]),
        ("earthdial.jsonl", "gt_bbox", {"space": SPACES["norm100"]}, [[225.28, 312.32, 40.96, 40.96, math.pi / 2]]),
    ],
)  # fmt: skip
def test_field_the_truths_of_published_dumps(file, column, options, expected):
    sizes = {"width": 512, "height": 512}
    read = boxes(field(f"dumps/{file}")[0][column], **options, **sizes)
    assert read == [pytest.approx(box, rel=1e-6) for box in expected]


@pytest.mark.parametrize(
    "wrong", [[[1, 2], [3, 2], 5], [[[1, 2, 3, 4], 20], [30, 20], [30, 40]], [[1, 2], None, [3, 4]]]
)
def test_corners_among_which_something_else_stands_are_refused(wrong):
    with pytest.raises(TruthError, match=r"is not a finite number|neither a box nor a list"):
        read_truth(wrong)


def test_a_truth_of_any_depth_is_refused_in_a_sentence():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for value in (deep, [1, 2, 3, deep], {"bbox": deep}, [[1, 2], [3, 4], deep]):
        with pytest.raises(TruthError, match="too deep or too long to show"):
            read_truth(value)


def test_a_true_box_of_an_image_of_unknown_size_is_refused_where_the_size_is_needed():
    for size in ({"width": math.nan, "height": 600}, {"width": 800, "height": math.nan}):
        for value in (BOX, [[10, 20], [30, 20], [30, 40]]):
            with pytest.raises(TruthError, match="needs the width and height of the image, and they are not known"):
                read_truth(value, space="qwen3-vl", **size)
        assert boxes(BOX, space="pixel", **size) == [BOX]


@given(st.lists(st.floats() | st.integers() | st.booleans(), min_size=3, max_size=5))
def test_a_list_of_plain_corners_is_read_as_its_text_is(numbers):
    def read(value):
        try:
            return read_truth(value, kind="horizontal")
        except TruthError:
            return None

    assert read(numbers) == read({"bbox": numbers})
