"""What people meet who measure grounding, from public threads: scored right, or said or refused in a sentence."""

import json
import re
from math import radians
from pathlib import Path

import pytest
import torch
from PIL import Image
from score_files import written

from rsreward import set_metrics
from rsreward.coordinates import oriented_to_pixels
from rsreward.matching import assign
from rsreward.oriented import pairwise_oriented_iou

DATA = Path(__file__).parents[3] / "shared" / "data"
UNSIGNED = re.compile(r"\[(\d+), (\d+), (\d+), (\d+), (\d+)\]")
SIZED = {"width": 800, "height": 800}


@pytest.fixture
def score(tmp_path, rsreward):
    """A function that scores rows, or a file: the metrics, the names of the findings, and what was said on stderr."""

    def run(source, *options):
        file = source if isinstance(source, Path) else written(tmp_path, *source)
        done = rsreward("score", file, "--json", *options)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert result["broken_rows"] == 0, done.stderr
        return result["metrics"], [finding["finding"] for finding in result["frame"]], done.stderr

    return run


@pytest.fixture
def refused(tmp_path, rsreward):
    """A function that has rows, or a file, refused: the one sentence that says why."""

    def run(source, *options):
        file = source if isinstance(source, Path) else written(tmp_path, *source)
        done = rsreward("score", file, *options)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        return done.stderr

    return run


# The frame of reference.

BOUNDED = [  # in pixels of 616 x 616, which a processor with max_pixels 401408 makes of 800 x 800
    SIZED | {"completion": "[86, 280, 152, 346]", "target": [112, 364, 198, 449]},
    SIZED | {"completion": "[231, 239, 323, 462]", "target": [300, 310, 420, 600]},
    SIZED | {"completion": "[470, 385, 608, 601]", "target": [610, 500, 790, 780]},
]
FRAME = {
    "space": {
        "name": "qwen2.5-vl", "scale": None, "factor": 28, "min_pixels": 3136, "max_pixels": 401408,
        "five": "corners-cw", "order": "xy", "offset": 0.0,
    },
    "think_in_prompt": False,
    "template": "{query}",
}  # fmt: skip


def test_bounds_are_told_or_the_better_ones_named(score):  # case 01
    metrics, found, said = score(BOUNDED, "--space", "qwen2.5-vl")
    assert (metrics["acc@0.5"], found) == (0, ["better-space"])
    assert "would be 0.99, not 0.0" in said
    assert "'qwen2.5-vl' with max_pixels 401408." in said
    metrics, found, said = score(BOUNDED, "--space", "qwen2.5-vl", "--max-pixels", "401408")
    assert (metrics["acc@0.5"], found, said) == (1, [], "")


def test_results_carry_their_frame_with_them_and_what_is_told_wins(tmp_path, score):  # case 01
    (tmp_path / "frame.json").write_text(json.dumps(FRAME))
    for told in ((), ("--space", "qwen2.5-vl"), ("--space", "Qwen/Qwen2.5-VL-3B-Instruct")):
        metrics, found, said = score(BOUNDED, *told)
        assert (metrics["acc@0.5"], found) == (1, [])
        assert said == (
            f"rsreward: read in the frame of {tmp_path / 'frame.json'}: "
            "space qwen2.5-vl, min_pixels 3136, max_pixels 401408.\n"
        )
    metrics, _, said = score(BOUNDED, "--space", "pixel")
    assert metrics["acc@0.5"] == 0
    assert "space pixel. Told otherwise: name 'pixel', not 'qwen2.5-vl'." in said
    metrics, _, said = score(BOUNDED, "--max-pixels", "12845056", "--think-in-prompt")
    assert metrics["parse_rate"] == 0
    assert "Told otherwise: max_pixels 12845056, not 401408; think_in_prompt True, not False." in said


