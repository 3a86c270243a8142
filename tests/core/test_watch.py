"""What a watch tells of rows as a training run hands them over, and what it leaves untold."""

import json
import pickle
from pathlib import Path

import pytest
import torch

from rsreward import consistency_weight, group_statistics, parse_answer, parse_boxes
from rsreward.watch import AGAIN, NAMES, SIGNS, RewardWatch, Signs, WeightWatch, cut_off

SIZE = 800


def drawn(rows, seed=0):
    """True boxes of different images, `(rows, 4)`."""
    low, side = torch.rand(2, rows, 2, generator=torch.Generator().manual_seed(seed)) * 300 + 50
    return torch.cat([low, low + side], 1).round()


def near(truth, seed=1):
    """Answers some pixels off."""
    off = torch.randint(-20, 20, truth.shape, generator=torch.Generator().manual_seed(seed))
    return [f"<think>a</think><answer>{box}</answer>" for box in (truth + off).int().tolist()]


def add(watch, texts, truth):
    rows = len(texts)
    answers = [parse_answer(text) for text in texts]
    preds = parse_boxes(answers, space=watch.check.space, width=SIZE, height=SIZE)
    return watch.add(texts, answers, truth, preds, [SIZE] * rows, [SIZE] * rows)


def test_a_run_in_which_nothing_is_off_is_not_spoken_of():
    watch = RewardWatch("pixel")
    for step in range(6):
        truth = drawn(16, step).repeat_interleave(8, 0)
        assert add(watch, near(truth, step), truth) == []
    assert watch.counts == {}


@pytest.mark.parametrize("at_once", [1, 7, 64, 1000])
def test_a_finding_about_the_frame_is_told_once_however_rows_come(at_once):
    watch, truth, told = RewardWatch("qwen3-vl"), drawn(1000), []
    texts = [str((box / SIZE).tolist()) for box in truth]
    for start in range(0, 1000, at_once):
        told += add(watch, texts[start : start + at_once], truth[start : start + at_once])
    [sentence] = told
    assert "answers lie within 0..1" in sentence
    assert watch.counts["answers-in-unit"] >= 512
    assert watch.seen + len(watch.waiting) == 1000
    assert len(watch.waiting) < 256


def test_less_than_64_rows_are_not_judged():
    watch, truth = RewardWatch("qwen3-vl"), drawn(63)
    assert add(watch, ["[0.1, 0.2, 0.3, 0.4]"] * 63, truth) == []
    assert watch.counts == {}


def test_what_few_rows_show_is_not_told():
    watch, truth = RewardWatch("pixel"), drawn(64)
    turned = ["[10, 20, 30, 40, 30]"] * 7
    assert add(watch, turned + ["no idea"] * 57, truth) == []
    [sentence] = add(RewardWatch("pixel"), [*turned, "[10, 20, 30, 40, 60]"] + ["no idea"] * 56, truth)
    assert "8 of 8 answers are turned boxes" in sentence


def text_of(sign, truth):
    if sign == "same-box":
        return ["[10, 20, 30, 40]"] * len(truth)
    if sign == "whole-image":
        return [f"[{i % 5}, 0, 799, {795 + i % 5}]" for i in range(len(truth))]
    if sign == "repeated-boxes":
        return [f"[{box}, {box}]" for box in truth.int().tolist()]
    if sign == "cut-off":
        return [text.removesuffix("</answer>") for text in near(truth)]
    if sign == "thoughts-unopened":
        return [text.removeprefix("<think>") for text in near(truth)]
    return [str(box) for box in truth.int().tolist()]  # groups-alike


