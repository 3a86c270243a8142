"""The format reward: strict, over the whole completion, in linear time."""

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from .answers import Answer, BoxKind, boxes_of, check_kind, check_texts, may_hold_tags, parse_answer, read_region

_CONTENT = r"[^<]*+(?:<(?!/?+(?:think|answer)>)[^<]*+)*+"  # none of the four tags
# All of `_conditions` at once, in a fifth of the time.
_FORM = re.compile(
    rf"<think>(?!\s*+</think>){_CONTENT}</think>\s*+<answer>(?!\s*+</answer>)(?P<answer>{_CONTENT})</answer>"
)
_BOX_PROBLEMS = {"too-long", "truncated", "duplicate", "not-finite", "two-kinds"}
_CORNER_PROBLEMS = {"inverted", "degenerate"}  # of x1, y1, x2, y2, which the numbers of an oriented box need not be


def format_reward(
    completions: Sequence[str],
    *,
    require_box: bool = True,
    kind: BoxKind | None = None,
    think_in_prompt: bool = False,
    graded: bool = False,
    answers: Sequence[Answer] | None = None,
) -> Tensor:
    """1 for a completion that is `<think>...</think><answer>...</answer>` and nothing else, 0 otherwise.

    Six conditions: one think element that is not empty; one such answer element; nothing before the first, nothing
    behind the second, nothing between them but white space; one box in the answer that can be read. A reward that looks
    for the pattern somewhere in the text teaches a policy to go on for ever after it. Tags in another spelling do not
    count, though `parse_answer` reads what stands in them. The paper's R_format, binary as in VLM-R1 (inferred); the
    graded form is ours, for a policy that would never meet all conditions by chance.

    Args:
        completions: N texts, special tokens removed.
        require_box: whether the last condition is one.
        kind: what the box must be read as, "horizontal" (four numbers) or "oriented", see `parse_boxes`. None: either.
        think_in_prompt: the template has opened the think element in the prompt already.
        graded: give the share of the conditions that are met instead.
        answers: what `parse_answer` has read of these texts already, so that none is read twice.

    Returns:
        `(N,)`, float32.

    Raises:
        ValueError: if the kind is unknown, or there are not as many answers as completions.
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
    if answers is not None and len(answers) != len(completions):
        raise ValueError(f"each completion needs its answer, got {len(completions)} and {len(answers)}.")
    scores = []
    read: Sequence[Answer | None] = answers or [None] * len(completions)
    for text, answer in zip(completions, read, strict=True):
        opened = "<think>" * think_in_prompt + text.strip()
        form = None if graded else _FORM.fullmatch(opened)
        met = _conditions(opened) if graded else [form is not None]
        if require_box and (graded or form):
            if answer is None and form and not may_hold_tags(form["answer"]):  # else parse_answer may cut it
                answer = read_region(form["answer"], [])
            met.append(_is_one_box(answer or parse_answer(opened), kind or "oriented"))
        scores.append(sum(met) / len(met) if graded else float(all(met)))
    return torch.tensor(scores)


def _conditions(text: str) -> list[bool]:
    """The conditions but that of the box."""
    thought, answer = _element(text, "think"), _element(text, "answer")
    return [
        bool(thought.strip()),
        bool(answer.strip()),
        text.startswith("<think>"),
        text.endswith("</answer>"),
        "</think>" in text and text.rpartition("</think>")[2].lstrip().startswith("<answer>"),
    ]


def _element(text: str, tag: str) -> str:
    """What stands in the element; nothing unless each of its tags stands there once."""
    if text.count(f"<{tag}>") != 1 or text.count(f"</{tag}>") != 1:
        return ""
    return text.partition(f"<{tag}>")[2].rpartition(f"</{tag}>")[0]


def _is_one_box(read: Answer, kind: BoxKind) -> bool:
    boxes = boxes_of(read, kind)
    if len(boxes) != 1:
        return False
    problems = _BOX_PROBLEMS | _CORNER_PROBLEMS if len(boxes[0]) == 4 else _BOX_PROBLEMS
    return not problems.intersection(read.problems)
