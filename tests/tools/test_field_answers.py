"""What people meet in public threads about answers and dumps: scored right, or said or refused in a sentence."""

import json
from math import radians

import pytest
from score_files import written

SIZED = {"width": 800, "height": 800}


# What is not the answer.


def test_a_thought_that_the_template_opened_is_not_the_answer(score):  # case 08
    cut = {"completion": "The first at [10, 10, 90, 90], or [200, 200, 300, 300]?", "target": [10, 10, 90, 90]}
    whole = {"completion": "Not [1, 2, 3, 4].</think><answer>[10, 10, 90, 90]</answer>", "target": [10, 10, 90, 90]}
    assert score([cut])[0]["acc@0.5"] == 1  # nothing tells that it is a thought
    metrics, _, _ = score([cut, whole], "--think-in-prompt")
    assert (metrics["acc@0.5"], metrics["parse_rate"], metrics["format_reward"]) == (0.5, 0.5, 0.5)


def test_what_tools_say_is_not_the_answer(score):  # case 09
    call = '<tool_call>{"name": "zoom", "arguments": {"bbox_2d": [500, 0, 1000, 500]}}</tool_call>'
    turns = [
        {"role": "assistant", "content": f"I look closer. {call}"},
        {"role": "tool", "content": [{"type": "text", "text": "crop of [500, 0, 1000, 500]"}]},
        {"role": "assistant", "content": "The ship: [610, 120, 690, 180]"},
    ]
    ends = {"completion": turns, "target": [610, 120, 690, 180]}
    assert score([ends])[0]["acc@0.5"] == 1
    called = {"completion": turns[:2], "target": [500, 0, 1000, 500]}
    assert score([called])[0]["parse_rate"] == 0


def test_only_the_answer_that_there_is_nothing_is_right_where_there_is_nothing(tmp_path, rsreward):  # case 11
    right = ["[]", "", "No Objects", "None", '{"bbox_2d": null}', "[0, 0, 0, 0]"]
    texts = [f"<think>none</think><answer>{text}</answer>" for text in right]
    wrong = ["<think>no", "Sorry, I cannot help.", "<think>one</think><answer>[10, 10, 50, 50]</answer>"]
    file = written(tmp_path, *({"completion": text, "target": []} for text in texts + wrong))
    metrics = json.loads(rsreward("score", file, "--json", "--out", tmp_path / "out").stdout)["metrics"]
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [line["set_reward"] for line in lines] == [1] * 6 + [0] * 3
    assert [line["parsed"] for line in lines] == [True] * 6 + [False, False, True]
    assert metrics["parse_rate"] == pytest.approx(7 / 9)


@pytest.mark.parametrize(
    "text",
    [
        "< think >At [700, 100, 800, 300].< / think >< answer >[100, 200, 300, 400]< / answer >",
        "<THINK>At [700, 100, 800, 300].</THINK><ANSWER>[100, 200, 300, 400]</ANSWER>",
        "<reasoning>At [700, 100, 800, 300].</reasoning>[100, 200, 300, 400]",
        "◁think▷At [700, 100, 800, 300].◁/think▷[100, 200, 300, 400]",
        "Thought: at [700, 100, 800, 300]?\nAnswer: [100, 200, 300, 400]",
    ],
)
def test_thoughts_in_other_tags_are_left_out_and_the_format_stays_strict(score, text):  # case 19
    metrics, _, _ = score([{"completion": text, "target": [100, 200, 300, 400]}])
    assert (metrics["acc@0.5"], metrics["format_reward"]) == (1, 0)


# Forms.


def test_spellings_that_are_a_guess_are_named(tmp_path, rsreward):  # case 10
    read = ["112, 364, 198, 449", "<box>112 364 198 449</box>", "\\boxed{112, 364, 198, 449}"]
    read += ["[[112, 364], [198, 449]]", '{"x1": 112, "y1": 364, "x2": 198, "y2": 449}', "[112px, 364px, 198px, 449px]"]
    guesses = {"loose-numbers": "It goes from 112, 364 over to 198, 449.", "percent": "11%, 36%, 20%, 45%"}
    rows = [{"completion": text, "target": [112, 364, 198, 449]} for text in [*read, *guesses.values()]]
    result = json.loads(rsreward("score", written(tmp_path, *rows), "--json").stdout)
    assert result["metrics"]["acc@0.5"] == 6 / 8
    assert result["problems"]["none"] == {"answers": 2, "loose-numbers": 1, "percent": 1}


