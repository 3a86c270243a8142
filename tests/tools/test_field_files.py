"""The files from the field, and the published predictions of turned boxes."""

import json
import re
from pathlib import Path

import pytest
import torch

from rsreward import set_metrics
from rsreward.coordinates import oriented_to_pixels
from rsreward.matching import assign
from rsreward.oriented import pairwise_oriented_iou

DATA = Path(__file__).parents[3] / "shared" / "data"
UNSIGNED = re.compile(r"\[(\d+), (\d+), (\d+), (\d+), (\d+)\]")


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
