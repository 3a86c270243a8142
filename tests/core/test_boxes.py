import pytest
import shapely
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from rsreward import area, diou, giou, iou, is_box, pairwise_iou

from .samples import any_row, box

OVERLAPS = [iou, giou, diou]


def random_boxes(n, generator, dtype=torch.float64):
    corner = torch.rand(n, 2, generator=generator, dtype=dtype) * 100
    return torch.cat([corner, corner + torch.rand(n, 2, generator=generator, dtype=dtype) * 60], 1)


def test_iou_and_giou_equal_shapely(implementation):
    generator = torch.Generator().manual_seed(0)
    pred, target = implementation.rounded(random_boxes(20_000, generator), random_boxes(20_000, generator))
    p, t = shapely.box(*pred.T.numpy()), shapely.box(*target.T.numpy())
    union = torch.tensor(shapely.area(shapely.union(p, t)))
    expected = torch.tensor(shapely.area(shapely.intersection(p, t))) / union
    hull = torch.tensor(shapely.area(shapely.envelope(shapely.union(p, t))))
    assert (implementation(iou, pred, target) - expected).abs().max() < implementation.tolerance
    generalised = expected - 1 + union / hull
    assert (implementation(giou, pred, target) - generalised).abs().max() < implementation.tolerance


def test_diou_by_hand(implementation):
    pred, target = torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 1.0, 3.0, 3.0])
    assert implementation(diou, pred, target).item() == pytest.approx(1 / 7 - 2 / 18, abs=implementation.tolerance)


@given(box(), box())
def test_iou_is_symmetric_and_in_0_1(implementation, a, b):
    assert implementation(iou, a, b) == implementation(iou, b, a)
    assert 0 <= implementation(iou, a, b) <= 1


@given(box())
def test_a_box_overlaps_itself_entirely(implementation, a):
    assume(has_sides(implementation, a))
    for overlap in OVERLAPS:
        assert implementation(overlap, a, a) == 1


def has_sides(implementation, box):
    """Far from the origin float32 may leave a small box none."""
    [box] = implementation.rounded(box)
    return (box[2:] > box[:2]).all()


@given(box(), box(), st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_iou_does_not_change_with_shift_and_scale(implementation, a, b, shift, scale):
    moved = [box * scale + shift for box in (a, b)]
    least = min((box[2:] - box[:2]).min().item() for box in moved)
    lost = 16 * torch.finfo(implementation.dtype).eps * (torch.stack(moved).abs().max().item() / least + 1e4)
    expected = implementation(iou, a, b)
    torch.testing.assert_close(implementation(iou, *moved), expected, rtol=0, atol=1e-9 + lost)


@given(any_row, any_row, st.sampled_from([None, torch.float16, torch.bfloat16]))
def test_no_input_gives_nan_or_infinity(implementation, pred, target, dtype):
    pred, target = torch.tensor(pred, dtype=torch.float64), torch.tensor(target, dtype=torch.float64)
    for overlap in OVERLAPS:
        assert -1 <= implementation(overlap, pred, target, dtype=dtype) <= 1


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e37])
def test_iou_holds_at_the_ends_of_float32(implementation, scale):
    pred, target = torch.tensor([0.0, 0.0, 2.0, 2.0]) * scale, torch.tensor([1.0, 0.0, 3.0, 2.0]) * scale
    found = implementation(iou, pred, target).item()
    assert found == pytest.approx(1 / 3, abs=0.1 if scale < 1e-43 else 1e-6)
    assert implementation(iou, target, target) == 1


@pytest.mark.parametrize("bad", [[torch.nan] * 4, [0, 0, torch.inf, 5], [5, 0, 0, 5], [0, 5, 5, 0]])
def test_what_is_not_a_box_scores_0_on_either_side(implementation, bad):
    bad, good = torch.tensor(bad), torch.tensor([0.0, 0.0, 5.0, 5.0])
    assert not is_box(bad)
    for overlap in OVERLAPS:
        assert implementation(overlap, bad, good) == 0
        assert implementation(overlap, good, bad) == 0
    assert area(bad) == 0