def test_the_files_of_a_comparison_have_frames_of_their_own(tmp_path, rsreward):
    files = []
    for name, bound in (("a", 12845056), ("b", 401408)):
        (tmp_path / name).mkdir()
        frame = FRAME | {"space": FRAME["space"] | {"max_pixels": bound}}
        (tmp_path / name / "frame.json").write_text(json.dumps(frame))
        files.append(written(tmp_path / name, *BOUNDED))
    done = rsreward("compare", *files, "--json")
    found = json.loads(done.stdout)
    assert (found["a"]["acc@0.5"], found["b"]["acc@0.5"]) == (0, 1)
    assert [(finding["file"], finding["finding"]) for finding in found["frame"]] == [("a", "better-space")]
    assert "rsreward: A: in a sample of 3 rows" in done.stderr
    told = rsreward("compare", *files, "--space", "qwen2.5-vl", "--space", "pixel", "--max-pixels", "401408", "--json")
    found = json.loads(told.stdout)
    assert (found["a"]["acc@0.5"], found["b"]["acc@0.5"]) == (1, 0)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not JSON"),
        ('{"space": {"name": "x", "colour": 1}}', "unknown fields colour"),
        ('{"space": {"name": "x", "scale": -1}}', "does not hold a space: the scale of the space 'x' must be positive"),
    ],
)
def test_a_frame_that_cannot_be_read_is_named(tmp_path, refused, content, said):
    (tmp_path / "frame.json").write_text(content)
    assert said in refused(BOUNDED)


def test_a_frame_file_of_something_else_is_not_looked_at_and_is_no_row_of_a_folder(tmp_path, score):
    (tmp_path / "frame.json").write_text('{"frames": 25}')
    written(tmp_path, *BOUNDED)
    assert score(tmp_path)[0]["rows"] == 3
    assert "read in the frame" not in score(tmp_path)[2]


IN_UNIT = [SIZED | {"completion": "[0.75, 0.73, 0.85, 0.83]", "target": [0.25, 0.23, 0.35, 0.33]}] * 3


def test_truth_in_unit_is_refused_where_one_is_added_to_boxes(tmp_path, refused, score, rsreward):  # case 05
    assert "no target has an extent in pixels, such as [0.25, 0.23, 0.35, 0.33]" in refused(
        IN_UNIT, "--convention", "vrsbench", "--out", tmp_path / "out"
    )
    assert not (tmp_path / "out").exists()
    file = written(tmp_path, *IN_UNIT)
    assert "no target has an extent" in rsreward("compare", file, file, "--convention", "vrsbench").stderr
    metrics, found, _ = score(IN_UNIT, "--convention", "vrsbench", "--space", "unit", "--target-space", "unit")
    assert (metrics["acc@0.5"], metrics["miou"], found) == (0, 0, [])
    assert score(IN_UNIT)[1] == ["targets-without-extent", "answers-in-unit"]


def test_truth_in_0_1000_is_said_and_told(score):  # case 06
    boxes = [[137, 582, 413, 847], [64, 261, 154, 447], [460, 483, 686, 640], [399, 443, 614, 698]]
    rows = [{"completion": str(box), "target": box, "width": 597, "height": 640} for box in boxes]
    metrics, found, said = score(rows, "--space", "qwen3-vl")
    assert metrics["acc@0.5"] == 0
    assert found == ["targets-outside-image", "better-target-format"]
    assert "3 of 4 targets leave their image, such as [137, 582, 413, 847] in an image of 597 x 640" in said
    metrics, found, _ = score(rows, "--space", "qwen3-vl", "--target-space", "norm1000")
    assert (metrics["miou"], found) == (pytest.approx(1, abs=1e-5), [])


def test_answers_in_unit_are_said_and_told(score):  # case 07
    rows = [
        {"completion": f"[{x}, 0.2, {x + 0.2:.1f}, 0.5]", "target": [640 * x, 96, 640 * (x + 0.2), 240]}
        | {"width": 640, "height": 480}
        for x in (0.1, 0.3, 0.5)
    ]
    metrics, found, said = score(rows)
    assert (metrics["acc@0.5"], found) == (0, ["answers-in-unit"])
    assert "3 of 3 answers lie within 0..1" in said
    assert "Their mean IoU would be 1.00, not 0.00." in said
    assert score(rows, "--space", "unit")[:2] == (pytest.approx(score(rows, "--space", "kimi-vl")[0]), [])


