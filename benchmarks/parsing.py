"""Boxes out of text: one completion of 1.7 k characters in each dialect, and long hostile text."""

import json
import re
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from cases import Case, Peer
from rsreward import Answer, parse_answer

THOUGHT = "<think>" + "The object lies in the upper left part of the image, next to the road. " * 22 + "</think>\n"
BOX = '{"bbox_2d": [318, 300, 616, 609], "label": "the tank left of the road"}'
COMPLETIONS = {
    "list": f"{THOUGHT}<answer>[318, 300, 616, 609]</answer>",
    "dict": f"{THOUGHT}<answer>{BOX}</answer>",
    "fenced": f"{THOUGHT}```json\n[\n\t{BOX}\n]\n```",
    "fence in answer": f"{THOUGHT}<answer>\n```json\n[\n\t{BOX}\n]\n```\n</answer>",
    "no JSON": f'{THOUGHT}<answer>["{BOX}"]</answer>',
    "geochat": f"{THOUGHT}<answer>{{<46><91><94><95>|<40>}}</answer>",
    "corner pairs": f"{THOUGHT}<answer><|box_start|>(318,300),(616,609)<|box_end|></answer>",
    "five boxes": f"{THOUGHT}<answer>[{', '.join([BOX] * 5)}]</answer>",
}
HOSTILE = {
    "brackets": "[",
    "tags": "<think><answer>",
    "digits": "9",
    "open lists": "[1,",
    "truncated boxes": "[[1, 2, 3, 4], [1, 2, ",
    "boxes": "[1, 2, 3, 4], ",
    "spaces": " ",
    "open label": ':"a\\" ',
    "bins": "<1>",
    "surrogates": "\ud800[",
    "NUL": "\0[1",
}
LENGTHS = {"quick": [1_000, 4_000], "full": [64_000, 1_000_000, 4_000_000], "large": [64_000, 1_000_000, 4_000_000]}
ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
FOUR = re.compile(r"\[\s*(-?\d*\.?\d+)\s*,\s*(-?\d*\.?\d+)\s*,\s*(-?\d*\.?\d+)\s*,\s*(-?\d*\.?\d+)\s*\]")


def lazy_patterns(text: str) -> list[float]:
    """As the reward functions of public training code read a box: the first four numbers in brackets in the answer."""
    answer = ANSWER.search(text)
    box = FOUR.search(answer.group(1)) if answer else None
    return [float(group) for group in box.groups()] if box else []


def json_loads(text: str) -> list[float]:
    """What only reads an answer that is JSON, and nothing else."""
    try:
        read = json.loads(text[text.rfind("<answer>") + 8 : text.rfind("</answer>")])
    except ValueError:
        return []
    read = read[0] if isinstance(read, list) and isinstance(read[0], dict) else read
    return read["bbox_2d"] if isinstance(read, dict) else read


def cases(sizes: str, device: str) -> Iterator[Case]:
    for dialect, text in COMPLETIONS.items():
        readers = {"lazy patterns": lazy_patterns, "json.loads": json_loads}
        others = [
            Peer(name, partial(partial, read), "" if read(text) else "finds none", torch.tensor)
            for name, read in readers.items()
        ]
        yield Case(
            "parsing", dialect, len(text), (text,), parse_answer, "rsreward parse_answer", others, lambda _: 1,
            "us a completion", 1e6, value=_first,
        )  # fmt: skip


def hostile(sizes: str, device: str) -> Iterator[Case]:
    for name, piece in HOSTILE.items():
        for length in LENGTHS[sizes]:
            text = "[" + piece * (length // len(piece))
            yield Case(
                "hostile", name, length, (text,), parse_answer, "rsreward parse_answer", [], len,
                "ms a million characters", 1e9, repeats=5,
            )  # fmt: skip


def _first(answer: Answer) -> Tensor:
    return torch.tensor(answer.boxes[0])
