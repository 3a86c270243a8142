"""The commands that the recipe adds to `rsreward`: cot, sft, grpo, evaluate, demo."""

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rsreward_tools.cli.frame_options import Five, MaxPixels, MinPixels, Order
from rsreward_tools.cli.score import say_findings
from rsreward_tools.cli.terminal import ProgressBars, console, printable, say, table_of
from rsreward_tools.errors import InputError
from rsreward_tools.files import disk_is_full, write_whole

from .arguments import FrameArguments, short_help

app = typer.Typer()
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

Images = Annotated[Path, typer.Option(help="The data set's root folder.")]


@contextmanager
def resumable(how: str = "the same command continues from here") -> Iterator[None]:
    """End with a sentence on Ctrl-C, and where the disk is full."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if not disk_is_full(error):
            raise
        raise InputError(f"no more can be written ({error}). Make room; {how}.") from None
    except KeyboardInterrupt:
        say(f"stopped; {how}.")
        raise typer.Exit(130) from None


@app.command(context_settings=_PASS_ON)
def sft(context: typer.Context) -> None:
    """Supervised fine-tuning on reasoning chains; arguments as TRL's own scripts take them.

    Example: `rsreward sft --config sft_lora.yaml --data data/cot/cot.parquet --images ~/DIOR-RSVG
    --output_dir runs/sft --dry_run`
    """
    _train("sft", context.args)


@app.command(context_settings=_PASS_ON)
def grpo(context: typer.Context) -> None:
    """GRPO with the positional reward and the consistency weight; arguments as TRL's own scripts take them.

    Example: `rsreward grpo --config grpo_lora.yaml --model_name_or_path runs/sft
    --data data/dior_rsvg/train.parquet --images ~/DIOR-RSVG --output_dir runs/grpo`
    """
    _train("grpo", context.args)


def _train(stage: str, arguments: list[str]) -> None:
    if not {"-h", "--help"}.isdisjoint(arguments):
        print(short_help(stage))
        return
    with resumable():
        from .plan import run

        run(stage, arguments)


@app.command()
def cot(
    file: Annotated[Path, typer.Argument(help="A Parquet file of `rsreward data`.")],
    images: Images,
    out: Annotated[Path, typer.Option(help="Where chains.jsonl, cot.parquet and report.json go.")],
    space: Annotated[
        str, typer.Option(help="The student: its coordinate space, its folder or its name on Hugging Face.")
    ] = "qwen2.5-vl",
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    five: Five = None,
    order: Order = None,
    think_in_prompt: Annotated[
        bool, typer.Option("--think-in-prompt", help="The teacher's template opens <think>: its chains lack the tag.")
    ] = False,
    endpoint: Annotated[
        str | None,
        typer.Option(help="Base URL of the teacher, with /v1. Without one synthetic scenes explain themselves."),
    ] = None,
    model: Annotated[str, typer.Option(help="The teacher, as the endpoint calls it.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many examples.")] = None,
    min_iou: Annotated[float, typer.Option(min=0, max=1, help="Least overlap of a chain's box.")] = 0.7,
    concurrency: Annotated[int, typer.Option(min=1, max=512, help="Number of parallel requests.")] = 8,
    requests_per_minute: Annotated[int, typer.Option(min=0, help="0: no limit.")] = 0,
    timeout: Annotated[float, typer.Option(min=1, help="Longest time for a request, in seconds.")] = 300,
    price: Annotated[
        tuple[float, float], typer.Option(help="Dollars per million tokens read and written, to add up the cost.")
    ] = (0.0, 0.0),
) -> None:
    """Write reasoning chains with a teacher that is shown the true box, and keep the sound ones.

    The same command again continues, and asks again for what failed. The key is read from OPENAI_API_KEY.

    Example: `rsreward cot data/dior_rsvg/train.parquet --images ~/DIOR-RSVG --out data/cot
    --endpoint http://localhost:8000/v1 --model Qwen/Qwen2.5-VL-72B-Instruct`
    """
    with resumable():
        from .asking import Asking, questions
        from .cot import collect
        from .cot.filter import REASONS, Filter
        from .cot.geometry import from_geometry
        from .cot.instruction import TEACHER_INSTRUCTION
        from .cot.teacher import Teacher
        from .model.trained import space_of

        frame = FrameArguments(min_pixels=min_pixels, max_pixels=max_pixels, five=five or "", order=order or "")
        student = space_of(space, frame)
        if endpoint is not None and not model:
            raise InputError("--endpoint needs --model, the teacher's name there.")
        if endpoint is None and student.scale != 1000:
            raise InputError(f"scenes explain themselves in 0..1000, not in {student.name}: give --space qwen3-vl.")
        examples = questions(file, limit)
        settings = {"space": asdict(student), "model": model or "geometry", "instruction": TEACHER_INSTRUCTION}
        source = from_geometry
        if endpoint is not None:
            key = os.environ.get("OPENAI_API_KEY") or "none"
            asking = Asking(model, endpoint, key, concurrency, max_tokens=1024, temperature=0.7, timeout=timeout)
            source = Teacher(asking, images, student, requests_per_minute, think_in_prompt)
        with ProgressBars() as bars:
            show = partial(bars.show, "chains")
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


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Its folder or its name on Hugging Face.")],
    data: Annotated[Path, typer.Option(help="A Parquet file of `rsreward data`.")],
    images: Images,
    out: Annotated[Path, typer.Option(help="Where completions.jsonl and results.json go.")],
    endpoint: Annotated[str | None, typer.Option(help="Base URL of an OpenAI-compatible server, with /v1.")] = None,
    space: Annotated[
        str, typer.Option(help="Coordinate space, or a model that answers in it; by default the model's own.")
    ] = "",
    min_pixels: MinPixels = None,
    max_pixels: MaxPixels = None,
    five: Five = None,
    order: Order = None,
    think_in_prompt: Annotated[
        bool, typer.Option("--think-in-prompt", help="The template opens <think>; found out for a model loaded here.")
    ] = False,
    template: Annotated[str, typer.Option(help="What the user says; by default as in training.")] = "",
    samples: Annotated[int, typer.Option(min=1, help="Answers a question; with more than one, pass@k.")] = 1,
    temperature: Annotated[float, typer.Option(min=0, help="0: greedy.")] = 0.0,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Longest answer.")] = 512,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions in a batch, or parallel requests.")] = 16,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many questions.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the sampling.")] = 0,
) -> None:
    """Ask a model the questions of a data set and measure its answers. The same command again continues.

    Example: `rsreward evaluate runs/grpo --data data/dior_rsvg/test.parquet --images ~/DIOR-RSVG --out runs/eval`
    """
    if samples > 1 and temperature == 0:
        raise InputError("--samples above 1 needs --temperature above 0: greedy answers are all the same.")
    with resumable():
        from rsreward_tools.data.prompts import TEMPLATE, template_holding_query

        from .asking import Asking, questions
        from .card import add_metrics
        from .evaluate import answer, how, origin, results
        from .model.processors import load_processor, opens_thought
        from .model.trained import plan_of, space_of

        frame = FrameArguments(
            space=space, min_pixels=min_pixels, max_pixels=max_pixels, five=five or "", order=order or ""
        )
        plan = plan_of(model)
        template = template_holding_query(template or plan.get("template", TEMPLATE))
        processor = None if endpoint else load_processor(model, min_pixels, max_pixels)
        answers_in = space_of(model, frame, processor)
        thinks = think_in_prompt or plan.get("think_in_prompt", False) or bool(processor and opens_thought(processor))
        key = os.environ.get("OPENAI_API_KEY") or "none"
        asking = Asking(model, endpoint, key, batch_size, max_new_tokens, temperature, seed)
        with ProgressBars() as bars:
            rows = answer(
                questions(data, limit), asking, out, images=images, template=template, samples=samples,
                processor=processor, progress=partial(bars.show, "answers"),
            )  # fmt: skip
        how_to_read = {"space": asdict(answers_in), "think_in_prompt": thinks, "template": template}
        write_whole(out / "frame.json", json.dumps(how_to_read, indent=1) + "\n")
        told = results(rows, answers_in, out, think_in_prompt=thinks, samples=samples)
        told |= {"asked": how(asking, template) | {"samples": samples}, "read_in": how_to_read} | origin()
        write_whole(out / "results.json", json.dumps(told, indent=1) + "\n")
        left = "" if endpoint else add_metrics(model, data, told)
    say_findings(told["frame"])
    say(left and f"{left} The metrics are in {out / 'results.json'}.")
    of = {"plain": told["metrics"]} | {name: each["metrics"] for name, each in told["conventions"].items()}
    names = list(dict.fromkeys(name for values in of.values() for name in values if name != "rows"))
    lines = [(name, *(f"{v[n]:.3f}" if n in v else "" for n in names)) for name, v in of.items()]
    console.print(table_of(["convention", *names], lines, f"{len(rows):,} answers, space {answers_in.name}"))
    for k, share in told["pass@k at IoU 0.5"].items():
        console.print(f"pass@{k} at IoU 0.5: {share:.3f}")
    console.print(f"All results are in {out / 'results.json'}, the answers in {out / 'completions.jsonl'}.")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where checkpoints, results.json and report.html go.")] = Path("runs/demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="One minute: shows that it runs, learns next to nothing.")
    ] = False,
    preset: Annotated[str, typer.Option(help="'cpu', or 'gpu' for a larger model on harder scenes.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, max=999, help="Of scenes, weights and sampling.")] = 0,
    reward: Annotated[str, typer.Option(help="The reward of a box in GRPO: 'positional' or 'iou'.")] = "positional",
    weight: Annotated[
        str, typer.Option(help="The consistency weight in GRPO: 'paper', 'normalized' (by its mean) or 'none'.")
    ] = "normalized",
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted run.")] = False,
) -> None:
    """A tiny Qwen3-VL learns to ground: SFT on few scenes with reasoning, then GRPO on others with only their boxes.

    Example: `rsreward demo --seed 1 --out runs/seed1`
    """
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import datasets
    import torch
    import transformers

    from .demo import KINDS, PRESETS, STAGES, run_demo
    from .demo_report import reward_cost, write_report
    from .evaluate import METRICS
    from .schedule import WEIGHTS
    from .train import REWARDS

    if quick:
        if preset not in ("cpu", "quick"):
            raise InputError("--quick is a preset of its own: leave out --preset or --quick.")
        preset = "quick"
    for option, value, known in (("reward", reward, REWARDS), ("weight", weight, WEIGHTS), ("preset", preset, PRESETS)):
        if value not in known:
            raise InputError(f"--{option} must be one of {', '.join(known)}, got {value!r}.")
    if preset == "gpu" and not torch.cuda.is_available():
        raise InputError(
            "--preset gpu needs a CUDA device and there is none: leave it out for the one that runs on a CPU."
        )
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # two busy threads on two cores are slower than one
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    with resumable("the same command with --resume continues from here"), ProgressBars(lines=True) as bars:
        chosen = replace(PRESETS[preset], reward=reward, weight=weight)
        run = run_demo(out, chosen, seed=seed, resume=resume, report=bars.show)
    lines = [
        (f"{stage}, {kind}", *(f"{run[stage][kind][metric]:.3f}" for metric in METRICS))
        for stage in STAGES
        for kind in KINDS
    ]
    console.print(table_of(["answers", *(name.replace("_", " ") for name in METRICS)], lines, "Held-out scenes"))
    changes = [
        (metric, *("{mean:+.3f} ({low:+.3f} to {high:+.3f})".format(**run["change"][kind][metric]) for kind in KINDS))
        for metric in METRICS
    ]
    console.print(table_of(["GRPO - SFT", *KINDS], changes, "Change, with paired 95 % intervals over scenes"))
    cost = reward_cost(out)
    if cost:
        console.print(f"Rewards, gather and weights: {cost['share']:.1%} of a GRPO step of {cost['step']:.0f} ms.")
    console.print(f"Report: {write_report(out)}")
