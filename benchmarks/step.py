"""The whole reward step, from texts to rewards and group weights, on a seeded mix of 1.7 k-character completions."""

import re
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from cases import Case, Peer
from paired import boxes
from parsing import lazy_patterns
from peers import reward_of_row, weight_of_group
from rsreward import consistency_weight, format_reward, iou, parse_boxes, positional_reward
from timing import Call

SIZES = {"quick": [64], "full": [512, 1_024, 2_048, 4_096], "large": [512, 1_024, 2_048, 4_096]}
GROUP = 8
THOUGHT = (
    "the a left right upper lower corner of in near next to building road harbour ship vehicle tank court field image "
    "object so it lies between two rows and looks larger than its neighbours , which stand about (412, 88) . First I "
    "look for grey roofs along the river then compare their sizes ; not this one but perhaps that with shadows"
)
FORMS = {  # how an answer is written, and how often of a hundred
    '<answer>{{"bbox_2d": [{}, {}, {}, {}], "label": "the ship"}}</answer>': 34,
    '<answer>\n```json\n[\n\t{{"bbox_2d": [{}, {}, {}, {}], "label": "the ship"}}\n]\n```\n</answer>': 22,
    "<answer>[{}, {}, {}, {}]</answer>": 22,
    '```json\n[\n\t{{"bbox_2d": [{}, {}, {}, {}], "label": "the ship"}}\n]\n```': 8,
    "<answer><|box_start|>({},{}),({},{})<|box_end|></answer>": 4,
    "<answer>The ship is at ({}, {}, {}, {}).</answer>": 4,
    "<answer>There is no such ship.</answer>": 2,
    "<answer>[{}, {}": 2,
    "": 2,
}
LOOP_FORMAT = re.compile(r"<think>.*?</think>\s*<answer>.*?\[\d+,\s*\d+,\s*\d+,\s*\d+\].*?</answer>", re.DOTALL)


def rollouts(n: int) -> tuple[list[str], Tensor]:
    """Completions and the true boxes. An empty answer stands for a thought that was cut off."""
    random = np.random.default_rng(0)
    pred, target = boxes(n, "cpu")
    shares = np.array(list(FORMS.values())) / sum(FORMS.values())
    texts, words = [], THOUGHT.split()
    for box, form in zip(pred.round().int().tolist(), random.choice(list(FORMS), n, p=shares), strict=True):
        thought = "<think>" + " ".join(random.choice(words, 310))
        texts.append(f"{thought}</think>\n{form.format(*box)}" if form else thought)
    return texts, target


def reward_step(texts: Sequence[str], target: Tensor) -> tuple[Tensor, Tensor]:
    pred = parse_boxes(texts)
    return positional_reward(pred, target), consistency_weight(iou(pred, target).view(-1, GROUP))


def loop_step(texts: Sequence[str], target: Tensor) -> Call:
    """As VLM-R1 and its forks do it: patterns and plain Python, row by row."""
    truth = target.tolist()

    def step() -> tuple[list[float], list[float]]:
        rewards = []
        for text, box in zip(texts, truth, strict=True):
            read = lazy_patterns(text)
            rewards.append(reward_of_row(read, box) if read else 0.0)
        return rewards, [weight_of_group(rewards[i : i + GROUP]) for i in range(0, len(rewards), GROUP)]

    return step


def loop_format(texts: Sequence[str], target: Tensor) -> Call:
    return lambda: [float(LOOP_FORMAT.fullmatch(text) is not None) for text in texts]


def both(texts: Sequence[str], target: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
    return reward_step(texts, target), format_reward(texts)


def loop_both(texts: Sequence[str], target: Tensor) -> Call:
    step, form = loop_step(texts, target), loop_format(texts, target)
    return lambda: (step(), form())


def cases(sizes: str, device: str) -> Iterator[Case]:
    for n in SIZES[sizes]:
        texts, target = rollouts(n)
        pred = parse_boxes(texts)
        unread = torch.tensor([not lazy_patterns(text) for text in texts])
        missed = f"misses {(unread & pred.isfinite().all(-1)).float().mean():.0%}"
        parts = {
            "parse_boxes": lambda t=texts: parse_boxes(t),
            "positional_reward": lambda p=pred, t=target: positional_reward(p, t),
            "iou and consistency_weight": lambda p=pred, t=target: consistency_weight(iou(p, t).view(-1, GROUP)),
        }
        own = [Peer(f"of it {name}", lambda *_, part=part: part, "a part", value=None) for name, part in parts.items()]
        loop = Peer(
            "VLM-R1-style loop", loop_step, missed,
            lambda result, unread=unread: torch.tensor(result[0]).masked_fill(unread, torch.nan),
        )  # fmt: skip
        yield Case(
            "step", "boxes, rewards and group weights of N completions", n, (texts, target), reward_step,
            "rsreward", [*own, loop], lambda *_: 1, "ms", 1e3, value=lambda result: result[0],
        )  # fmt: skip
        agree = (torch.tensor(loop_format(texts, target)()) == format_reward(texts)).float().mean()
        yield Case(
            "step", "the format reward of N completions", n, (texts, target), lambda texts, _: format_reward(texts),
            "rsreward", [Peer("VLM-R1-style pattern", loop_format, f"the same for {agree:.0%}", value=None)],
            lambda *_: 1, "ms", 1e3,
        )  # fmt: skip
        yield Case(
            "step", "the same and the format reward of N completions", n, (texts, target), both, "rsreward",
            [Peer("VLM-R1-style loop and pattern", loop_both, missed, value=None)], lambda *_: 1, "ms", 1e3,
        )  # fmt: skip
