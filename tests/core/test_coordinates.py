from dataclasses import replace
from math import log, pi
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsreward import SPACES, Space, from_pixels, parse_boxes, smart_resize, to_pixels
from rsreward.coordinates import image_sizes, oriented_to_pixels, space_named

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


PROCESSORS = {
    "qwen2-vl": 14,
    "qwen2.5-vl": 14,
    "mimo-vl": 14,
    "qwen3-vl": 16,
    "qwen3.5": 16,
}  # and the sides of their patches


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
    Image = pytest.importorskip("PIL.Image")
    processor, patch = processor_of(family), PROCESSORS[family]
    for height, width in [*sizes(40, 900, seed=2), (1, 200), (1080, 1920)]:
        _, rows, columns = processor(Image.new("RGB", (width, height)), return_tensors="pt").image_grid_thw[0].tolist()
        assert SPACES[family].resized(height, width) == (rows * patch, columns * patch), (height, width)


def test_the_spaces_of_images_that_are_not_resized_keep_their_size():
    assert SPACES["pixel"].resized(3, 1001) == (3, 1001)


@pytest.mark.parametrize("size", [(0, 10), (1, 201)])
def test_sizes_that_the_processors_refuse_are_refused(size):
    with pytest.raises(ValueError, match=rf"height {size[0]}\b.*width {size[1]}\b|\b{size[0]} x {size[1]}\b"):
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
    if max(width, height) / min(width, height) > 200 or SPACES[space].scale == 1:
        return
    boxes = torch.tensor([shares], dtype=torch.float64) * torch.tensor([width, height] * 2)
    answer = from_pixels(boxes, space, width, height).round()
    unit = to_pixels(torch.ones(1, 4, dtype=torch.float64), replace(SPACES[space], offset=0.0), width, height)
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


WRONG_SIZES = {
    "zero": ([10, 0], "got 0"),
    "a negative one": ([-3, 10], "got -3"),
    "infinity": ([10, float("inf")], "got inf"),
    "400 digits": ([10, 10**400], "got a whole number of more than 30 digits"),
    "5,000 digits": (10**5000, "got a whole number of more than 30 digits"),
    "a text": ("800", "got '800'"),
    "a text among numbers": ([None, 10.0, "wide"], "got 'wide'"),
    "a list": ({"w": 10}, r"got \{'w': 10\}"),
}


@pytest.mark.parametrize("case", WRONG_SIZES)
def test_what_is_not_a_size_is_named_in_one_sentence(case):
    sizes, got = WRONG_SIZES[case]
    rows = len(sizes) if isinstance(sizes, list) else 2
    with pytest.raises(ValueError, match=rf"^width must be positive, a number of pixels from 1 to 10000000 .*{got}\.$"):
        to_pixels(torch.ones(rows, 4), Space("mine", scale=10), sizes, 10)


def test_columns_of_sizes_become_one_tensor():
    assert image_sizes([4, None, 6.0], 5, 3).nan_to_num(-1).tolist() == [[4, 5], [-1, 5], [6, 5]]
    assert image_sizes(None, torch.tensor([7, 8]), 2).nan_to_num(-1).tolist() == [[-1, 7], [-1, 8]]
    assert image_sizes(4, 5, (2, 3)).shape == (2, 3, 2)
    with pytest.raises(ValueError, match=r"height must be one number, or one for each of the \(2,\) boxes, got \(3,\)"):
        image_sizes(4, [1, 2, 3], 2)


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


def test_y_first_answers_are_turned_before_they_are_scaled():
    box = torch.tensor([[100.0, 200.0, 300.0, 400.0]])  # y1, x1, y2, x2
    assert to_pixels(box, "gemini", 2000, 500).tolist() == [[400, 50, 800, 150]]
    assert from_pixels(torch.tensor([[400.0, 50.0, 800.0, 150.0]]), "gemini", 2000, 500).tolist() == box.tolist()
    assert to_pixels(box, Space("mine", order="yx")).tolist() == [[200, 100, 400, 300]]
    assert parse_boxes(["[100, 200, 300, 400]"], space="gemini", width=2000, height=500).tolist() == [
        [400, 50, 800, 150]
    ]