def test_the_findings_are_on_the_page_and_the_same_from_several_processes(tmp_path, rsreward):
    rows = [{"completion": "[0.1, 0.2, 0.3, 0.5]", "target": [64, 96, 192, 240], "width": 640, "height": 480}] * 2500
    file, page = written(tmp_path, *rows), tmp_path / "page.html"
    results = [
        json.loads(rsreward("score", file, "--json", "--html", page, "--workers", n).stdout)["frame"] for n in (1, 2)
    ]
    assert results[0] == results[1]
    assert results[0][0]["rows"] == results[0][0]["of"] == 2500
    assert "2500 of 2500 answers lie within 0..1" in page.read_text()


def test_geochat_turns_clockwise_and_the_other_sense_is_one_option_away(score):  # case 02
    row = {"completion": "{<40><20><60><80>|<30>}", "target": [50, 50, 20, 60, radians(30)]}
    options = ("--kind", "oriented", "--image-size", "100x100", "--space", "geochat")
    assert score([row], *options)[0]["miou"] == pytest.approx(1)
    assert score([row], *options, "--five", "corners-ccw")[0]["miou"] < 0.6


# Three answers of GeoChat as published, all with the angle 58, and the corners of their objects in 600 x 600.
PUBLISHED = [
    {"answer": "{<94><47><102><55>|<58>}", "ground_truth": [[[584, 337], [619, 313], [601, 282], [565, 304]]]},
]


@pytest.mark.parametrize("corners", [[0, 1, 2, 3], [2, 1, 0, 3], [0, 2, 1, 3], [3, 0, 1, 2, 3]])
def test_polygons_are_truth_from_any_corner_in_any_order(score, corners):  # cases 02, 22
    row, options = PUBLISHED[0], ("--kind", "oriented", "--image-size", "600x600", "--space", "geochat")
    whole = score(PUBLISHED, *options)[0]
    assert whole["f1@0.5"] == 1
    assert whole["set_reward"] == pytest.approx(0.778, abs=5e-4)
    polygon = [row["ground_truth"][0][i] for i in corners]
    assert score([row | {"ground_truth": [polygon]}], *options)[0] == pytest.approx(whole)
    if len(corners) == 4:
        flat = [number for point in polygon for number in point]
        one = score([row | {"ground_truth": flat}], *options, "--target-format", "quad")[0]
        assert one["acc@0.5"] == 1


def test_sizes_are_compared_with_those_of_the_image_files(tmp_path, score):  # case 14
    Image.new("RGB", (1024, 600)).save(tmp_path / "a.png")
    row = {"completion": "[10, 10, 90, 90]", "target": [10, 10, 90, 90], "image": "a.png"}
    _, found, said = score([row | SIZED], "--images", tmp_path)
    assert found == ["size-not-of-image"]
    assert "1 of 1 sizes are not those of the image files, such as 800 x 800 for an image of 1024 x 600" in said
    right = row | {"width": 1024, "height": 600}
    assert score([right, right | {"image": "b.png"}, right | {"image": "../a.png"}], "--images", tmp_path)[1] == []


def test_turned_targets_in_degrees_are_said_and_told(score):  # case 16
    rows = [{"completion": "[40, 45, 60, 55, 30]", "target": [50, 50, 20, 10, 30]}] * 3
    metrics, found, said = score(rows, "--kind", "oriented")
    assert metrics["acc@0.5"] == 0
    assert found[0] == "angles-in-degrees"
    assert "such as [50, 50, 20, 10, 30]: are they degrees, not radians?" in said
    metrics, found, _ = score(rows, "--kind", "oriented", "--target-format", "oriented-degrees")
    assert (metrics["miou"], found) == (pytest.approx(1), [])


def test_exchanged_sides_are_said(score):  # case 16
    rows = [
        {"completion": f"[100, {y}, 200, {y + 100}]", "target": [100, y, 200, y + 100], "width": 400, "height": 1000}
        for y in (500, 600, 800)
    ]
    exchanged = [row | {"width": 1000, "height": 400} for row in rows]
    _, found, said = score(exchanged)
    assert "targets-outside-image" in found
    assert "are x and y, or width and height, exchanged?" in said
    assert score(rows)[1:] == ([], "")


