"""The format reward: strict, over the whole completion, in linear time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .answers import parse_answer

_TAGS = ("<think>", "</think>", "<answer>", "</answer>")


def format_reward(completions: Sequence[str], *, require_box: bool = True, think_in_prompt: bool = False) -> Tensor:
    """1 for a completion that is `<think>...</think><answer>...</answer>` and nothing else, 0 otherwise.

    Each of the four tags stands there once and in this order, neither element is empty, and around them is white space
    only. A reward that looks for the pattern somewhere in the text teaches a policy to go on for ever after it. The
    paper's R_format, binary as in VLM-R1 (inferred).

    Args:
        completions: N texts, special tokens removed.
        require_box: the answer holds exactly one box that can be read.
        think_in_prompt: the template has opened the think element in the prompt already.

    Returns:
        `(N,)`, float32.

    >>> format_reward(["<think>Left.</think><answer>[1, 2, 3, 4]</answer>", "<answer>[1, 2, 3, 4]</answer>"])
    tensor([1., 0.])
    """
    return torch.tensor([float(_well_formed(text, require_box, think_in_prompt)) for text in completions])


def _well_formed(text: str, require_box: bool, think_in_prompt: bool) -> bool:
    text = "<think>" * think_in_prompt + text.strip()
    if any(text.count(tag) != 1 for tag in _TAGS) or not text.startswith("<think>"):
        return False
    thought, between, rest = text[len("<think>") :].partition("</think>")
    rest = rest.lstrip()
    if not between or not thought.strip() or not rest.startswith("<answer>") or not rest.endswith("</answer>"):
        return False
    answer = rest[len("<answer>") : -len("</answer>")]
    if not answer.strip():
        return False
    if not require_box:
        return True
    read = parse_answer(rest)
    return len(read.boxes) == 1 and read.kind != "point" and not read.problems
