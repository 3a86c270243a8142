"""What is handed over as completions and as columns."""

import numpy as np
import pytest
import torch

from rsreward.answers import completion_text
from rsreward.checks import as_column


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("a", "a"),
        ([{"role": "assistant", "content": "a"}], "a"),
        ([{"role": "assistant", "content": [{"type": "text", "text": "a"}]}], "a"),
        ([{"role": "assistant", "reasoning_content": "why", "content": "a"}], "<think>why</think>a"),
        ([{"role": "assistant", "content": None}], ""),
        ([{"role": "assistant", "content": "a"}, {"role": "tool", "content": "b"}], "a"),
        ([{"role": "assistant", "content": "a"}, {"role": "tool"}, {"role": "assistant", "content": "c"}], "c"),
        ([], ""),
    ],
)
def test_the_text_of_a_completion(completion, text):
    assert completion_text(completion) == text


@pytest.mark.parametrize(
    "completion", [None, 3, {"content": "a"}, ["a"], [{"content": 5}], [{"content": {"a": 1}}], [{"content": [5]}],
                   [{"content": [{"text": 5}]}], [{"role": "user", "content": "a"}],
                   [{"content": "a", "thinking": 5}], [{"content": torch.ones(2)}], [{"role": np.array(["a", "b"])}],
                   [{"role": 10**5000}]],
)  # fmt: skip
def test_what_is_no_completion_is_named(completion):
    with pytest.raises(ValueError, match=r"a completion must be a text or |content of a chat message must be a text"):
        completion_text(completion)


@pytest.mark.parametrize("values", [[1, 2], (1, 2), np.array([1, 2]), torch.tensor([1, 2])])
def test_a_column_of_any_type_becomes_a_list(values):
    assert as_column(values, "the column 'width'", 2) == [1, 2]
    with pytest.raises(ValueError, match="the column 'width' has 2 rows for 3 completions: give one value for each"):
        as_column(values, "the column 'width'", 3)


@pytest.mark.parametrize("values", [5, "12", {"a": 1, "b": 2}, torch.tensor(5), None])
def test_what_is_not_a_column_is_refused(values):
    with pytest.raises(ValueError, match="the column 'width' must be a list with one value for each completion, got "):
        as_column(values, "the column 'width'", 2)