def test_boxes_of_coco_and_of_yolo_are_refused_or_told(score, refused):  # cases 13, 16
    record = {"completion": "[100, 100, 200, 200]", "target": {"bbox": [100, 100, 100, 100], "area": 10000}}
    assert "looks like a record of COCO, whose boxes are [x, y, w, h]: say the format 'xywh'" in refused([record])
    assert score([record], "--target-format", "xywh")[0]["miou"] == 1
    centre = {"completion": "[100, 100, 200, 200]", "target": [150, 150, 100, 100]}
    assert "[150, 150, 100, 100] has x2 < x1 or y2 < y1" in refused([centre])
    assert score([centre], "--target-format", "cxcywh")[0]["miou"] == 1
    sides = [{"completion": f"[{x}, 20, {x + 90}, 140]", "target": [x, 20, 90, 120]} for x in (10, 20, 30)]
    assert score(sides)[1] == ["better-target-format"]


def test_y_first_answers_are_read_as_their_family_writes_them(score):  # case 10
    row = SIZED | {"completion": '[{"box_2d": [100, 200, 300, 600]}]', "target": [160, 80, 480, 240]}
    assert score([row], "--space", "gemini")[0]["miou"] == pytest.approx(1)
    assert score([row], "--space", "norm1000", "--order", "yx")[0]["miou"] == pytest.approx(1)
    assert score([row], "--space", "norm1000")[0]["miou"] < 0.2


def test_models_are_known_by_their_names(score, refused):  # case 17
    row = SIZED | {"completion": "[100, 200, 300, 600]", "target": [80, 160, 240, 480]}
    for model in ("runs/Qwen3-VL-8B/checkpoint-500", "Qwen/Qwen3.5-4B", "zai-org/GLM-4.5V", "openbmb/MiniCPM-V-4_5"):
        assert score([row], "--space", model)[0]["miou"] == pytest.approx(1)
    assert "unknown coordinate space 'my-model'" in refused([row], "--space", "my-model")


def test_options_that_do_not_go_together_are_refused(refused):
    assert "min_pixels and max_pixels mean nothing in the space 'qwen3-vl'" in refused(
        BOUNDED, "--space", "qwen3-vl", "--max-pixels", "401408"
    )
    assert "five must be one of corners-cw, corners-ccw, le90, got 'cw'" in refused(BOUNDED, "--five", "cw")
    assert "--image-size must be a width and a height such as 800x600, got '800'" in refused(
        BOUNDED, "--image-size", "800"
    )
    assert "unknown format of true boxes 'yolo'" in refused(BOUNDED, "--target-format", "yolo")
    assert "the targets: unknown coordinate space 'metres'" in refused(BOUNDED, "--target-space", "metres")
    assert "leave out --kind oriented" in refused(BOUNDED, "--hull", "--kind", "oriented")


def test_angles_in_degrees_are_said_as_ones_own_data_are_prepared(tmp_path, rsreward):  # case 16
    Image.new("RGB", (800, 800)).save(tmp_path / "a.png")
    row = {"image": "a.png", "query": "the ship", "target": [50, 50, 20, 10, 30]}
    said = {}
    for form in ("oriented", "oriented-degrees"):
        told = "--out", tmp_path / form, "--target-format", form
        assert rsreward("data", "prepare", "own", written(tmp_path, row), *told).returncode == 0
        said[form] = json.loads((tmp_path / form / "report.json").read_text())["notes"]
    like = "[50, 50, 20, 10, 30] in an image of 800 x 800"
    assert said == {
        "oriented": [f"1 of 1 targets have angles beyond a full turn, such as {like}: are they degrees, not radians?"],
        "oriented-degrees": [],
    }


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


# The files themselves.

