"""What the model is asked and how it should answer, in one place: the same bytes in SFT, GRPO and evaluation."""

from collections.abc import Sequence
from typing import Any

from ..errors import InputError

SHORT = "Locate {query}."  # for models that are trained from nothing
TEMPLATE = (
    "Locate {query}. First reason about where it lies, in the image and from other objects, within <think> </think>; "
    "then give its box as [x1, y1, x2, y2] within <answer> </answer>."
)

TEMPLATE_OR_NONE = TEMPLATE.replace("y2]", "y2], or none if it is not there,")


def instruction(query: str, template: str = SHORT) -> str:
    """What the user says.

    >>> instruction("the left ship")
    'Locate the left ship.'
    """
    return template.replace("{query}", query)


def template_holding_query(template: str) -> str:
    """The template, if it has a place for the query.

    Raises:
        InputError: if it has none.
    """
    if "{query}" not in template:
        raise InputError("--template must hold {query}, where the referring expression goes.")
    return template


def prompt(query: str, template: str = SHORT) -> list[dict[str, Any]]:
    """The chat up to the answer; the trainers put the image in front of the text."""
    return [{"role": "user", "content": instruction(query, template)}]


def response(thought: str, box: Sequence[int]) -> str:
    """What the model should say.

    >>> response("The ships are at (200, 300) and (700, 300).", [100, 250, 300, 350])
    '<think>The ships are at (200, 300) and (700, 300).</think><answer>[100, 250, 300, 350]</answer>'
    """
    return f"<think>{thought}</think><answer>[{', '.join(map(str, box))}]</answer>"