@pytest.mark.parametrize("sign", [sign for sign in SIGNS if sign != "unreadable-answers"])
def test_each_sign_is_told_once_and_counted(sign):
    watch = RewardWatch("pixel")
    truth = drawn(64).repeat_interleave(4 if sign == "groups-alike" else 1, 0)
    [sentence] = add(watch, text_of(sign, truth), truth)
    assert sentence.startswith("64 of 64 " + ("groups" if sign == "groups-alike" else "answers"))
    again = drawn(128, 3).repeat_interleave(4 if sign == "groups-alike" else 1, 0)
    assert add(watch, text_of(sign, again), again) == []
    assert watch.counts[sign] >= 64 + 128


def test_what_is_still_off_is_told_again_after_some_looks():
    watch, told = RewardWatch("pixel"), []
    for step in range(AGAIN + 2):
        truth = drawn(256, step)
        told.append(len(add(watch, text_of("whole-image", truth), truth)))
    assert told == [1] + [0] * (AGAIN - 1) + [1, 0]


def test_where_the_trainer_tells_what_was_cut_off_the_text_is_not_asked():
    truth = drawn(64)
    answers = [parse_answer(text) for text in near(truth)]
    boxes, sizes = parse_boxes(answers), ([SIZE] * 64, [SIZE] * 64)
    [sentence] = RewardWatch("pixel").add(near(truth), answers, truth, boxes, *sizes, cut=[True] * 30 + [False] * 34)
    assert sentence.startswith("30 of 64 answers end before they are finished")
    unfinished = text_of("cut-off", truth)
    assert RewardWatch("pixel").add(unfinished, answers, truth, boxes, *sizes, cut=[False] * 64) == []


@pytest.mark.parametrize(
    ("text", "think_in_prompt", "unfinished"),
    [
        ("<think>a", False, True),
        ("a", True, True),
        ("a</think>[1, 2, 3, 4]", True, False),
        ("[1, 2, 3, 4]", False, False),
        ("<think>a</think><answer>[1, 2", False, True),
        ("<think><answer></think><answer>[1, 2, 3, 4]</answer>", False, False),
    ],
)
def test_an_element_that_is_not_closed_says_that_the_answer_was_cut_off(text, think_in_prompt, unfinished):
    signs = Signs(think_in_prompt)
    signs.update([text], [parse_answer(text, think_in_prompt)], ["q"])
    assert signs.counts.get("cut-off", 0) == unfinished


@pytest.mark.parametrize(
    ("completion_ids", "expected"),
    [
        ([[5, 2], [5, 6, 2], [5, 6, 7]], [False, False, True]),
        ([[5, 6], [5, 7], [8, 9]], [True, True, True]),  # not one has ended by itself
        ([[5, 2], [6, 2]], [False, False]),
        ([[5, 6, 7]], [False]),
        ([[], [5]], [False, True]),
        ([], []),
    ],
)
def test_a_longest_completion_that_ends_like_no_shorter_one_was_cut_off(completion_ids, expected):
    assert cut_off(completion_ids) == expected