FILES = {
    "max_pixels.jsonl --space qwen2.5-vl": (0, "better-space"),
    "max_pixels.jsonl --space qwen2.5-vl --max-pixels 401408": (1, ""),
    "truth_in_unit_sized.jsonl --convention vrsbench --space unit --target-space unit": (0, ""),
    "truth_in_0_1000.jsonl --space qwen3-vl": (0, "targets-outside-image better-target-format"),
    "truth_in_0_1000.jsonl --space qwen3-vl --target-space norm1000": (1, ""),
    "answers_in_unit.jsonl": (0, "answers-in-unit"),
    "answers_in_unit.jsonl --space unit": (1, ""),
    "geochat_row.jsonl --kind oriented --space geochat --image-size 600x600": (1, ""),
    "geochat_on_horizontal.jsonl --space geochat": (0, "turned-answers"),
    "geochat_on_horizontal.jsonl --space geochat --hull": (1, ""),
    "tags.jsonl": (1, ""),
    "spellings.jsonl": (28 / 33, ""),
    "dumps/coco.jsonl --target-format xywh": (1, ""),
    "dumps/cxcywh.jsonl --target-format cxcywh": (1, ""),
    "dumps/earthdial.jsonl --kind oriented --space earthdial --target-space earthdial --image-size 9x9": (1, ""),
    "dumps/easyr1.jsonl": (1, ""),
    "dumps/easyr1_single.jsonl": (1, ""),
    "dumps/llamafactory.jsonl": (1, ""),
    "dumps/swift.jsonl": (1, ""),
    "dumps/swift_grpo.jsonl": (0.5, ""),
    "dumps/visual_rft.jsonl": (1, ""),
    "dumps/vlm_r1.json --space qwen2.5-vl --max-pixels 659344": (1, ""),
    "dumps/vlm_r1_rows.jsonl --space qwen2.5-vl --max-pixels 659344": (1, ""),
    "dumps/vrsbench.jsonl --space norm100 --target-space norm100 --image-size 512x512": (1, ""),
}
needs_data = pytest.mark.skipif(not DATA.exists(), reason="the field's files lie beside the project, not in it")


@needs_data
@pytest.mark.parametrize("line", FILES)
def test_the_fields_own_files(score, line):
    name, *options = line.split()
    metrics, found, _ = score(DATA / "field" / name, *options)
    accuracy, names = FILES[line]
    assert metrics.get("acc@0.5", metrics.get("f1@0.5")) == pytest.approx(accuracy)
    assert found == names.split()


@needs_data
def test_files_that_were_right_raise_no_false_alarm(score):
    assert score(DATA / "rollouts_dev.jsonl", "--space", "qwen2.5-vl")[1] == []


GEOCHAT_BENCH = DATA / "earthdial" / "geochat_bench.jsonl"


@needs_data
def test_real_predictions_of_turned_boxes(score):
    """9,841 different boxes are predicted and 10,571 true; 2,636 meet one to one at an IoU of 0.5."""
    options = "--completion-field answer --target-field gt_bbox --space earthdial --target-space earthdial "
    options += "--kind oriented --image-size 100x100"
    metrics, found, _ = score(GEOCHAT_BENCH, *options.split())
    expected = (2636 / 9841, 2636 / 10571, 2 * 2636 / (9841 + 10571))
    assert [metrics[f"{name}@0.5"] for name in ("precision", "recall", "f1")] == pytest.approx(expected, abs=1e-9)
    assert (metrics["rows"], found) == (7593, [])


@needs_data
def test_what_the_readme_of_these_predictions_counts_otherwise():
    """It leaves out the 547 true boxes with a minus sign, counts repeated boxes again, and matches by IoU alone."""
    counts = dict.fromkeys(["predictions", "true", "all true", "hits", "most hits"], 0)
    for line in GEOCHAT_BENCH.open():
        row = json.loads(line)
        pred, target = (
            oriented_to_pixels(torch.tensor(boxes, dtype=torch.float64).view(-1, 5), "earthdial", 100, 100)
            for boxes in ([tuple(map(float, b)) for b in UNSIGNED.findall(row[n])] for n in ("answer", "gt_bbox"))
        )
        counts["predictions"] += len(pred)
        counts["true"] += len(target)
        counts["all true"] += row["gt_bbox"].count("[[")
        if len(pred) and len(target):
            overlaps = pairwise_oriented_iou(pred, target).round(decimals=9)
            counts["hits"] += int((overlaps[tuple(assign(overlaps))] >= 0.5).sum())
            counts["most hits"] += int(set_metrics([pred], [target])["hits@0.5"])
    assert counts == {"predictions": 9967, "true": 10024, "all true": 10571, "hits": 2492, "most hits": 2493}
    figures = 2492 / 9967, 2492 / 10024, 2 * 2492 / (9967 + 10024)
    assert [f"{figure:.4f}" for figure in figures] == ["0.2500", "0.2486", "0.2493"]
