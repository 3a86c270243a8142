import pickle
from functools import partial

import numpy as np
import pytest
import rsreward_trl
import torch
from rsreward_trl import as_reward_func, completion_text

import rsreward

TEXTS = ["<think>a</think><answer>[0, 0, 500, 500]</answer>", "<think>a</think><answer>[0, 0, 500]</answer>"]
CHATS = [[{"role": "assistant", "content": text}] for text in TEXTS]
COLUMNS = {"target": [[0, 0, 400, 400]] * 2, "width": [800] * 2, "height": [800] * 2}


def test_texts_and_chats_score_the_same_as_the_core():
    reward = as_reward_func(rsreward.positional_reward, space="qwen3-vl")
    expected = [pytest.approx(1.1), 0.0]
    assert reward(completions=TEXTS, **COLUMNS) == expected
    assert reward(prompts=[], completions=CHATS, completion_ids=[], trainer_state=None, **COLUMNS) == expected
    assert as_reward_func(rsreward.format_reward)(completions=CHATS, images=[]) == [1, 0]


def test_the_format_reward_pays_boxes_of_the_kind_it_is_given():
    texts = ["<think>a</think><answer>[9, 9, 4, 2, 30]</answer>"]
    assert as_reward_func(rsreward.format_reward)(completions=texts) == [1]
    assert as_reward_func(rsreward.format_reward, kind="horizontal")(completions=texts) == [0]
    assert as_reward_func(rsreward.format_reward, kind="oriented")(completions=texts) == [1]


def test_module_level_rewards_are_named_for_the_command_line():
    assert rsreward_trl.positional_reward.__name__ == "positional_reward"
    assert rsreward_trl.format_reward.__name__ == "format_reward"
    assert rsreward_trl.positional_reward(completions=TEXTS, target=[[0, 0, 500, 500]] * 2)[0] == pytest.approx(1.1)


def test_options_reach_the_reward():
    reward = as_reward_func(rsreward.positional_reward, space="qwen3-vl", beta=0.5, proximity="region")
    target = torch.tensor([0.0, 0.0, 400.0, 400.0])
    expected = rsreward.positional_reward(target, target, beta=0.5, proximity="region").item()
    assert reward(completions=TEXTS, **COLUMNS)[0] == pytest.approx(expected)


def test_other_rewards_of_boxes_and_names_of_ones_own():
    reward = as_reward_func(rsreward.iou, space="qwen3-vl", name="overlap")
    assert reward.__name__ == "overlap"
    assert reward(completions=TEXTS, **COLUMNS) == [1.0, 0.0]


def test_a_row_without_a_target_is_none_and_not_in_the_logs():
    logged = {}
    reward = rsreward_trl.positional_reward
    scores = reward(completions=TEXTS[:1] * 2, target=[[0, 0, 500, 500], None], log_metric=logged.__setitem__)
    assert scores == [pytest.approx(1.1), None]
    assert logged == {
        "positional_reward/iou": 1, "positional_reward/parse_rate": 1, "positional_reward/proximity": 1,
    }  # fmt: skip


def test_parts_and_boxes_are_logged():
    metrics, columns = {}, {}
    as_reward_func(rsreward.positional_reward, space="qwen3-vl")(
        completions=TEXTS, log_metric=metrics.__setitem__, log_extra=columns.__setitem__, **COLUMNS
    )
    assert metrics == {
        "positional_reward/iou": 0.5, "positional_reward/parse_rate": 0.5, "positional_reward/proximity": 0.5,
    }  # fmt: skip
    assert columns["positional_reward/box"] == [[0, 0, 400, 400], None]
    assert columns["positional_reward/target"] == [list(map(float, box)) for box in COLUMNS["target"]]
    assert columns["positional_reward/iou"] == [1, 0]


def test_rewards_can_be_pickled():
    for reward in (as_reward_func(rsreward.positional_reward, space="qwen3-vl"), rsreward_trl.format_reward):
        again = pickle.loads(pickle.dumps(reward))  # noqa: S301
        assert again(completions=TEXTS, **COLUMNS) == reward(completions=TEXTS, **COLUMNS)
        assert again.__name__ == reward.__name__


def test_partial_functions_are_rewards_too():
    assert as_reward_func(partial(rsreward.iou), name="iou")(completions=TEXTS, target=[[0, 0, 500, 500]] * 2) == [1, 0]


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("a", "a"),
        ([{"role": "assistant", "content": "a"}], "a"),
        ([{"role": "assistant", "content": [{"type": "text", "text": "a"}]}], "a"),
        ([{"role": "assistant", "reasoning_content": "why", "content": "a"}], "<think>why</think>a"),
        ([{"role": "assistant", "content": None}], ""),
    ],
)
def test_the_text_of_a_completion(completion, text):
    assert completion_text(completion) == text


@pytest.mark.parametrize(
    "completion", [None, 3, {"content": "a"}, ["a"], [{"content": 5}], [{"content": {"a": 1}}], [{"content": [5]}],
                   [{"content": [{"text": 5}]}]],
)  # fmt: skip
def test_what_is_no_completion_is_named(completion):
    with pytest.raises(ValueError, match=r"a completion must be a text or|content of a chat message must be a text"):
        completion_text(completion)


