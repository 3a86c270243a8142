"""The command `rsreward`."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from .errors import InputError

try:
    import typer
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Table

    from .cli_cot import cot
    from .cli_data import app as data_app
    from .cli_evaluate import evaluate
    from .cli_score import compare, score
    from .terminal import printable, say
    from .terminal import wide_console as console
except ImportError as error:
    sys.exit(f"rsreward: the command line needs {error.name}: pip install 'rsreward[recipe]'.")

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)
app.add_typer(data_app, name="data")
app.command()(score)
app.command()(compare)
app.command()(cot)
app.command()(evaluate)
METRICS = ("acc@0.5", "acc@0.7", "miou", "parse_rate")


@app.callback()
def rsreward() -> None:
    """Rewards for reinforcement fine-tuning of vision-language models on remote-sensing visual grounding."""


_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_PASS_ON)
def sft(context: typer.Context) -> None:
    """Supervised fine-tuning on reasoning chains; arguments as TRL's own scripts take them.

    Example: `rsreward sft --config sft_lora.yaml --data data/cot/cot.parquet --images ~/DIOR-RSVG
    --output_dir runs/sft --dry_run`
    """
    if not _helped("sft", context.args):
        from .train import sft as run

        run(context.args)


@app.command(context_settings=_PASS_ON)
def grpo(context: typer.Context) -> None:
    """GRPO with the positional reward and the consistency weight; arguments as TRL's own scripts take them.

    Example: `rsreward grpo --config grpo_lora.yaml --model_name_or_path runs/sft
    --data data/dior_rsvg/train.parquet --images ~/DIOR-RSVG --output_dir runs/grpo`
    """
    if not _helped("grpo", context.args):
        from .train import grpo as run

        run(context.args)


def _helped(stage: str, arguments: list[str]) -> bool:
    """Print the short help where it is asked for."""
    from .recipe_arguments import short_help

    asked = not {"-h", "--help"}.isdisjoint(arguments)
    if asked:
        print(short_help(stage))
    return asked


@app.command()
def report(run: Annotated[Path, typer.Argument(help="The folder of a run of sft, grpo or evaluate.")]) -> None:
    """A page about a run: its plan, curves, pictures of rollouts and results.

    Example: `rsreward report runs/grpo`
    """
    from .run_report import write_run_report

    console.print(f"Report: {write_run_report(run)}")


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where checkpoints, results.json and report.html go.")] = Path("runs/demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="One minute: shows that it runs, learns next to nothing.")
    ] = False,
    preset: Annotated[str, typer.Option(help="'cpu', or 'gpu' for a larger model on harder scenes.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, max=999, help="Of scenes, weights and sampling.")] = 0,
    weight: Annotated[
        str, typer.Option(help="The consistency weight in GRPO: 'paper', 'normalized' (by its mean) or 'none'.")
    ] = "paper",
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was cut off.")] = False,
) -> None:
    """A tiny Qwen3-VL learns to ground in synthetic aerial scenes: CoT-SFT, then GRPO.

    Example: `rsreward demo --seed 1 --out runs/seed1`
    """
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import datasets
    import torch
    import transformers

    from .demo import PRESETS, run_demo
    from .report import reward_cost, write_report
    from .training import WEIGHTS

    if quick:
        if preset not in ("cpu", "quick"):
            raise InputError("--quick is a preset of its own: leave out --preset or --quick.")
        preset = "quick"
    if weight not in WEIGHTS:
        raise InputError(f"--weight must be one of {', '.join(WEIGHTS)}, got {weight!r}.")
    if preset not in PRESETS:
        raise InputError(f"--preset must be one of {', '.join(PRESETS)}, got {preset!r}.")
    if preset == "gpu" and not torch.cuda.is_available():
        raise InputError(
            "--preset gpu needs a CUDA device and there is none: leave it out for the one that runs on a CPU."
        )
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # two busy threads on two cores are slower than one
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        with _StageBars() as bars:
            run = run_demo(out, replace(PRESETS[preset], weight=weight), seed=seed, resume=resume, report=bars.show)
    except KeyboardInterrupt:
        say("stopped; the same command with --resume goes on from here.")
        raise typer.Exit(130) from None
    console.print(_before_after(run))
    cost = reward_cost(out)
    if cost:
        console.print(f"Rewards, gather and weights: {cost['share']:.1%} of a GRPO step of {cost['step']:.0f} ms.")
    console.print(f"Report: {write_report(out)}")


def _before_after(run: dict[str, Any]) -> Table:
    table = Table(title="Held-out scenes")
    for column in ("stage", "answers", *METRICS):
        table.add_column(column.replace("_", " "), justify="left" if column in ("stage", "answers") else "right")
    for stage in ("start", "sft", "grpo"):
        for kind in ("greedy", "sampled"):
            table.add_row(stage, kind, *(f"{run[stage][kind][m]:.3f}" for m in METRICS))
    return table


class _StageBars:
    """A progress bar a stage; where there is no terminal, a line at every tenth of it."""

    def __init__(self) -> None:
        columns = TextColumn("{task.description:>14}"), BarColumn(), TextColumn("{task.completed}/{task.total}")
        self.bars = Progress(
            *columns, TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}"), console=console,
            disable=not console.is_terminal,
        )  # fmt: skip
        self.tasks: dict[str, Any] = {}
        self.printed: dict[str, int] = {}

    def __enter__(self) -> "_StageBars":
        self.bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bars.stop()

    def show(self, stage: str, done: int, total: int, note: str) -> None:
        if stage not in self.tasks:
            self.tasks[stage] = self.bars.add_task(stage, total=total, note=note)
        self.bars.update(self.tasks[stage], completed=done, note=note)
        tenth = 10 * done // total
        if self.bars.disable and tenth > self.printed.get(stage, 0):
            self.printed[stage] = tenth
            print(f"{stage:>14} {done}/{total}  {note}", flush=True)


def main() -> None:
    """Run the command; a mistake of the user's is one sentence and exit code 2."""
    try:
        app()
    except InputError as error:
        print("\n".join(map(printable, f"rsreward: {error}".split("\n"))), file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        say(f"{error.filename}: {error.strerror}.")
        sys.exit(2)
