"""Chains from a teacher behind an OpenAI-compatible endpoint (vLLM, SGLang, a hosted model)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
from rsreward_tools.data.example import Example, inside
from rsreward_tools.data.images import chat
from rsreward_tools.errors import InputError

from rsreward import Space

from ..asking import Asking, Unanswered
from . import Chain
from .instruction import teacher_instruction


@dataclass(frozen=True)
class Teacher:
    """A source of chains, see `collect`.

    Attributes:
        asking: how the teacher is asked.
        images: the root folder of the data set.
        space: the coordinate space of the student, in which the chains are written.
        requests_per_minute: 0 for no limit.
        think_in_prompt: the teacher's chat template opens `<think>`, so its answers begin inside it.
    """

    asking: Asking
    images: Path
    space: Space
    requests_per_minute: int = 0
    think_in_prompt: bool = False

    async def __call__(self, examples: Iterator[Example]) -> AsyncIterator[Chain]:
        """Ask for every example. Chains come in the order in which they are finished.

        Raises:
            InputError: if the endpoint refuses the key or the model.
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

        async with self.asking.client() as client:
            workers = [asyncio.create_task(work(client)) for _ in range(self.asking.at_once)]
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
            answer, read, written = await self.asking.ask(client, messages, self.asking.seed)
        except Unanswered as error:
            return Chain(example, error=str(error))
        if not answer:
            return Chain(example, error="an empty answer")
        return Chain(example, "<think>" * self.think_in_prompt + answer, None, read, written)
