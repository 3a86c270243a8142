import json
import math
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from rsreward_verl import score as rollout_score
from rsreward_verl.reward import compute_score
from rsreward_verl.weights import WatchCounts
from verl.trainer.ppo.metric_utils import process_validation_metrics
from verl.trainer.ppo.reward import load_reward_manager
from verl_rows import OUR_FUNCTION, OUR_MANAGER, rollout, rsvg_config, tokenizer_of, truth, verl_config

import rsreward

GOOD = "<think>Left of the pier.</think><answer>[100, 200, 300, 400]</answer>"
TEXTS = [GOOD, "[100, 200, 300, 300]", "I see no ship.", "<think>a</think><answer>[300, 200, 100, 400]</answer>", ""]
BOX = [80, 160, 240, 400]
KEYS = {"score", "iou", "proximity", "format", "parsed", "box", "watch"}
SPACE = {"function": "+reward.custom_reward_function.reward_kwargs.", "manager": "+reward.reward_kwargs."}
ROUTES = {"function": OUR_FUNCTION, "manager": OUR_MANAGER}


@pytest.fixture(scope="module")
def tokenizer():
    return tokenizer_of([*TEXTS, "Locate the left ship."])


def managed(route, tokenizer, *options):
    """verl's own loading of the reward, from a configuration that verl has composed."""
    overrides = [SPACE[route] + option for option in options]
    return load_reward_manager(verl_config(*ROUTES[route], *overrides), tokenizer, reward_router_address=None)


def run(manager, data):
    return manager.loop.run_until_complete(manager.run_single(data))


@pytest.mark.parametrize("route", ROUTES)
def test_what_verl_loads_scores_its_data_as_the_core_does(tokenizer, route):
    manager = managed(route, tokenizer, "space=qwen3-vl", "beta=0.5", "proximity=region", "format_weight=0.25")
    pred = rsreward.parse_boxes(TEXTS, space="qwen3-vl", width=800, height=800)
    target = torch.tensor([BOX], dtype=torch.float32)
    expected = rsreward.positional_reward(pred, target, beta=0.5, proximity="region")
    expected += 0.25 * rsreward.format_reward(TEXTS)
    for text, score, overlap in zip(TEXTS, expected.tolist(), rsreward.iou(pred, target).tolist(), strict=True):
        result = run(manager, rollout(tokenizer, [text], truth(BOX)))
        assert result["reward_score"] == score
        assert set(result["reward_extra_info"]) == KEYS
        assert result["reward_extra_info"]["iou"] == overlap


def test_the_configuration_of_the_package_scores_too(tokenizer):
    manager = load_reward_manager(rsvg_config("rsvg_model=qwen3_vl_8b"), tokenizer)
    assert run(manager, rollout(tokenizer, [GOOD], truth(BOX)))["reward_score"] == pytest.approx(1.7658, abs=1e-4)


@pytest.mark.parametrize("outputs", [[GOOD, "I see no ship."], ["I see no ship.", GOOD], ["", GOOD, "[1, 2, 3, 4]"]])
def test_of_several_outputs_the_last_is_read_to_its_end(tokenizer, outputs):
    extra = run(managed("manager", tokenizer), rollout(tokenizer, outputs, truth(BOX)))["reward_extra_info"]
    assert extra == compute_score("rsvg/test", outputs[-1], truth(BOX))


def test_a_ground_truth_that_is_not_a_text_is_refused():
    with pytest.raises(ValueError, match=r"the ground truth of 'rsvg' must be a JSON string.*, got dict"):
        compute_score("rsvg", GOOD, json.loads(truth(BOX)))


def test_parts_of_a_good_and_of_a_missing_answer():
    good = compute_score("rsvg", GOOD, truth(BOX), space="qwen3-vl")
    assert good["iou"] == pytest.approx(2 / 3)
    assert good["proximity"] == pytest.approx(math.exp(-((40 / (1.25 * 240)) ** 2) / 2))
    assert good["score"] == pytest.approx(good["iou"] + 0.1 * good["proximity"] + 1)
    assert (good["format"], good["parsed"], json.loads(good["box"])) == (1, 1, [80, 160, 240, 320])
    missing = compute_score("rsvg", "I see no ship.", truth(BOX), space="qwen3-vl")
    assert missing == dict.fromkeys(KEYS, 0) | {"box": "", "watch": missing["watch"]}


def test_the_bounds_of_the_image_processor_reach_the_space():
    text, box = "<answer>[0, 0, 280, 280]</answer>", truth([0, 0, 500, 500], 1000, 1000)
    small = compute_score("rsvg", text, box, space="qwen2.5-vl", max_pixels=560 * 560)
    assert small["iou"] == 1
    assert compute_score("rsvg", text, box, space="qwen2.5-vl")["iou"] < 0.4
    with pytest.raises(ValueError, match="mean nothing in the space 'qwen3-vl'"):
        compute_score("rsvg", text, box, space="qwen3-vl", max_pixels=560 * 560)


