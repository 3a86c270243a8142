from itertools import product
from math import exp

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from rsreward import gaussian_proximity, iou, positional_reward

from .samples import FORMS, any_row, box

TRUE = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(400)


def centred(cx, cy, w=1.0, h=1.0):
    return torch.tensor([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], dtype=torch.float64)


# The values of docs/method.md at alpha = 2.5, true box 1 x 1: prediction, region form, centre form.
CHECKS = {
    "perfect": (centred(0.5, 0.5), 0.949, 1.0),
    "half the size": (centred(0.5, 0.5, 0.5, 0.5), 0.987, 1.0),
    "twice the size": (centred(0.5, 0.5, 2, 2), 0.815, 1.0),
    "one width off": (centred(1.5, 0.5), 0.700, 0.726),
    "two widths off": (centred(2.5, 0.5), 0.282, 0.278),
    "three widths off": (centred(3.5, 0.5), 0.062, 0.056),
}


@pytest.mark.parametrize("name", CHECKS)
def test_check_values_of_the_method(implementation, name):
    pred, region, center = CHECKS[name]
    assert implementation(gaussian_proximity, pred, TRUE, over="region").item() == pytest.approx(region, abs=5e-4)
    assert implementation(gaussian_proximity, pred, TRUE).item() == pytest.approx(center, abs=5e-4)


def test_five_widths_off_is_next_to_nothing_in_the_region_form(implementation):
    assert implementation(gaussian_proximity, centred(5.5, 0.5), TRUE, over="region").item() == pytest.approx(
        0.0005, abs=1e-4
    )


def kernel(x, y, target, alpha):
    x1, y1, x2, y2 = target.tolist()
    u, v = (x - (x1 + x2) / 2) / (alpha * (x2 - x1) / 2), (y - (y1 + y2) / 2) / (alpha * (y2 - y1) / 2)
    return np.exp(-(u**2 + v**2) / 2)


@given(box(), box(), st.floats(0.5, 10))
def test_region_is_the_mean_of_the_kernel_over_the_box(implementation, pred, target, alpha):
    pred, target = implementation.rounded(pred, target)
    assume((pred[2:] > pred[:2]).all() and (target[2:] > target[:2]).all())
    x1, y1, x2, y2 = pred.tolist()
    x, y = (x1 + x2) / 2 + NODES * (x2 - x1) / 2, (y1 + y2) / 2 + NODES * (y2 - y1) / 2
    assume((x2 - x1) / (target[2] - target[0]) < 100)
    assume((y2 - y1) / (target[3] - target[1]) < 100)
    mean = kernel(x[:, None], y[None], target, alpha) @ WEIGHTS @ WEIGHTS / 4
    found = implementation(gaussian_proximity, pred, target, alpha=alpha, over="region").item()
    assert found == pytest.approx(mean, rel=0, abs=max(1e-9, 5 * implementation.tolerance))


@given(box(), box(), st.floats(0.5, 10))
def test_keypoints_is_the_mean_of_the_kernel_at_corners_and_centre(implementation, pred, target, alpha):
    pred, target = implementation.rounded(pred, target)
    assume((target[2:] > target[:2]).all())
    x1, y1, x2, y2 = pred.tolist()
    points = [*product((x1, x2), (y1, y2)), ((x1 + x2) / 2, (y1 + y2) / 2)]
    mean = sum(kernel(x, y, target, alpha) for x, y in points) / 5
    found = implementation(gaussian_proximity, pred, target, alpha=alpha, over="keypoints").item()
    assert found == pytest.approx(mean, rel=0, abs=max(1e-9, 5 * implementation.tolerance))


