"""The one place for what the model is asked and how it is to answer: the same bytes in SFT, GRPO and evaluation."""

from collections.abc import Sequence
from typing import Any

import torch

from rsreward import Space, from_pixels

from .errors import InputError

SHORT = "Locate {query}."  # for models that are trained from nothing
TEMPLATE = (
    "Locate {query}. First reason about where it lies, in the image and from other objects, within <think> </think>; "
    "then give its box as [x1, y1, x2, y2] within <answer> </answer>."
)


def instruction(query: str, template: str = SHORT) -> str:
    """What the user says.

    >>> instruction("the left ship")
    'Locate the left ship.'
    """
    return template.replace("{query}", query)


def template_holding_query(template: str) -> str:
    """The template.

    Raises:
        InputError: if the query has no place in it.
    """
    if "{query}" not in template:
        raise InputError("--template must hold {query}, where the referring expression goes.")
    return template


def prompt(query: str, template: str = SHORT) -> list[dict[str, Any]]:
    """The chat up to the answer; the trainers put the image in front of the text."""
    return [{"role": "user", "content": instruction(query, template)}]


def response(thought: str, box: Sequence[int]) -> str:
    """What the model is to say.

    >>> response("The ships are at (200, 300) and (700, 300).", [100, 250, 300, 350])
    '<think>The ships are at (200, 300) and (700, 300).</think><answer>[100, 250, 300, 350]</answer>'
    """
    return f"<think>{thought}</think><answer>[{', '.join(map(str, box))}]</answer>"


TEACHER_INSTRUCTION = (
    "You write a training example for a model that finds objects in aerial images by reasoning about positions. "
    "The object asked for is: {query}. Its box is {written}, x1, y1, x2, y2 in {unit}. "
    "Write the reasoning of someone who sees the image and does not know the box: first in which part of the image "
    "the object lies, then where it lies from other objects and how it differs from those like it, then where its "
    "left, upper, right and lower edges are. Be brief, and do not mention that you were told the box. "
    "Write exactly <think>the reasoning</think><answer>{written}</answer> and nothing else."
)


def teacher_instruction(query: str, box: Sequence[float], width: int, height: int, space: Space) -> str:
    """What a teacher is asked that is shown the true box and writes the reasoning that leads to it.

    The box is given in the student's coordinate space, so that the chain can be learned from as it is written.

    >>> from rsreward import SPACES
    >>> print(teacher_instruction("the left ship", [80, 160, 240, 320], 800, 800, SPACES["qwen3-vl"])[:92])
    You write a training example for a model that finds objects in aerial images by reasoning ab
    """
    written = [round(v) for v in from_pixels(torch.tensor([list(box)]), space, width, height)[0].tolist()]
    unit = "pixels" if space.scale is None else f"units of which the width and the height have {space.scale:g} each"
    return TEACHER_INSTRUCTION.format(query=query, written=written, unit=unit)