def test_oriented_boxes_are_known_by_their_five_numbers():
    box = truth([40, 50, 20, 40, 0.0], 200, 200)
    score = compute_score("rsvg", "<think>a</think><answer>{<10><20><30><30>|<90>}</answer>", box, space="norm100")
    assert score["score"] == pytest.approx(2.1, abs=1e-5)
    assert json.loads(score["box"]) == [40, 50, 40, 20, 1.6]


def test_several_boxes_are_matched_and_the_format_allows_them():
    both = truth([[0, 0, 10, 10], [20, 0, 30, 10]])
    full = compute_score("rsvg", "<think>a</think><answer>[[20, 0, 30, 10], [0, 0, 10, 10]]</answer>", both)
    assert full["score"] == pytest.approx(2.1)
    assert full["proximity"] == pytest.approx(1)
    half = compute_score("rsvg", "[0, 0, 10, 10]", both)
    assert half["score"] == pytest.approx(0.55)
    assert json.loads(half["box"]) == [[0, 0, 10, 10]]


@pytest.mark.parametrize(
    ("text", "score", "parsed"),
    [
        ("none", 1, 1),
        ("[1, 2, 3, 4]", 0, 1),
        ("[1, 2, 3, 4, 5]", 0, 1),
        ("(1,2),(3,4)", 0, 1),
        ("Sorry, I cannot help.", 0, 0),
        ("<think>cut off", 0, 0),
        ("[0, 0, 0, 0]", 1, 1),
    ],
)
def test_where_there_is_nothing_to_find_any_box_is_wrong(text, score, parsed):
    result = compute_score("rsvg", text, truth([]))
    assert (result["score"], result["parsed"]) == (score, parsed)


@given(st.one_of(st.text(), st.lists(st.floats()).map(str)), st.sampled_from([BOX, [BOX], [], [9, 9, 9, 9, 1.0]]))
def test_whatever_a_model_writes_the_keys_are_the_same_and_the_numbers_finite(text, bbox):
    result = compute_score("rsvg", text, truth(bbox), space="qwen2.5-vl")
    assert set(result) == KEYS
    assert "reward" not in result
    assert all(math.isfinite(value) for key, value in result.items() if key not in ("box", "watch"))
    assert result["box"] == "" or json.loads(result["box"])


def test_verls_validation_averages_the_parts_and_skips_the_box():
    parts = [compute_score("rsvg", text, truth(BOX), space="qwen3-vl") for text in TEXTS]
    columns = {key: [p[key] for p in parts] for key in KEYS} | {"reward": [p["score"] for p in parts]}
    uids = [str(i) for i in range(len(TEXTS))]
    metrics = process_validation_metrics(["rsvg"] * len(TEXTS), uids, columns)["rsvg"]
    assert metrics["iou"]["mean@1"] == pytest.approx(np.mean(columns["iou"]))
    assert metrics["parsed"]["mean@1"] == pytest.approx(3 / 5)
    assert "box" not in metrics
    assert "watch" not in metrics


def test_what_does_not_fit_is_told_once_and_counted_for_the_trainer():
    """From four threads, as verl's manager scores."""
    rows = [(f"[0.1, 0.1, 0.4, 0.{500 + i}]", truth([80, 80, 320, 300 + i])) for i in range(200)]

    def scored(row, **options):
        return compute_score("rsvg", *row, space="qwen3-vl", **options)

    with warnings.catch_warnings(action="error"):
        plain = [scored(row, watch=False) for row in rows]
    assert {each["watch"] for each in plain} == {""}
    with pytest.warns(UserWarning, match="of 64 answers lie within 0..1") as told, ThreadPoolExecutor(4) as threads:
        results = list(threads.map(scored, rows))
    assert len(told) == 1
    assert [each | {"watch": ""} for each in results] == plain
    counts = WatchCounts()([each["watch"] for each in results])
    assert counts == {"watch/answers-in-unit": 128}
    with warnings.catch_warnings(action="error"):
        for row in rows:
            scored(row)
    assert WatchCounts()([scored(rows[0])["watch"]]) == {"watch/answers-in-unit": 256}


def test_rollouts_at_the_longest_length_are_told_to_be_cut_off(tokenizer):
    rows = [rollout(tokenizer, [GOOD], truth([80, 160, 240, 300 + i])) for i in range(64)]
    length = len(rows[0].batch["responses"][0])
    for longest, count in ((length, 64), (length + 1, 0)):
        rollout_score._watch.cache_clear()
        config = verl_config(*OUR_MANAGER, f"data.max_response_length={longest}")
        manager = load_reward_manager(config, tokenizer, reward_router_address=None)
        with warnings.catch_warnings(record=True, action="always") as told:
            results = [run(manager, row)["reward_extra_info"]["watch"] for row in rows]
        assert WatchCounts()(results).get("watch/cut-off", 0) == count
        assert any("end before they are finished" in str(each.message) for each in told) == bool(count)


