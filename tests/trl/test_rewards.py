import json
import pickle
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rsreward_trl
import torch
from rsreward_trl import as_reward_func, completion_text

import rsreward

TEXTS = ["<think>a</think><answer>[0, 0, 500, 500]</answer>", "<think>a</think><answer>[0, 0, 500]</answer>"]
FIELD = Path(__file__).parents[3] / "shared" / "data" / "field"
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


@pytest.fixture
def parsed(monkeypatch):
    """The texts that the reward functions have really read, one after another."""
    texts, module = [], rsreward_trl.rewards
    monkeypatch.setattr(module, "_last_read", ([], False, []))
    monkeypatch.setattr(
        module, "parse_answer", lambda text, think: texts.append(text) or rsreward.parse_answer(text, think)
    )
    return texts


def test_a_batch_is_read_once_for_all_reward_functions(parsed):
    texts = ["<think>a</think><answer>[0, 0, 10, 10]</answer>", "[0, 0, 5, 10]", "none"]
    chats = [[{"role": "assistant", "content": text}] for text in texts]
    boxes, form = as_reward_func(rsreward.positional_reward), as_reward_func(rsreward.format_reward)
    for completions in (texts, chats, list(texts)):
        assert boxes(completions=completions, target=[[0, 0, 10, 10]] * 3)[1] == pytest.approx(0.598, abs=1e-3)
        assert form(completions=completions) == [1, 0, 0]
        assert boxes.ious(completions, target=[[0, 0, 10, 10]] * 3).tolist() == [1, 0.5, 0]
    assert parsed == texts
    assert form(completions=[*texts[:2], texts[0]]) == [1, 0, 1]  # another batch is read anew
    assert as_reward_func(rsreward.format_reward, think_in_prompt=True)(completions=texts) == [0, 0, 0]
    assert len(parsed) == 9


def test_the_iou_of_a_rewarded_batch_is_that_of_its_boxes_and_of_no_other():
    first, second, target = ["[0, 0, 10, 10]"], ["[0, 0, 5, 10]"], [[0, 0, 10, 10]]
    reward = as_reward_func(rsreward.positional_reward)
    for completions, others in ((first, second), (second, first)):
        reward(completions=completions, target=target, log_metric=lambda *_: None)
        assert reward.ious(others, target=target).item() == (1 if others is first else 0.5)
        reward(completions=completions, target=[None], log_metric=lambda *_: None)
        assert reward.ious(completions, target=[None]).isnan().all()
        assert reward.ious(completions, target=target).item() == (1 if completions is first else 0.5)


def test_rewards_can_be_pickled():
    for reward in (as_reward_func(rsreward.positional_reward, space="qwen3-vl"), rsreward_trl.format_reward):
        again = pickle.loads(pickle.dumps(reward))  # noqa: S301
        assert again(completions=TEXTS, **COLUMNS) == reward(completions=TEXTS, **COLUMNS)
        assert again.__name__ == reward.__name__


def test_partial_functions_are_rewards_too():
    assert as_reward_func(partial(rsreward.iou), name="iou")(completions=TEXTS, target=[[0, 0, 500, 500]] * 2) == [1, 0]


def test_the_text_of_a_completion_is_what_the_core_reads():
    assert completion_text is rsreward.answers.completion_text


@pytest.mark.parametrize("side", [torch.tensor([800, 600]), np.array([]), "800", [[800]]])
def test_a_size_that_is_not_a_number_is_named(side):
    reward = as_reward_func(rsreward.positional_reward, space="qwen3-vl")
    with pytest.raises(ValueError, match="positional_reward: width and height must be numbers, and row 0 holds"):
        reward(completions=["none"], target=[[0, 0, 1, 1]], width=[side], height=[600])


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


def test_no_answer_is_not_the_answer_that_nothing_is_there():
    reward, metrics, columns = as_reward_func(rsreward.set_reward), {}, {}
    texts = ["<answer>[]</answer>", "Sorry, I cannot help.", "<think>cut off", "[0, 0, 0, 0]"]
    logs = {"log_metric": metrics.__setitem__, "log_extra": columns.__setitem__}
    assert reward(texts, target=[[]] * 4, **logs) == [1, 0, 0, 1]
    assert (metrics["set_reward/parse_rate"], metrics["set_reward/boxes"]) == (0.5, 0)
    assert columns["set_reward/box"] == [[], None, None, []]
    turned = as_reward_func(rsreward.set_reward, kind="oriented")
    assert turned(texts, target=[[], [], None, [[5, 5, 2, 2, 0.1]]]) == [1, 0, None, 0]


def test_the_iou_of_sets_is_there_for_the_weight():
    reward = as_reward_func(rsreward.set_reward)
    ious = reward.ious(["[0, 0, 10, 10]", "none"], target=[[[0, 0, 10, 10], [20, 0, 30, 10]], None])
    assert ious[0] == 0.5
    assert ious[1].isnan()


def in_unit(rows):
    """Answers in 0..1 where 0..1000 was told, to questions about boxes that all differ."""
    texts = [f"[0.1, 0.1, 0.4, 0.{500 + i}]" for i in range(rows)]
    return texts, {
        "target": [[80, 80, 320, 400 + i] for i in range(rows)],
        "width": [800] * rows,
        "height": [800] * rows,
    }