def test_a_bin_stands_for_its_middle():
    first_and_last = to_pixels(torch.tensor([0.0, 0.0, 999.0, 999.0]), "florence-2", 1000, 500)
    assert first_and_last.tolist() == [0.5, 0.25, 999.5, 499.75]


def test_florence_is_read_as_its_processor_reads_it():
    processing = pytest.importorskip("transformers.models.florence2.processing_florence2")
    processor = processing.Florence2PostProcessor({}, SimpleNamespace(all_special_tokens=[]))
    bins = torch.tensor([[17, 290, 444, 999], [0, 1, 2, 3]])
    ours = to_pixels(bins.double(), "florence-2", 733, 512)
    assert ours.int().tolist() == processor.dequantize(bins, size=(733, 512)).tolist()  # it cuts to whole pixels


def turned(numbers, five, width, height, scale=100):
    return oriented_to_pixels(torch.tensor(numbers), Space("mine", scale, five=five), width, height).tolist()


def test_corners_are_scaled_and_then_turned():
    assert turned([40.0, 40, 60, 60, 30], "corners-cw", 1000, 500) == pytest.approx([500, 250, 200, 100, pi / 6])
    assert turned([40.0, 40, 60, 60, 30], "corners-ccw", 1000, 500) == pytest.approx([500, 250, 200, 100, -pi / 6])
    assert turned([40.0, 40, 60, 60, 30], "corners-cw", 10, 5, None) == pytest.approx([50, 50, 20, 20, pi / 6])


def test_the_sides_of_le90_are_both_scaled_as_x_is():
    """GeoBox-R1's tests/test_baselines.py expects this of GeoGround's answers."""
    assert turned([50.0, 50, 20, 10, -90], "le90", 1000, 500) == pytest.approx([500, 250, 200, 100, -pi / 2])


def test_y_first_corners_of_a_turned_box_are_turned_too():
    box = oriented_to_pixels(torch.tensor([10.0, 40, 30, 80, 90]), Space("mine", 100, order="yx"), 100, 100)
    assert box.tolist() == pytest.approx([60, 20, 40, 20, pi / 2])


def test_degrees_become_radians_in_float64():
    quarter = oriented_to_pixels(torch.tensor([26.0, 87, 30, 91, 90]), "norm100", 100, 100)[4]
    assert quarter.dtype == torch.float64
    assert quarter.item() == pi / 2


def test_the_published_answer_of_skysensegpt():
    box = oriented_to_pixels(torch.tensor([51.17, 11.13, 3.12, 8.98, 58]), "skysensegpt", 512, 512)
    assert box.tolist() == pytest.approx([262, 57, 16, 46, 58 * pi / 180], abs=0.03)


def test_the_published_answer_of_geochat_lies_on_its_objects():
    """FAST train_0001_0001: three answers of angle 58; the true sides stand at 57 to 58 degrees from +x towards +y."""
    polygon = torch.tensor([[584.0, 337.0], [619.0, 313.0], [601.0, 282.0], [565.0, 304.0]])
    side = polygon[1] - polygon[2]
    true = torch.atan2(side[1], side[0]).item()
    angle = oriented_to_pixels(torch.tensor([94.0, 47, 102, 55, 58]), "geochat", 600, 600)[4].item()
    assert abs(angle - true) < 4 * pi / 180
    assert abs(-angle - true) % (pi / 2) > 20 * pi / 180


def test_what_is_not_five_numbers_is_named():
    with pytest.raises(ValueError, match=r"5 numbers each in their last dimension, got \(2, 4\)"):
        oriented_to_pixels(torch.ones(2, 4), "norm100", 1, 1)


def test_options_are_laid_over_the_familys_own():
    space = space_named("qwen2.5-vl", max_pixels=401408)
    assert (space.min_pixels, space.max_pixels) == (4 * 28 * 28, 401408)
    assert space.resized(800, 800) == (616, 616)
    assert space_named(space, min_pixels=28 * 28).max_pixels == 401408
    assert space_named("earthdial", five="corners-ccw") == replace(SPACES["earthdial"], five="corners-ccw")
    assert space_named("norm1000", order="yx").order == "yx"
    assert space_named("/runs/Qwen2.5-VL-7B/checkpoint-500", max_pixels=401408) == space_named(space, min_pixels=3136)
    assert space_named(space) is space