@pytest.mark.parametrize("side", [1e-3, 1.0, 1e3])
def test_a_corner_at_the_target_keeps_its_place_however_large_the_box_is(implementation, side):
    pred, target = implementation.rounded(torch.tensor([0.4 * side, 0.7 * side, 1e7, 1e7]), TRUE * side)
    expected = kernel(*pred[:2].tolist(), target, 0.5) / 5  # all other points are far away
    found = implementation(gaussian_proximity, pred, target, alpha=0.5, over="keypoints").item()
    assert found == pytest.approx(expected, rel=0, abs=implementation.tolerance)


@given(st.floats(1e-6, 0.5), st.floats(-3, 3))
def test_region_of_a_small_box_tends_to_the_kernel_at_its_centre(implementation, size, offset):
    small = centred(0.5 + offset, 0.5, size, size)
    at_centre = implementation(gaussian_proximity, small, TRUE).item()
    found = implementation(gaussian_proximity, small, TRUE, over="region").item()
    assert found == pytest.approx(at_centre, rel=0, abs=size**2 + 5 * implementation.tolerance)


def test_a_huge_oriented_box_with_a_corner_at_the_target_keeps_that_corner():
    pred, target = torch.tensor([[0.0, 0.0, 1e6, 1e6]]), torch.tensor([[-1.0, -1.0, 1.0, 1.0]])
    upright = [torch.cat([(b[:, :2] + b[:, 2:]) / 2, b[:, 2:] - b[:, :2], b[:, :1] * 0], 1) for b in (pred, target)]
    for form in ("keypoints", "region"):
        expected = gaussian_proximity(pred.double(), target.double(), over=form)
        found = gaussian_proximity(*(b.double() for b in upright), over=form)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_float32_is_as_good_as_float64(implementation, form):
    generator = torch.Generator().manual_seed(0)
    target = torch.tensor([100.0, 100.0, 140.0, 180.0])
    pred = target + torch.randn(10_000, 4, generator=generator) * torch.logspace(-4, 1, 10_000)[:, None]
    exact = gaussian_proximity(pred.double(), target.double(), over=form)
    assert (implementation(gaussian_proximity, pred, target, over=form) - exact).abs().max() < 2e-5


@given(box(), box())
def test_the_reward_is_largest_at_the_target(implementation, pred, target):
    assert implementation(positional_reward, target, target).item() == pytest.approx(1.1)
    pred, target = implementation.rounded(pred, target)
    apart = (pred - target).abs().max() / (target[2:] - target[:2]).max()
    assume(apart > (1e-12 if implementation.dtype == torch.float64 else 1e-5))  # else rounding decides
    assert implementation(positional_reward, pred, target) < implementation(positional_reward, target, target)


@given(box(), st.floats(0, 3), st.floats(0.01, 3), st.floats(0, 6.28))
def test_the_reward_falls_with_distance(implementation, target, near, further, turn):
    side = target[2:] - target[:2]
    step = torch.tensor([np.cos(turn), np.sin(turn)]) * side
    at = [implementation(positional_reward, target + (step * d).repeat(2), target) for d in (near, near + further)]
    assert at[0] > at[1]


@given(box(), st.floats(0.5, 5), st.floats(0, 3), st.floats(0.01, 2), st.floats(0, 6.28))
def test_proximity_is_the_gaussian_of_the_normalised_centre_distance(
    implementation, target, alpha, distance, scale, turn
):
    centre, side = (target[:2] + target[2:]) / 2, target[2:] - target[:2]
    middle = centre + distance * side * torch.tensor([np.cos(turn), np.sin(turn)])
    pred = torch.cat([middle - scale * side / 2, middle + scale * side / 2])
    expected = exp(-(distance**2) / 2 / (alpha / 2) ** 2)
    lost = 16 * torch.finfo(implementation.dtype).eps * (torch.stack([pred, target]).abs().max() / side.min()).item()
    found = implementation(gaussian_proximity, pred, target, alpha=alpha).item()
    assert found == pytest.approx(expected, rel=0, abs=1e-6 + lost)


