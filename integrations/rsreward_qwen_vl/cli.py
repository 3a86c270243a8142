"""The command `rsreward`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from .errors import InputError

try:
    import typer
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.table import Table
    from rich.text import Text
except ImportError as error:
    sys.exit(f"rsreward: the command line needs {error.name}: pip install 'rsreward[recipe]'.")

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)
console = Console()
if not console.is_terminal:
    console = Console(width=140)
METRICS = ("acc@0.5", "acc@0.7", "miou", "parse_rate")


@app.callback()
def rsreward() -> None:
    """Rewards for reinforcement fine-tuning of vision-language models on remote-sensing visual grounding."""


@app.command()
def score(
    file: Annotated[Path, typer.Argument(help="One JSON object a line: completion, target, and width and height.")],
    space: Annotated[str, typer.Option(help="The coordinate space of the completions.")] = "pixel",
    kind: Annotated[
        str, typer.Option(help="'horizontal' or 'oriented'; targets may be lists of boxes.")
    ] = "horizontal",
    by: Annotated[str | None, typer.Option(help="A field to group the rows by.")] = None,
    out: Annotated[Path | None, typer.Option(help="Write box, IoU and rewards of each row to this JSONL file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")] = False,
) -> None:
    """Rewards and metrics for a file of completions.

    Example: `rsreward score rollouts.jsonl --space qwen2.5-vl --by log`
    """
    from .score import score_file

    result = score_file(file, space=space, kind=kind, by=by, out=out)  # type: ignore[arg-type]
    if result["rows_without_size"]:
        print(
            f"rsreward: {result['rows_without_size']} of {result['rows']} rows have no width and height: "
            "their boxes were taken for pixels of the original image.",
            file=sys.stderr,
        )
    if as_json:
        print(json.dumps(result))
        return
    columns = list(next(iter(result["groups"].values())))
    table = Table(title=_plain(f"{file.name}, space {space}"), box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column(_plain(by or ""), overflow="fold")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right", min_width=5)
    for name, values in result["groups"].items():
        table.add_row(_plain(name), str(values["rows"]), *(f"{values[c]:.3f}" for c in columns[1:]))
    console.print(table)


def _plain(text: str) -> Text:
    """Text from a file, without markup and without what a terminal cannot print."""
    return Text(text.encode("utf-8", "backslashreplace").decode())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Where checkpoints, results.json and report.html go.")] = Path("runs/demo"),
    quick: Annotated[
        bool, typer.Option("--quick", help="One minute: shows that it runs, learns next to nothing.")
    ] = False,
    preset: Annotated[str, typer.Option(help="'cpu', or 'gpu' for a larger model on harder scenes.")] = "cpu",
    seed: Annotated[int, typer.Option(min=0, max=999, help="Of scenes, weights and sampling.")] = 0,
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
    from .report import write_report

    if quick:
        preset = "quick"
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
            run = run_demo(out, PRESETS[preset], seed=seed, resume=resume, report=bars.show)
    except KeyboardInterrupt:
        print("rsreward: stopped; the same command with --resume goes on from here.", file=sys.stderr)
        raise typer.Exit(130) from None
    console.print(_before_after(run))
    console.print(f"Report: {write_report(out)}")


def _before_after(run: dict[str, Any]) -> Table:
    table = Table(title="Held-out scenes")
    for column in ("stage", "answers", *METRICS):
        table.add_column(column.replace("_", " "), justify="left" if column in ("stage", "answers") else "right")
    for stage in ("start", "sft", "grpo"):
        for kind in ("greedy", "sampled"):
            table.add_row(stage, kind, *(f"{run[stage][kind][m]:.3f}" for m in METRICS))
    return table


@app.command()
def verl_data(
    out: Annotated[Path, typer.Option(help="The folder for train.parquet and val.parquet.")] = Path("runs/verl"),
    train: Annotated[int, typer.Option(min=1, help="Scenes to train on.")] = 2000,
    val: Annotated[int, typer.Option(min=1, help="Scenes to validate on.")] = 200,
    level: Annotated[int, typer.Option(min=1, max=4, help="How hard the scenes are.")] = 2,
    size: Annotated[int, typer.Option(min=28, max=4096, help="Pixels of a side of an image.")] = 448,
    seed: Annotated[int, typer.Option(min=0, max=999, help="Of the scenes.")] = 0,
    paths: Annotated[bool, typer.Option("--paths", help="Images as files beside the rows, not inside them.")] = False,
) -> None:
    """Synthetic scenes as rows for verl.

    Example: `rsreward verl-data --out runs/verl --train 2000 --val 200`
    """
    from .verl_data import write_scenes

    written = write_scenes(out, train=train, val=val, level=level, size=size, seed=seed, embed=not paths)
    for split, rows in written.items():
        console.print(f"{out / split}.parquet: {rows} rows")


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
        print(f"rsreward: {error}", file=sys.stderr)
        sys.exit(2)
