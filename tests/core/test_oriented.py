from math import cos, pi, sin

import numpy as np
import pytest
import shapely
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

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
)
from rsreward.dispatch import LARGEST

from .samples import FORMS, KINDS, any_float, box, pairs, polygons, random_boxes, shapely_iou, turned

N = 4_000
NODES, WEIGHTS = np.polynomial.legendre.leggauss(600)
side = st.floats(0.1, 100)


def rows(implementation):
    """Fewer where Triton's interpreter computes them."""
    return 500 if implementation.name == "cuda" and not torch.cuda.is_available() else N


@pytest.mark.parametrize("kind", KINDS)
def test_oriented_iou_equals_shapely(implementation, kind):
    pred, target = implementation.rounded(*pairs(kind, torch.Generator().manual_seed(0), rows(implementation)))
    tolerance = 1e-10 if implementation.dtype == torch.float64 else 1e-6
    assert (implementation(oriented_iou, pred, target) - shapely_iou(pred, target)).abs().max() < tolerance


def test_boxes_that_do_not_meet_score_exactly_0(implementation):
    n = rows(implementation)
    pred, target = implementation.rounded(*pairs("random", torch.Generator().manual_seed(10), 5 * n))
    apart = shapely.distance(polygons(pred), polygons(target)) > 1e-3
    assert apart.sum() > n
    assert (implementation(oriented_iou, pred, target)[torch.tensor(apart)] == 0).all()


@pytest.mark.parametrize("kind", ["random", "noise 1", "noise 0.0001", "far away"])
@pytest.mark.parametrize("form", FORMS)
def test_the_same_box_written_otherwise_gives_the_same(implementation, kind, form):
    pred, target = implementation.rounded(*pairs(kind, torch.Generator().manual_seed(1), rows(implementation)))
    tolerance = 1e-9 if implementation.dtype == torch.float64 else 5e-5  # the turned angle is rounded to float32
    overlap, near = (
        implementation(oriented_iou, pred, target),
        implementation(gaussian_proximity, pred, target, over=form),
    )
    for turn, order in ((pi, [0, 1, 2, 3, 4]), (pi / 2, [0, 1, 3, 2, 4]), (-pi / 2, [0, 1, 3, 2, 4])):
        again = turned(pred, turn, order)
        for p, t in ((again, target), (pred, turned(target, turn, order))):
            assert torch.allclose(implementation(oriented_iou, p, t), overlap, atol=tolerance)
            assert torch.allclose(implementation(gaussian_proximity, p, t, over=form), near, atol=1e-4)


def test_a_box_against_itself_written_otherwise_is_1(implementation):
    boxes = random_boxes(torch.Generator().manual_seed(2), N).float()
    for turn, order in ((pi, [0, 1, 2, 3, 4]), (pi / 2, [0, 1, 3, 2, 4]), (3 * pi, [0, 1, 2, 3, 4])):
        again = turned(boxes, turn, order)
        # the turned angle is rounded to float32
        assert (1 - implementation(oriented_iou, again, boxes)).abs().max() < 5e-5


@given(box(), box())
def test_upright_boxes_score_as_horizontal_ones(implementation, a, b):
    def oriented(box):
        return torch.cat([(box[:2] + box[2:]) / 2, box[2:] - box[:2], torch.zeros(1, dtype=torch.float64)])

    a, b = implementation.rounded(a, b)
    assume((a[2:] > a[:2]).all() and (b[2:] > b[:2]).all())
    pred, target = oriented(a), oriented(b)
    rounding = 16 * torch.finfo(implementation.dtype).eps
    lost = rounding * torch.stack([a, b]).abs().max().item() / min(*pred[2:4].tolist(), *target[2:4].tolist())
    found = implementation(oriented_iou, pred, target).item()
    assert found == pytest.approx(implementation(iou, a, b).item(), rel=0, abs=1e-9 + lost)
    for form in FORMS:
        expected = implementation(gaussian_proximity, a, b, over=form).item()
        found = implementation(gaussian_proximity, pred, target, over=form).item()
        assert found == pytest.approx(expected, rel=0, abs=1e-4 + lost)


@given(st.floats(-300, 300), st.floats(-300, 300), st.floats(0.1, 800), st.floats(0.1, 800), st.floats(-pi, pi),
       st.floats(1, 100), st.floats(1, 100), st.floats(-pi, pi))  # fmt: skip
@settings(max_examples=50)
def test_region_is_the_mean_of_the_turned_gaussian_over_the_box(implementation, x, y, w, h, angle, tw, th, turn):
    target = torch.tensor([0.0, 0.0, tw, th, turn], dtype=torch.float64)
    pred = torch.tensor([x, y, w, h, angle], dtype=torch.float64)
    s, t = NODES[:, None] * w / 2, NODES[None] * h / 2
    px, py = x + s * cos(angle) - t * sin(angle), y + s * sin(angle) + t * cos(angle)
    along, across = px * cos(turn) + py * sin(turn), py * cos(turn) - px * sin(turn)
    kernel = np.exp(-((along / (1.25 * tw)) ** 2 + (across / (1.25 * th)) ** 2) / 2)
    found = implementation(gaussian_proximity, pred, target, over="region").item()
    assert found == pytest.approx(kernel @ WEIGHTS @ WEIGHTS / 4, rel=0, abs=1e-4)


