"""`rsreward evaluate`: the answers of a model to a data set's questions, and what they are worth."""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from math import comb
from pathlib import Path
from typing import Any
from zlib import crc32

import openai
import torch
from rsreward_tools.data.example import Example, inside
from rsreward_tools.data.images import chat, open_image
from rsreward_tools.data.prompts import instruction, prompt
from rsreward_tools.errors import InputError
from rsreward_tools.files import folder_to_write, not_of_another, resume_lines, same_settings
from rsreward_tools.score.measure import numbered
from torch import Tensor
from transformers import AutoModelForImageTextToText

from rsreward import CONVENTIONS, Space, Tally, grounding_columns, parse_boxes, size_class

from .model.generate import generate
from .model.processors import load_processor

Progress = Callable[[int, int], None]
FIELDS = ("dataset", "source_id", "sample", "completion", "target", "width", "height")


@dataclass(frozen=True)
class Asking:
    """How a model is asked.

    Attributes:
        model: its folder or its name; behind an endpoint, what that serves.
        endpoint: base URL of an OpenAI-compatible server; None to load the model here.
        template: what the user says, with {query} in it.
        samples: answers a question.
        temperature: 0 for greedy answers.
        max_new_tokens, batch_size, seed: of the generation; batch_size is the number of requests at once for a server.
    """

    model: str
    template: str
    endpoint: str | None = None
    key: str = "none"
    samples: int = 1
    temperature: float = 0.0
    max_new_tokens: int = 512
    batch_size: int = 16
    seed: int = 0


def answer(
    examples: Sequence[Example], images: Path, asking: Asking, out: Path, *, progress: Progress = lambda done, of: None
) -> list[dict[str, Any]]:
    """The rows of `out/completions.jsonl`, in the order of the examples; what is missing there is asked and written.

    Answers come in batches that do not depend on what was there before, so a run that was cut off and started again
    ends with the same answers.
    """
    several = [example.source_id for example in examples if len(example.boxes) != 1]
    if several:
        raise InputError(f"the question {several[0]} has several boxes: only questions with one can be measured.")
    if not examples:
        raise InputError("there is no question to ask.")
    wanted = {(e.dataset, e.source_id, sample): e for sample in range(asking.samples) for e in examples}
    if len(wanted) < asking.samples * len(examples):
        raise InputError("two questions have the same dataset and source_id: prepare the data again.")
    folder_to_write("--out", out)
    not_of_another("--out", out, "asked.json", "results.json")
    settings = {name: value for name, value in asdict(asking).items() if name not in ("key", "samples")}
    same_settings(out / "asked.json", settings | {"weights": _weights(asking.model)})
    path = out / "completions.jsonl"
    done = {(row["dataset"], row["source_id"], row["sample"]): row for row in resume_lines(path, FIELDS)}
    for key, example in wanted.items():
        if key in done and any(done[key][name] != value for name, value in _question(example).items()):
            raise InputError(f"{path} holds an answer to another question {key[1]} of {key[0]}: give another --out.")
    keys = list(wanted)
    batches = [keys[start : start + asking.batch_size] for start in range(0, len(keys), asking.batch_size)]
    missing = [batch for batch in batches if any(key not in done for key in batch)]
    progress(len(wanted) - sum(map(len, missing)), len(wanted))
    source = _served if asking.endpoint else _loaded
    with path.open("a", encoding="utf-8") as file:
        asked = [[(wanted[key], key[2]) for key in batch] for batch in missing]
        for batch, texts in source(asked, images, asking):
            for (example, sample), text in zip(batch, texts, strict=True):
                key = (example.dataset, example.source_id, sample)
                if key not in done:
                    done[key] = _question(example) | {"sample": sample, "completion": text}
                    file.write(json.dumps(done[key]) + "\n")
            file.flush()
            progress(len(done), len(wanted))
    return [done[key] for key in keys]


def _weights(model: str) -> int | None:
    """When the weights in a folder were written, so that those of a later training are told apart."""
    return max((int(file.stat().st_mtime) for file in Path(model).glob("*.safetensors")), default=None)


def _question(example: Example) -> dict[str, Any]:
    fields = ("dataset", "source_id", "image", "query", "width", "height", "category", "unique")
    return {name: getattr(example, name) for name in fields} | {"target": example.boxes[0]}


Batch = list[tuple[Example, int]]


