import re
import time

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsreward import Answer, format_reward, parse_answer
from rsreward.answers import MAX_ANSWER

GOOD = "<think>Left of it.</think><answer>[1, 2, 3, 4]</answer>"


@pytest.mark.parametrize("text", [GOOD, f"\n {GOOD} \n", GOOD.replace("</think>", "</think>\n\n")])
def test_the_whole_form_scores_1(text):
    assert format_reward([text]) == 1


@pytest.mark.parametrize(
    "text",
    [
        GOOD + " and so on",
        "First: " + GOOD,
        GOOD + GOOD,
        GOOD.replace("</think>", "</think> so "),
        GOOD.removesuffix("</answer>"),
        GOOD.removeprefix("<think>"),
        GOOD.replace("Left of it.", " "),
        GOOD.replace("[1, 2, 3, 4]", ""),
        GOOD.replace("[1, 2, 3, 4]", "nothing"),
        GOOD.replace("[1, 2, 3, 4]", "[[1, 2, 3, 4], [5, 6, 7, 8]]"),
        GOOD.replace("[1, 2, 3, 4]", "[1, 2, 3, 4], [5, 6"),
        GOOD.replace("[1, 2, 3, 4]", "(1, 2)"),
        GOOD.replace("[1, 2, 3, 4]", "[1, 2, 3, 4]" + "." * MAX_ANSWER),
        GOOD.replace("Left of it.", "a <think> b"),
        GOOD.replace("[1, 2, 3, 4]", "[1, 2, 3, 4] {<5><6><7><8>|<9>}"),
        GOOD.replace("[1, 2, 3, 4]", "<tool_call>[1, 2, 3, 4]</tool_call>"),
        GOOD.replace("think", "Think"),
        GOOD.replace("<answer>", "< answer >"),
        GOOD.replace("think", "thinking"),
        "<answer>[1, 2, 3, 4]</answer><think>Left of it.</think>",
        "",
    ],
)
def test_anything_else_scores_0(text):
    assert format_reward([text]) == 0


@pytest.mark.parametrize(
    ("box", "horizontal", "oriented"),
    [("[1, 2, 3, 4]", 1, 1), ("[9, 9, 4, 2, 30]", 0, 1), ("{<10><10><40><20>|<30>}", 0, 1),
     ("[1, 1, 9, 1, 9, 9, 1, 9]", 0, 1), ("[9, 9, 4, 2]", 0, 0)],
)  # fmt: skip
def test_an_answer_must_be_of_the_kind_asked_for(box, horizontal, oriented):
    text = GOOD.replace("[1, 2, 3, 4]", box)
    assert format_reward([text], kind="horizontal") == horizontal
    assert format_reward([text], kind="oriented") == format_reward([text]) == oriented


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="kind must be 'horizontal' or 'oriented', got 'round'"):
        format_reward([GOOD], kind="round")


def test_the_box_is_optional_where_told():
    text = GOOD.replace("[1, 2, 3, 4]", "none")
    assert format_reward([text], require_box=False) == 1


def test_the_template_may_have_opened_the_think_element():
    rest = GOOD.removeprefix("<think>")
    assert format_reward([rest, GOOD], think_in_prompt=True).tolist() == [1, 0]


def test_the_graded_form_gives_the_share_of_the_conditions_met():
    no_box = GOOD.replace("[1, 2, 3, 4]", "there")
    texts = [GOOD, no_box, "so " + no_box, "so " + no_box + ".", "<think>a</think> so <answer>", "[1, 2, 3, 4]", ""]
    assert (format_reward(texts, graded=True) * 6).round().tolist() == [6, 5, 4, 3, 2, 1, 0]
    assert (format_reward(texts, graded=True, require_box=False) * 5).round().tolist() == [5, 5, 4, 3, 2, 0, 0]


def test_answers_that_are_read_already_are_not_read_again():
    texts = [GOOD, GOOD + ".", GOOD.replace("[1, 2, 3, 4]", "none"), "[1, 2, 3, 4]", ""]
    for graded in (False, True):
        expected = format_reward(texts, graded=graded)
        assert torch.equal(format_reward(texts, graded=graded, answers=[parse_answer(t) for t in texts]), expected)
    assert format_reward([GOOD], answers=[Answer()]) == 0  # the answer given counts
    with pytest.raises(ValueError, match="got 1 and 2"):
        format_reward([GOOD], answers=[Answer(), Answer()])


def test_a_coarse_box_and_then_the_turned_one_are_one_box():
    text = GOOD.replace("[1, 2, 3, 4]", '{"horizontal_bbox": [1, 2, 3, 4], "oriented_bbox": [1, 2, 3, 4, 30]}')
    assert format_reward([text], kind="oriented") == 1


PIECES = [
    "<think>",
    "</think>",
    "<answer>",
    "</answer>",
    " ",
    "\n",
    "a",
    "[1, 2, 3, 4]",
    "[1, 2",
    "(5, 6)",
    "< answer >",
    "10, 2, 30, 4",
]
FORM = re.compile(r"\s*<think>(?!\s*</t)(?:[^<]|< )+</think>\s*<answer>(?!\s*</a)(?:[^<]|< )+</answer>\s*")


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_strict_is_the_pattern_over_the_whole_text_and_graded_is_1_just_there(text):
    strict = format_reward([text], require_box=False).item()
    assert strict == bool(FORM.fullmatch(text))
    assert (format_reward([text], require_box=False, graded=True).item() == 1) == strict
    assert (format_reward([text], graded=True).item() == 1) == format_reward([text]).item()


def test_linear_time_on_a_megabyte():
    for text in ("<think>" * 150_000, "<think>a</think><answer>" + "[1," * 300_000, " " * 1_000_000):
        start = time.process_time()
        assert format_reward([text]) == 0
        assert time.process_time() - start < 5


@pytest.mark.parametrize("tag", ["[THINK][1, 2, 3, 4][/THINK]", "◁think▷[1, 2, 3, 4]◁/think▷", "&lt;answer&gt;"])
def test_an_answer_with_tags_of_another_spelling_is_read_as_parse_answer_reads_it(tag):
    text = f"<think>It is left.</think><answer>{{10, 20, 3{tag}[5, 6, 7, 8]}}</answer>"
    assert format_reward([text]).equal(format_reward([text], answers=[parse_answer(text)]))
