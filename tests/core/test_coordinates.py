import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsreward import SPACES, Space, from_pixels, parse_boxes, smart_resize, to_pixels

side = st.integers(1, 6000)


def test_smart_resize_is_that_of_transformers():
    reference = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl").smart_resize
    generator = torch.Generator().manual_seed(0)
    for height, width in torch.randint(1, 5000, (3000, 2), generator=generator).tolist():
        for factor, low, high in ((28, 56 * 56, 28 * 28 * 1280), (32, 65536, 16777216), (28, 3136, 12845056)):
            if max(height, width) / min(height, width) > 200:
                continue
            bounds = {"factor": factor, "min_pixels": low, "max_pixels": high}
            assert smart_resize(height, width, **bounds) == reference(height, width, **bounds)


@pytest.mark.parametrize("size", [(0, 10), (1, 201)])
def test_sizes_that_the_processors_refuse_are_refused(size):
    with pytest.raises(ValueError, match=f"{size[0]} x {size[1]}"):
        smart_resize(*size)


@given(st.sampled_from(sorted(SPACES)), side, side, st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_there_and_back_again(space, width, height, shares):
    if max(width, height) / min(width, height) > 200:
        return
    boxes = torch.tensor([shares], dtype=torch.float64) * torch.tensor([width, height] * 2)
    back = to_pixels(from_pixels(boxes, space, width, height), space, width, height)
    assert (back - boxes).abs().max() < 1e-9 * max(width, height)


@pytest.mark.parametrize(("space", "full"), [("qwen3-vl", 1000), ("norm999", 999), ("norm100", 100), ("unit", 1)])
def test_the_full_scale_is_the_whole_image(space, full):
    assert to_pixels(torch.tensor([[0.0, 0.0, full, full]]), space, 640, 480).tolist() == [[0, 0, 640, 480]]


def test_qwen2_5_vl_speaks_pixels_of_the_resized_image():
    assert to_pixels(torch.tensor([0.0, 0.0, 1932.0, 1092.0]), "qwen2.5-vl", 1920, 1080).tolist() == [0, 0, 1920, 1080]


def test_the_bounds_of_the_processor_are_the_users():
    space = SPACES["qwen2.5-vl"].bounded(min_pixels=28 * 28, max_pixels=56 * 56)
    assert to_pixels(torch.tensor([0.0, 0.0, 56.0, 56.0]), space, 800, 800).tolist() == [0, 0, 800, 800]


def test_pixels_need_no_sizes():
    assert not SPACES["pixel"].needs_size
    assert to_pixels(torch.ones(2, 4), "pixel").tolist() == [[1] * 4] * 2


def test_a_size_that_is_none_is_named():
    with pytest.raises(ValueError, match="positive"):
        to_pixels(torch.ones(2, 4), Space("mine", scale=10), [10, 0], [10, 10])


@pytest.mark.parametrize("width", [[100, 200], [[100]]])
def test_sizes_that_are_not_one_a_box_are_named(width):
    with pytest.raises(ValueError, match="width must be one number, or one for each"):
        parse_boxes(["[1, 2, 3, 4]"], space="qwen3-vl", width=width, height=100)


def test_images_of_unknown_size_have_no_boxes():
    for space in ("qwen3-vl", "qwen2.5-vl"):
        boxes = parse_boxes(["[1, 2, 3, 4]"] * 2, space=space, width=[100, None], height=[100, 100])
        assert boxes.isfinite().all(1).tolist() == [True, False]


def test_whole_numbers_become_floats():
    assert to_pixels(torch.tensor([1, 2, 3, 5]), "qwen3-vl", 500, 500).tolist() == [0.5, 1, 1.5, 2.5]


def test_bounds_that_leave_no_size_are_named():
    with pytest.raises(ValueError, match="factor"):
        to_pixels(torch.ones(4), Space("mine", factor=28), 500, 500)
    assert smart_resize(5, 1000, factor=28, min_pixels=0, max_pixels=10**7) == (28, 1008)