@pytest.mark.parametrize(
    "ground_truth",
    [
        "", "[1, 2, 3, 4]", "{}", truth([3, 2, 1, 4]), truth([1, 2, 3]), truth([1, 2, 3, "4"], 0), truth("1234"),
        truth([1, 2, 3, 4], None), truth([1, 2, 3, 4], -1), truth([1, 2, 3, float("nan")]), truth({}), truth(None),
        truth([[1, 2, 3, 4], [1, 2, 3, 4, 5]]), truth([1, 2, 3, 4], float("inf")), "[" * 100_000, None, truth([[]]),
    ],
)  # fmt: skip
def test_a_ground_truth_that_is_none_is_named(ground_truth):
    with pytest.raises(ValueError, match=r"ground truth of 'dior'.*bbox.*got"):
        compute_score("dior", GOOD, ground_truth)


CORNERS = [[30, 40], [50, 40], [50, 60], [30, 60]]


@pytest.mark.parametrize(
    "written",
    [CORNERS, CORNERS[::-1], [CORNERS[i] for i in (2, 0, 1, 3)], [*CORNERS, CORNERS[0]], np.ravel(CORNERS).tolist()],
)
def test_polygons_are_truth_for_turned_boxes(written):
    text = "<think>a</think><answer>{<15><20><25><30>|<90>}</answer>"
    assert compute_score("rsvg", text, truth(written, 200, 200), space="norm100")["score"] == pytest.approx(2.1)
    upright = compute_score("rsvg", GOOD, truth([[100, 200], [300, 200], [300, 400], [100, 400]]), kind="horizontal")
    assert upright["score"] == pytest.approx(2.1)


@pytest.mark.parametrize(
    ("written", "options"),
    [
        ([100, 200, 200, 200], {"target_format": "xywh"}),
        ([0.125, 0.25, 0.375, 0.5], {"target_space": "unit"}),
        ("<answer>[125, 250, 375, 500]</answer>", {"target_space": "norm1000"}),
        ("[100, 200, 300, 400]", {}),
        ([200, 300, 200, 200, 90], {"target_format": "oriented-degrees", "kind": "horizontal"}),
    ],
)
def test_truth_in_other_forms(written, options):
    assert compute_score("rsvg", GOOD, truth(written), **options)["iou"] == pytest.approx(1)


def test_a_thinking_model_is_paid_for_its_form_and_not_for_a_thought_cut_off(tokenizer):
    cut = "The pier is at [80, 160, 240, 400], no"
    done = f"{cut}.</think><answer>[80, 160, 240, 400]</answer>"
    manager = managed("manager", tokenizer, "think_in_prompt=True")
    option = {"think_in_prompt": True}
    assert compute_score("rsvg", cut, truth(BOX), **option)["score"] == 0
    assert compute_score("rsvg", done, truth(BOX), **option)["score"] == pytest.approx(2.1)
    assert compute_score("rsvg", done, truth(BOX))["format"] == 0
    expected = compute_score("rsvg", GOOD[7:], truth(BOX), **option)
    assert run(manager, rollout(tokenizer, [GOOD[7:]], truth(BOX)))["reward_extra_info"] == expected
    assert expected["format"] == 1


def test_hulls_of_turned_answers_against_horizontal_truth():
    text, box = "{<10><13><18><21>|<90>}", [80, 104, 144, 168]
    for written in (box, [box]):
        result = compute_score("rsvg", text, truth(written), space="geochat", hull=True)
        assert result["iou"] == pytest.approx(1, abs=1e-5)
        assert np.ravel(json.loads(result["box"])).tolist() == box
        assert compute_score("rsvg", text, truth(written), space="geochat")["iou"] == 0
    with pytest.raises(ValueError, match="hull"):
        compute_score("rsvg", text, truth(box), hull=True, kind="oriented")


def test_which_box_of_several_and_what_five_numbers_are_can_be_told():
    two = "[[1, 1, 2, 2], [80, 160, 240, 400]]"
    assert [compute_score("rsvg", two, truth(BOX), select=s)["iou"] for s in ("first", "last", "only")] == [0, 1, 0]
    turned = compute_score("rsvg", "[50, 50, 20, 10, 90]", truth([50, 50, 10, 20, 0.0]), five="le90")
    assert turned["iou"] == pytest.approx(1)


@pytest.mark.parametrize("written", [[0, 0, 0, 0], [[1, 1, 2, 2], [5, 5, 5, 9]], [5, 5, 0, 2, 1.0]])
def test_a_true_box_without_area_is_refused(written):
    with pytest.raises(ValueError, match=r"ground truth of 'dior'.*no area"):
        compute_score("dior", GOOD, truth(written))


@pytest.mark.parametrize("side", [10**400, 10**8, 0.5, "800"])
def test_impossible_sizes_are_told(side):
    with pytest.raises(ValueError, match=r"ground truth of 'dior'.*width and height must be from 1 to 10000000"):
        compute_score("dior", GOOD, truth(BOX, side))
