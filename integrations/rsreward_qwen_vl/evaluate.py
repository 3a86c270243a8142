"""`rsreward evaluate`: asks a model the questions of a data set, and has `rsreward_tools.score` measure the answers.

The folder of an evaluation holds
    completions.jsonl   the answers, each with its question, as they come
    asked.json          how the model was asked, the same for all answers in the folder
    frame.json          how to read the answers: `space` (all of its fields), `think_in_prompt`, `template`
    scores.jsonl        what each answer is worth, in the order of the questions
    results.json        what `rsreward score` says of them, the other conventions, pass@k, asked, read_in, versions
"""

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from importlib.metadata import version
from math import comb
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zlib import crc32

import torch
from rsreward_tools.data.example import Example, inside
from rsreward_tools.data.images import chat, open_image
from rsreward_tools.data.prompts import instruction, prompt
from rsreward_tools.errors import InputError
from rsreward_tools.score.options import Options
from rsreward_tools.score.totals import score_file
from transformers import AutoModelForImageTextToText, ProcessorMixin

from rsreward import CONVENTIONS, Space

from .asking import Asking, Row, Unanswered, journal, keyed
from .model.generate import generate

METRICS = ("acc@0.5", "acc@0.7", "miou", "parse_rate")  # what the demo tells of its stages
FIELDS = ("dataset", "source_id", "sample", "completion", "target", "width", "height")
GROUPS = ("category", "unique")  # fields of a question to group answers by, where they are known
NOT_OF_THE_ANSWER = ("key", "timeout", "retries")  # settings that do not change what is answered

Batch = list[tuple[Example, int]]  # questions, each with the number of the sample


