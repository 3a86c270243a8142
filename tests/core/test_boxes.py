import pytest
import shapely
import torch
from boxes_strategies import any_row, box
from hypothesis import given
from hypothesis import strategies as st

from rsreward import area, diou, giou, iou, is_box, pairwise_iou

OVERLAPS = [iou, giou, diou]


def random_boxes(n, generator, dtype=torch.float64):
    corner = torch.rand(n, 2, generator=generator, dtype=dtype) * 100
    return torch.cat([corner, corner + torch.rand(n, 2, generator=generator, dtype=dtype) * 60], 1)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_iou_and_giou_equal_shapely(dtype, tolerance):
    generator = torch.Generator().manual_seed(0)
    pred, target = random_boxes(20_000, generator), random_boxes(20_000, generator)
    p, t = shapely.box(*pred.T.numpy()), shapely.box(*target.T.numpy())
    union = torch.tensor(shapely.area(shapely.union(p, t)))
    expected = torch.tensor(shapely.area(shapely.intersection(p, t))) / union
    hull = torch.tensor(shapely.area(shapely.envelope(shapely.union(p, t))))
    assert (iou(pred.to(dtype), target.to(dtype)).double() - expected).abs().max() < tolerance
    assert (giou(pred.to(dtype), target.to(dtype)).double() - (expected - 1 + union / hull)).abs().max() < tolerance


def test_diou_by_hand():
    pred, target = torch.tensor([0.0, 0.0, 2.0, 2.0]), torch.tensor([1.0, 1.0, 3.0, 3.0])
    assert diou(pred, target).item() == pytest.approx(1 / 7 - 2 / 18)


@given(box(), box())
def test_iou_is_symmetric_and_in_0_1(a, b):
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= 1


@given(box())
def test_a_box_overlaps_itself_entirely(a):
    for overlap in OVERLAPS:
        assert overlap(a, a) == 1


@given(box(), box(), st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_iou_does_not_change_with_shift_and_scale(a, b, shift, scale):
    assert torch.allclose(iou(a * scale + shift, b * scale + shift), iou(a, b), atol=1e-6)


@given(any_row, any_row, st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16]))
def test_no_input_gives_nan_or_infinity(pred, target, dtype):
    pred, target = torch.tensor(pred, dtype=dtype), torch.tensor(target, dtype=dtype)
    for overlap in OVERLAPS:
        assert -1 <= overlap(pred, target) <= 1
        assert overlap(pred, target).dtype == dtype


@pytest.mark.parametrize("scale", [1e-44, 1e-38, 1e37])
def test_iou_holds_at_the_ends_of_float32(scale):
    pred, target = torch.tensor([0.0, 0.0, 2.0, 2.0]) * scale, torch.tensor([1.0, 0.0, 3.0, 2.0]) * scale
    assert iou(pred, target).item() == pytest.approx(1 / 3, abs=0.1 if scale < 1e-43 else 1e-6)
    assert iou(target, target) == 1


@pytest.mark.parametrize("bad", [[torch.nan] * 4, [0, 0, torch.inf, 5], [5, 0, 0, 5], [0, 5, 5, 0]])
def test_what_is_not_a_box_scores_0_on_either_side(bad):
    bad, good = torch.tensor(bad), torch.tensor([0.0, 0.0, 5.0, 5.0])
    assert not is_box(bad)
    for overlap in OVERLAPS:
        assert overlap(bad, good) == 0
        assert overlap(good, bad) == 0
    assert area(bad) == 0


def test_half_precision_is_computed_in_float32():
    pred, target = torch.tensor([0.0, 0.0, 2000.0, 2000.0]), torch.tensor([0.0, 0.0, 2000.0, 1000.0])
    assert iou(pred.half(), target.half()) == 0.5  # the areas are beyond float16


def test_whole_numbers_are_boxes_too():
    assert iou(torch.tensor([0, 0, 2, 2]), torch.tensor([1, 0, 3, 2])).item() == pytest.approx(1 / 3)


def test_pairwise_iou_is_iou_of_every_pair():
    generator = torch.Generator().manual_seed(1)
    a, b = random_boxes(5, generator), random_boxes(7, generator)
    table = pairwise_iou(a, b)
    assert table.shape == (5, 7)
    assert all(table[i, j] == iou(a[i], b[j]) for i in range(5) for j in range(7))


def test_leading_dimensions_broadcast():
    assert iou(torch.rand(3, 1, 4), torch.rand(8, 4)).shape == (3, 8)


def test_no_boxes_give_no_scores():
    for overlap in OVERLAPS:
        assert overlap(torch.empty(0, 4), torch.empty(0, 4)).shape == (0,)


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


def test_boxes_at_opposite_ends_of_float32():
    pred, target = torch.tensor([-3e38, 0, -2.9e38, 1.0]), torch.tensor([2.9e38, 0, 3e38, 1.0])
    for overlap in OVERLAPS:
        assert -1 <= overlap(pred, target) <= 0


def test_the_area_of_halves_and_of_unsigned_numbers():
    assert area(torch.tensor([0.0, 0.0, 2000.0, 2000.0]).half()).isfinite()
    assert area(torch.tensor([9, 9, 1, 1], dtype=torch.uint8)) == 0
    with pytest.raises(ValueError, match="shape"):
        is_box(torch.ones(3))
