"""The reward, loaded and called as EasyR1's AutoRewardManager does: by the path of its file, a batch at once."""

import importlib.util
import json
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rsreward_easyr1
import torch

from rsreward import SPACES, iou, smart_resize

FILE = Path(rsreward_easyr1.__file__).with_name("reward.py")
GOOD = "<think>a</think><answer>[0, 0, 500, 250]</answer>"


def loaded(**kwargs):
    spec = importlib.util.spec_from_file_location("custom_reward_fn", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.REWARD_TYPE == "batch"
    return partial(module.compute_score, **kwargs)


def asked(response, bbox=(0, 0, 500, 500), width=1000, height=1000, written=json.dumps):
    truth = written({"bbox": list(bbox), "width": width, "height": height})
    return {"response": response, "response_length": 5, "ground_truth": truth}


def test_each_rollout_gets_its_score_and_what_it_is_made_of():
    good, silent = loaded(space="norm1000", format_weight=0.5, beta=0.0)([asked(GOOD), asked("I see none.")])
    assert good == {
        "overall": 1.0, "format": 1.0, "accuracy": 1.0, "iou": 0.5, "parsed": 1.0,
        "proximity": pytest.approx(np.exp(-0.5 * (125 / 625) ** 2)),
    }  # fmt: skip
    assert silent == dict.fromkeys(good, 0.0)
    assert all(type(value) is float for value in good.values())


def test_an_empty_batch_has_no_scores():
    assert loaded(space="pixel")([]) == []


def test_a_ground_truth_may_be_the_object_itself():
    assert loaded(space="pixel")([asked(GOOD, written=dict)]) == loaded(space="pixel")([asked(GOOD)])


def test_oriented_boxes():
    reward = loaded(space="pixel", kind="oriented", five="le90")
    assert reward([asked("[50, 50, 20, 10, 90]", bbox=[50, 50, 10, 20, 0])])[0]["iou"] == pytest.approx(1)


@pytest.mark.parametrize(("width", "height"), [(5000, 4000), (300, 200), (800, 600)])
def test_pixels_are_those_of_an_image_that_easyr1_and_the_processor_have_resized(width, height):
    """What EasyR1 does to an image in `process_image`, then Qwen2.5-VL's processor; both sizes by hand."""
    scale = min(1, (4194304 / (width * height)) ** 0.5) * max(1, (262144 / (width * height)) ** 0.5)
    by_easyr1 = (int(width * scale), int(height * scale)) if scale != 1 else (width, height)
    seen_height, seen_width = smart_resize(by_easyr1[1], by_easyr1[0])
    truth = [0.25 * width, 0.25 * height, 0.75 * width, 0.5 * height]
    answer = [0.25 * seen_width, 0.25 * seen_height, 0.75 * seen_width, 0.5 * seen_height]
    scores = loaded(space="qwen2.5-vl")([asked(str(answer), truth, width, height)])
    assert scores[0]["iou"] == pytest.approx(1, abs=1e-5)
    bounded = SPACES["qwen2.5-vl"].bounded(262144, 4194304).resized(height, width)
    if (width, height) == (5000, 4000):  # one resizing by both bounds would be another size
        assert bounded != (seen_height, seen_width)
        factors = torch.tensor([width / bounded[1], height / bounded[0]] * 2)
        assert iou(torch.tensor(answer) * factors, torch.tensor(truth)) < 0.99


def test_turned_boxes_in_an_image_that_easyr1_resizes_are_refused():
    reward = loaded(space="qwen2.5-vl", kind="oriented")
    with pytest.raises(ValueError, match=r"set data\.min_pixels and data\.max_pixels to null"):
        reward([asked("[1, 2, 3, 4]", [50, 50, 20, 10, 0.1], 5000, 4000)])
    reward = loaded(space="qwen2.5-vl", kind="oriented", min_pixels=None, max_pixels=None)
    assert reward([asked("none", [50, 50, 20, 10, 0.1], 5000, 4000)])[0]["overall"] == 0


@pytest.mark.parametrize(
    ("truth", "sentence"),
    [
        ("[0, 0, 1, 1]", "an object with bbox, width and height"),
        ("no JSON", "an object with bbox, width and height"),
        ('{"bbox": [0, 0, 1, 1], "width": 10}', "an object with bbox, width and height"),
        ('{"bbox": [0, 0, 1, 1], "width": 0, "height": 5}', "width and height must be from 1"),
        (f'{{"bbox": [0, 0, 1, 1], "width": 1{"0" * 400}, "height": 5}}', "width and height must be from 1"),
        ('{"bbox": [0, 0, 1, 1], "width": "8", "height": 5}', "width and height must be from 1"),
        ('{"bbox": null, "width": 8, "height": 5}', "a ground truth needs a box"),
        ('{"bbox": [0, 0, 1], "width": 8, "height": 5}', "ground_truth must hold finite boxes .* row 0"),
        ('{"bbox": [0, 0, 0, 1], "width": 8, "height": 5}', "has no area"),
    ],
)
def test_a_wrong_ground_truth_is_refused(truth, sentence):
    with pytest.raises(ValueError, match=sentence):
        loaded(space="pixel")([{"response": GOOD, "response_length": 5, "ground_truth": truth}])


def test_a_reward_that_runs_idle_is_told_unless_the_watch_is_off():
    batch = [asked("[0, 0, 1000, 1000]", bbox=(0, 0, 500, 400 + i)) for i in range(64)]
    with pytest.warns(UserWarning, match="the reward of EasyR1: 64 of 64 answers are a box of the whole image"):
        scores = loaded(space="norm1000")(batch)
    with warnings.catch_warnings(action="error"):
        assert loaded(space="norm1000", watch=False)(batch) == scores


def test_the_space_must_be_named():
    with pytest.raises(TypeError, match="space"):
        loaded()([asked(GOOD)])


def test_a_ground_truth_of_any_type_and_depth_is_refused_in_a_sentence():
    deep = []
    for _ in range(100_000):
        deep = [deep]
    for truth in (np.zeros(4), torch.zeros(4), deep, {"bbox": deep, "width": 8, "height": 5}, None):
        with pytest.raises(ValueError, match=r"a ground truth must be an object|ground_truth must hold finite boxes"):
            loaded(space="pixel")([{"response": GOOD, "response_length": 5, "ground_truth": truth}])
