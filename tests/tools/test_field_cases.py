"""What people meet in public threads about the frame of reference: scored right, or said or refused in a sentence."""

import json
from math import radians

import pytest
from PIL import Image
from score_files import written

SIZED = {"width": 800, "height": 800}


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