def _loaded(batches: list[Batch], images: Path, asking: Asking) -> Iterator[tuple[Batch, list[str]]]:
    """From a model that is loaded here."""
    if not batches:
        return
    processor = load_processor(asking.model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForImageTextToText.from_pretrained(asking.model, dtype="auto").to(device)
    for batch in batches:
        rows = [
            {"images": [open_image(inside(images, e.image))], "prompt": prompt(e.query, asking.template)}
            for e, _ in batch
        ]
        first, sample = batch[0]
        texts = generate(
            model, processor, rows, sampled=asking.temperature > 0, temperature=asking.temperature or 1.0,
            seed=_seed(asking.seed, first.source_id, sample), batch_size=len(rows),
            max_new_tokens=asking.max_new_tokens,
        )  # fmt: skip
        yield batch, texts


def _seed(seed: int, source_id: str, sample: int) -> int:
    """A seed of its own for each batch, by the question it begins with."""
    return crc32(f"{seed} {sample} {source_id}".encode())


def _served(batches: list[Batch], images: Path, asking: Asking) -> Iterator[tuple[Batch, list[str]]]:
    """From a server; a request that fails after five tries ends the run, which the same command takes up again."""

    async def one(client: openai.AsyncOpenAI, example: Example, sample: int) -> str:
        reply = await client.chat.completions.create(
            model=asking.model, max_tokens=asking.max_new_tokens, temperature=asking.temperature,
            seed=asking.seed + sample,
            messages=chat(inside(images, example.image), instruction(example.query, asking.template)),
        )  # fmt: skip
        content = reply.choices[0].message.content or ""
        if not isinstance(content, str):
            raise TypeError
        return content

    async def many(batch: Batch) -> list[str]:
        async with openai.AsyncOpenAI(base_url=asking.endpoint, api_key=asking.key, max_retries=5) as client:
            return list(await asyncio.gather(*(one(client, example, sample) for example, sample in batch)))

    for batch in batches:
        try:
            texts = asyncio.run(many(batch))
        except openai.OpenAIError as error:
            raise InputError(f"{asking.endpoint} did not answer for {asking.model!r}: {error}") from None
        except (json.JSONDecodeError, AttributeError, IndexError, TypeError):
            raise InputError(f"{asking.endpoint} answers what is no chat completion.") from None
        yield batch, texts


def pass_at_k(hits: Sequence[int], samples: int, k: int) -> float:
    """The mean chance that of k answers out of the samples at least one is right.

        pass@k = mean over questions of 1 - C(n - c, k) / C(n, k)    (Chen et al. 2021, the unbiased estimate)

    Args:
        hits: c, the number of right answers of each question.
        samples: n, the number of answers of each.

    >>> pass_at_k([0, 1, 2], samples=2, k=1), pass_at_k([0, 1, 2], samples=2, k=2)
    (0.5, 0.6666666666666666)
    """
    chances = [1 - comb(samples - c, k) / comb(samples, k) for c in hits]
    return sum(chances) / max(len(chances), 1)


def results(rows: Sequence[dict[str, Any]], asking: Asking, space: Space) -> dict[str, Any]:
    """What the answers are worth: all conventions, groups of questions, pass@k, and how they came about."""
    width, height = ([row[side] for row in rows] for side in ("width", "height"))
    size: dict[str, Any] = {"width": width, "height": height}
    pred = parse_boxes([row["completion"] for row in rows], space=space, **size)
    target = torch.tensor([row["target"] for row in rows])
    columns = {name: grounding_columns(pred, target, convention=name, **size) for name in CONVENTIONS}
    questions: dict[tuple[str, str], int] = {}
    question = numbered([(row["dataset"], row["source_id"]) for row in rows], questions)
    tallies = {name: _tally(columns[name], question, name) for name in CONVENTIONS}
    groups = {"size": size_class(target)} | {name: [row[name] for row in rows] for name in ("category", "unique")}
    plain = {
        name: {
            str(group): _tally({c: v[members] for c, v in columns["plain"].items()}, question[members], "plain")
            for group in dict.fromkeys(of)
            for members in [torch.tensor([group == each for each in of])]
        }
        for name, of in groups.items()
        if any(group is not None for group in of)
    }
    hits = torch.zeros(len(questions), dtype=torch.long).index_add_(0, question, columns["plain"]["hits@0.5"].long())
    ks = [k for k in (1, 2, 4, 8, 16, 32, 64) if k <= asking.samples]
    return {
        "metrics": {name: {"rows": tally.rows} | tally.compute() for name, tally in tallies.items()},
        "intervals": {name: tally.intervals(seed=asking.seed) for name, tally in tallies.items()},
        "groups": {n: {g: {"rows": t.rows} | t.compute() for g, t in of.items()} for n, of in plain.items()},
        "group_intervals": {n: {g: t.intervals(seed=asking.seed) for g, t in of.items()} for n, of in plain.items()},
        "pass@k at IoU 0.5": {str(k): pass_at_k(hits.tolist(), asking.samples, k) for k in ks},
        "asked": {name: value for name, value in asdict(asking).items() if name != "key"},
        "space": asdict(space),
        "versions": {name: version(name) for name in ("rsreward", "torch", "transformers")},
        "commit": _commit(),
    }


def _tally(columns: dict[str, Tensor], question: Tensor, convention: str) -> Tally:
    """Sums whose intervals draw questions, not answers."""
    tally = Tally(CONVENTIONS[convention].ratios)
    tally.update(columns, question)
    return tally


def _commit() -> str | None:
    """The commit of the working folder, where it is one of git."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
