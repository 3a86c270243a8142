"""What a user gains from each fast form: in a GRPO step, and in a file that is scored. One that gains too little goes.

A step takes the function once on 4,096 rollouts, the demo's, on the CPU, on 64. verl asks for one rollout at a time, so
`positional_parts` counts as many calls. A file is read 1,024 rows at a time; which functions it takes is told here.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

import oriented
import paired
from cases import Row, told
from rsreward import dispatch, iou, oriented_iou, positional_reward
from rsreward.positional import gaussian_proximity, positional_parts
from timing import interleaved

TITLE = "what the fast forms on the CPU gain"
ROLLOUTS, DEMO, CHUNK, FILE_ROWS = 4_096, 64, 1_024, 1_000_000
STEP, DEMO_STEP, FILE = 10.0, 0.8, 30.0  # seconds of a step on a GPU (few are shorter), of one of the demo, of a file
LEAST_OF_STEP, LEAST_OF_FILE = 0.001, 0.1
ALONE = 64  # rollouts that stand for the 4,096 calls of verl


def rows(sizes: str) -> list[Row]:
    """What each form takes off a step and off a file of a million rows."""
    few = sizes == "quick"
    pred, target = paired.boxes(ROLLOUTS, "cpu")
    generator = torch.Generator().manual_seed(0)
    turned = [oriented.boxes(ROLLOUTS, "cpu", generator) for _ in range(2)]
    one_by_one = partial(_one_by_one, pred[:ALONE], target[:ALONE])
    # the function, what it takes in a step and how often, and what in a chunk of a file, if a file takes it
    uses: dict[str, tuple[Callable[..., Any], tuple[Any, ...], float, tuple[Any, ...] | None]] = {
        "iou": (iou, (pred, target), 1, (pred[:CHUNK], target[:CHUNK])),
        "positional_reward": (positional_reward, (pred, target), 1, (pred[:CHUNK], target[:CHUNK])),
        "gaussian_proximity": (gaussian_proximity, (pred, target), 1, None),
        "positional_parts, one rollout at a time": (one_by_one, (), ROLLOUTS / ALONE, None),
        "oriented_iou": (oriented_iou, tuple(turned), 1, tuple(each[:CHUNK] for each in turned)),
    }
    found = []
    for name, (function, in_step, calls, in_file) in uses.items():
        step = calls * _gain(function, in_step, few)
        file = FILE_ROWS / CHUNK * _gain(function, in_file, few) if in_file else 0.0
        demo = _gain(function, tuple(each[:DEMO] for each in in_step), few) if in_step else None
        cells = {
            "gain in a step": f"{step * 1e3:.2g} ms",
            f"of {STEP:.0f} s": f"{step / STEP:.2%}",
            f"in one of the demo, of {DEMO_STEP} s": f"{demo / DEMO_STEP:.2%}" if demo else "not used",
            "gain in a million rows": f"{file:.2g} s" if in_file else "not used",
            f"of {FILE:.0f} s": f"{file / FILE:.1%}" if in_file else "",
            "enough": "yes" if step >= LEAST_OF_STEP * STEP or file >= LEAST_OF_FILE * FILE else "no",
        }
        found.append(told("forms", TITLE, ROLLOUTS, name, cells))
    return found


def _gain(function: Callable[..., Any], inputs: tuple[Any, ...], few: bool) -> float:
    """Seconds by which the fast form is quicker than the plain formula."""

    def plain() -> Any:
        with dispatch.implementation("plain"):
            return function(*inputs)

    took = interleaved({"fast": [partial(function, *inputs)], "plain": [plain]}, "cpu", 2 if few else 15)
    return took["plain"].least - took["fast"].least


def _one_by_one(pred: torch.Tensor, target: torch.Tensor) -> None:
    for p, t in zip(pred.split(1), target.split(1), strict=True):
        positional_parts(p, t)
