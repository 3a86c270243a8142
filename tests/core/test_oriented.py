from math import cos, pi, sin

import numpy as np
import pytest
import shapely
import torch
from boxes_strategies import box
from hypothesis import given
from hypothesis import strategies as st
from oriented_pairs import KINDS, pairs, random_boxes, shapely_iou, turned

from rsreward import (
    ANGLES,
    canonical,
    convert_angles,
    corners,
    from_corners,
    gaussian_proximity,
    iou,
    oriented_iou,
    pairwise_oriented_iou,
    positional_reward,
    quad_iou,
)

N = 4_000
FORMS = ["center", "region", "keypoints"]
side = st.floats(0.1, 100)


@pytest.mark.parametrize("kind", KINDS)
def test_oriented_iou_equals_shapely(kind):
    pred, target = (b.float() for b in pairs(kind, torch.Generator().manual_seed(0), N))
    expected = shapely_iou(pred, target)
    assert (oriented_iou(pred, target) - expected).abs().max() < 1e-6
    assert (oriented_iou(pred.double(), target.double()) - expected).abs().max() < 1e-10
    quads = corners(pred.double()), corners(target.double())
    assert (quad_iou(*quads) - expected).abs().max() < 1e-9


@pytest.mark.parametrize("kind", ["random", "noise 1", "noise 0.0001", "far away"])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_box_written_otherwise_gives_the_same(kind, form):
    pred, target = pairs(kind, torch.Generator().manual_seed(1), N)
    plain = oriented_iou(pred, target), gaussian_proximity(pred, target, over=form)
    for turn, order in ((pi, [0, 1, 2, 3, 4]), (pi / 2, [0, 1, 3, 2, 4]), (-pi / 2, [0, 1, 3, 2, 4])):
        again = turned(pred, turn, order)
        for p, t in ((again, target), (pred, turned(target, turn, order))):
            assert torch.allclose(oriented_iou(p, t), plain[0], atol=1e-9)
            assert torch.allclose(gaussian_proximity(p, t, over=form), plain[1], atol=1e-4)


def test_a_box_against_itself_written_otherwise_is_1():
    boxes = random_boxes(torch.Generator().manual_seed(2), N).float()
    for turn, order in ((pi, [0, 1, 2, 3, 4]), (pi / 2, [0, 1, 3, 2, 4]), (3 * pi, [0, 1, 2, 3, 4])):
        again = turned(boxes, turn, order)
        assert (1 - oriented_iou(again, boxes)).abs().max() < 5e-5  # the turned angle is rounded to float32


@given(box(), box())
def test_upright_boxes_score_as_horizontal_ones(a, b):
    def oriented(box):
        return torch.cat([(box[:2] + box[2:]) / 2, box[2:] - box[:2], torch.zeros(1, dtype=torch.float64)])

    pred, target = oriented(a), oriented(b)
    assert oriented_iou(pred, target).item() == pytest.approx(iou(a, b).item(), abs=1e-9)
    for form in FORMS:
        expected = gaussian_proximity(a, b, over=form).item()
        assert gaussian_proximity(pred, target, over=form).item() == pytest.approx(expected, abs=1e-4)


@given(st.floats(-300, 300), st.floats(-300, 300), st.floats(0.1, 800), st.floats(0.1, 800), st.floats(-pi, pi),
       st.floats(1, 100), st.floats(1, 100), st.floats(-pi, pi))  # fmt: skip
def test_region_is_the_mean_of_the_turned_gaussian_over_the_box(x, y, w, h, angle, tw, th, turn):
    target = torch.tensor([0.0, 0.0, tw, th, turn], dtype=torch.float64)
    pred = torch.tensor([x, y, w, h, angle], dtype=torch.float64)
    nodes, weights = np.polynomial.legendre.leggauss(600)
    s, t = nodes[:, None] * w / 2, nodes[None] * h / 2
    px, py = x + s * cos(angle) - t * sin(angle), y + s * sin(angle) + t * cos(angle)
    along, across = px * cos(turn) + py * sin(turn), py * cos(turn) - px * sin(turn)
    kernel = np.exp(-((along / (1.25 * tw)) ** 2 + (across / (1.25 * th)) ** 2) / 2)
    assert gaussian_proximity(pred, target, over="region").item() == pytest.approx(
        kernel @ weights @ weights / 4, abs=1e-4
    )