def test_signs_of_parts_are_those_of_the_whole():
    truth = drawn(90)
    texts = [*text_of("whole-image", truth)[:30], *text_of("repeated-boxes", truth)[30:60], *["[1, 2, 3, 4]"] * 30]
    answers, questions = [parse_answer(text) for text in texts], [i // 3 for i in range(90)]

    def counted(*bounds):
        signs = Signs()
        for low, high in zip((0, *bounds), (*bounds, 90), strict=True):
            part, some = Signs(), slice(low, high)
            part.update(texts[some], answers[some], questions[some], whole=[i < 30 for i in range(90)][some])
            signs.merge(part)
        return signs.counts, signs.findings()

    assert counted() == counted(30, 45) == counted(3, 60)
    assert counted()[0] == {"groups-alike": 10, "whole-image": 30, "repeated-boxes": 30}


def test_weights_that_are_mostly_at_a_bound_are_told_now_and_then():
    watch, hopeless = WeightWatch(normalize=True), torch.zeros(32, 8)
    told = [watch.add(*group_statistics(hopeless)) for _ in range(2 * AGAIN + 2)]
    assert {share for share, _ in told} == {1}
    assert [i for i, (_, messages) in enumerate(told) if messages] == [1, 2 * AGAIN + 1]
    assert told[1][1][0].startswith("64 of 64 groups have a weight at a bound of clip=(0.5, 3.0)")


def test_weights_within_their_bounds_are_not_told():
    watch, ious = WeightWatch(clip=[0.1, 9]), torch.rand(64, 8, generator=torch.Generator().manual_seed(0))
    assert watch.add(*group_statistics(ious)) == (0, [])
    half = torch.cat([torch.zeros(64, 8), ious])
    assert consistency_weight(half, clip=(0.1, 3)).eq(3).float().mean() == 0.5
    assert WeightWatch(clip=[0.1, 3]).add(*group_statistics(half)) == (0.5, [])


def test_unreadable_answers_are_told_when_they_become_more():
    watch, told = RewardWatch("pixel"), []
    for step, broken in enumerate((60, 20, 30, 60)):
        truth = drawn(64, step)
        told.append(add(watch, ["no idea"] * broken + near(truth)[broken:], truth))
        while watch.waiting:  # later looks are at more rows
            truth = drawn(64, step + 10 * len(watch.waiting))
            told[-1] += add(watch, ["no idea"] * broken + near(truth)[broken:], truth)
    assert told[:3] == [[], [], []]
    assert "there were fewer" in told[3][0]


def test_a_thought_that_the_template_opens_is_right_where_that_was_told():
    watch, truth = RewardWatch("pixel", think_in_prompt=True), drawn(64)
    assert add(watch, text_of("thoughts-unopened", truth), truth) == []


def test_nothing_there_is_an_answer():
    watch, empty = RewardWatch("pixel"), [torch.empty(0, 4)] * 64
    answers = [parse_answer("none")] * 64
    for _ in range(2):
        assert watch.add(["none"] * 64, answers, empty, empty) == []
        assert "unreadable-answers" not in watch.counts


def test_turned_boxes_and_unknown_sizes():
    watch = RewardWatch("pixel", "oriented")
    truth = torch.cat([drawn(64)[:, :2], torch.full((64, 2), 30.0), torch.full((64, 1), 0.3)], 1).double()
    texts = [f"[{x}, {y}, {x + 30}, {y + 20}, {i}]" for i, (x, y, *_) in enumerate(truth.int().tolist())]
    answers = [parse_answer(text) for text in texts]
    boxes = [box[None] for box in parse_boxes(answers, kind="oriented")]
    assert watch.add(texts, answers, [box[None] for box in truth], boxes) == []


def test_a_watch_can_be_pickled_half_full():
    watch, truth = RewardWatch("qwen3-vl"), drawn(64)
    texts = ["[0.1, 0.2, 0.3, 0.4]"] * 64
    add(watch, texts[:60], truth[:60])
    again = pickle.loads(pickle.dumps(watch))  # noqa: S301
    assert len(add(again, texts[60:], truth[60:])) >= 1
    assert set(again.counts) <= set(NAMES)


def test_the_real_rollouts_raise_nothing():
    file = Path(__file__).parents[3] / "shared" / "data" / "rollouts_dev.jsonl"
    if not file.exists():
        pytest.skip("the real rollouts of ../shared/data are not here")
    rows = [json.loads(line) for line in file.open()]
    for log in {row["log"] for row in rows}:
        watch = RewardWatch("pixel")
        some = [row for row in rows if row["log"] == log]
        for start in range(0, len(some), 32):
            batch = some[start : start + 32]
            texts, answers = zip(*((row["completion"], parse_answer(row["completion"])) for row in batch), strict=True)
            truth = torch.cat([parse_boxes([str(row["target"])]) for row in batch])
            sizes = {side: [row.get(side) for row in batch] for side in ("width", "height")}
            assert watch.add(texts, answers, truth, parse_boxes(answers), **sizes) == []
        assert watch.seen >= 256