def test_turned_answers_are_scored_by_their_hull_where_that_is_asked_for(score):  # case 03
    rows = [
        SIZED | {"completion": "{<10><13><18><21>|<90>}", "target": [80, 104, 144, 168]},
        SIZED | {"completion": "{<50><44><62><84>|<90>}", "target": [288, 464, 608, 560]},
        SIZED | {"completion": "{<10><20><30><40>|<0>}", "target": [80, 160, 240, 320]},
    ]
    metrics, found, said = score(rows, "--space", "geochat")
    assert (metrics["acc@0.5"], found) == (pytest.approx(1 / 3), ["turned-answers"])
    assert "3 of 3 answers are turned boxes" in said
    metrics, found, _ = score(rows, "--space", "geochat", "--hull")
    assert (metrics["miou"], metrics["parse_rate"], found) == (pytest.approx(1, abs=1e-6), 1, [])
    sets = [row | {"target": [row["target"]]} for row in rows]
    assert score(sets, "--space", "geochat", "--hull")[0]["f1@0.7"] == 1


def test_centre_and_sides_in_0_100_are_read(score):  # case 04
    row = {"completion": "<rbox>({<51.17><11.13><3.12><8.98>|<58>})</rbox>", "target": [262, 57, 16, 46, radians(58)]}
    options = ("--kind", "oriented", "--image-size", "512x512")
    assert score([row], *options, "--space", "skysensegpt")[0]["miou"] > 0.97
    assert score([row], *options, "--space", "norm100", "--five", "le90")[0]["miou"] > 0.97