def test_half_precision_is_computed_in_float32(implementation):
    pred, target = torch.tensor([0.0, 0.0, 2000.0, 2000.0]), torch.tensor([0.0, 0.0, 2000.0, 1000.0])
    assert implementation(iou, pred, target, dtype=torch.float16) == 0.5  # the areas are beyond float16


def test_whole_numbers_are_boxes_too():
    assert iou(torch.tensor([0, 0, 2, 2]), torch.tensor([1, 0, 3, 2])).item() == pytest.approx(1 / 3)


def test_pairwise_iou_is_iou_of_every_pair(implementation):
    generator = torch.Generator().manual_seed(1)
    a, b = random_boxes(5, generator), random_boxes(7, generator)
    table = implementation(pairwise_iou, a, b)
    assert table.shape == (5, 7)
    assert all(table[i, j] == implementation(iou, a[i], b[j]) for i in range(5) for j in range(7))


def test_leading_dimensions_broadcast():
    assert iou(torch.rand(3, 1, 4), torch.rand(8, 4)).shape == (3, 8)


def test_no_boxes_give_no_scores(implementation):
    for overlap in OVERLAPS:
        assert implementation(overlap, torch.empty(0, 4), torch.empty(0, 4)).shape == (0,)


@pytest.mark.parametrize(("p", "t"), [((3, 4), (2, 4)), ((3, 5), (3, 4)), ((), (4,))])
def test_wrong_shapes_are_named(p, t):
    with pytest.raises(ValueError, match="shapes") as error:
        iou(torch.zeros(p), torch.zeros(t))
    assert str(p) in str(error.value)
    assert str(t) in str(error.value)


def test_overlaps_have_the_right_gradient():
    generator = torch.Generator().manual_seed(2)
    target = random_boxes(4, generator)
    pred = (target + torch.rand(4, 4, generator=generator, dtype=torch.float64) * 5).requires_grad_()
    for overlap in OVERLAPS:
        assert torch.autograd.gradcheck(lambda p, f=overlap: f(p, target), pred)


def test_gradients_of_missing_and_degenerate_boxes_are_finite():
    rows = [[torch.nan] * 4, [5.0, 5.0, 5.0, 5.0], [9.0, 9.0, 10.0, 10.0], [torch.inf, 0.0, 1.0, 1.0]]
    for overlap in OVERLAPS:
        pred = torch.tensor(rows, requires_grad=True)
        overlap(pred, torch.tensor([0.0, 0.0, 5.0, 5.0])).sum().backward()
        assert pred.grad.isfinite().all()


@pytest.mark.parametrize("side", [1e20, 1e-20, 1e-44])
def test_gradients_are_finite_where_sides_are_far_apart(side):
    for overlap in OVERLAPS:
        pred = torch.tensor([0.0, 0.0, side, side], requires_grad=True)
        overlap(pred, torch.tensor([0.0, 0.0, 1.0, 1.0])).backward()
        assert pred.grad.isfinite().all()


def test_a_side_longer_than_float32_can_tell_makes_no_box():
    assert not is_box(torch.tensor([-3e38, 0.0, 3e38, 1.0]))


def test_boxes_at_opposite_ends_of_float32(implementation):
    pred, target = torch.tensor([-3e38, 0, -2.9e38, 1.0]), torch.tensor([2.9e38, 0, 3e38, 1.0])
    for overlap in OVERLAPS:
        assert -1 <= implementation(overlap, pred, target) <= 0


def test_the_area_of_halves_and_of_unsigned_numbers():
    assert area(torch.tensor([0.0, 0.0, 2000.0, 2000.0]).half()).isfinite()
    assert area(torch.tensor([9, 9, 1, 1], dtype=torch.uint8)) == 0


def test_boxes_of_another_number_of_sides_are_named():
    for function in (area, is_box):
        with pytest.raises(ValueError, match=r"boxes need 4 .*numbers each .*, got shape \(3,\)"):
            function(torch.ones(3))
    with pytest.raises(ValueError, match=r"needs \(..., N, 4\) and \(..., M, 4\), got \(4,\) and \(2, 4\)"):
        pairwise_iou(torch.ones(4), torch.ones(2, 4))