@pytest.mark.parametrize("reward", [rsreward.positional_reward, rsreward.set_reward])
def test_columns_need_a_value_for_each_completion(reward):
    sets = reward is rsreward.set_reward
    box = [[0, 0, 400, 400]] if sets else [0, 0, 400, 400]
    reward = as_reward_func(reward, space="qwen3-vl")
    right = {"target": [box] * 2, "width": [800] * 2, "height": [800] * 2}
    for name, values in right.items():
        for wrong in (values[:1], values * 2):
            with pytest.raises(ValueError, match=f"{name}' has {len(wrong)} rows for 2 completions"):
                reward(completions=TEXTS, **right | {name: wrong})
    with pytest.raises(ValueError, match=r"width and height must be numbers, and row 1 holds \['800', 800\]"):
        reward(completions=TEXTS, **right | {"width": [800, "800"]})
    assert reward(completions=TEXTS, **{name: np.array(values) for name, values in right.items()})[1] == 0


@pytest.mark.parametrize(
    ("columns", "named"),
    [
        ({}, "'target'"),
        ({"target": [[0, 0, 1]] * 2}, "'target'.*row 0"),
        ({"target": [[0, 0, 1, 1], [0, 0, float("nan"), 1]]}, "'target'.*row 1"),
        ({"target": [[5, 0, 1, 1]] * 2}, "'target'.*row 0"),
        ({"target": ["1234", "1234"]}, "'target'.*row 0"),
        ({"target": [[0, 0, 1, 1e300], None]}, "'target'.*row 0"),
        ({"target": [[0, 0, 1, 10**400], None]}, "'target'.*row 0"),
        ({"target": ["here", 3]}, "'target'.*row 0.*'here'"),
    ],
)
def test_bad_columns_are_named(columns, named):
    with pytest.raises(ValueError, match=named):
        rsreward_trl.positional_reward(completions=TEXTS, **columns)


def test_missing_sizes_are_named():
    with pytest.raises(ValueError, match="'width'"):
        as_reward_func(rsreward.positional_reward, space="qwen3-vl")(completions=TEXTS, target=COLUMNS["target"])


def test_wrong_options_are_refused_when_the_reward_is_made():
    with pytest.raises(ValueError, match="'best'"):
        as_reward_func(rsreward.iou, select="best")
    with pytest.raises(ValueError, match="'metres'"):
        as_reward_func(rsreward.format_reward, space="metres")
    with pytest.raises(ValueError, match="alpha"):
        as_reward_func(rsreward.positional_reward, alpha=-1)
    with pytest.raises(TypeError, match="alfa"):
        as_reward_func(rsreward.positional_reward, alfa=1)


def test_what_is_no_reward_is_named():
    with pytest.raises(ValueError, match="area takes"):
        as_reward_func(rsreward.area)
    with pytest.raises(ValueError, match="'metres'"):
        as_reward_func(rsreward.iou, space="metres")


def test_oriented_boxes():
    reward = as_reward_func(rsreward.positional_reward, kind="oriented", space="norm100")
    columns = {"width": [200], "height": [200]}
    score = reward(completions=["{<10><20><30><30>|<90>}"], target=[[40, 50, 20, 40, 0.0]], **columns)
    assert score == [pytest.approx(1.1, abs=1e-5)]
    with pytest.raises(ValueError, match="radians"):
        reward(completions=["[1, 2, 3, 4, 5]"], target=[[40, 50, 20, -40, 0.0]], **columns)


def test_several_boxes():
    reward, metrics, columns = as_reward_func(rsreward.set_reward), {}, {}
    texts = ["[[0, 0, 10, 10], [20, 0, 30, 10]]", "[0, 0, 10, 10]", "none", "none", "[0, 0, 10, 10]"]
    both = [[20, 0, 30, 10], [0, 0, 10, 10]]
    logs = {"log_metric": metrics.__setitem__, "log_extra": columns.__setitem__}
    scores = reward(completions=texts, target=[both, both, both, [], None], **logs)
    assert scores == [pytest.approx(1.1), pytest.approx(0.55), 0, 1, None]
    assert metrics["set_reward/iou"] == pytest.approx((1 + 0.5 + 0 + 1) / 4)
    assert metrics["set_reward/boxes"] == pytest.approx(3 / 4)
    assert columns["set_reward/box"][:3] == [[[0, 0, 10, 10], [20, 0, 30, 10]], [[0, 0, 10, 10]], []]
    with pytest.raises(ValueError, match=r"lists of.*row 0"):
        reward(completions=texts[:1], target=[[0, 0, 10, 10]])


def test_the_iou_of_sets_is_there_for_the_weight():
    reward = as_reward_func(rsreward.set_reward)
    ious = reward.ious(["[0, 0, 10, 10]", "none"], target=[[[0, 0, 10, 10], [20, 0, 30, 10]], None])
    assert ious[0] == 0.5
    assert ious[1].isnan()