@given(box(), box(), st.sampled_from(FORMS), st.floats(0, 2))
def test_the_reward_is_iou_plus_beta_times_proximity(implementation, pred, target, form, beta):
    expected = implementation(iou, pred, target) + beta * implementation(gaussian_proximity, pred, target, over=form)
    reward = implementation(positional_reward, pred, target, beta=beta, proximity=form)
    assert (reward - expected).abs() <= (0 if implementation.dtype == torch.float64 else 1e-6)
    assert 0 <= expected <= 1 + beta


@given(any_row, any_row, st.sampled_from(FORMS), st.sampled_from([None, torch.float16]))
def test_no_input_gives_nan_or_infinity(implementation, pred, target, form, dtype):
    pred, target = (torch.tensor(row, dtype=torch.float64) for row in (pred, target))
    assert 0 <= implementation(positional_reward, pred, target, proximity=form, dtype=dtype) <= 1.1 + 1e-3


@pytest.mark.parametrize("form", FORMS)
def test_missing_inverted_and_infinite_predictions_score_0(implementation, form):
    rows = [[torch.nan] * 4, [0.0, 0.0, torch.nan, 1.0], [1.0, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, torch.inf]]
    assert implementation(positional_reward, torch.tensor(rows), TRUE, proximity=form).tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("form", FORMS)
def test_a_target_without_area_scores_0(implementation, form):
    point = torch.tensor([0.5, 0.5, 0.5, 0.5])
    assert implementation(positional_reward, point, point, proximity=form) == 0
    assert implementation(positional_reward, TRUE.float(), point, proximity=form) == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("scale", [1e-44, 1e-30, 1e30, 1e37])
def test_proximity_holds_at_the_ends_of_float32(implementation, form, scale):
    target = torch.tensor([0.0, 0.0, 16.0, 16.0])
    expected = implementation(gaussian_proximity, target + 8, target, over=form).item()
    assert implementation(gaussian_proximity, (target + 8) * scale, target * scale, over=form).item() == pytest.approx(
        expected, abs=0.05
    )


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_right_and_finite(form):
    generator = torch.Generator().manual_seed(3)
    target = torch.tensor([10.0, 10.0, 20.0, 30.0], dtype=torch.float64)
    noise = torch.rand(6, 4, generator=generator, dtype=torch.float64)
    scale = torch.tensor([4.0, 4.0, 4.0, 50.0, 50.0, 50.0], dtype=torch.float64)
    pred = (target + noise * scale[:, None] * torch.tensor([1, 1, 2, 2])).requires_grad_()
    assert torch.autograd.gradcheck(lambda p: positional_reward(p, target, proximity=form), pred)
    bad = torch.tensor([[torch.nan] * 4, [5.0] * 4, [1e30, 1e30, 2e30, 2e30]], requires_grad=True)
    positional_reward(bad, target.float(), proximity=form).sum().backward()
    assert bad.grad.isfinite().all()


def test_a_prediction_without_overlap_still_has_a_slope():
    pred = torch.tensor([3.0, 0.0, 4.0, 1.0], requires_grad=True)
    positional_reward(pred, TRUE.float()).backward()
    assert (pred.grad[[0, 2]] < 0).all()


@pytest.mark.parametrize(
    ("options", "named"), [({"alpha": 0}, "alpha"), ({"beta": -1}, "beta"), ({"proximity": "centre"}, "'center'")]
)
def test_bad_options_are_named(options, named):
    with pytest.raises(ValueError, match=named):
        positional_reward(TRUE, TRUE, **options)


@pytest.mark.parametrize(("last", "beyond"), [(1e-6, 0.9e-6), (1e6, 1.1e6)])
def test_alpha_lies_between_a_millionth_and_a_million(last, beyond):
    assert positional_reward(TRUE, TRUE, alpha=last) == 1.1
    with pytest.raises(ValueError, match="alpha"):
        positional_reward(TRUE, TRUE, alpha=beyond)
