import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rsreward import parse_answer
from rsreward.answers.parse import DIALECTS, PROBLEMS, _any_answer, _plain_answer, boxes_of
from rsreward.answers.shapes import PLAIN

from .answer_cases import NO_ANSWERS, NO_BOXES, NOT_READ, NOTHING, READ, THOUGHTS, VARIANTS, tables

SHARED = Path(__file__).parents[3] / "shared" / "data" / "answers_dev.jsonl"

# text, kind, boxes, problems
CASES = {
    "answer element": ("<think>a</think><answer>[1, 2, 3, 4]</answer>", "horizontal", [(1, 2, 3, 4)], ()),
    "json": ('<answer>{"bbox_2d": [1, 2, 3, 4], "label": "car"}</answer>', "horizontal", [(1, 2, 3, 4)], ()),
    "json that is none": ('<answer>["{"bbox_2d": [1, 2, 3, 4]}"]</answer>', "horizontal", [(1, 2, 3, 4)], ()),
    "fence": ('```json\n[\n\t{"bbox_2d": [1, 2, 3, 4]}\n]\n```', "horizontal", [(1, 2, 3, 4)], ()),
    "prose": ("The box is [1, 2, 3, 4].", "horizontal", [(1, 2, 3, 4)], ()),
    "full width": ("【1，2，3，4】", "horizontal", [(1, 2, 3, 4)], ()),
    "leading zeros": ("[[097, 514, 283, 996]]", "horizontal", [(97, 514, 283, 996)], ()),
    "fractions": ("[0.1, .25, 5e-1, 1.]", "horizontal", [(0.1, 0.25, 0.5, 1)], ()),
    "two boxes": ("[[1, 2, 3, 4], [5, 6, 7, 8]]", "horizontal", [(1, 2, 3, 4), (5, 6, 7, 8)], ()),
    "twice the same": ("[1, 2, 3, 4](link [1, 2, 3, 4])", "horizontal", [(1, 2, 3, 4)], ("duplicate",)),
    "corner pairs": ("<|box_start|>(1,2),(3,4)<|box_end|>", "horizontal", [(1, 2, 3, 4)], ()),
    "corners in both brackets": (
        "(1,2),(5,2),[5,4],[1,4]", "quad", [(1, 2, 5, 2, 5, 4, 1, 4)], (),
    ),
    "corner pair and a point": ("(1,2),(3,4),[5,6]", "horizontal", [(1, 2, 3, 4)], ()),
    "round brackets": ("It is at (1, 2, 3, 4)", "horizontal", [(1, 2, 3, 4)], ()),
    "geochat": ("{<9><4><11><5>|<40>}<delim>{<1><2><3><4>|<5>}", "oriented", [(9, 4, 11, 5, 40), (1, 2, 3, 4, 5)], ()),
    "bins": ("<23><294><106><525>", "horizontal", [(23, 294, 106, 525)], ()),
    "oriented list": ("[[1, 2, 3, 4, 90]][[5, 6, 7, 8, 0]]", "oriented", [(1, 2, 3, 4, 90), (5, 6, 7, 8, 0)], ()),
    "html": ('<p data-bbox="1 2 3 4">', "horizontal", [(1, 2, 3, 4)], ()),
    "point": ('<point x="50.5" y="69.0">', "point", [(50.5, 69)], ()),
    "inverted": ("[44, 92, 901, 91]", "horizontal", [(44, 92, 901, 91)], ("inverted",)),
    "degenerate": ("[4, 2, 4, 9]", "horizontal", [(4, 2, 4, 9)], ("degenerate",)),
    "cut off": ("[[1, 2, 3, 4], [5, 6, 1", "horizontal", [(1, 2, 3, 4)], ("truncated",)),
    "cut off inside a number": ("<answer>[10, 20, 30, 18", "none", [], ("answer-unclosed", "truncated")),
    "three numbers": ("[1, 2, 3]", "none", [], ("wrong-count",)),
    "plain numbers": ("On 2024 06 12 it was 30 by 40 m, call 555 123 456 789.", "none", [], ("loose-numbers",)),
    "six numbers": ("[1, 2, 3, 4, 5, 6]", "none", [], ("wrong-count",)),
    "six numbers with units": ("[1px, 2px, 3px, 4px, 5px, 6px]", "none", [], ("wrong-count",)),
    "five tokens": ("<loc_1><loc_2><loc_3><loc_4><loc_5>", "none", [], ("wrong-count",)),
    "template": ("[x1, y1, x2, y2]", "none", [], ("no-box",)),
    "label": ('{"bbox_2d": [1, 2, 3, 4], "label": "gate [9, 9, 10, 10]"}', "horizontal", [(1, 2, 3, 4)], ()),
    "label in quotes": ("{'label': 'gate [9, 9, 10, 10]', 'box': [1, 2, 3, 4]}", "horizontal", [(1, 2, 3, 4)], ()),
    "label with quotes": (r'{"name": "\"a\" [9, 9, 10, 10]", "box": [1, 2, 3, 4]}', "horizontal", [(1, 2, 3, 4)], ()),
    "box in quotes": ('{"bbox_2d": "[1, 2, 3, 4]"}', "horizontal", [(1, 2, 3, 4)], ()),
    "phone number": ("(555-123-456-789)", "none", [], ("loose-numbers",)),
    "date": ("Taken on [2024-06-12, 14].", "none", [], ("loose-numbers",)),
    "version": ("[1.2.3.4.5]", "none", [], ("no-box",)),
    "second think never closes": ("<think>a</think>b<think>maybe [1, 2, 3, 4]", "none", [], ("no-answer",)),
    "beyond float32": ("[1, 2, 3, 1e39]", "none", [], ("not-finite",)),
    "box in think only": ("<think>[1, 2, 3, 4]</think>none", "none", [], ()),
    "think never closes": ("<think>[1, 2, 3, 4]", "none", [], ("no-answer",)),
    "answer in a think that never closes": (
        "<think>so <answer>[1, 2, 3, 4]</answer>", "horizontal", [(1, 2, 3, 4)], ("after-think-unclosed",),
    ),
    "two thinks": ("<think>a</think>[9, 9, 10, 10]<think>b</think>[1, 2, 3, 4]", "horizontal", [(1, 2, 3, 4)], ()),
    "infinite": ("[1, 2, 3, 1e999]", "none", [], ("not-finite",)),
    "400 digits": (f"[1, 2, 3, {'9' * 400}]", "none", [], ("not-finite",)),
    "empty": ("", "none", [], ("no-answer",)),
    "label that is a list and more": (
        '{"label": "(1, 2, 3, 4) planes", "box": [9, 9, 10, 10]}', "horizontal", [(9, 9, 10, 10)], (),
    ),
    "key with a list": ('{"plane (1, 2, 3, 4)": [9, 9, 10, 10]}', "horizontal", [(9, 9, 10, 10)], ()),
    "label that is cut off": ('[{"label": "ship (1, 2, 3, 4) on th', "none", [], ("no-box",)),
    "json in a string": ('{"answer": "{\\"bbox_2d\\": [1, 2, 3, 4]}"}', "horizontal", [(1, 2, 3, 4)], ()),
    "geochat cut off in the angle": ("{<10><20><30><40>|<4", "none", [], ("loose-numbers",)),
    "quad cut off": ("(10,20),(30,25),(28,45),(8,4", "point", [(10, 20), (30, 25), (28, 45)], ("truncated",)),
    "pair and a remark": ("(1,2),(3,4), (near the road)", "horizontal", [(1, 2, 3, 4)], ()),
    "think inside the answer": (
        "<answer><think>maybe [1, 2, 3, 4]</answer>", "none", [], ("after-think-unclosed",),
    ),
    "answer closed twice": ("<answer>none</answer> or [1, 2, 3, 4] </answer>", "none", [], ("trailing-text",)),
    "four corner points": ("[[1, 2], [5, 2], [5, 4], [1, 4]]", "quad", [(1, 2, 5, 2, 5, 4, 1, 4)], ()),
    "four corner pairs": ("(1,2), (5,2), (5,4), (1,4)", "quad", [(1, 2, 5, 2, 5, 4, 1, 4)], ()),
    "two boxes as corner pairs": ("(1,2),(3,4)(5,6),(7,8)", "horizontal", [(1, 2, 3, 4), (5, 6, 7, 8)], ()),
    "five points": ("[1, 2], [3, 4], [5, 6], [7, 8], [9, 9]", "point", [(1, 2), (3, 4), (5, 6), (7, 8), (9, 9)], ()),
    "comma at the end": ("[1, 2, 3, 4,]", "horizontal", [(1, 2, 3, 4)], ()),
    "negative angle": ("{<1><2><3><4>|<-30>}", "oriented", [(1, 2, 3, 4, -30)], ()),
    "restart inside a box": ("[[10, 20, [1, 2, 3, 4]]", "horizontal", [(1, 2, 3, 4)], ()),
    "text after the answer": ("<answer>[1, 2, 3, 4]</answer> Done.", "horizontal", [(1, 2, 3, 4)], ("trailing-text",)),
    "answer again and cut off": (
        "<answer>[1, 2, 3, 4]</answer><answer>[1, 2", "horizontal", [(1, 2, 3, 4)], ("trailing-text",),
    ),
    "prompt echo": ("Put it in <answer> </answer>. <answer>[1, 2, 3, 4]</answer>", "horizontal", [(1, 2, 3, 4)], ()),
    "a thousand boxes": ("[9, 8, 10, 11] " * 1000 + "[1", "horizontal", [(9, 8, 10, 11)], ("truncated", "duplicate")),
    "too long": ("[1, 2, 3, 4]" + " " * 20_000 + "[5, 6, 7, 8]", "horizontal", [(1, 2, 3, 4)], ("too-long",)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_shape(name):
    text, kind, boxes, problems = CASES[name]
    answer = parse_answer(text)
    assert (answer.kind, list(answer.boxes), answer.problems) == (kind, boxes, problems)


def test_every_dialect_and_every_way_of_not_being_read_has_its_example():
    assert {name: parse_answer(text).dialect for name, text in READ.items()} == {d: d for d in DIALECTS}
    assert {name: parse_answer(text).problems for name, text in NOT_READ.items()} == {
        name: (name,) for name in NOT_READ
    }
    assert set(NOT_READ) < set(PROBLEMS)


@pytest.mark.parametrize("name", READ)
def test_the_examples_in_the_docs_are_the_box_of_10_20_30_40(name):
    box = {"oriented": (10, 20, 30, 40, 45), "quad": (10, 20, 30, 20, 30, 40, 10, 40), "point": (10, 20)}
    answer = parse_answer(READ[name])
    assert answer.boxes == (box.get(answer.kind, (10, 20, 30, 40)),)
    assert answer.problems == ()


@pytest.mark.parametrize("text", VARIANTS)
def test_other_ways_to_write_the_same_box(text):
    answer = parse_answer(text)
    assert (answer.boxes, answer.problems) == (((10, 20, 30, 40),), ())


@pytest.mark.parametrize("text", NO_BOXES)
def test_what_could_be_something_else_is_not_read_but_named(text):
    answer = parse_answer(text)
    assert not answer.boxes
    assert answer.problems
    assert not answer.says_none


@pytest.mark.parametrize("text", NOTHING)
def test_the_answer_that_there_is_nothing(text):
    assert parse_answer(text).says_none


@pytest.mark.parametrize("text", THOUGHTS)
def test_a_thought_is_not_the_answer(text):
    answer = parse_answer(text)
    assert (answer.boxes, answer.problems) == (((5, 6, 7, 8),), ())


@pytest.mark.parametrize("text", NO_ANSWERS)
def test_a_thought_without_an_answer(text):
    assert parse_answer(text).problems == ("no-answer",)


def test_a_thought_that_the_template_opened():
    answers = ["maybe [1, 2, 3, 4] or", "maybe [1, 2, 3, 4]</think>[5, 6, 7, 8]", "< / Think >[5, 6, 7, 8]"]
    read = [parse_answer(text, think_in_prompt=True) for text in answers]
    assert [answer.boxes for answer in read] == [(), ((5, 6, 7, 8),), ((5, 6, 7, 8),)]
    assert read[0].problems == ("no-answer",)
    assert parse_answer(answers[0]).boxes == ((1, 2, 3, 4),)


def test_a_click_is_the_answer_though_it_is_called_as_a_tool():
    call = '<tool_call>{"arguments": {"action": "click", "coordinate": [447, 81]}}</tool_call>'
    assert parse_answer("Thought: the search bar.\n" + call).boxes == ((447, 81),)


def test_boxes_of_two_kinds_are_all_kept():
    coarse, turned = (10, 20, 30, 40), (50, 50, 90, 90, 45)
    answer = parse_answer("[10, 20, 30, 40] {<50><50><90><90>|<45>}")
    assert (answer.boxes, answer.kind, answer.problems) == ((coarse,), "horizontal", ("two-kinds",))
    assert answer.mixed == (coarse, turned)
    assert boxes_of(answer, "horizontal") == (coarse,)
    assert boxes_of(answer, "oriented") == (turned,)
    keys = parse_answer('{"horizontal_bbox": [10, 20, 30, 40], "oriented_bbox": [50, 50, 90, 90, 45]}')
    assert (keys.mixed, keys.problems) == ((coarse, turned), ("coarse-and-turned",))


def test_corners_out_of_order_are_named_and_a_fifth_number_that_may_be_a_score():
    assert parse_answer("[1, 1, 9, 9, 9, 1, 1, 9]").problems == ("crossed",)
    assert parse_answer("[1, 1, 9, 1, 9, 9, 1, 9]").problems == ()
    assert parse_answer("[112, 364, 198, 449, 0.93]").problems == ("fraction-fifth",)


FIELD = SHARED.parent / "field"
NEEDS_SPACE = ("PaliGemma (y first)", "Gemini (y first)")  # whose order of the axes is the space's
GUESSES = {"click tag (a public GRPO reward)": "unknown-element", "xywh keys": "ambiguous-keys"}
GUESSES |= {"score as fifth": "fraction-fifth"}


@pytest.mark.skipif(not FIELD.exists(), reason="the field cases lie beside the project, not in it")
@pytest.mark.parametrize("name", ["spellings", "tags"])
def test_field_cases(name):
    for row in map(json.loads, (FIELD / f"{name}.jsonl").open()):
        answer = parse_answer(row["completion"])
        x1, y1, x2, y2 = row["target"]
        box = (y1, x1, y2, x2) if row["name"] in NEEDS_SPACE else (x1, y1, x2, y2)
        if row["name"] in GUESSES:
            assert answer.problems == (GUESSES[row["name"]],)
        else:
            assert (answer.boxes, answer.problems) == ((box,), ()), row["name"]


def test_the_docs_list_what_is_read_and_what_is_not():
    docs = (Path(__file__).parents[2] / "docs" / "answers.md").read_text()
    assert tables() in docs, "print it with `python tests/core/answer_cases.py`"


@pytest.mark.skipif(not SHARED.exists(), reason="the sample of real answers lies beside the project, not in it")
def test_real_answers():
    rows = [json.loads(line) for line in SHARED.open()]
    for row in rows:
        answer = parse_answer(row["text"])
        assert answer.kind == row["kind"], row["id"]
        assert [list(box) for box in answer.boxes] == row["expected"], row["id"]


@given(st.text() | st.text(alphabet='[](){}<>|0123456789.,-eE"x think/answer\n\ud800'))
def test_no_text_raises(text):
    answer = parse_answer(text)
    assert (answer.kind == "none") == (not answer.boxes) == (answer.dialect == "none")
    assert set(answer.problems) <= set(PROBLEMS)
    assert not (answer.says_none and answer.boxes) or not any(map(any, answer.boxes))


PIECES = [
    *'[](){}<=",:', "[[", ", ", "\n", " ", "，", "\t", "\r\n", "\u3000",
    "```json\n", "```", '"bbox_2d": ', '"label": "a"', '"label": "x [1]"', "box ",
    *["1", "2.5", "-3", "40", "500", ".5", "1e40"], "[1, 2, 3, 4]",
    '{"bbox_2d": [10, 20, 30, 40]', "data-bbox='1, 2, 3, 4'",
]  # fmt: skip


def short_way(region):
    plain = PLAIN.match(region)
    return plain and _plain_answer(plain, [])


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
def test_the_short_way_for_plain_answers_reads_what_the_long_way_reads(region):
    short = short_way(region)
    assert short is None or short == _any_answer(region, [])


@pytest.mark.parametrize("name", ["list", "dict", "fenced"])
def test_plain_answers_take_the_short_way(name):
    region = {"list": "[1, 2, 3, 4]", "dict": ' {"bbox_2d": [1, 2, 3.5, 4], "label": "a"}\n',
              "fenced": '```json\n[{"bbox_2d": [1, 2, 3, 4]}]\n```'}[name]  # fmt: skip
    assert short_way(region) is not None


HOSTILE = [
    "[", "<", "(", "{<1>", "[1,", "[1 ", "1,", "<1>", "(1,2)", "[" + " " * 50, '"label": "', "<point x=", "<answer>",
    "<think>", "9", "[1,2,3,4],", "\n", "data-bbox='1 ", ':"', ":'\\\\", '":"a',
]  # fmt: skip


@pytest.mark.parametrize("piece", HOSTILE)
def test_reading_takes_linear_time(piece):
    def seconds(length):
        text = "[" + piece * (length // len(piece))
        runs = []
        for _ in range(3):
            start = time.process_time()
            parse_answer(text)
            runs.append(time.process_time() - start)
        return min(runs)

    assert seconds(400_000) < 40 * max(seconds(50_000), 1e-3)  # 8 if linear, 64 if quadratic
