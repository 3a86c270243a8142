"""The instruction for a teacher that sees the true box and writes the reasoning that leads to it."""

from collections.abc import Sequence

import torch

from rsreward import Space, from_pixels

TEACHER_INSTRUCTION = (
    "You write a training example for a model that finds objects in aerial images by reasoning about positions. "
    "The object asked for is: {query}. Its box is {written}, x1, y1, x2, y2 in {unit}. "
    "Write the reasoning of someone who sees the image and does not know the box: first in which part of the image "
    "the object lies, then where it lies from other objects and how it differs from those like it, then where its "
    "left, upper, right and lower edges are. Be brief, and do not mention that you were told the box. "
    "Write exactly <think>the reasoning</think><answer>{written}</answer> and nothing else."
)


def teacher_instruction(query: str, box: Sequence[float], width: int, height: int, space: Space) -> str:
    """The instruction for a teacher that sees the true box and writes the reasoning that leads to it.

    The box is given in the student's coordinate space, so that the student can learn the chain as it is written.

    >>> from rsreward import SPACES
    >>> print(teacher_instruction("the left ship", [80, 160, 240, 320], 800, 800, SPACES["qwen3-vl"])[:92])
    You write a training example for a model that finds objects in aerial images by reasoning ab
    """
    written = [round(v) for v in from_pixels(torch.tensor([list(box)]), space, width, height)[0].tolist()]
    unit = "pixels" if space.scale is None else f"units of which the width and the height have {space.scale:g} each"
    return TEACHER_INSTRUCTION.format(query=query, written=written, unit=unit)
