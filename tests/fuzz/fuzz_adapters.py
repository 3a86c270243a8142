"""Harness of the adapters: rows of any kind handed over as TRL, ms-swift, EasyR1 and verl do."""

from math import isfinite
from random import Random
from typing import Any

from fuzz_core import refused
from fuzz_drawing import as_json, box, changed, text
from rsreward_easyr1 import reward as easyr1
from rsreward_swift.options import read_options
from rsreward_swift.rewards import REWARDS
from rsreward_trl import as_reward_func
from rsreward_verl.score import compute_score

import rsreward
from rsreward import iou, parse_answer, positional_reward, set_reward

NAMES = (
    "completion",
    "target",
    "width",
    "height",
    "ground truth",
    "ground_truth",
    "response",
    "bbox",
    "chat message",
    "reward_inputs",
)
TRL = {
    "pixels": (positional_reward, {}),
    "qwen3-vl": (positional_reward, {"space": "qwen3-vl"}),
    "qwen2.5-vl": (iou, {"space": "qwen2.5-vl", "select": "only"}),
    "oriented": (positional_reward, {"kind": "oriented", "space": "geochat"}),
    "hull": (positional_reward, {"hull": True}),
    "scaled targets": (positional_reward, {"target_space": "norm1000", "target_format": "xywh"}),
    "sets": (set_reward, {"space": "qwen3-vl"}),
    "format": (rsreward.format_reward, {}),
}
SWIFT = {
    "swift pixels": {"RSREWARD_SPACE": "pixel"},
    "swift qwen3-vl": {"RSREWARD_SPACE": "qwen3-vl", "RSREWARD_TARGET_SPACE": "norm1000"},
    "swift oriented": {"RSREWARD_SPACE": "geochat", "RSREWARD_KIND": "oriented"},
}
BY_ROW = {
    "easyr1": {"space": "qwen3-vl"},
    "easyr1 bounds": {"space": "qwen2.5-vl"},
    "verl": {"space": "qwen3-vl"},
    "verl hull": {"hull": True, "target_space": "norm1000"},
}


def completion(r: Random) -> Any:
    if r.random() < 0.75:
        return text(r)
    parts = r.choice((text(r), [{"type": "text", "text": text(r)}], None))
    message = {"role": "assistant", "content": parts, "reasoning_content": r.choice((None, "left"))}
    return changed(r, [{"role": "user", "content": "Where?"}, message])


def draw_batch(r: Random) -> tuple[str, list[Any], dict[str, Any]]:
    """An adapter, completions, and the columns of the data set or, row by row, the ground truths."""
    name = r.choice([*TRL, *SWIFT, *BY_ROW])
    count = r.choice((0, 1, 1, 2, 3))
    numbers = 5 if "oriented" in name else 4
    boxes = [[box(r, numbers)] if name == "sets" else box(r, numbers) for _ in range(count)]
    columns = {"target": boxes, "width": [800] * count, "height": [600] * count}
    if name in BY_ROW:
        rows = [dict(zip(("bbox", "width", "height"), row, strict=True)) for row in zip(*columns.values(), strict=True)]
        truths = [changed(r, as_json(row) if r.random() < 0.5 else row) for row in rows]
        return name, [completion(r) for _ in truths], {"ground_truth": truths}
    if r.random() < 0.1:
        columns = {column: changed(r, values) for column, values in columns.items()}
    columns = changed(r, columns, 0.6)
    return name, [completion(r) for _ in range(count)], columns if isinstance(columns, dict) else {}


def check_batch(drawn: tuple[str, list[Any], dict[str, Any]]) -> None:
    """Finite numbers for each row, 0 where nothing can be read; or an error that names what is wrong with the data."""
    name, completions, columns = drawn
    try:
        scores = _scores(name, completions, columns)
    except (TypeError, ValueError) as error:
        refused(error, *NAMES)
        return
    texts = [each for each in completions if isinstance(each, str) or not name.startswith("verl")]
    assert len(scores) == len(texts)
    for written, score in zip(texts, scores, strict=True):
        assert score is None or isfinite(score)
        if isinstance(written, str) and not parse_answer(written).boxes and name not in ("format", "sets"):
            assert not score


def _scores(name: str, completions: Any, columns: dict[str, Any]) -> list[float | None]:
    if name in TRL:
        reward, options = TRL[name]
        return as_reward_func(reward, **options)(completions=completions, prompts=[""], **columns)
    if name in SWIFT:
        options = read_options(SWIFT[name])
        for reward in REWARDS.values():
            scores = reward(options)(completions, **columns)
            if reward is REWARDS["rs_positional"]:
                found = scores
        return found
    pairs = list(zip(completions, columns["ground_truth"], strict=True))
    if name.startswith("easyr1"):
        parts = easyr1.compute_score([{"response": a, "ground_truth": b} for a, b in pairs], **BY_ROW[name])
        worth = [part["overall"] - part["format"] for part in parts]
    else:  # verl hands over texts
        parts = [compute_score("fuzz", a, b, **BY_ROW[name]) for a, b in pairs if isinstance(a, str)]
        worth = [part["iou"] for part in parts]
    assert all(isfinite(number) for part in parts for number in part.values() if isinstance(number, float))
    return worth
