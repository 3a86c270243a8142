"""Signs that a reward runs idle: answers that say nothing, or all the same. Counted over rows; no score changes."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..answers import Answer
from ..frame import Finding

WHOLE = 0.95  # of an image: a box of as much area says nothing
DISTINCT = 8  # answers, questions or groups from which on something is told of them
MOST_BOXES = 64  # that are kept, of which one may be said too often

# Of the rows, or of the groups, the share above which each is told, and the sentence.
SIGNS = {
    "unreadable-answers": (1.0, "{} hold no box that can be read, and there were fewer: are completions cut off?"),
    "groups-alike": (0.8, "{} have rollouts that all answer alike: nothing is learnt from them."),
    "same-box": (0.5, "{} are one and the same box, whatever is asked for."),
    "whole-image": (0.3, "{} are a box of the whole image."),
    "repeated-boxes": (0.3, "{} name a box twice."),
    "cut-off": (0.3, "{} end before they are finished: allow longer completions, or ask for shorter thoughts."),
    "thoughts-unopened": (
        0.5,
        "{} close a thought that they do not open, and the format reward pays none of them: does the chat template "
        "open it in the prompt? Then set think_in_prompt=True.",
    ),
}


class Signs:
    """How many rows show each sign. Memory does not grow with the rows, and the counts of parts can be merged.

    Args:
        think_in_prompt: the chat template opens the thought.

    >>> from rsreward import parse_answer
    >>> signs, texts = Signs(), ["<think>The left ship is", "<think>a</think><answer>[1, 2, 3, 4]</answer>"] * 4
    >>> signs.update(texts, [parse_answer(text) for text in texts], range(8))
    >>> signs.counts, [finding.message[:41] for finding in signs.findings()]
    ({'unreadable-answers': 4, 'cut-off': 4}, ['4 of 8 answers end before they are finish'])
    """

    def __init__(self, think_in_prompt: bool = False) -> None:
        self.think_in_prompt = think_in_prompt
        self.rows, self.groups, self.shown = 0, 0, Counter[str]()
        self.boxes, self.questions = Counter[tuple[float, ...]](), set[Hashable]()

    def update(
        self,
        texts: Sequence[str],
        answers: Sequence[Answer],
        questions: Sequence[Hashable],
        *,
        whole: Iterable[bool] = (),
        cut: Iterable[bool] | None = None,
        rollouts: bool = True,
    ) -> None:
        """Add N rows.

        Args:
            texts, answers: the completions, and what `parse_answer` has read of them.
            questions: what is the same for two answers to one question.
            whole: whether each box is one of the whole image.
            cut: whether each completion was cut off, where the trainer tells; else it is seen in the text.
            rollouts: answers to one question are the rollouts of a group.
        """
        groups: dict[Hashable, list[object]] = {}
        for question, answer in zip(questions, answers, strict=True):
            groups.setdefault(question, []).append(answer.boxes)
        several = [group for group in groups.values() if len(group) > 1] if rollouts else []
        self.rows, self.groups = self.rows + len(answers), self.groups + len(several)
        self.shown.update(
            {
                "unreadable-answers": sum(not answer.boxes and not answer.says_none for answer in answers),
                "groups-alike": sum(len(set(group)) == 1 for group in several),
                "whole-image": sum(whole),
                "repeated-boxes": sum("duplicate" in answer.problems for answer in answers),
                "cut-off": sum(map(self._is_unfinished, texts) if cut is None else cut),
                "thoughts-unopened": 0 if self.think_in_prompt else sum(map(_is_unopened, texts)),
            }
        )
        self._add_boxes(Counter(answer.boxes[0] for answer in answers if answer.boxes), groups)

    def merge(self, other: "Signs") -> None:
        """Add the rows of another one."""
        self.rows, self.groups = self.rows + other.rows, self.groups + other.groups
        self.shown.update(other.shown)
        self._add_boxes(other.boxes, other.questions)

    @property
    def counts(self) -> dict[str, int]:
        """The rows of each sign, of groups the groups; 0s are left out. What alike answers need to be told is not."""
        most = max(self.boxes.values(), default=0)
        enough = {
            "groups-alike": self.groups >= DISTINCT,
            "same-box": len(self.questions) >= DISTINCT and most > SIGNS["same-box"][0] * self.rows,
        }
        shown = dict(self.shown) | {"same-box": most}
        return {name: shown[name] for name in SIGNS if shown.get(name) and enough.get(name, True)}

    def findings(self, least_unreadable: float | None = None) -> list[Finding]:
        """The signs that too many rows show.

        Args:
            least_unreadable: the share above which unreadable answers are told; None: never.
        """
        found = []
        for name, count in self.counts.items():
            of = self.groups if name == "groups-alike" else self.rows
            share, sentence = SIGNS[name]
            if name == "unreadable-answers" and least_unreadable is not None:
                share = least_unreadable
            if count > share * of and of >= DISTINCT:
                what = f"{count} of {of} {'groups' if name == 'groups-alike' else 'answers'}"
                found.append(Finding(name, count, of, sentence.format(what)))
        return found

    def _add_boxes(self, boxes: Counter[tuple[float, ...]], questions: Iterable[Hashable]) -> None:
        self.boxes = Counter(dict((self.boxes + boxes).most_common(MOST_BOXES)))
        for question in questions:
            if len(self.questions) == DISTINCT:
                break
            self.questions.add(question)

    def _is_unfinished(self, text: str) -> bool:
        """An element was opened and not closed."""
        thinking = self.think_in_prompt or "<think>" in text
        return (thinking and "</think>" not in text) or text.rfind("<answer>") > text.rfind("</answer>")


def cut_off(completion_ids: Sequence[Sequence[int]]) -> list[bool]:
    """Which completions of a batch were cut off at the longest length allowed, by their tokens alone.

    A completion that is shorter than another has ended by itself, so its last token ends completions. One of the
    longest that ends with another token was cut off.

    >>> cut_off([[5, 6, 2], [5, 7, 8, 9], [5, 7, 8, 2]])
    [False, True, False]
    """
    longest = max(map(len, completion_ids), default=0)
    last = [ids[-1] if len(ids) else None for ids in completion_ids]
    ends = {end for end, ids in zip(last, completion_ids, strict=True) if len(ids) < longest}
    ends = ends or ({last[0]} if len(set(last)) == 1 else set())
    return [len(ids) == longest and end not in ends for end, ids in zip(last, completion_ids, strict=True)]


def covers_image(boxes: Tensor, width: Tensor, height: Tensor) -> list[bool]:
    """Which boxes, `(N, 4)` or `(N, 5)`, are of nearly the whole image of this size, `(N,)` each; NaN never is.

    >>> covers_image(torch.tensor([[0.0, 0.0, 99.0, 99.0], [0.0, 0.0, 50.0, 99.0]]), *torch.full((2, 2), 100.0))
    [True, False]
    """
    sides = boxes[:, 2:4] if boxes.shape[-1] == 5 else boxes[:, 2:] - boxes[:, :2]
    whole: list[bool] = (sides.prod(-1) > WHOLE * width * height).tolist()
    return whole


def first_boxes(sets: Sequence[NDArray[Any]]) -> Tensor:
    """The first box of each set of them; NaN for an empty set."""
    none = np.full(sets[0].shape[1:], np.nan, sets[0].dtype)
    return torch.from_numpy(np.stack([boxes[0] if len(boxes) else none for boxes in sets]))


def _is_unopened(text: str) -> bool:
    return "</think>" in text and "<think>" not in text
