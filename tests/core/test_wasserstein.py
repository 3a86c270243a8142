"""The proximity `"wasserstein"` against the definition of the distance, by matrix roots, of Gaussians of corners."""

from math import pi, sqrt

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from rsreward import corners, gaussian_proximity, iou, oriented_iou, positional_reward

from .samples import KINDS, box, pairs

TRUE = torch.tensor([10.0, 10.0, 30.0, 20.0], dtype=torch.float64)
TURNED = torch.tensor([20.0, 15.0, 20.0, 10.0, 0.3], dtype=torch.float64)


def proximity(pred, target):
    return gaussian_proximity(pred, target, over="wasserstein")


def gaussian(points):
    """Mean and covariance of four corners, as GeoBox-R1 fits them."""
    mean = points.mean(0)
    return mean, (points - mean).T @ (points - mean) / 4


def by_matrix_roots(pred, target):
    (m_p, s_p), (m_t, s_t) = gaussian(corners(pred).numpy()), gaussian(corners(target).numpy())
    root = scipy.linalg.sqrtm(s_p)
    cross = scipy.linalg.sqrtm(root @ s_t @ root)
    square = np.square(m_p - m_t).sum() + np.trace(s_p + s_t - 2 * cross).real
    tau = 8 * np.sqrt(np.trace(s_t))
    return tau / (tau + np.sqrt(max(square, 0)))


@pytest.mark.filterwarnings("ignore:Matrix is singular")  # slivers, nearly
@pytest.mark.parametrize("kind", KINDS)
def test_of_oriented_boxes_it_is_that_of_matrix_roots(implementation, kind):
    pred, target = implementation.rounded(*pairs(kind, torch.Generator().manual_seed(0), 40))
    expected = torch.tensor([by_matrix_roots(p, t) for p, t in zip(pred, target, strict=True)])
    cancels = 1e-7 if kind != "slivers" else 1e-4  # what the roots of nearly equal traces lose
    found = implementation(proximity, pred, target)
    assert (found - expected).abs().max() < max(cancels, implementation.tolerance)


@given(box(), box())
def test_of_horizontal_boxes_it_is_the_distance_of_centres_and_half_sides(implementation, pred, target):
    pred, target = implementation.rounded(pred, target)
    centre, half = [(b[:2] + b[2:]) / 2 for b in (pred, target)], [(b[2:] - b[:2]) / 2 for b in (pred, target)]
    w2 = torch.cat([centre[0] - centre[1], half[0] - half[1]]).norm()
    tau = 8 * half[1].norm()
    found = implementation(proximity, pred, target).item()
    assert found == pytest.approx((tau / (tau + w2)).item(), rel=0, abs=max(1e-12, implementation.tolerance))


@given(st.floats(0, pi), st.floats(0, 100), st.floats(0.01, 100), st.floats(-10, 10))
def test_moving_turning_and_scaling_both_boxes_changes_nothing(implementation, turn, shift, scale, angle):
    pred, target = torch.tensor([4.0, 1.0, 3.0, 5.0, angle], dtype=torch.float64), torch.tensor([1.0, 2, 6, 2, 0.5])
    spin = torch.tensor([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])

    def moved(box):
        return torch.cat([scale * (box[:2].double() @ spin + shift), scale * box[2:4], box[4:] + turn])

    found = implementation(proximity, moved(pred), moved(target)).item()
    assert found == pytest.approx(implementation(proximity, pred, target).item(), abs=1e-4 if shift > 10 else 1e-5)


@given(box(), box())
def test_only_the_true_box_has_1(implementation, pred, target):
    pred, target = implementation.rounded(pred, target)
    assume((pred - target).abs().max() / (target[2:] - target[:2]).max() > 1e-5)
    assert implementation(proximity, target, target) == 1
    assert implementation(proximity, pred, target) < 1