def answer(
    examples: Sequence[Example],
    asking: Asking,
    out: Path,
    *,
    images: Path,
    template: str,
    samples: int = 1,
    processor: ProcessorMixin | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> list[Row]:
    """The rows of `out/completions.jsonl`, in the order of the examples. Missing ones are asked for and written.

    Batches do not depend on what was there before, so a run that was interrupted and continued has the same answers.

    Args:
        examples: the questions, see `questions`.
        asking: how the model is asked.
        out: a folder.
        images: the root folder of the data set.
        template: what the user says, with {query} in it.
        samples: answers a question.
        processor: of the model, if it is loaded here.
        progress: called with the number of answers that are there and the number of all.
    """
    wanted = {(*key, sample): e for sample in range(samples) for key, e in keyed(examples).items()}
    settings = how(asking, template) | {"weights": _weights(asking.model)}
    if processor is not None:
        settings["image_size"] = {edge: side for edge, side in dict(processor.image_processor.size).items() if side}
    path = out / "completions.jsonl"
    with journal(path, FIELDS, settings, ["results.json"]) as (before, write):
        done = {(row["dataset"], row["source_id"], row["sample"]): row for row in before}
        for key, example in wanted.items():
            if key in done and any(done[key].get(name) != value for name, value in _question(example).items()):
                raise InputError(
                    f"{path} holds an answer to another question {key[1]} of {key[0]}: give another --out."
                )
        keys = list(wanted)
        starts = range(0, len(keys), asking.at_once)
        batches = [[(wanted[key], key[2]) for key in keys[start : start + asking.at_once]] for start in starts]
        missing = [batch for batch in batches if any((e.dataset, e.source_id, k) not in done for e, k in batch)]
        told = missing, asking, images, template
        answers = _loaded(*told, processor) if processor else _served(*told)
        left = sum(map(len, missing))
        progress(len(wanted) - left, len(wanted))
        for batch, texts in zip(missing, answers, strict=True):
            for (example, sample), text in zip(batch, texts, strict=True):
                key = (example.dataset, example.source_id, sample)
                if key not in done:
                    done[key] = _question(example) | {"sample": sample, "completion": text}
                    write(done[key])
            left -= len(batch)
            progress(len(wanted) - left, len(wanted))
    return [done[key] for key in keys]


def how(asking: Asking, template: str) -> dict[str, Any]:
    """The settings that decide the answers."""
    settings = {"template": template} | asdict(asking)
    return {name: value for name, value in settings.items() if name not in NOT_OF_THE_ANSWER}


def _weights(model: str) -> int | None:
    """When the weights in a folder were written: it tells them from those of a later training."""
    return max((int(file.stat().st_mtime) for file in Path(model).glob("*.safetensors")), default=None)


def _question(example: Example) -> Row:
    fields = ("dataset", "source_id", "image", "query", "width", "height", *GROUPS)
    question = f"{example.dataset} {example.source_id}"  # what the answers to one question share
    return {name: getattr(example, name) for name in fields} | {"question": question, "target": example.boxes[0]}


def _loaded(
    batches: list[Batch], asking: Asking, images: Path, template: str, processor: ProcessorMixin
) -> Iterator[list[str]]:
    """The answers of a model that is loaded here to each batch."""
    if not batches:
        return
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForImageTextToText.from_pretrained(asking.model, dtype="auto").to(device)
    for batch in batches:
        rows = [
            {"images": [open_image(inside(images, e.image))], "prompt": prompt(e.query, template)} for e, _ in batch
        ]
        first, sample = batch[0]
        yield generate(
            model, processor, rows, sampled=asking.temperature > 0, temperature=asking.temperature or 1.0,
            seed=crc32(f"{asking.seed} {sample} {first.source_id}".encode()),  # each batch has its own
            batch_size=len(rows), max_new_tokens=asking.max_tokens,
        )  # fmt: skip


def _served(batches: list[Batch], asking: Asking, images: Path, template: str) -> Iterator[list[str]]:
    """The answers of a server to each batch. A request that fails ends the run; the same command continues it."""

    async def many(batch: Batch) -> list[str]:
        shown = [chat(inside(images, e.image), instruction(e.query, template)) for e, _ in batch]
        async with asking.client() as client:
            answers = (asking.ask(client, m, asking.seed + k) for m, (_, k) in zip(shown, batch, strict=True))
            return [text for text, *_ in await asyncio.gather(*answers)]

    for batch in batches:
        try:
            yield asyncio.run(many(batch))
        except Unanswered as error:
            raise InputError(f"{asking.endpoint} did not answer for {asking.model!r}: {error}.") from None


def metrics_of(file: Path, space: str | Space, by: str) -> dict[str, dict[str, float]]:
    """Acc@0.5, Acc@0.7, mIoU and parse rate of the answers in a file, for each value of a field."""
    groups = _scored(file, space, by=(by,))["groups"]
    return {group: {name: round(values[name], 4) for name in METRICS} for group, values in groups.items()}


def results(
    rows: Sequence[Row], space: Space, out: Path, *, think_in_prompt: bool = False, samples: int = 1
) -> dict[str, Any]:
    """What `rsreward score` says of the answers, under the plain convention and the others, and pass@k.

    Args:
        rows: the answers that `answer` returned. `out/completions.jsonl` holds them, and may hold more.
        space: the coordinate space of the answers.
        out: the folder, in which `scores.jsonl` is written.
        think_in_prompt: whether the answers begin inside a thought.
        samples: answers a question.
    """
    by = ("@size", *(name for name in GROUPS if any(row[name] is not None for row in rows)))
    scores = out / "scores.jsonl"
    with TemporaryDirectory() as folder:
        file = Path(folder) / "completions.jsonl"
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        options: dict[str, Any] = {"think_in_prompt": think_in_prompt, "by": by, "cluster": "question"}
        names = [name for name, rule in CONVENTIONS.items() if name != "plain" and not rule.to_reproduce]
        told = {name: _scored(file, space, convention=name, **options) for name in names}
        plain = _scored(file, space, out=scores, **options)
    hits: dict[str, int] = dict.fromkeys((row["question"] for row in rows), 0)
    for row, line in zip(rows, scores.read_text(encoding="utf-8").splitlines(), strict=True):
        hits[row["question"]] += int(json.loads(line)["acc@0.5"])
    ks = [k for k in (1, 2, 4, 8, 16, 32, 64) if k <= samples]
    return plain | {
        "conventions": {name: {part: of[part] for part in ("metrics", "intervals")} for name, of in told.items()},
        "pass@k at IoU 0.5": {str(k): pass_at_k(list(hits.values()), samples, k) for k in ks},
    }


def _scored(
    file: Path, space: str | Space, think_in_prompt: bool = False, out: Path | None = None, **options: Any
) -> dict[str, Any]:
    """The measures of a file of answers. Nothing else in this package measures answers."""
    return score_file(file, Options(space=space, think_in_prompt=think_in_prompt, **options), out=out)


def pass_at_k(hits: Sequence[int], samples: int, k: int) -> float:
    """The mean chance that at least one of k answers, drawn from the samples of a question, is right.

        pass@k = mean over questions of 1 - C(n - c, k) / C(n, k)    (Chen et al. 2021, the unbiased estimate)

    Args:
        hits: c, the number of right answers of each question.
        samples: n, the number of answers of each.

    >>> pass_at_k([0, 1, 2], samples=2, k=1), pass_at_k([0, 1, 2], samples=2, k=2)
    (0.5, 0.6666666666666666)
    """
    chances = [1 - comb(samples - c, k) / comb(samples, k) for c in hits]
    return sum(chances) / max(len(chances), 1)


def origin() -> dict[str, Any]:
    """The versions of the packages, and the commit if the working folder is a git repository."""
    versions = {name: version(name) for name in ("rsreward", "torch", "transformers")}
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)  # noqa: S607
    except (OSError, subprocess.CalledProcessError):
        return {"versions": versions, "commit": None}
    return {"versions": versions, "commit": done.stdout.strip()}
