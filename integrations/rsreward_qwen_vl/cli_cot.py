"""The command `rsreward cot`."""

import asyncio
import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .errors import InputError
from .terminal import console, counting, printable


def cot(
    file: Annotated[Path, typer.Argument(help="A Parquet file of `rsreward data`.")],
    images: Annotated[Path, typer.Option(help="The data set's root folder.")],
    out: Annotated[Path, typer.Option(help="Where chains.jsonl, cot.parquet and report.json go.")],
    space: Annotated[
        str, typer.Option(help="The student: its coordinate space, or its name on Hugging Face.")
    ] = "qwen2.5-vl",
    endpoint: Annotated[
        str | None,
        typer.Option(help="Base URL of the teacher, with /v1. Without one synthetic scenes explain themselves."),
    ] = None,
    model: Annotated[str, typer.Option(help="The teacher, as the endpoint calls it.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many examples.")] = None,
    min_iou: Annotated[float, typer.Option(min=0, max=1, help="Least overlap of a chain's box.")] = 0.7,
    concurrency: Annotated[int, typer.Option(min=1, max=512, help="Requests under way at once.")] = 8,
    requests_per_minute: Annotated[int, typer.Option(min=0, help="0: no limit.")] = 0,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds that a request may take.")] = 300,
    price: Annotated[
        tuple[float, float], typer.Option(help="Dollars per million tokens read and written, to add up the cost.")
    ] = (0.0, 0.0),
) -> None:
    """Write reasoning chains with a teacher that is shown the true box, and keep the sound ones.

    The same command again goes on where it stopped, and asks again for what failed. The key is OPENAI_API_KEY.

    Example: `rsreward cot data/dior_rsvg/train.parquet --images ~/DIOR-RSVG --out data/cot
    --endpoint http://localhost:8000/v1 --model Qwen/Qwen2.5-VL-72B-Instruct`
    """
    from rsreward.coordinates import SPACES, space_for

    from .cot import collect
    from .cot.filter import REASONS, Filter
    from .cot.geometry import from_geometry
    from .cot.teacher import Teacher
    from .datasets import read_examples
    from .prompts import TEACHER_INSTRUCTION

    try:
        student = SPACES.get(space) or space_for(space)
    except ValueError as error:
        raise InputError(f"--space: {error}") from None
    if endpoint is not None and not model:
        raise InputError("--endpoint needs --model, the teacher's name there.")
    if endpoint is None and student.scale != 1000:
        raise InputError(f"scenes explain themselves in 0..1000, not in {student.name}: give --space qwen3-vl.")
    examples = list(read_examples(file))[:limit]
    settings = {"space": asdict(student), "model": model or "geometry", "instruction": TEACHER_INSTRUCTION}
    source = from_geometry
    if endpoint is not None:
        source = Teacher(
            endpoint, model, images, student, key=os.environ.get("OPENAI_API_KEY") or "none", concurrency=concurrency,
            requests_per_minute=requests_per_minute, timeout=timeout,
        )  # fmt: skip
    with counting("chains") as show:
        judge = Filter(student, min_iou)
        report = asyncio.run(collect(examples, source, judge, out, settings=settings, progress=show))
    console.print(f"{report['kept']:,} of {report['examples']:,} chains kept -> {out / 'cot.parquet'}")
    for reason, count in report["dropped"].items():
        console.print(f"{count:>8,} dropped, {reason}: {REASONS[reason]}")
    read, written = report["prompt_tokens"], report["completion_tokens"]
    if read or written:
        dollars = (read * price[0] + written * price[1]) / 1e6
        console.print(f"{read:,} tokens read, {written:,} written{f', {dollars:.2f} dollars' if dollars else ''}.")
    if report["failed"]:
        for reason, count in report["failed"].items():
            console.print(printable(f"{count:>8,} failed: {reason}"))
        console.print("The same command again asks for these.")
        raise typer.Exit(1)