REFUSED = {
    "an unknown name": ("metres", {}, r"unknown coordinate space 'metres': use one of pixel, .*unit, or the name of a"),
    "two families": ("GeoChat-Qwen2.5-VL", {}, "names two families, qwen2.5-vl and geochat"),
    "bounds that change nothing": ("qwen3-vl", {"max_pixels": 401408}, "mean nothing in the space 'qwen3-vl'"),
    "bounds of pixels": ("pixel", {"min_pixels": 3136}, "mean nothing in the space 'pixel'"),
    "min above max": ("qwen2.5-vl", {"min_pixels": 2, "max_pixels": 1}, "got 2 and 1"),
    "min above the family's max": ("qwen2.5-vl", {"min_pixels": 10**9}, "min_pixels <= max_pixels .*1000000000"),
    "less than one patch": ("qwen2.5-vl", {"min_pixels": 0, "max_pixels": 783}, "max_pixels >= 784"),
    "an unknown five": ("geochat", {"five": "cw"}, "five must be one of corners-cw, corners-ccw, le90, got 'cw'"),
    "an unknown order": ("geochat", {"order": "zz"}, "order must be one of xy, yx, got 'zz'"),
    "a centre, y first": ("gemini", {"five": "le90"}, "its order must be 'xy'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_options_that_do_not_go_together_are_refused_in_one_sentence(case):
    name, options, sentence = REFUSED[case]
    with pytest.raises(ValueError, match=sentence):
        space_named(name, **options)


def test_what_is_not_a_name_or_not_a_number_is_named():
    with pytest.raises(TypeError, match="must be a name or a Space, got int"):
        space_named(3)
    for bound in ("401408", 401408.0, True):
        with pytest.raises(TypeError, match=f"max_pixels must be a whole number of pixels, got {bound!r}"):
            space_named("qwen2.5-vl", max_pixels=bound)
    with pytest.raises(ValueError, match="scale of the space 'mine' must be positive or None, got 0"):
        Space("mine", scale=0)


def test_a_size_of_any_depth_is_refused_in_a_sentence():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match=r"width must be positive, .* got an list too deep or too long to show"):
        to_pixels(torch.ones(1, 4), "qwen3-vl", [deep], [600])


def test_an_option_of_any_length_is_refused_in_a_short_sentence():
    wrong = {"max_pixels": "7" * 9000, "min_pixels": 10**5000, "five": "le90" * 900, "order": "xy" * 900}
    for option, value in wrong.items():
        with pytest.raises((TypeError, ValueError), match=f"{option}|patch") as error:
            space_named("qwen2.5-vl", **{option: value})
        assert len(str(error.value)) < 400
    for name in ("pixel" * 900, "qwen2.5-vl or qwen3-vl" * 900):
        with pytest.raises(ValueError, match=r"unknown coordinate space|the model .* names two families") as error:
            space_named(name)
        assert len(str(error.value)) < 1000


@pytest.mark.parametrize("sides", [(1000, 800), (1333.5, 27), (torch.nan, 800), (1000, torch.nan), (1, 1)])
@pytest.mark.parametrize("name", SPACES)
def test_one_size_for_all_is_that_size_for_each(name, sides):
    boxes = torch.tensor([[0.1, 3.0, 500.0, 999.0], [7.0, 8.0, 9.0, 10.0]], dtype=torch.float64)
    width, height = sides
    for convert in (to_pixels, from_pixels):
        each = convert(boxes, name, [width] * 2, [height] * 2)
        torch.testing.assert_close(convert(boxes, name, width, height), each, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("side", [0, -3, 1e8, 10**40, torch.inf])
def test_an_impossible_size_for_all_is_refused_as_one_of_many_is(side):
    for width in (side, [side]):
        with pytest.raises(ValueError, match="width must be positive"):
            to_pixels(torch.ones(1, 4), "qwen2.5-vl", width, 800)
