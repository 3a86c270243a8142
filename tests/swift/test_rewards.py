"""The reward functions, called as swift calls them: texts by position, all columns of the batch by name."""

import warnings

import pytest
from rsreward_swift.options import read_options
from rsreward_swift.rewards import RSFormat, RSIoU, RSPositional

GOOD = "<think>a</think><answer>[0, 0, 10, 5]</answer>"
SILENT = "I see none."


def options(**told):
    return read_options({"RSREWARD_SPACE": "pixel"} | {f"RSREWARD_{name.upper()}": told[name] for name in told})


def call(reward, completions, **columns):
    """The columns that swift adds to those of the dataset come along."""
    added = {name: [None] * len(completions) for name in ("messages", "images", "request_id", "finish_reason")}
    return reward(completions, trainer_state=None, **added, **columns)


def test_each_is_worth_what_the_core_says():
    target = [[0, 0, 10, 10]] * 2
    assert call(RSPositional(options(beta="0")), [GOOD, SILENT], target=target) == [0.5, 0.0]
    assert call(RSIoU(options()), [GOOD, SILENT], target=target) == [0.5, 0.0]
    assert call(RSFormat(options()), [GOOD, SILENT], target=target) == [1.0, 0.0]


def test_the_frame_of_reference_is_used():
    reward = RSPositional(options(space="qwen3-vl", target="solution", target_format="xywh"))
    columns = {"solution": [[0, 0, 8, 2]], "width": [800], "height": [400]}
    assert call(reward, [GOOD], **columns) == [pytest.approx(1.1)]


def test_a_reward_that_runs_idle_is_told_once_by_the_one_reward_that_watches():
    texts, target = [f"[0, 0, 10, {5 + i}" for i in range(64)], [[0, 0, 9, 9 + i] for i in range(64)]
    columns = {"target": target, "is_truncated": [True] * 30 + [False] * 34, "finish_reason": ["length"] * 64}
    with pytest.warns(UserWarning, match="rs_positional: 30 of 64 answers end before they are finished"):
        RSPositional(options())(texts, trainer_state=None, **columns)
    with warnings.catch_warnings(action="error"):
        for reward in (RSIoU(options()), RSPositional(options(watch="false"))):
            reward(texts, trainer_state=None, **columns)


def test_oriented_boxes():
    reward = RSIoU(options(kind="oriented", five="le90"))
    assert call(reward, ["[50, 50, 20, 10, 90]"], target=[[50, 50, 10, 20, 0]]) == [pytest.approx(1)]


def test_a_thought_that_the_template_has_opened():
    completion = GOOD.removeprefix("<think>")
    assert call(RSFormat(options(think_in_prompt="true")), [completion]) == [1.0]
    assert call(RSFormat(options()), [completion]) == [0.0]


def test_rows_without_a_true_box_have_no_reward():
    columns = {"target": [None, [0, 0, 10, 10]], "width": [None, 800], "height": [None, 800]}
    for reward in (RSPositional(options(space="qwen3-vl")), RSIoU(options(space="qwen3-vl"))):
        first, second = call(reward, [GOOD, GOOD], **columns)
        assert first is None
        assert second > 0


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"width": [8], "height": [8]}, "the columns target, width, height, and the dataset has no target"),
        ({"target": [[0, 0, 1, 1]]}, "has no width, height"),
        ({"target": [[0, 0, 1, 1]], "width": [None], "height": [8]}, "width must be .* row 0 of this batch has None"),
        ({"target": [[0, 0, 1, 1]], "width": [8], "height": ["8"]}, "height must be .* has '8'"),
        (
            {"target": [[0, 0, 1, 1]], "width": [10**400], "height": [8]},
            "width must be from 1 to 10000000 pixels, .* row 0",
        ),
        ({"target": [[0, 0, 1, 1]], "width": ["8" * 9000], "height": [8]}, "row 0 of this batch has '8{99}[.]$"),
        ({"target": [[0, 0, 1]], "width": [8], "height": [8]}, "rs_positional: the column 'target' .* row 0"),
        (
            {"target": [[0, 0, 1, 1]] * 2, "width": [8], "height": [8]},
            "the column 'target' has 2 rows for 1 completions",
        ),
        ({"target": [[0, 0, 1, 1]], "width": [8], "height": []}, "the column 'height' has 0 rows for 1 completions"),
        ({"target": [[0, 0, 1, 1]], "width": 8, "height": [8]}, "the column 'width' must be a list .* got int"),
    ],
)
def test_a_wrong_dataset_is_refused(columns, sentence):
    with pytest.raises(ValueError, match=sentence):
        call(RSPositional(options(space="qwen3-vl")), [GOOD], **columns)


def test_bounds_that_swift_resizes_by_are_held_against_the_space(monkeypatch):
    monkeypatch.setenv("MAX_PIXELS", "401408")
    RSPositional(options(space="qwen2.5-vl", max_pixels="401408"))
    with pytest.raises(ValueError, match="set MAX_PIXELS and RSREWARD_MAX_PIXELS to the same"):
        RSPositional(options(space="qwen2.5-vl"))


def test_the_iou_is_not_to_be_added_to_the_reward():
    class Arguments:
        reward_weights = None

    with pytest.raises(ValueError, match="--reward_weights 1 1 0"):
        RSIoU(options(), args=Arguments())
    Arguments.reward_weights = [1, 1, 0]
    RSIoU(options(), args=Arguments())
