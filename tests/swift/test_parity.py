"""The same completions through the core, ms-swift and EasyR1: the same rewards to the bit, the same weights."""

import json
import random
from pathlib import Path

import pytest
import swift_functions
import torch
from rsreward_easyr1.reward import compute_score
from rsreward_swift.options import read_options
from rsreward_swift.rewards import RSFormat, RSIoU, RSPositional
from rsreward_swift.weight import ConsistencyWeight

import rsreward

ROLLOUTS = Path(__file__).parents[3] / "shared" / "data" / "rollouts_dev.jsonl"
COUNT, REAL, GROUP = 200, 60, 8
SPACE = "qwen2.5-vl"
FORMS = [
    "<think>It is left.</think><answer>{}</answer>", '<answer>{{"bbox_2d": {}}}</answer>', "{}", "I see none.",
    "<think>a {} b</think>", "<think>a</think>\n<answer>{} {}</answer>", "```json\n[{{'bbox_2d': {}}}]\n```",
]  # fmt: skip


def written(rng):
    """A completion and its truth: a box some way off, in one of the ways that models write."""
    width, height = rng.choice([(800, 800), (1024, 768), (500, 900)])
    box = [rng.randint(0, 300), rng.randint(0, 300), rng.randint(310, 480), rng.randint(310, 480)]
    near = [v + rng.randint(-60, 60) for v in box]
    return {
        "completion": rng.choice(FORMS).format(near, near[::-1]), "target": box, "width": width, "height": height
    }  # fmt: skip


@pytest.fixture(scope="module", params=["written", "real and written"])
def rows(request):
    rng, rows = random.Random(0), []  # noqa: S311
    if request.param.startswith("real"):
        if not ROLLOUTS.exists():
            pytest.skip("the real rollouts of ../shared/data are not here")
        sized = [row for row in map(json.loads, ROLLOUTS.open()) if "width" in row]
        rows = [{name: row[name] for name in ("completion", "target", "width", "height")} for row in sized]
        rows = rng.sample(rows, REAL)
    return rows + [written(rng) for _ in range(COUNT - len(rows))]


def by_core(rows):
    texts, target = [row["completion"] for row in rows], torch.tensor([row["target"] for row in rows]).float()
    sizes = {side: [row[side] for row in rows] for side in ("width", "height")}
    pred = rsreward.parse_boxes(texts, space=SPACE, **sizes)
    positional, form = rsreward.positional_reward(pred, target), rsreward.format_reward(texts, kind="horizontal")
    return positional, form, rsreward.iou(pred, target)


def test_ms_swift_agrees_with_the_core(rows):
    options = read_options({"RSREWARD_SPACE": SPACE})
    weight = ConsistencyWeight(options)
    table = weight.see_rewards(swift_functions.compute_rewards_per_func)(
        rows, [RSPositional(options), RSFormat(options), RSIoU(options)], None, None
    )
    positional, form, iou = by_core(rows)
    assert positional.unique().numel() > 50
    assert torch.equal(table, torch.stack([positional, form, iou], 1))
    factors = torch.tensor([1.0, 1.0, 0.0])
    advantages, rewards = weight.weigh(swift_functions.compute_advantages)(table, factors, GROUP)
    plain, _ = swift_functions.compute_advantages(table, factors, GROUP)
    expected = rsreward.consistency_weight(iou.view(-1, GROUP))
    assert expected.std() > 0.05
    assert torch.allclose(weight.weights(iou.view(-1, GROUP)), expected, atol=1e-6)
    assert torch.allclose(advantages, rsreward.scale_advantages(plain, iou, group_size=GROUP), atol=1e-6)
    assert torch.equal(rewards, positional + form)


def test_easyr1_agrees_with_the_core(rows):
    asked = [
        {
            "response": row["completion"],
            "response_length": 1,
            "ground_truth": json.dumps({"bbox": row["target"], "width": row["width"], "height": row["height"]}),
        }
        for row in rows
    ]
    scores = compute_score(asked, space=SPACE)
    positional, form, iou = by_core(rows)
    assert torch.equal(torch.tensor([score["overall"] for score in scores]), positional + form)
    assert torch.equal(torch.tensor([score["iou"] for score in scores]), iou)
    assert torch.equal(torch.tensor([score["format"] for score in scores]), form)