def test_missing_boxes_score_0_and_have_finite_gradients():
    rows = [[torch.nan] * 5, [0, 0, -1, 5, 0], [0, 0, torch.inf, 5, 0], [0, 0, 5, 5, torch.nan], [3e38, 3e38, 1, 1, 0]]
    for form in FORMS:
        pred = torch.tensor(rows, requires_grad=True)
        reward = positional_reward(pred, torch.tensor([0.0, 0.0, 5.0, 5.0, 0.3]), proximity=form)
        assert reward.tolist() == [0] * len(rows)
        reward.sum().backward()
        assert pred.grad.isfinite().all()


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=10, max_size=10), st.sampled_from(FORMS))
def test_no_input_gives_nan_or_infinity(numbers, form):
    for dtype in (torch.float64, torch.float32, torch.float16):
        pred, target = torch.tensor(numbers, dtype=dtype).view(2, 5)
        assert 0 <= positional_reward(pred, target, proximity=form) <= 1.1 + 1e-3
        assert 0 <= quad_iou(corners(pred), corners(target)) <= 1


def test_the_gradient_is_right():
    generator = torch.Generator().manual_seed(3)
    target = random_boxes(generator, 6)
    noise = torch.randn(6, 5, generator=generator, dtype=torch.float64) * torch.tensor([5, 5, 3, 3, 0.3])
    pred = (target + noise).abs().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: oriented_iou(p, target), pred)
    for form in FORMS:
        assert torch.autograd.gradcheck(lambda p, f=form: gaussian_proximity(p, target, over=f), pred)


@given(st.floats(-1e3, 1e3), side, side, st.floats(-20, 20), st.sampled_from(sorted(ANGLES)))
def test_every_convention_is_the_same_box_and_comes_back(c, w, h, angle, name):
    boxes = torch.tensor([c, -c, w, h, angle], dtype=torch.float64)
    written = convert_angles(boxes, "radians", name)
    convention = ANGLES[name]
    if convention.lowest is not None:
        value = written[4].deg2rad() if convention.degrees else written[4]
        assert convention.lowest - 1e-9 <= value <= convention.lowest + (pi if convention.long_side else pi / 2) + 1e-9
    if convention.long_side:
        assert written[2] >= written[3]
    back = convert_angles(written, name, "radians")
    assert oriented_iou(back, boxes).item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("le90", [4, 2, -pi / 6]), ("le135", [4, 2, -pi / 6]), ("oc", [2, 4, pi / 3]), ("opencv", [2, 4, 60]),
     ("long-side", [4, 2, 150]), ("degrees", [4, 2, -30])],
)  # fmt: skip
def test_conventions_by_hand(name, expected):
    written = convert_angles(torch.tensor([0, 0, 4, 2, -pi / 6], dtype=torch.float64), "radians", name)
    assert written[2:].tolist() == pytest.approx(expected)


def test_corners_and_back():
    boxes = canonical(random_boxes(torch.Generator().manual_seed(4), N))
    assert torch.allclose(corners(from_corners(corners(boxes))), corners(boxes), atol=1e-9)
    assert torch.allclose(from_corners(corners(boxes))[:, :4], boxes[:, :4], atol=1e-9)


def test_quads_either_way_round_and_any_convex_shape():
    generator = torch.Generator().manual_seed(5)
    angles = torch.rand(2, N, 4, generator=generator, dtype=torch.float64).mul(2 * pi).sort(-1).values
    centre = torch.rand(2, N, 1, 2, generator=generator, dtype=torch.float64) * 3
    quads = torch.stack([angles.cos(), angles.sin()], -1) * 4 + centre
    p, t = (shapely.polygons(q.numpy()) for q in quads)
    overlap = shapely.area(shapely.intersection(p, t))
    expected = torch.tensor(overlap / (shapely.area(p) + shapely.area(t) - overlap))
    for pred in (quads[0], quads[0].flip(-2)):
        assert (quad_iou(pred, quads[1]) - expected).abs().max() < 1e-9


def test_pairwise_is_every_pair():
    generator = torch.Generator().manual_seed(6)
    a, b = random_boxes(generator, 5), random_boxes(generator, 7)
    table = pairwise_oriented_iou(a, b)
    assert all(table[i, j] == oriented_iou(a[i], b[j]) for i in range(5) for j in range(7))


