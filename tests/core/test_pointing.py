"""Points in boxes, against shapely; and the answers that hold them."""

import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsreward import completion_text, gaussian_proximity, parse_points, point_reward, space_named
from rsreward.truth import target_boxes

from .samples import any_float, any_row, box, polygons, random_boxes

BOX = torch.tensor([10.0, 20.0, 30.0, 40.0])


def test_it_is_what_shapely_covers(implementation):
    draw = torch.Generator().manual_seed(0)
    boxes = random_boxes(draw, 2000)
    points = boxes[:, :2] + 12 * torch.randn(2000, 2, generator=draw, dtype=torch.float64)
    points, boxes = implementation.rounded(points, boxes)
    shapes, at = polygons(boxes), shapely.points(points.numpy())
    apart = torch.tensor(shapely.distance(shapely.boundary(shapes), at)) > 1e-3
    expected = torch.tensor(shapely.covers(shapes, at))
    assert 300 < expected.sum() < 1700
    found = implementation(point_reward, points, boxes)
    assert torch.equal(found[apart], expected.double()[apart])


@given(box(), st.floats(-1, 2), st.floats(-1, 2))
def test_horizontal_boxes_are_closed_and_upright_turned_ones_are_the_same(implementation, target, s, t):
    (target,) = implementation.rounded(target)
    (point,) = implementation.rounded(target[:2] + torch.tensor([s, t]) * (target[2:] - target[:2]))
    expected = float((target[:2] <= point).all() and (point <= target[2:]).all())
    assert implementation(point_reward, point, target).item() == expected
    for corner in ([0, 1], [2, 1], [0, 3], [2, 3]):
        assert implementation(point_reward, target[corner], target).item() == 1
    if min(abs(s), abs(s - 1), abs(t), abs(t - 1)) > 1e-2:
        upright = torch.cat([(target[:2] + target[2:]) / 2, target[2:] - target[:2], torch.zeros(1)])
        assert implementation(point_reward, point, upright).item() == expected


@given(st.tuples(any_float, any_float), any_row, st.sampled_from([None, torch.float16]))
def test_any_numbers_score_0_or_1(implementation, point, target, dtype):
    rows = torch.tensor(point, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)
    assert implementation(point_reward, *rows, dtype=dtype).item() in (0, 1)


@pytest.mark.parametrize(
    "target",
    [[torch.nan] * 4, [30.0, 20, 10, 40], [-torch.inf, 0, torch.inf, 99], [20.0, 30, 20, 30], [20.0, 30, -5, 5, 0]],
)
def test_what_is_not_a_box_with_area_holds_no_point(implementation, target):
    assert implementation(point_reward, torch.tensor([20.0, 30.0]), torch.tensor(target)) == 0


HACKS = {
    "the middle of the image": ([400.0, 300.0], 0),
    "no answer": ([torch.nan, torch.nan], 0),
    "half an answer": ([20.0, torch.nan], 0),
    "a point at infinity": ([torch.inf, 30.0], 0),
    "the corner of the object": ([10.0, 20.0], 1),  # all of the object is paid alike
}


@pytest.mark.parametrize("hack", HACKS)
def test_what_it_pays(implementation, hack):
    point, paid = HACKS[hack]
    assert implementation(point_reward, torch.tensor(point), BOX).item() == paid


def test_a_slope_comes_from_the_point_as_a_box_without_area():
    point = torch.tensor([[60.0, 30.0]], requires_grad=True)
    gaussian_proximity(torch.cat([point, point], -1), BOX).sum().backward()
    assert point.grad[0, 0] < 0
    assert not point_reward(point, BOX).requires_grad


def test_shapes_broadcast_or_are_named():
    assert point_reward(torch.zeros(3, 1, 2), torch.zeros(5, 4)).shape == (3, 5)
    for shapes in (((3, 4), (3, 4)), ((3, 2), (3, 2)), ((3, 2), (2, 4))):
        with pytest.raises(ValueError, match=r"points"):
            point_reward(*map(torch.zeros, shapes))


@pytest.mark.parametrize(
    "text",
    [
        "[25, 50]", "(25, 50)", "<think>Near [1, 2].</think><answer>[25, 50]</answer>", "<point>[25, 50]</point>",
        '<point x="25" y="50" alt="ship">ship</point>', '{"point_2d": [25, 50], "label": "ship"}',
        '```json\n[{"point_2d": [25, 50]}]\n```', "<|point_start|>(25,50)<|point_end|>", "The ship is at (25, 50).",
    ],
)  # fmt: skip
def test_points_are_read_and_scaled_as_boxes_are(text):
    assert parse_points([text]).tolist() == [[25, 50]]
    assert parse_points([text], space="norm100", width=400, height=200).tolist() == [[100, 100]]
    swapped = [[100, 100]] if "x=" in text else [[200, 50]]
    space = space_named("norm100", order="yx")
    assert parse_points([text], space=space, width=400, height=200).tolist() == swapped


@pytest.mark.parametrize(
    "text", ["[1, 2, 3, 4]", "none", "", "Sorry.", "<think>[1, 2]", '<points x1="1" y1="2" x2="3" y2="4">']
)
def test_what_is_not_a_point_is_missing(text):
    assert parse_points([text]).isnan().all()


def test_of_several_points_one_is_selected():
    text = "[[1, 2], [3, 4], [5, 6]]"
    assert parse_points([text]).tolist() == [[1, 2]]
    assert parse_points([text], select="last").tolist() == [[5, 6]]
    assert parse_points([text], select="only").isnan().all()
    with pytest.raises(ValueError, match="select must be"):
        parse_points([text], select="best")


def pointing(completions, target, width, height, **columns):
    """As docs/answers.md has it."""
    texts = [completion_text(each) for each in completions]
    points = parse_points(texts, space="norm100", width=width, height=height)
    return point_reward(points, target_boxes(target, "horizontal", "the column 'target'")).tolist()


def test_it_makes_a_reward_function_of_trl():
    said = [[{"role": "assistant", "content": text}] for text in ('<point x="50" y="50">', "[1, 1]", "I see none.")]
    paid = pointing(said, target=[[80, 60, 120, 140]] * 3, width=[200] * 3, height=[200] * 3, prompts=["?"] * 3)
    assert paid == [1, 0, 0]
