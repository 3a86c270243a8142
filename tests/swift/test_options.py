"""Options come from the environment and a YAML file, and wrong ones are refused in a sentence before anything runs."""

import pytest
from rsreward_swift.options import check_bounds, read_options

from rsreward import space_named

FRAME = {
    "space": "qwen2.5-vl", "min_pixels": "3136", "max_pixels": "401408", "five": "le90", "order": "xy",
    "think_in_prompt": "true", "target": "solution", "target_space": "norm1000", "target_format": "xywh",
    "select": "last", "kind": "oriented", "alpha": "1e0", "beta": "0", "proximity": "region",
}  # fmt: skip
WEIGHT = {"lambda_mean": "0.5", "lambda_var": "2", "clip": "[1, 2]", "normalize": "true"}


def told(**options):
    return {f"RSREWARD_{name.upper()}": value for name, value in options.items()}


def test_options_come_from_the_environment():
    options = read_options(told(**FRAME, **WEIGHT) | {"PATH": "/bin", "MAX_PIXELS": "1"})
    assert options.space == space_named("qwen2.5-vl", min_pixels=3136, max_pixels=401408, five="le90", order="xy")
    assert options.target_space == space_named("norm1000")
    assert (options.target, options.target_format) == ("solution", "xywh")
    assert (options.think_in_prompt, options.select, options.kind) == (True, "last", "oriented")
    assert (options.alpha, options.beta, options.proximity) == (1, 0, "region")
    assert options.weight == {"lambda_mean": 0.5, "lambda_var": 2, "clip": [1, 2], "normalize": True}


def test_options_come_from_a_file_and_a_variable_wins(tmp_path):
    (tmp_path / "frame.yaml").write_text("space: qwen3-vl\nbeta: 0.2\nclip: [1, 2]\ntarget_space: null\n")
    options = read_options({"RSREWARD_CONFIG": str(tmp_path / "frame.yaml")} | told(beta="0.3"))
    assert (options.space.name, options.beta, options.weight) == ("qwen3-vl", 0.3, {"clip": [1, 2]})


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "needs the coordinate space .* set RSREWARD_SPACE"),
        ({"space": "qwen9-vl"}, "unknown coordinate space 'qwen9-vl'"),
        ({"space": "pixel", "colour": "red"}, "rsreward has no options colour: use space"),
        ({"space": "pixel", "alpha": "wide"}, "alpha of rsreward must be a number, got 'wide'"),
        ({"space": "pixel", "beta": "true"}, "beta of rsreward must be a number, got True"),
        ({"space": "pixel", "beta": "-1"}, "beta must be finite and not negative"),
        ({"space": "pixel", "think_in_prompt": "yes"}, "think_in_prompt of rsreward must be true or false, got 'yes'"),
        ({"space": "pixel", "target": "7"}, "target of rsreward must be a text, got 7"),
        ({"space": "pixel", "max_pixels": "401408"}, "mean nothing in the space 'pixel'"),
        ({"space": "qwen2.5-vl", "max_pixels": "many"}, "max_pixels must be a whole number"),
        ({"space": "pixel", "five": "six"}, "five must be one of"),
        ({"space": "pixel", "kind": "round"}, "kind"),
        ({"space": "pixel", "select": "best"}, "select must be"),
        ({"space": "pixel", "proximity": "near"}, "proximity must be one of"),
        ({"space": "pixel", "target_format": "yxyx"}, "unknown format of true boxes 'yxyx'"),
        ({"space": "pixel", "clip": "[3, 1]"}, "clip must be"),
        ({"space": "pixel", "clip": "3"}, "clip must be"),
        ({"space": "pixel", "lambda_mean": "NaN"}, "lambda_mean and lambda_var must be finite"),
    ],
)
def test_wrong_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_options(told(**options))


@pytest.mark.parametrize(("text", "sentence"), [(None, "cannot be read"), ("[1", "cannot be read"), ("a", "one `name")])
def test_a_file_that_holds_no_options_is_refused(tmp_path, text, sentence):
    if text is not None:
        (tmp_path / "frame.yaml").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        read_options({"RSREWARD_CONFIG": str(tmp_path / "frame.yaml")})


@pytest.mark.parametrize(
    ("space", "environment", "sentence"),
    [
        ({}, {"MAX_PIXELS": "401408"}, "MAX_PIXELS=401408, and the space 'qwen2.5-vl' of the rewards has 12845056"),
        ({"max_pixels": 401408}, {}, "MAX_PIXELS=12845056, and the space 'qwen2.5-vl' of the rewards has 401408"),
        ({"max_pixels": 400000}, {"MAX_PIXELS": "400000"}, "MAX_PIXELS=399840"),
        ({}, {"MIN_PIXELS": "200704"}, "MIN_PIXELS=200704"),
        ({}, {"IMAGE_MAX_TOKEN_NUM": "512"}, "MAX_PIXELS=401408"),
    ],
)
def test_bounds_of_swift_that_are_not_those_of_the_space_are_refused(space, environment, sentence):
    with pytest.raises(ValueError, match=sentence):
        check_bounds(space_named("qwen2.5-vl", **space), environment)


def test_bounds_do_not_count_where_coordinates_do_not_depend_on_them():
    check_bounds(space_named("qwen3-vl"), {"MAX_PIXELS": "1"})
    check_bounds(space_named("qwen2.5-vl"), {})
