"""The format reward: strict, over the whole completion, in linear time."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from .answer_boxes import check_kind
from .answers import READ_AS, Answer, BoxKind, check_texts, parse_answer, read_region

_CONTENT = r"[^<]*+(?:<(?!/?+(?:think|answer)>)[^<]*+)*+"  # none of the four tags
# All conditions of `_share_met` but that of the box at once, in a fifth of the time.
_FORM = re.compile(
    rf"<think>(?!\s*+</think>){_CONTENT}</think>\s*+<answer>(?!\s*+</answer>)(?P<answer>{_CONTENT})</answer>"
)
_BOX_PROBLEMS = {"too-long", "truncated", "duplicate", "not-finite"}
_CORNER_PROBLEMS = {"inverted", "degenerate"}  # of x1, y1, x2, y2, which the numbers of an oriented box need not be


def format_reward(
    completions: Sequence[str],
    *,
    require_box: bool = True,
    kind: BoxKind | None = None,
    think_in_prompt: bool = False,
    graded: bool = False,
) -> Tensor:
    """1 for a completion that is `<think>...</think><answer>...</answer>` and nothing else, 0 otherwise.

    Six conditions: one think element that is not empty; one such answer element; nothing before the first, nothing
    behind the second, nothing between them but white space; one box in the answer that can be read. A reward that looks
    for the pattern somewhere in the text teaches a policy to go on for ever after it. The paper's R_format, binary as
    in VLM-R1 (inferred); the graded form is ours, for a policy that would never meet all conditions by chance.

    Args:
        completions: N texts, special tokens removed.
        require_box: whether the last condition is one.
        kind: what the box must be read as, "horizontal" (four numbers) or "oriented", see `parse_boxes`. None: either.
        think_in_prompt: the template has opened the think element in the prompt already.
        graded: give the share of the conditions that are met instead.

    Returns:
        `(N,)`, float32.

    Raises:
        ValueError: if the kind is unknown.
        TypeError: if the completions are no list of texts.

    >>> texts = ["<think>Left.</think><answer>[1, 2, 3, 4]</answer>", "<answer>[1, 2, 3, 4]</answer>", "None."]
    >>> format_reward(texts)
    tensor([1., 0., 0.])
    >>> format_reward(texts, graded=True)
    tensor([1.0000, 0.5000, 0.0000])
    """
    if kind is not None:
        check_kind(kind)
    check_texts(completions)
    score = _share_met if graded else _strict
    opened = "<think>" * think_in_prompt
    return torch.tensor([score(opened + text.strip(), require_box, kind or "oriented") for text in completions])


def _strict(text: str, require_box: bool, kind: BoxKind) -> float:
    form = _FORM.fullmatch(text)
    return float(form is not None and (not require_box or _is_one_box(read_region(form["answer"]), kind)))


def _share_met(text: str, require_box: bool, kind: BoxKind) -> float:
    thought, answer = _element(text, "think"), _element(text, "answer")
    met = [
        bool(thought.strip()),
        bool(answer.strip()),
        text.startswith("<think>"),
        text.endswith("</answer>"),
        "</think>" in text and text.rpartition("</think>")[2].lstrip().startswith("<answer>"),
    ]
    if require_box:
        met.append(_is_one_box(parse_answer(text), kind))
    return sum(met) / len(met)


def _element(text: str, tag: str) -> str:
    """What stands in the element; nothing unless each of its tags stands there once."""
    if text.count(f"<{tag}>") != 1 or text.count(f"</{tag}>") != 1:
        return ""
    return text.partition(f"<{tag}>")[2].rpartition(f"</{tag}>")[0]


def _is_one_box(read: Answer, kind: BoxKind) -> bool:
    problems = _BOX_PROBLEMS | _CORNER_PROBLEMS if read.kind == "horizontal" else _BOX_PROBLEMS
    return len(read.boxes) == 1 and read.kind in READ_AS[kind] and not problems.intersection(read.problems)
