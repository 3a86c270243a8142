from math import log

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsreward import SPACES, Space, from_pixels, parse_boxes, smart_resize, space_for, to_pixels

side = st.integers(1, 6000)


def sizes(count, longest, seed=0):
    """Random sizes, the sides uniform in their logarithms: small ones and thin ones are as frequent as large ones."""
    generator = torch.Generator().manual_seed(seed)
    sides = torch.rand(count, 2, generator=generator).mul(log(longest)).exp().round().int().tolist()
    return [(height, width) for height, width in sides if max(height, width) <= 200 * min(height, width)]


EXTREME = [(1, 1), (1, 200), (200, 1), (27, 5400), (14, 14), (14, 42), (42, 70), (70, 98), (20000, 100), (16384, 16384)]
BOUNDS = {
    "of qwen2.5-vl": (28, 4 * 28 * 28, 16384 * 28 * 28),
    "of qwen3-vl": (32, 65536, 16777216),
    "of the classes": (28, 56 * 56, 28 * 28 * 1280),
    "of one token": (28, 28 * 28, 28 * 28),
    "narrow": (32, 100000, 110000),
}


@pytest.mark.parametrize("backend", ["image_processing_pil_qwen2_vl", "image_processing_qwen2_vl"])
@pytest.mark.parametrize("bounds", BOUNDS)
def test_smart_resize_is_that_of_transformers(backend, bounds):
    module = f"transformers.models.qwen2_vl.{backend}"
    reference = pytest.importorskip(module, reason="needs torchvision", exc_type=ImportError).smart_resize
    names = dict(zip(("factor", "min_pixels", "max_pixels"), BOUNDS[bounds], strict=True))
    for height, width in [*sizes(4000, 12000), *EXTREME]:
        assert smart_resize(height, width, **names) == reference(height, width, **names), (height, width)


PROCESSORS = {"qwen2-vl": 14, "qwen2.5-vl": 14, "qwen3-vl": 16}  # and the sides of their patches


def processor_of(family):
    """The image processor that the family's `preprocessor_config.json` describes."""
    module = pytest.importorskip("transformers.models.qwen2_vl.image_processing_pil_qwen2_vl")
    space = SPACES[family]
    size = {"shortest_edge": space.min_pixels, "longest_edge": space.max_pixels}
    return module.Qwen2VLImageProcessorPil(size=size, patch_size=PROCESSORS[family], merge_size=2)


@pytest.mark.parametrize("family", PROCESSORS)
def test_the_families_bounds_give_the_processors_own_number_of_patches(family):
    processor, patch = processor_of(family), PROCESSORS[family]
    for height, width in [*sizes(2000, 12000, seed=1), *EXTREME]:
        resized = SPACES[family].resized(height, width)
        patches = processor.get_number_of_image_patches(height, width, {})
        assert patches == resized[0] // patch * (resized[1] // patch), (height, width)


@pytest.mark.parametrize("family", PROCESSORS)
def test_the_families_bounds_give_the_grid_of_the_real_processor(family):
    from PIL import Image

    processor, patch = processor_of(family), PROCESSORS[family]
    for height, width in [*sizes(40, 900, seed=2), (1, 200), (1080, 1920)]:
        _, rows, columns = processor(Image.new("RGB", (width, height)), return_tensors="pt").image_grid_thw[0].tolist()
        assert SPACES[family].resized(height, width) == (rows * patch, columns * patch), (height, width)


def test_the_spaces_of_images_that_are_not_resized_keep_their_size():
    assert SPACES["pixel"].resized(3, 1001) == (3, 1001)


MODELS = {
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2.5-vl",
    "Qwen/Qwen2.5-VL-72B-Instruct-AWQ": "qwen2.5-vl",
    "omlab/VLM-R1-Qwen2.5VL-3B-OVD-0321": "qwen2.5-vl",
    "unsloth/qwen2_5_vl-3b-bnb-4bit": "qwen2.5-vl",
    "Qwen/Qwen2-VL-2B-Instruct": "qwen2-vl",
    "Qwen/Qwen3-VL-30B-A3B-Instruct": "qwen3-vl",
    "/models/Qwen3-VL-8B-Thinking/": "qwen3-vl",
    "OpenGVLab/InternVL3_5-8B-HF": "internvl",
    "deepseek-ai/deepseek-vl2-tiny": "deepseek-vl2",
    "IDEA-Research/Rex-Omni": "rex-omni",
    "MBZUAI/geochat-7B": "geochat",
    "akshaydudhane/EarthDial_4B_RGB": "earthdial",
}


@pytest.mark.parametrize("model", MODELS)
def test_models_are_known_by_their_names(model):
    assert space_for(model) == SPACES[MODELS[model]]


@pytest.mark.parametrize("model", ["Qwen/Qwen2.5-7B-Instruct", "qwen2.5-vl/run-3", "GeoChat-Qwen2.5-VL", "llava", ""])
def test_an_unknown_or_ambiguous_model_is_refused_and_the_families_listed(model):
    with pytest.raises(ValueError, match=r"name its coordinate space\. Families: qwen2\.5-vl, .*earthdial; spaces"):
        space_for(model)


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


@given(st.sampled_from(sorted(SPACES)), side, side, st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_a_rounded_answer_comes_back_within_half_a_unit(space, width, height, shares):
    if max(width, height) / min(width, height) > 200 or space == "unit":
        return
    boxes = torch.tensor([shares], dtype=torch.float64) * torch.tensor([width, height] * 2)
    answer = from_pixels(boxes, space, width, height).round()
    unit = to_pixels(torch.ones(1, 4, dtype=torch.float64), space, width, height)
    assert ((to_pixels(answer, space, width, height) - boxes).abs() <= unit / 2 * (1 + 1e-9)).all()


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
