"""Chains from a teacher behind an OpenAI-compatible endpoint (vLLM, SGLang, a hosted model)."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
from rsreward_tools.data.example import Example, inside
from rsreward_tools.data.images import chat
from rsreward_tools.errors import InputError

from rsreward import Space

from . import Chain
from .instruction import teacher_instruction


@dataclass(frozen=True)
class Teacher:
    """How the teacher is asked.

    Attributes:
        endpoint: the base URL, such as "http://localhost:8000/v1".
        model: what it serves.
        images: the root folder of the data set.
        space: the coordinate space of the student, in which the chains are written.
        key: sent as bearer token.
        concurrency: requests under way at once.
        requests_per_minute: 0 for no limit.
        max_tokens, temperature, seed: of the sampling.
        timeout: seconds that a request may take.
        retries: for time-outs, lost connections, 408, 409, 429 and 5xx, with growing pauses.
    """

    endpoint: str
    model: str
    images: Path
    space: Space
    key: str = "none"
    concurrency: int = 8
    requests_per_minute: int = 0
    max_tokens: int = 1024
    temperature: float = 0.7
    seed: int = 0
    timeout: float = 300.0
    retries: int = 5

    async def __call__(self, examples: Iterator[Example]) -> AsyncIterator[Chain]:
        """Ask for every example; chains come as they are finished.

        Raises:
            InputError: if the endpoint refuses the key or does not know the model.
        """
        pause = 60 / self.requests_per_minute if self.requests_per_minute else 0.0
        results: asyncio.Queue[Chain | Exception | None] = asyncio.Queue()
        turn = asyncio.Lock()

        async def work(client: openai.AsyncOpenAI) -> None:
            try:
                for example in examples:
                    async with turn:
                        await asyncio.sleep(pause)
                    await results.put(await self._ask(client, example))
                await results.put(None)
            except Exception as error:
                await results.put(error)

        async with openai.AsyncOpenAI(
            base_url=self.endpoint, api_key=self.key, timeout=self.timeout, max_retries=self.retries
        ) as client:
            workers = [asyncio.create_task(work(client)) for _ in range(self.concurrency)]
            working = len(workers)
            try:
                while working:
                    result = await results.get()
                    if isinstance(result, Exception):
                        raise result
                    if result is None:
                        working -= 1
                    else:
                        yield result
            finally:
                for worker in workers:
                    worker.cancel()

    async def _ask(self, client: openai.AsyncOpenAI, example: Example) -> Chain:
        text = teacher_instruction(example.query, example.boxes[0], example.width, example.height, self.space)
        try:
            messages = chat(inside(self.images, example.image), text)
        except InputError as error:
            return Chain(example, error=str(error))
        try:
            answer = await client.chat.completions.create(
                model=self.model, max_tokens=self.max_tokens, temperature=self.temperature, seed=self.seed,
                messages=messages,
            )  # fmt: skip
            content, usage = answer.choices[0].message.content, answer.usage
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise InputError(f"{self.endpoint} refuses the key: set OPENAI_API_KEY ({error.status_code}).") from None
        except openai.NotFoundError:
            raise InputError(f"{self.endpoint} has no model {self.model!r}, or its path lacks /v1.") from None
        except openai.APIStatusError as error:
            return Chain(example, error=f"HTTP {error.status_code}")
        except openai.APITimeoutError:
            return Chain(example, error=f"no answer in {self.timeout:g} s")
        except openai.APIConnectionError:
            return Chain(example, error="connection lost or refused")
        except (openai.OpenAIError, json.JSONDecodeError, AttributeError, IndexError, TypeError):
            return Chain(example, error="an answer that is no chat completion")
        if not isinstance(content, str) or not content:
            return Chain(example, error="an empty answer")
        tokens = (getattr(usage, name, None) or 0 for name in ("prompt_tokens", "completion_tokens"))
        return Chain(example, content, None, *tokens)
