"""What `cot` and `evaluate` share: questions, a model behind an endpoint, and answers written as they come."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
from rsreward_tools.data.example import Example, read_examples
from rsreward_tools.errors import InputError
from rsreward_tools.files import (
    alone_in,
    folder_to_write,
    refuse_foreign_folder,
    regular_file,
    resume_lines,
    same_settings,
)

from rsreward.coordinates import MAX_SIDE

Row = dict[str, Any]


def questions(file: Path, limit: int | None = None) -> list[Example]:
    """The first `limit` examples of a table of `rsreward data`, or all; each asks for one box.

    Raises:
        InputError: naming the first question that cannot be asked or measured.
    """
    examples = list(read_examples(file))[:limit]
    if not examples:
        raise InputError(f"{file} holds no question.")
    for example in examples:
        if len(example.boxes or ()) != 1:
            raise InputError(f"{file}: the question {example.source_id} has several boxes or none: leave it out.")
        x1, y1, x2, y2 = example.boxes[0]
        if not (x1 < x2 and y1 < y2 and max(example.width, example.height) <= MAX_SIDE):
            raise InputError(
                f"{file}: the question {example.source_id} has the box {example.boxes[0]}, in an image of "
                f"{example.width} x {example.height}, which cannot be measured: leave it out."
            )
    return examples


def keyed(examples: Sequence[Example]) -> dict[tuple[str, str], Example]:
    """The examples by dataset and source_id.

    Raises:
        InputError: if two have the same.
    """
    found = {(example.dataset, example.source_id): example for example in examples}
    if len(found) < len(examples):
        raise InputError("two questions have the same dataset and source_id: prepare the data again.")
    return found


class Unanswered(Exception):
    """A request that failed after all tries. The message is the reason."""


@dataclass(frozen=True)
class Asking:
    """How a model is asked.

    Attributes:
        model: its folder or its name; the name that the endpoint gives it.
        endpoint: base URL of an OpenAI-compatible server, with /v1; None to load the model here.
        key: sent as bearer token.
        at_once: number of parallel requests, or of questions in a batch for a model that is loaded here.
        max_tokens, temperature, seed: options of the sampling; temperature 0 is greedy.
        timeout: the longest time for a request, in seconds.
        retries: how often time-outs, lost connections and the codes 408, 409, 429 and 5xx are tried again.
    """

    model: str
    endpoint: str | None = None
    key: str = "none"
    at_once: int = 8
    max_tokens: int = 512
    temperature: float = 0.0
    seed: int = 0
    timeout: float = 300.0
    retries: int = 5

    def client(self) -> openai.AsyncOpenAI:
        """A client of the endpoint. Close it after use."""
        return openai.AsyncOpenAI(
            base_url=self.endpoint, api_key=self.key, timeout=self.timeout, max_retries=self.retries
        )

    async def ask(self, client: openai.AsyncOpenAI, messages: list[Any], seed: int) -> tuple[str, int, int]:
        """The answer to messages (`images.chat`), and the tokens read and written.

        Raises:
            InputError: if the endpoint refuses the key or does not know the model.
            Unanswered: if this request failed.
        """
        try:
            reply = await client.chat.completions.create(
                model=self.model, max_tokens=self.max_tokens, temperature=self.temperature, seed=seed, messages=messages
            )
            content, usage = reply.choices[0].message.content or "", reply.usage
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise InputError(f"{self.endpoint} refuses the key: set OPENAI_API_KEY ({error.status_code}).") from None
        except openai.NotFoundError:
            raise InputError(f"{self.endpoint} has no model {self.model!r}, or its path lacks /v1.") from None
        except openai.APIStatusError as error:
            raise Unanswered(f"HTTP {error.status_code}") from None
        except openai.APITimeoutError:
            raise Unanswered(f"no answer in {self.timeout:g} s") from None
        except openai.APIConnectionError:
            raise Unanswered("connection lost or refused") from None
        except (openai.OpenAIError, json.JSONDecodeError, AttributeError, IndexError, TypeError):
            raise Unanswered("an answer that is not a chat completion") from None
        if not isinstance(content, str):
            raise Unanswered("an answer that is not a chat completion")
        read, written = (getattr(usage, name, None) or 0 for name in ("prompt_tokens", "completion_tokens"))
        return content, read, written


@contextmanager
def journal(
    path: Path, fields: tuple[str, ...], settings: dict[str, Any], others: Sequence[str]
) -> Iterator[tuple[list[Row], Callable[[Row], None]]]:
    """The rows that an earlier run left in a file, and a function that appends one more.

    The settings are written to `asked.json` beside it. Meanwhile no other run can write to the folder.

    Args:
        path: the file. Its folder is created.
        fields: the fields of every row, in order.
        settings: what all rows of the file share.
        others: names of the other files that the run will write there.

    Raises:
        InputError: if another run is at work there, or the folder holds something else or rows of other settings.
    """
    folder_to_write("--out", path.parent)
    refuse_foreign_folder("--out", path.parent, "asked.json", *others)
    with alone_in(path.parent), regular_file(path).open("a", encoding="utf-8") as file:
        rows = resume_lines(path, fields)
        same_settings(path.parent / "asked.json", settings)

        def write(row: Row) -> None:
            file.write(json.dumps(row) + "\n")
            file.flush()

        yield rows, write