@pytest.mark.parametrize(
    ("what", "pred", "paid"),
    [
        ("one diagonal away", [30.0, 20.0, 50.0, 30.0], 8 / 10),
        ("four diagonals away", [90.0, 50.0, 110.0, 60.0], 8 / 16),
        ("a point at the centre", [20.0, 15.0, 20.0, 15.0], 8 / 9),
        ("twice the sides", [0.0, 5.0, 40.0, 25.0], 8 / 9),
        ("an image of twenty times the sides", [-180.0, -85.0, 220.0, 115.0], 8 / 27),
    ],
)
def test_what_it_pays(implementation, what, pred, paid):
    """k times the sides pay 8 / (7 + k), d diagonals away 8 / (8 + 2 d): a long slope."""
    assert implementation(proximity, torch.tensor(pred), TRUE).item() == pytest.approx(paid, abs=1e-6)


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9, 1e-12])
def test_no_digits_are_lost_between_boxes_that_nearly_meet(step):
    half_diagonal = sqrt(20**2 + 10**2) / 2
    shifted, turned = TURNED.clone(), TURNED.clone()
    shifted[0] += step
    turned[4] += step
    paid = {
        "shifted": (shifted, (shifted[0] - TURNED[0]).item()),
        "turned": (turned, abs(np.sin((turned[4] - TURNED[4]).item())) * (10**2 - 5**2) / sqrt(10**2 + 5**2)),
    }
    for pred, w2 in paid.values():
        k = proximity(pred, TURNED).item()
        assert (1 - k) / k == pytest.approx(w2 / (8 * half_diagonal), rel=max(1e-3 * step, 3e-16 / step * 200))


def test_a_turned_square_is_the_same_gaussian():
    square = torch.tensor([0.0, 0, 4, 4, 0], dtype=torch.float64)
    again = square.repeat(50, 1)
    again[:, 4] = torch.linspace(-4, 4, 50)
    assert (proximity(again, square) == 1).all()


def test_size_and_angle_have_a_slope_where_the_boxes_do_not_meet():
    pred = (TURNED + torch.tensor([100.0, 0, 5, 5, 0.4])).requires_grad_()
    proximity(pred, TURNED).backward()
    assert oriented_iou(pred, TURNED) == 0
    assert (pred.grad[[0, 2, 3, 4]] < 0).all()
    upright = torch.tensor([100.0, 10.0, 140.0, 20.0], dtype=torch.float64, requires_grad=True)
    for form, slope in (("center", 0.0), ("wasserstein", 1.0)):
        upright.grad = None
        gaussian_proximity(upright, TRUE, over=form).backward()
        wider = (upright.grad[2] - upright.grad[0]).item()  # by the width, the centre held
        assert (wider < -1e-4) == bool(slope)
    assert iou(upright, TRUE) == 0


SQUARES = torch.tensor([[15.0, 18, 6, 6, 0.2], [20, 15, 8, 8, 0.3], [25, 12, 30, 5, 1.2], [25, 12, 5, 30, 1.2]])


@pytest.mark.parametrize("target", [TURNED, torch.tensor([20.0, 15, 9, 9, 1.0]), TURNED[[0, 1, 3, 2, 4]]])
def test_the_gradient_is_right_of_squares_too(target):
    """A square has no longer side: the slopes of w and h must still be its own."""
    pred = SQUARES.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda p: proximity(p, target.double()), pred)
    assert torch.autograd.gradcheck(lambda t: proximity(SQUARES.double(), t), target.double().clone().requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_gradient_is_finite_where_the_distance_has_a_kink(dtype):
    for target in (TRUE, TURNED):
        rows = target.repeat(4, 1)
        if len(target) == 5:
            rows[1, 2:4] = 0.0  # a point
            rows[2, 2:] = torch.tensor([0.0, 7.0, 0.0])  # a line
        else:
            rows[1], rows[2] = torch.tensor([[5.0] * 4, [5.0, 5.0, 5.0, 9.0]])
        rows[3, :4] *= 1e30
        pred = rows.to(dtype).requires_grad_()
        k = proximity(pred, target.to(dtype))
        assert k[0] == 1
        k.sum().backward()
        assert pred.grad.isfinite().all()
        assert (pred.grad[0] == 0).all()


def test_half_its_sum_with_the_iou_is_the_mixture_of_geobox_r1():
    pred = torch.tensor([12.0, 10.0, 30.0, 24.0], dtype=torch.float64)
    mixed = 0.5 * iou(pred, TRUE) + 0.5 * proximity(pred, TRUE)
    assert positional_reward(pred, TRUE, beta=1.0, proximity="wasserstein") / 2 == mixed


@pytest.mark.parametrize("function", [gaussian_proximity, positional_reward])
def test_an_alpha_is_refused_for_it_has_none(function):
    name = "over" if function is gaussian_proximity else "proximity"
    with pytest.raises(ValueError, match=r"'wasserstein' has no alpha, got 1.0: leave it at 2.5"):
        function(TRUE, TRUE, alpha=1.0, **{name: "wasserstein"})