def test_missing_boxes_score_0_and_have_finite_gradients():
    rows = [[torch.nan] * 5, [0, 0, -1, 5, 0], [0, 0, torch.inf, 5, 0], [0, 0, 5, 5, torch.nan], [3e38, 3e38, 1, 1, 0]]
    for form in FORMS:
        pred = torch.tensor(rows, requires_grad=True)
        reward = positional_reward(pred, torch.tensor([0.0, 0.0, 5.0, 5.0, 0.3]), proximity=form)
        assert reward.tolist()[:-1] == [0] * (len(rows) - 1)
        assert reward[-1] <= (1e-36 if form == "wasserstein" else 0)  # it falls with the distance, not its exponential
        reward.sum().backward()
        assert pred.grad.isfinite().all()


@given(st.lists(any_float, min_size=10, max_size=10), st.sampled_from(FORMS), st.sampled_from([None, torch.float16]))
def test_no_input_gives_nan_or_infinity(implementation, numbers, form, dtype):
    pred, target = torch.tensor(numbers, dtype=torch.float64).view(2, 5)
    assert 0 <= implementation(positional_reward, pred, target, proximity=form, dtype=dtype) <= 1.1 + 1e-3


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


def test_pairwise_is_every_pair(implementation):
    generator = torch.Generator().manual_seed(6)
    a, b = random_boxes(generator, 5), random_boxes(generator, 7)
    table = implementation(pairwise_oriented_iou, a, b)
    assert all(table[i, j] == implementation(oriented_iou, a[i], b[j]) for i in range(5) for j in range(7))


def test_half_precision_and_empty_batches(implementation):
    boxes = torch.tensor([[0.0, 0.0, 400.0, 300.0, 0.5]])
    assert implementation(oriented_iou, boxes, boxes, dtype=torch.float16) == 1
    assert implementation(oriented_iou, torch.empty(0, 5), torch.empty(0, 5)).shape == (0,)


def test_wrong_shapes_and_names_are_named():
    with pytest.raises(ValueError, match=r"\(3, 4\).*\(3, 5\)"):
        oriented_iou(torch.zeros(3, 4), torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"\(4,\).*\(5,\)"):
        positional_reward(torch.zeros(4), torch.zeros(5))
    with pytest.raises(ValueError, match=r"'dota'.*le90"):
        convert_angles(torch.zeros(5), "radians", "dota")
    with pytest.raises(ValueError, match=r"5 numbers each .* got shape \(4,\)"):
        convert_angles(torch.zeros(4), "radians", "le90")
    with pytest.raises(ValueError, match=r"needed are \(..., N, 5\) and \(..., M, 5\), got \(5,\) and \(2, 5\)"):
        pairwise_oriented_iou(torch.zeros(5), torch.zeros(2, 5))
    with pytest.raises(ValueError, match="4, 2"):
        from_corners(torch.zeros(8))


def test_a_point_has_a_finite_gradient_and_opposite_ends_of_float64_score_0():
    target = torch.tensor([0.0, 0.0, 1.0, 1.0, 0.2], dtype=torch.float64)
    for form in FORMS:
        point = torch.zeros(5, dtype=torch.float64, requires_grad=True)
        positional_reward(point, target, proximity=form).backward()
        assert point.grad.isfinite().all()
        far = torch.tensor([[1e308, 0.0, 1.0, 1.0, 0.0]], dtype=torch.float64)
        other = torch.tensor([-1e308, 0.0, 1.0, 1.0, 0.0], dtype=torch.float64)
        assert positional_reward(far, other, proximity=form) <= (1e-150 if form == "wasserstein" else 0)


def test_rows_that_are_not_boxes_score_exactly_0(implementation):
    odd = torch.tensor([0, 1, 2.5, -1, torch.inf, -torch.inf, torch.nan, 1e308, -1e308, 1e-308], dtype=torch.float64)
    rows = odd[torch.randint(0, len(odd), (20_000, 2, 5), generator=torch.Generator().manual_seed(7))]
    pred, target = rows.unbind(1)
    score = implementation(oriented_iou, pred, target)
    rows = rows.to(implementation.dtype)
    counts = rows.isfinite().all(-1).all(-1) & (rows[..., 2:4] > 0).all(-1).all(-1)
    assert (score[~counts] == 0).all()
    assert ((score >= 0) & (score <= 1)).all()


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-7, 1e7, 1e160, 1e300])
def test_the_scale_of_the_boxes_changes_no_value_and_makes_no_gradient_nan(scale):
    pred = torch.tensor([0.4, 0.2, 4, 3, 0.4], dtype=torch.float64)
    target = torch.tensor([0.3, 0.2, 4, 2, 0.3], dtype=torch.float64)
    lengths = torch.tensor([scale, scale, scale, scale, 1], dtype=torch.float64)
    scaled = [(box * lengths).requires_grad_() for box in (pred, target)]
    overlap = oriented_iou(*scaled)
    if scale < LARGEST[torch.float64]:
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