def test_what_does_not_fit_is_told_once_and_counted():
    reward, metrics = as_reward_func(rsreward.positional_reward, space="qwen3-vl"), {}
    texts, columns = in_unit(100)
    with pytest.warns(UserWarning, match="positional_reward: 100 of 100 answers lie within 0..1") as told:
        reward(texts, log_metric=metrics.__setitem__, **columns)
    assert [str(warning.filename) for warning in told] == [__file__]
    assert metrics["positional_reward/watch/answers-in-unit"] == 100
    with warnings.catch_warnings(action="error"):
        reward(texts, log_metric=metrics.__setitem__, **columns)
        reward.ious(texts, **columns)  # no new rows
    reward(texts, log_metric=metrics.__setitem__, **columns)
    assert metrics["positional_reward/watch/answers-in-unit"] == 200  # findings are made up ever more seldom


def test_completions_that_trl_has_cut_off_are_told_by_their_tokens():
    reward, (_, columns) = as_reward_func(rsreward.iou, space="qwen3-vl"), in_unit(64)
    texts = [f"[100, 100, 400, {500 + i}]" for i in range(64)]
    ids = [[i, 2] if i < 40 else [1, 2, i] for i in range(64)]
    with pytest.warns(UserWarning, match="iou: 24 of 64 answers end before they are finished"):
        reward(texts, completion_ids=ids, **columns)
    with warnings.catch_warnings(action="error"):
        as_reward_func(rsreward.iou, space="qwen3-vl")(texts, completion_ids=[[1, 2]] * 64, **columns)


@pytest.mark.parametrize("reward", [rsreward.positional_reward, rsreward.set_reward])
def test_the_watch_changes_no_reward_and_can_be_turned_off(reward):
    texts, columns = in_unit(70)
    if reward is rsreward.set_reward:
        columns["target"] = [[box] for box in columns["target"]]
    with pytest.warns(UserWarning, match="answers lie within 0..1"):
        watched = as_reward_func(reward, space="qwen3-vl")(texts, **columns)
    metrics = {}
    with warnings.catch_warnings(action="error"):
        plain = as_reward_func(reward, space="qwen3-vl", watch=False)(texts, log_metric=metrics.__setitem__, **columns)
    assert plain == watched
    assert not any("watch" in name for name in metrics)


def test_hulls_of_turned_answers_are_not_warned_of():
    texts = [f"{{<10><13><18><{21 + i % 40}>|<90>}}" for i in range(70)]
    columns = {"target": [[80, 104, 144, 168 + i] for i in range(70)], "width": [800] * 70, "height": [800] * 70}
    with warnings.catch_warnings(action="error"):
        as_reward_func(rsreward.iou, space="geochat", hull=True)(texts, **columns)
    with pytest.warns(UserWarning, match="turned boxes"):
        as_reward_func(rsreward.iou, space="geochat")(texts, **columns)


def test_what_tools_say_and_are_told_is_not_the_answer():
    if not FIELD.exists():
        pytest.skip("the field inputs of ../shared/data are not here")
    completions = json.loads((FIELD / "tool_messages.json").read_text())
    reward = as_reward_func(rsreward.iou)
    for completion in completions.values():
        assert reward([completion], target=[[610, 120, 690, 180]]) == [1]


def test_completions_may_come_by_position_as_ms_swift_gives_them():
    reward = as_reward_func(rsreward.positional_reward, space="qwen3-vl")
    assert reward(TEXTS, **COLUMNS) == reward(completions=TEXTS, **COLUMNS)
    assert rsreward_trl.format_reward(TEXTS, images=[]) == [1, 0]
    with pytest.raises(TypeError, match="got one text"):
        rsreward_trl.format_reward("[1, 2, 3, 4]")


def test_the_bounds_of_the_image_processor_are_options():
    text, columns = ["[0, 0, 280, 280]"], {"target": [[0, 0, 500, 500]], "width": [1000], "height": [1000]}
    assert as_reward_func(rsreward.iou, space="qwen2.5-vl", max_pixels=560 * 560)(text, **columns) == [1]
    assert as_reward_func(rsreward.iou, space="qwen2.5-vl")(text, **columns)[0] < 0.4
    with pytest.raises(ValueError, match="pixel"):
        as_reward_func(rsreward.iou, max_pixels=560 * 560)


def test_what_five_numbers_are_is_an_option():
    text, target = ["[50, 50, 20, 10, 90]"], [[50, 50, 10, 20, 0.0]]
    reward = as_reward_func(rsreward.iou, five="le90", hull=True)
    assert reward(text, target=[[45, 40, 55, 60]]) == [pytest.approx(1)]
    reward = as_reward_func(rsreward.oriented_iou, kind="oriented", five="le90")
    assert reward(text, target=target) == [pytest.approx(1)]
    with pytest.raises(ValueError, match="five"):
        as_reward_func(rsreward.iou, five="le135")


