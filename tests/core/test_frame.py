"""Every case of a wrong frame is found by its name and its count; right ones raise nothing."""

import json
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rsreward import SPACES, from_pixels, parse_answer, space_named
from rsreward.coordinates import oriented_to_pixels
from rsreward.frame import FINDINGS, Finding, FrameCheck, frame_findings

DATA = Path(__file__).parents[3] / "shared" / "data"
SIZES = [(800, 800), (1024, 600), (640, 480), (1920, 1080)]


def rows_of(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} of ../shared/data is not here")
    return [json.loads(line) for line in path.open()]


def findings_of(rows, space, **options):
    """The findings of rows as they stand in a file."""
    options = {side: [row.get(side) for row in rows] for side in ("width", "height")} | options
    answers = [parse_answer(row["completion"]) for row in rows]
    return frame_findings(answers, torch.tensor([row["target"] for row in rows]), space=space, **options)


def named(findings):
    return {finding.finding: (finding.rows, finding.of) for finding in findings}


def scenes(count=60, seed=0, sizes=SIZES):
    """True boxes in pixels, `(count, 4)`, with the sizes of their images."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.tensor(sizes, dtype=torch.float64)[torch.randint(len(sizes), (count,), generator=generator)]
    centre, half = (torch.rand(count, 2, generator=generator, dtype=torch.float64) for _ in range(2))
    half = (0.03 + 0.1 * half) * size
    centre = half + centre * (size - 2 * half)
    return torch.cat([centre - half, centre + half], 1), size[:, 0], size[:, 1]


def said(boxes, space="pixel", width=None, height=None, digits=None):
    """What a model says that is right in this space."""
    space = space_named(space)
    digits = digits if digits is not None else 3 if space.scale == 1 else 0
    written = from_pixels(boxes, space, width, height).round(decimals=digits).tolist()
    return [parse_answer(str([int(v) if digits == 0 else v for v in row])) for row in written]


def test_bounds_other_than_the_rollouts_are_found_with_both_figures():  # case 01
    rows = rows_of("field/max_pixels.jsonl")
    (finding,) = findings_of(rows, "qwen2.5-vl")
    assert finding[:3] == ("better-space", 4, 4)
    assert finding.message == (
        "in a sample of 4 rows the mean IoU would be 0.99, not 0.09, if the answers were in the space 'qwen2.5-vl' "
        "with max_pixels 401408"
    )
    assert findings_of(rows, space_named("qwen2.5-vl", max_pixels=401408)) == []


@pytest.mark.parametrize("name", ["truth_in_unit.jsonl", "truth_in_unit_sized.jsonl"])
def test_truth_in_unit_is_found_and_refused_where_one_is_added_to_boxes(name):  # case 05
    rows = rows_of(f"field/{name}")
    findings = findings_of(rows, "pixel")
    assert named(findings) == {"targets-without-extent": (50, 50), "answers-in-unit": (50, 50)}
    assert findings[0].message.startswith("50 of 50 targets have no extent in pixels, such as [0.25, 0.23, 0.35, 0.33]")
    assert "tell target_space" in findings[0].message.lower()
    with pytest.raises(
        ValueError, match=r"no target has an extent in pixels.*'vrsbench', which adds one.*target_space"
    ):
        findings_of(rows, "pixel", convention="vrsbench")


@pytest.mark.parametrize("space", ["qwen2-vl", "norm1000", "qwen3-vl"])
def test_truth_in_0_1000_is_found(space):  # case 06
    findings = findings_of(rows_of("field/truth_in_0_1000.jsonl"), space)
    assert named(findings) == {"targets-outside-image": (44, 60), "better-target-format": (60, 60)}
    assert findings[0].message == (
        "44 of 60 targets leave their image, such as [137, 582, 413, 847] in an image of 597 x 640: are they in "
        "0..1000 (tell target_space), or are the sizes not those of the images?"
    )
    assert findings[1].message.endswith("would be 1.00, not 0.00, if the targets were in 0..1000 (tell target_space)")


@pytest.mark.parametrize("space", ["pixel", "qwen2-vl"])
def test_answers_in_unit_are_found(space):  # case 07
    (finding,) = findings_of(rows_of("field/answers_in_unit.jsonl"), space)
    assert finding[:3] == ("answers-in-unit", 40, 40)
    assert finding.message.endswith("are they in the space 'unit'? Their mean IoU would be 1.00, not 0.00.")
    assert findings_of(rows_of("field/answers_in_unit.jsonl"), "unit") == []


def test_turned_answers_to_horizontal_truth_are_found():  # case 03
    rows = rows_of("field/geochat_on_horizontal.jsonl")
    assert named(findings_of(rows, "geochat")) == {"turned-answers": (5, 5)}


def test_sizes_that_are_not_the_images_are_found():  # case 14
    boxes, width, height = scenes(sizes=[(1024, 600)])
    answers = said(boxes, "norm1000", width, height)
    findings = frame_findings(
        answers, boxes, space="norm1000", width=800, height=800, image_width=width, image_height=height
    )
    assert named(findings)["size-not-of-image"] == (60, 60)
    assert "800 x 800 for an image of 1024 x 600" in findings[1].message
    assert named(findings)["targets-outside-image"][0] == (boxes[:, 2] > 801).sum() > 0
    real = frame_findings(
        answers, boxes, space="norm1000", width=width, height=height, image_width=width, image_height=height
    )
    assert real == []


def test_a_single_size_that_is_not_the_images_is_told():
    boxes, width, height = scenes()
    real = width.clone()
    real[7] += 2
    findings = frame_findings(
        said(boxes), boxes, space="pixel", width=width, height=height, image_width=real, image_height=height
    )
    assert named(findings) == {"size-not-of-image": (1, 60)}


def test_angles_in_degrees_are_found():  # case 16
    truth = torch.tensor([[100.0, 100.0, 40.0, 20.0, 30.0], [100.0, 100.0, 40.0, 20.0, 0.5]])
    findings = frame_findings([parse_answer("[1, 2, 3, 4, 5]")] * 2, truth, space="pixel", kind="oriented")
    assert named(findings) == {"angles-in-degrees": (1, 2)}
    assert "[100, 100, 40, 20, 30]: are they degrees, not radians?" in findings[0].message


@pytest.mark.parametrize("space", ["norm1000", "qwen2.5-vl", "unit"])
def test_exchanged_widths_and_heights_are_found(space):  # case 16
    boxes, width, height = scenes(sizes=[(1024, 600), (480, 640)])
    findings = frame_findings(said(boxes, space, width, height), boxes, space=space, width=height, height=width)
    assert set(named(findings)) >= {"targets-outside-image"}
    assert findings[0].message.endswith("are x and y, or width and height, exchanged?")


@pytest.mark.parametrize("form", ["xywh", "cxcywh"])
@pytest.mark.parametrize("space", ["norm1000", "pixel", "qwen2.5-vl"])
def test_targets_that_are_not_corners_are_found(form, space):  # case 16
    boxes, width, height = scenes()
    sides = boxes[:, 2:] - boxes[:, :2]
    start = boxes[:, :2] if form == "xywh" else boxes[:, :2] + sides / 2
    findings = frame_findings(
        said(boxes, space, width, height), torch.cat([start, sides], 1), space=space, width=width, height=height
    )
    finding = next(finding for finding in findings if finding.finding == "better-target-format")
    assert finding.rows == finding.of == 60
    assert f"if the targets were {form}, not corners (tell target_format)" in finding.message


@pytest.mark.parametrize("form", ["xywh", "cxcywh"])
def test_answers_that_are_not_corners_are_found(form):
    boxes, width, height = scenes()
    sides = boxes[:, 2:] - boxes[:, :2]
    start = boxes[:, :2] if form == "xywh" else boxes[:, :2] + sides / 2
    findings = frame_findings(said(torch.cat([start, sides], 1)), boxes, space="pixel", width=width, height=height)
    assert f"if the answers were {form}, not corners" in findings[-1].message


ANSWERED = ["unit", "norm100", "norm1000", "pixel", "qwen2.5-vl", "gemini", "paligemma"]


@pytest.mark.parametrize("told", ["pixel", "norm1000", "norm100", "qwen2.5-vl", "gemini"])
@pytest.mark.parametrize("answered", ANSWERED)
def test_answers_in_another_space_are_found(answered, told):
    boxes, width, height = scenes(seed=3)
    findings = frame_findings(said(boxes, answered, width, height), boxes, space=told, width=width, height=height)
    if answered == told or {answered, told} in ({"pixel", "qwen2.5-vl"}, {"gemini", "paligemma"}):  # nearly the same
        assert findings == []
    else:
        right = SPACES[answered]
        said_of = [finding.message for finding in findings if finding.finding in ("better-space", "answers-in-unit")]
        assert any(
            ("order 'yx'" in message) == (right.order == "yx")
            and any(n in message for n in (answered, "pixels", "norm1000"))
            for message in said_of
        )


@pytest.mark.parametrize("scale", ["norm100", "norm1000", "norm999"])
@pytest.mark.parametrize("answered", ["norm100", "norm1000", "qwen2.5-vl", "pixel"])
def test_truth_in_another_space_than_pixels_is_found(scale, answered):
    boxes, width, height = scenes(seed=4, sizes=[(800, 800), (640, 480), (1500, 1500)])
    truth = from_pixels(boxes, scale, width, height).round()
    findings = frame_findings(said(boxes, answered, width, height), truth, space=answered, width=width, height=height)
    assert set(named(findings)) & {"targets-outside-image", "better-target-format", "better-space"}
    assert any("target_space" in finding.message for finding in findings)


def test_truth_and_answers_that_agree_as_written_name_both_explanations():
    boxes, width, height = scenes(sizes=[(1600, 1600)])
    (finding,) = frame_findings(said(boxes), boxes, space="norm1000", width=width, height=height)[-1:]
    assert "if the answers were in pixels (space 'pixel') or the targets in the space of the answers" in finding.message


@pytest.mark.parametrize("max_pixels", [256 * 28**2, 401408, 480000, 602112, 1003520])
def test_any_bounds_in_use_are_found(max_pixels):
    boxes, width, height = scenes(seed=5, sizes=[(1024, 1024), (1920, 1080), (2000, 1500)])
    answers = said(boxes, space_named("qwen2.5-vl", max_pixels=max_pixels), width, height)
    finding = frame_findings(answers, boxes, space="qwen2.5-vl", width=width, height=height)[-1]
    assert finding.finding == "better-space"
    assert "in the space 'qwen2.5-vl' with max_pixels" in finding.message


def test_the_other_sense_of_turning_is_found():
    generator = torch.Generator().manual_seed(0)
    start, size = torch.rand(50, 2, generator=generator) * 60, torch.tensor([30.0, 8.0])
    written = torch.cat([start, start + size, 20 + 50 * torch.rand(50, 1, generator=generator)], 1).round()
    truth = oriented_to_pixels(written, space_named("norm100", five="corners-ccw"), 100, 100)
    answers = [parse_answer(str([row])) for row in written.int().tolist()]
    options = {"kind": "oriented", "width": 100, "height": 100}
    (finding,) = frame_findings(answers, truth, space="geochat", **options)
    assert finding[:3] == ("better-space", 50, 50)
    assert finding.message.endswith("not 0.18, if five numbers were 'corners-ccw' (tell five)")
    assert frame_findings(answers, truth, space=space_named("geochat", five="corners-ccw"), **options) == []


def test_the_right_frames_of_the_real_files_raise_nothing():
    rollouts = rows_of("rollouts_dev.jsonl")
    assert findings_of(rollouts, "pixel") == findings_of(rollouts, "qwen2.5-vl") == []
    for log in {row["log"] for row in rollouts}:
        rows = [row for row in rollouts if row["log"] == log]
        assert findings_of(rows, "qwen2.5-vl" if "width" in rows[0] else "pixel") == []
        for start in range(0, len(rows), 40):  # a reward function's batches
            assert findings_of(rows[start : start + 8], "qwen2.5-vl" if "width" in rows[0] else "pixel") == []


def test_a_wrong_space_of_the_real_rollouts_is_found():
    sized = [row for row in rows_of("rollouts_dev.jsonl") if "width" in row]
    for space in ("qwen3-vl", "norm100", "gemini"):
        finding = findings_of(sized, space)[-1]
        assert "if the answers were in the space 'qwen2.5-vl'" in finding.message
        assert finding.rows > 180


def test_the_real_single_answers_raise_nothing():
    spaces = {"abs_resized_px": "pixel", "rel1000": "norm1000", "rel999": "norm999"}
    for row in rows_of("answers_dev.jsonl"):
        if row["kind"] == "horizontal":
            truth = torch.tensor(row["expected"][:1])
            size = {"width": 2000, "height": 2000} if row["space"] != "abs_resized_px" else {}
            truth = truth * 2000 / SPACES[spaces[row["space"]]].scale if size else truth
            assert frame_findings([parse_answer(row["text"])], truth, space=spaces[row["space"]], **size) == [], row[
                "id"
            ]


def test_the_real_turned_answers_raise_nothing():
    rows = rows_of("earthdial/geochat_bench.jsonl")
    truth = [
        oriented_to_pixels(torch.tensor(parse_answer(row["gt_bbox"]).boxes).view(-1, 5), "earthdial", 100, 100)
        for row in rows
    ]
    answers = [parse_answer(row["answer"]) for row in rows]
    options = {"space": "earthdial", "kind": "oriented", "width": 100, "height": 100}
    assert frame_findings(answers, truth, **options) == []
    degrees = [torch.cat([boxes[:, :4], boxes[:, 4:].rad2deg()], 1) for boxes in truth]
    assert named(frame_findings(answers, degrees, **options)) == {"angles-in-degrees": (7293, 7593)}


def model_of(skill, boxes, width, height, seed):
    """The boxes of a model: right but for noise, anywhere, always the same, the whole image, or half of each."""
    generator = torch.Generator().manual_seed(seed)
    size = torch.stack([width, height, width, height], 1)
    anywhere = scenes(len(boxes), seed + 1)[0] / scenes(len(boxes), seed + 1)[1].amax() * size.amin(1, keepdim=True)
    near = boxes + torch.randn(boxes.shape, generator=generator) * 0.02 * size
    answers = {
        "perfect": boxes,
        "near": torch.minimum(near.clamp(min=0), size),
        "anywhere": anywhere,
        "the same": torch.tensor([0.2, 0.2, 0.6, 0.6]) * size,
        "the same in pixels": torch.minimum(torch.tensor([[50.0, 50, 90, 90]]).double(), size),
        "to one side": torch.minimum(boxes + torch.tensor([0.08, 0.05, 0.08, 0.05]) * size, size),
        "another object": boxes.roll(1, 0) / size.roll(1, 0) * size,
        "the whole image": torch.tensor([0.0, 0.0, 1.0, 1.0]) * size,
    }
    answers["half"] = torch.where(torch.rand(len(boxes), 1, generator=generator) < 0.3, boxes, anywhere)
    return answers[skill]


SKILLS = ["perfect", "near", "anywhere", "the same", "the same in pixels", "to one side", "another object"]


@given(
    st.sampled_from([*SKILLS, "the whole image", "half"]),
    st.sampled_from(["pixel", "norm1000", "norm100", "unit", "gemini", "qwen2.5-vl", "florence-2"]),
    st.integers(1, 80),
    st.integers(0, 10**6),
    st.sampled_from([SIZES, [(800, 800)], [(512, 512)], [(100, 3000), (4000, 3000)]]),
)
def test_no_model_however_poor_raises_a_finding_in_the_right_space(skill, space, count, seed, sizes):
    boxes, width, height = scenes(count, seed, sizes)
    answers = said(model_of(skill, boxes, width, height, seed), space, width, height)
    assert frame_findings(answers, boxes, space=space, width=width, height=height) == []


def test_a_poor_answer_of_whole_numbers_is_not_in_unit():
    answers = [parse_answer("[0, 0, 1, 1]"), parse_answer("[0, 0, 0, 0]")] * 4
    boxes, width, height = scenes(8)
    assert frame_findings(answers, boxes, space="norm1000", width=width, height=height) == []


def test_a_few_boxes_without_area_are_told_only_where_they_are_many():
    boxes, width, height = scenes(100)
    boxes[:5, 2] = boxes[:5, 0]
    options = {"space": "pixel", "width": width, "height": height}
    assert frame_findings(said(scenes(100)[0]), boxes, **options) == []
    boxes[:10, 3] = boxes[:10, 1]
    (finding,) = frame_findings(said(scenes(100)[0]), boxes, **options)
    assert finding[:3] == ("targets-without-extent", 10, 100)
    assert "boxes need x1 < x2" in finding.message


def test_a_gain_that_a_few_rows_make_is_not_certain():
    boxes, width, height = scenes(10)
    answers = said(boxes, "norm1000", width, height)
    options = {"space": "pixel", "width": width, "height": height}
    assert "better-space" in named(frame_findings(answers, boxes, **options))
    assert frame_findings(answers[:4] + [parse_answer("[1, 1, 2, 2]")] * 6, boxes, **options) == []


def test_one_scale_for_all_is_found_where_no_size_is_known():
    boxes, _, _ = scenes(seed=7, sizes=[(800, 800)])
    (finding,) = frame_findings(said(boxes, "norm1000", 800, 800), boxes, space="pixel")
    assert finding[0] == "better-space"
    assert "if the answers were 0.80 times as far right and 0.80 times as far down" in finding.message


@pytest.mark.parametrize("space", sorted(SPACES))
def test_every_space_stands_thin_images_and_hostile_numbers(space):
    thin = [(1, 199), (150, 1), (800, 600), (10**6, 10**4)] + [(1, 10**6), (1, 300)] * (
        not SPACES[space].depends_on_bounds
    )
    texts = [
        "[0, 0, 1e29, 1e29]",
        "[5, 5, 1, 1]",
        "[-1e29, 0, 0.5, 0.5]",
        "[1, 2, 3, 4, 1e29]",
        "{<1><2><3><4>|<5>}",
        "[]",
    ]
    sizes = [thin[i % len(thin)] for i in range(60)]
    answers = [parse_answer(texts[i % len(texts)]) for i in range(60)]
    for kind, numbers in (("horizontal", 4), ("oriented", 5)):
        boxes = torch.arange(1.0, 61)[:, None] * torch.arange(1.0, numbers + 1) / 60
        check = FrameCheck(space, kind)
        check.update(answers, boxes, *map(list, zip(*sizes, strict=True)))
        assert all(0 < finding.rows <= finding.of <= 60 for finding in check.findings())


def test_rows_without_a_size_a_target_or_an_answer_are_left_out():
    boxes, width, height = scenes(20)
    sizes = [None if row % 2 else value for row, value in enumerate(width.tolist())]
    findings = frame_findings(
        said(boxes, "norm1000", width, height), boxes * 9, space="norm1000", width=sizes, height=height
    )
    assert named(findings)["targets-outside-image"][1] == 10
    boxes[3] = torch.nan
    assert frame_findings([parse_answer("none")] * 20, boxes, space="pixel") == []
    assert frame_findings([], torch.empty(0, 4), space="pixel") == []


def test_sets_of_true_boxes_count_by_their_rows():
    boxes = [
        torch.tensor([[0.0, 0, 10, 10], [5.0, 5, 200, 10], [5.0, 5, 300, 10]]),
        torch.empty(0, 4),
        torch.ones(1, 4),
    ]
    boxes[2] = torch.tensor([[1.0, 1, 9, 9]])
    findings = frame_findings([parse_answer("[]")] * 3, boxes, space="pixel", width=100, height=100)
    assert named(findings) == {"targets-outside-image": (1, 2)}


def test_batches_and_merged_processes_give_what_one_call_gives():
    boxes, width, height = scenes(1000, seed=9)
    answers = said(boxes, "norm1000", width, height)
    options = {"width": width, "height": height}
    whole = frame_findings(answers, boxes, space="norm100", **options)
    parts = [FrameCheck("norm100") for _ in range(3)]
    for start in range(0, 1000, 50):
        part = slice(start, start + 50)
        parts[start % 3].update(answers[part], boxes[part], width[part], height[part])
    first, second, third = pickle.loads(pickle.dumps(parts))  # noqa: S301 - as worker processes do
    third.merge(first)
    third.merge(second)
    assert [(*finding[:3], finding.message.split(", such as")[0]) for finding in third.findings()] == [
        (*finding[:3], finding.message.split(", such as")[0]) for finding in whole
    ]
    assert {finding.finding for finding in whole} == {"answers-outside-space", "better-space"}
    assert len(third.sample) == 256


def test_one_flat_target_among_others_is_not_refused():
    check = FrameCheck("pixel", convention="vrsbench")
    flat = torch.tensor([[5.0, 5.0, 5.0, 9.0]])
    check.update([parse_answer("")], torch.tensor([[5.0, 5.0, 9.0, 9.0]]))
    check.update([parse_answer("")], flat)
    assert check.findings() == []
    alone = FrameCheck("pixel", convention="vrsbench")
    alone.update([parse_answer("")], flat)  # a part of many may hold nothing else
    with pytest.raises(ValueError, match="no target has an extent"):
        alone.findings()
    check.merge(alone)
    assert [finding[:3] for finding in check.findings()] == [("targets-without-extent", 2, 3)]


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"4 or 5 numbers for each of 2 answers, got 1 of shape \(1, 4\)"):
        frame_findings([parse_answer("")] * 2, torch.ones(1, 4), space="pixel")
    with pytest.raises(ValueError, match=r"got 1 of shape \(1, 8\)"):
        frame_findings([parse_answer("")], torch.ones(1, 8), space="pixel")


def test_a_finding_becomes_json_and_stands_in_the_docs():
    finding = Finding("better-space", 1, 2, "so it is")
    assert json.dumps(finding.as_dict()) == '{"finding": "better-space", "rows": 1, "of": 2, "message": "so it is"}'
    page = (Path(__file__).parents[2] / "docs" / "frame.md").read_text()
    assert all(f"\n| `{name}` | " in page for name in FINDINGS)