def test_half_precision_and_empty_batches():
    boxes = torch.tensor([[0.0, 0.0, 400.0, 300.0, 0.5]]).half()
    assert oriented_iou(boxes, boxes).dtype == torch.float16
    assert oriented_iou(boxes, boxes) == 1
    assert oriented_iou(torch.empty(0, 5), torch.empty(0, 5)).shape == (0,)
    assert quad_iou(torch.empty(0, 4, 2), torch.empty(0, 4, 2)).shape == (0,)


def test_wrong_shapes_and_names_are_named():
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(3, 5\)"):
        oriented_iou(torch.zeros(3, 4), torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"\(4,\).*\(5,\)"):
        positional_reward(torch.zeros(4), torch.zeros(5))
    with pytest.raises(ValueError, match=r"'dota'.*le90"):
        convert_angles(torch.zeros(5), "radians", "dota")
    with pytest.raises(ValueError, match="4, 2"):
        quad_iou(torch.zeros(8), torch.zeros(8))


def test_a_point_has_a_finite_gradient_and_opposite_ends_of_float64_score_0():
    target = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.2], dtype=torch.float64)
    for form in FORMS:
        point = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        positional_reward(point, target, proximity=form).backward()
        assert point.grad.isfinite().all()
        far = torch.tensor([[1e308, 0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
        assert (
            positional_reward(far, torch.tensor([-1e308, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64), proximity=form) == 0
        )


def test_rows_that_are_no_boxes_score_exactly_0():
    odd = torch.tensor([0, 1, 2.5, -1, torch.inf, -torch.inf, torch.nan, 1e308, -1e308, 1e-308], dtype=torch.float64)
    rows = odd[torch.randint(0, len(odd), (20_000, 2, 5), generator=torch.Generator().manual_seed(7))]
    for dtype in (torch.float64, torch.float32):
        pred, target = rows.to(dtype).unbind(1)
        score = oriented_iou(pred, target)
        counts = rows.to(dtype).isfinite().all(-1).all(-1) & (rows.to(dtype)[..., 2:4] > 0).all(-1).all(-1)
        assert (score[~counts] == 0).all()
        assert ((score >= 0) & (score <= 1)).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
def test_the_scale_of_the_boxes_changes_neither_value_nor_makes_gradients_nan(scale):
    pred = torch.tensor([0.4, 0.2, 4, 3, 0.4], dtype=torch.float64)
    target = torch.tensor([0.3, 0.2, 4, 2, 0.3], dtype=torch.float64)
    lengths = torch.tensor([scale, scale, scale, scale, 1], dtype=torch.float64)
    scaled = [(box * lengths).requires_grad_() for box in (pred, target)]
    overlap = oriented_iou(*scaled)
    assert overlap.item() == pytest.approx(oriented_iou(pred, target).item(), abs=1e-12)
    overlap.backward()
    assert all(box.grad.isfinite().all() for box in scaled)


def test_the_gradient_by_the_angle_of_upright_boxes_lies_between_the_slopes_of_both_sides():
    target = torch.tensor([0.5, 0.3, 3, 2.5, 0], dtype=torch.float64)
    pred = torch.tensor([[0, 0, 4, 2, 0], [1, 0, 4, 2, 0], [0, 0, 4, 2, pi / 2], [0.5, 0.2, 3, 3, 0]]).double()
    pred.requires_grad_()
    oriented_iou(pred, target).sum().backward()
    step = pred.new_tensor([0, 0, 0, 0, 1e-7])
    with torch.no_grad():
        here, right, left = (oriented_iou(pred + k * step, target) for k in (0, 1, -1))
    slopes = torch.stack([(right - here) / 1e-7, (here - left) / 1e-7])
    assert (pred.grad[:, 4] > slopes.amin(0) - 1e-6).all()
    assert (pred.grad[:, 4] < slopes.amax(0) + 1e-6).all()


def test_long_batches_score_as_their_rows():
    pred, target = (b.repeat(5, 1) for b in pairs("random", torch.Generator().manual_seed(8), N))
    assert torch.allclose(oriented_iou(pred, target), oriented_iou(pred[:N], target[:N]).repeat(5), rtol=0, atol=1e-12)


def test_corners_may_be_integers():
    quad = torch.tensor([[3, 4], [7, 4], [7, 6], [3, 6]])
    assert torch.equal(from_corners(quad), from_corners(quad.float()))


@pytest.mark.parametrize("name", sorted(ANGLES))
def test_float32_angles_are_rounded_once(name):
    boxes = random_boxes(torch.Generator().manual_seed(9), N).float()
    assert torch.equal(convert_angles(boxes, "radians", name), convert_angles(boxes.double(), "radians", name).float())