def test_a_thought_that_the_template_opened_is_not_the_answer():
    cut = "The pier is at [100, 200, 300, 400], no, rather"
    done = f"{cut} left.</think><answer>[0, 0, 50, 50]</answer>"
    reward = as_reward_func(rsreward.iou, think_in_prompt=True)
    assert reward([cut, done], target=[[100, 200, 300, 400], [0, 0, 50, 50]]) == [0, 1]
    assert as_reward_func(rsreward.iou)([cut], target=[[100, 200, 300, 400]]) == [1]
    sets = as_reward_func(rsreward.set_reward, think_in_prompt=True)
    assert sets([cut], target=[[[100, 200, 300, 400]]]) == [0]
    assert as_reward_func(rsreward.format_reward, think_in_prompt=True)([cut, done]) == [0, 1]


def test_the_truth_may_stand_in_another_column_space_and_form():
    text, sizes = ["[0, 0, 400, 200]"], {"width": [800], "height": [400]}
    for truth, options in (
        ("<answer>[0, 0, 500, 500]</answer>", {"target_space": "norm1000"}),
        ([0, 0, 0.5, 0.5], {"target_space": "unit"}),
        ([0, 0, 400, 200], {"target_format": "xywh"}),
        ([0, 0, 400, 0, 400, 200, 0, 200], {}),
        ("[0, 0, 400, 200]", {}),
    ):
        reward = as_reward_func(rsreward.iou, target="solution", **options)
        assert reward(text, solution=[truth], **sizes) == [1]
    with pytest.raises(ValueError, match="overlap needs the column 'solution'"):
        as_reward_func(rsreward.iou, target="solution", name="overlap")(text, target=[[0, 0, 400, 200]])
    with pytest.raises(ValueError, match="space 'unit' and needs the columns 'width' and 'height'"):
        as_reward_func(rsreward.iou, target_space="unit")(text, target=[[0, 0, 1, 1]])
    for wrong in ({"target_format": "yxyx"}, {"target_space": "metres"}):
        with pytest.raises(ValueError, match=r"yxyx|metres"):
            as_reward_func(rsreward.iou, **wrong)


def test_polygons_are_truth_for_turned_boxes_in_any_order():
    reward = as_reward_func(rsreward.positional_reward, kind="oriented", space="norm100")
    corners = [[30, 40], [50, 40], [50, 60], [30, 60]]
    for truth in (corners, corners[::-1], [corners[i] for i in (0, 2, 1, 3)], [*corners, corners[0]], [corners]):
        columns = {"target": [truth], "width": [200], "height": [200]}
        assert reward(["{<15><20><25><30>|<90>}"], **columns) == [pytest.approx(1.1, abs=1e-5)]


def test_hulls_of_turned_answers_against_horizontal_truth():
    if not FIELD.exists():
        pytest.skip("the field inputs of ../shared/data are not here")
    rows = [json.loads(line) for line in (FIELD / "geochat_on_horizontal.jsonl").open()]
    columns = {name: [row[name] for row in rows] for name in ("target", "width", "height")}
    texts = [row["completion"] for row in rows]
    assert (
        as_reward_func(rsreward.iou, space="geochat", hull=True)(texts, **columns) == [pytest.approx(1, abs=1e-5)] * 5
    )
    assert as_reward_func(rsreward.iou, space="geochat")(texts, **columns) == [0] * 5
    sets = as_reward_func(rsreward.set_reward, space="geochat", hull=True)
    lists = columns | {"target": [[box] for box in columns["target"]]}
    assert sets(texts, **lists) == [pytest.approx(1.1, abs=1e-5)] * 5
    with pytest.raises(ValueError, match="hull"):
        as_reward_func(rsreward.iou, hull=True, kind="oriented")


def test_a_target_without_area_is_refused():
    with pytest.raises(ValueError, match=r"positional_reward: the column 'target' .*row 1.*no area"):
        rsreward_trl.positional_reward(TEXTS, target=[[0, 0, 1, 1], [0, 0, 0, 0]])


@pytest.mark.parametrize("column", ["target", "width"])
@pytest.mark.parametrize("values", [{"a": 1, "b": 2}, 800, "ab", torch.tensor(800), iter([1, 2])])
def test_what_is_not_a_column_is_named(column, values):
    reward = as_reward_func(rsreward.iou, space="qwen3-vl")
    with pytest.raises(ValueError, match=f"iou: the column '{column}' must be a list with one value for each"):
        reward(TEXTS, **COLUMNS | {column: values})


@pytest.mark.parametrize("kind", [np.array, torch.tensor, tuple])
def test_arrays_and_tensors_are_columns_too(kind):
    reward = as_reward_func(rsreward.iou, space="qwen3-vl")
    assert reward(TEXTS, **{name: kind(values) for name, values in COLUMNS.items()}) == reward(TEXTS, **COLUMNS)


@pytest.mark.parametrize("side", [0, -5, 10**400, float("inf")])
def test_impossible_sizes_are_named(side):
    with pytest.raises(ValueError, match="width and height must be from 1 to 10000000 pixels, and in row 1"):
        as_reward_func(rsreward.iou, space="qwen3-vl")(TEXTS, **COLUMNS | {"width": [800, side]})
