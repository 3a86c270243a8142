"""The one place for what the model is asked and how it is to answer: the same bytes in SFT, GRPO and evaluation."""

from collections.abc import Sequence
from typing import Any


def instruction(query: str) -> str:
    """What the user says.

    >>> instruction("the left ship")
    'Locate the left ship.'
    """
    return f"Locate {query}."


def reasoned_instruction(query: str) -> str:
    """What a model that has not been fine-tuned on `response` is asked, so that it answers in that form.

    >>> print(reasoned_instruction("the left ship"))
    Locate the left ship. First reason about where it is inside <think> </think>, then give its box as \
[x1, y1, x2, y2] inside <answer> </answer>.
    """
    return (
        f"{instruction(query)} First reason about where it is inside <think> </think>, then give its box as "
        "[x1, y1, x2, y2] inside <answer> </answer>."
    )


def prompt(query: str) -> list[dict[str, Any]]:
    """The chat up to the answer; the trainers put the image in front of the text."""
    return [{"role": "user", "content": instruction(query)}]


def response(thought: str, box: Sequence[int]) -> str:
    """What the model is to say.

    >>> response("The ships are at (200, 300) and (700, 300).", [100, 250, 300, 350])
    '<think>The ships are at (200, 300) and (700, 300).</think><answer>[100, 250, 300, 350]</answer>'
    """
    return f"<think>{thought}</think><answer>[{', '.join(map(str, box))}]</answer>"
