"""The command `rsreward evaluate`."""

import json
import os
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from .errors import InputError
from .terminal import console, counting


def evaluate(
    model: Annotated[str, typer.Argument(help="Its folder or its name on Hugging Face.")],
    data: Annotated[Path, typer.Option(help="A Parquet file of `rsreward data`.")],
    images: Annotated[Path, typer.Option(help="The data set's root folder.")],
    out: Annotated[Path, typer.Option(help="Where completions.jsonl and results.json go.")],
    endpoint: Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible server, with /v1.")] = None,
    space: Annotated[str, typer.Option(help="Coordinate space; by default the model's own.")] = "",
    template: Annotated[str, typer.Option(help="What the user says; by default as in training.")] = "",
    samples: Annotated[int, typer.Option(min=1, help="Answers a question; with more than one, pass@k.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, help="0: greedy.")] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 512,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions at once.")] = 16,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampling.")] = 0,
) -> None:
    """Ask a model the questions of a data set and measure its answers. The same command again goes on.

    Example: `rsreward evaluate runs/grpo --data data/dior_rsvg/test.parquet --images ~/DIOR-RSVG --out runs/eval`
    """
    from .datasets import read_examples
    from .evaluate import Asking, answer, results
    from .lines import write_whole
    from .processors import load_processor, with_bounds_of
    from .prompts import TEMPLATE, template_holding_query
    from .train import plan_of, space_of

    if samples > 1 and temperature == 0:
        raise InputError("--samples above 1 needs --temperature above 0: greedy answers are all the same.")
    asked = template_holding_query(template or plan_of(model).get("template", TEMPLATE))
    answers_in = space_of(model, space)
    if endpoint is None:
        answers_in = with_bounds_of(answers_in, load_processor(model))
    key = os.environ.get("OPENAI_API_KEY") or "none"
    asking = Asking(model, asked, endpoint, key, samples, temperature, max_new_tokens, batch_size, seed)
    examples = list(read_examples(data))[:limit]
    with counting("answers") as show:
        rows = answer(examples, images, asking, out, progress=show)
    measured = results(rows, asking, answers_in)
    write_whole(out / "results.json", json.dumps(measured, indent=1) + "\n")
    table = Table(title=f"{len(rows):,} answers, space {answers_in.name}")
    names = list(dict.fromkeys(name for values in measured["metrics"].values() for name in values if name != "rows"))
    for column in ("convention", *names):
        table.add_column(column)
    for convention, values in measured["metrics"].items():
        table.add_row(convention, *(f"{values[name]:.3f}" if name in values else "" for name in names))
    console.print(table)
    for k, share in measured["pass@k at IoU 0.5"].items():
        console.print(f"pass@{k} at IoU 0.5: {share:.3f}")
    console.print(f"All of it is in {out / 'results.json'}; the answers in {out / 'completions.jsonl'}.")