BOX = [100, 100, 200, 200]
# Of each: a row, the options that it needs, and whether it holds a set.
DUMPS = {
    "VRSBench": (
        {"answer": "{<25><40><30><50>}", "ground_truth": "{<25><40><30><50>}", "type": "ref"},
        ["--space", "norm100", "--target-space", "norm100", "--image-size", "512x512"],
    ),
    "EarthDial": (
        {"answer": "[[40, 57, 48, 65, 90]]", "gt_bbox": "[[40, 57, 48, 65, 90]]"},
        ["--kind", "oriented", "--space", "earthdial", "--target-space", "earthdial", "--image-size", "100x100"],
    ),
    "EasyR1": ({"output": f"<answer>{BOX}</answer>", "gts": f"{BOX}", "score": 1.0, "step": 1}, []),
    "EasyR1, two": ({"output": f"{BOX}, [300, 300, 400, 420]", "gts": f"{BOX}, [300, 300, 400, 420]"}, []),
    "LLaMA-Factory": ({"predict": f'{{"bbox_2d": {BOX}}}', "label": f'{{"bbox_2d": {BOX}}}'}, []),
    "ms-swift": ({"response": f'[{{"bbox_2d": {BOX}}}]', "labels": f'[{{"bbox_2d": {BOX}, "label": "a"}}]'}, []),
    "ms-swift's GRPO": (
        {"step": ["1", "1"], "completion": [f"{BOX}", f"{BOX}"], "target": [BOX, BOX], "width": [840, 840]}, [],
    ),
    "Visual-RFT": (
        {"completion": f"[{{'Position': {BOX}}}]", "solution": f"<answer>[{{'Position': {BOX}}}]</answer>"}, [],
    ),
    "VLM-R1": (
        {"model_output": "[97, 187, 193, 280]", "ground_truth": [100, 200, 200, 300]}
        | {"image_size": [420, 840], "input_size": [392, 812], "extracted_answer": [0, 0, 1, 1]},
        ["--space", "qwen2.5-vl", "--max-pixels", str(406 * 812)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DUMPS)
def test_dumps_of_trainers_and_benchmarks_are_scored_as_they_are(score, name):  # case 13
    row, options = DUMPS[name]
    metrics, found, _ = score([row], *options)
    assert metrics.get("acc@0.7", metrics.get("f1@0.7")) == 1
    assert ("f1@0.7" in metrics) == (name == "EasyR1, two")
    assert metrics["rows"] == (2 if "GRPO" in name else 1)
    assert found == []


def test_one_json_object_with_results_is_rows(tmp_path, score, refused):  # case 13
    rows = [DUMPS["VLM-R1"][0]] * 3
    for indent in (None, 2):
        file = tmp_path / "results.json"
        file.write_text(json.dumps({"accuracy": 100.0, "results": rows}, indent=indent))
        assert score(file, *DUMPS["VLM-R1"][1])[0]["acc@0.5"] == 1
    said = refused(file, "--space", "qwen2.5-vl")
    assert (
        "line 1 was seen at a height and width of [392, 812] ('input_size'), and the space 'qwen2.5-vl' makes" in said
    )
    assert "[420, 840] of its image: tell --space, and --min-pixels or --max-pixels." in said


def test_a_size_that_may_be_either_way_round_is_not_guessed(score, refused):
    row = {"completion": f"{BOX}", "target": BOX, "image_size": [600, 800]}
    assert "'image_size' [600, 800] may begin with the width or the height" in refused([row])
    assert score([row | {"width": 600, "height": 800}])[0]["acc@0.5"] == 1


def test_columns_of_different_lengths_are_not_rows(refused):
    row = {"completion": ["[1, 2, 3, 4]"] * 2, "target": [[1, 2, 3, 4]] * 3}
    assert "holds columns, and they are not of one length" in refused([row])


def test_texts_with_one_box_and_with_several_are_sets_wherever_the_first_several_stand(score):
    one, two = f"{BOX}", f"{BOX}, [300, 300, 400, 420]"
    rows = [{"output": text, "gts": text} for text in (one, one, two)]
    assert score(rows)[0]["f1@0.5"] == 1
    assert score(rows[:2])[0]["acc@0.5"] == 1


# Against the tests of peers.


def test_an_answer_of_two_kinds_is_not_well_formed(score):
    text = "<think>a</think><answer>[10, 20, 30, 40] {<50><50><90><90>|<45>}</answer>"
    assert score([{"completion": text, "target": [10, 20, 30, 40]}])[0]["format_reward"] == 0


def test_of_a_coarse_and_a_turned_box_the_turned_one_is_scored(score):
    text = '{"horizontal_bbox": [40, 40, 60, 60], "oriented_bbox": [40, 45, 60, 55, 30]}'
    row = {"completion": text, "target": [50, 50, 20, 10, radians(30)]}
    assert score([row], "--kind", "oriented")[0]["miou"] == pytest.approx(1)


def test_a_tie_of_a_box_that_is_turned_by_90_degrees_counts(score):
    row = {"completion": "[[26, 87, 30, 91, 90]]", "target": [28, 87.5, 4, 5, 0]}
    options = ("--kind", "oriented", "--space", "earthdial", "--image-size", "100x100")
    assert score([row], *options)[0]["acc@0.5"] == 1


def test_le90_scales_both_sides_by_the_width(score):
    row = {"completion": "[50, 50, 20, 10, -90]", "target": [500, 250, 200, 100, radians(-90)]}
    options = ("--kind", "oriented", "--space", "norm100", "--five", "le90", "--image-size", "1000x500")
    assert score([row], *options)[0]["miou"] == pytest.approx(1)


def test_quads_out_of_order_are_sorted_and_named(tmp_path, rsreward):
    row = {"completion": "[10, 10, 90, 90, 90, 10, 10, 90]", "target": [50, 50, 80, 80, 0]}
    result = json.loads(rsreward("score", written(tmp_path, row), "--kind", "oriented", "--json").stdout)
    assert result["metrics"]["miou"] == pytest.approx(1)
    assert result["problems"]["list"]["crossed"] == 1


# What was right stays right.


def test_lines_of_windows_leading_zeros_and_reasoning_in_a_field_of_its_own(tmp_path, score):
    rows = [
        {"completion": "[012, 020, 030, 040]", "target": [12, 20, 30, 40]},
        {"completion": [{"role": "assistant", "reasoning_content": "[1, 2, 3, 4]", "content": "[12, 20, 30, 40]"}]}
        | {"target": [12, 20, 30, 40]},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b"".join(json.dumps(row).encode() + b"\r\n" for row in rows))
    assert score(file)[0]["miou"] == 1
