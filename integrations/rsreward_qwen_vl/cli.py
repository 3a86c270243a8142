"""The command `rsreward`."""

import json
import sys
from dataclasses import replace
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

    from .cli_cot import cot
    from .cli_data import app as data_app
    from .cli_evaluate import evaluate
except ImportError as error:
    sys.exit(f"rsreward: the command line needs {error.name}: pip install 'rsreward[recipe]'.")

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)
app.add_typer(data_app, name="data")
app.command()(cot)
app.command()(evaluate)
console = Console()
if not console.is_terminal:
    console = Console(width=160)
METRICS = ("acc@0.5", "acc@0.7", "miou", "parse_rate")


@app.callback()
def rsreward() -> None:
    """Rewards for reinforcement fine-tuning of vision-language models on remote-sensing visual grounding."""


Space = Annotated[str, typer.Option(help="The coordinate space of the completions, or the model's name.")]
Kind = Annotated[str, typer.Option(help="'horizontal' or 'oriented'; targets may be lists of boxes.")]
Convention = Annotated[str, typer.Option(help="Count as this benchmark: plain, dior_rsvg, vrsbench, opt_rsvg, refgeo.")]
CompletionField = Annotated[str | None, typer.Option(help="The field of the completions, if not 'completion'.")]
TargetField = Annotated[str | None, typer.Option(help="The field of the true boxes, if not 'target'.")]
Cluster = Annotated[
    str | None, typer.Option(help="A field that rollouts of one prompt share: intervals draw its values, not rows.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of a table.")]


@app.command()
def score(
    file: Annotated[
        Path, typer.Argument(help="JSONL, Parquet or a folder of dumps: completion, target, width, height.")
    ],
    space: Space = "pixel",
    kind: Kind = "horizontal",
    convention: Convention = "plain",
    by: Annotated[
        list[str] | None, typer.Option(help="A field to group by, or @size, @region of the true box; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write box, IoU and rewards of each row to this JSONL file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page with charts, the worst and the best rows.")] = None,
    images: Annotated[Path | None, typer.Option(help="For the page: the folder that the field 'image' names.")] = None,
    completion_field: CompletionField = None,
    target_field: TargetField = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Rewards and metrics for a file of completions.

    Example: `rsreward score rollouts.jsonl --space qwen2.5-vl --by log --html report.html`
    """
    from .outputs import file_to_write
    from .rows import Source
    from .score import score_file

    options: dict[str, Any] = {"completion": completion_field, "target": target_field, "cluster": cluster, "out": out}
    if html:
        from .score_report import ScoreReport

        file_to_write("--html", html, Source(file).files, {"--out": out} if out else {})
        report = ScoreReport(html, images)
        options["watch"] = report.watch
    elif images:
        raise InputError("--images is for the page: name it with --html.")
    by = by or []
    with _Bar(file.name) as bar:
        result = score_file(file, space=space, kind=kind, convention=convention, by=by, progress=bar, **options)  # type: ignore[arg-type]
    if html:
        about = {"file": file.name, "space": space, "convention": convention, "by": ", ".join(by)}
        report.write(result, about)
    _say_what_is_missing(result, convention)
    if as_json:
        print(json.dumps(result))
        return
    table = Table(title=_plain(f"{file.name}, space {space}, {convention}"), box=SIMPLE_HEAD, padding=(0, 1))
    table.add_column(_plain(", ".join(by)), overflow="fold")
    for column in result["metrics"]:
        table.add_column(column.replace("_", " "), justify="right", min_width=5)
    for name, values in result["groups"].items():
        _add_row(table, name, values, result["group_intervals"][name])
    if by:
        table.add_section()
        _add_row(table, "all", result["metrics"], result["intervals"])
    console.print(table)
    unread = round(result["rows"] * (1 - result["metrics"]["parse_rate"]))
    console.print(
        f"{unread} of {result['rows']} answers could not be read; they count as IoU 0. Below: 95 % intervals."
    )


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="What `rsreward score` reads.")],
    b: Annotated[Path, typer.Argument(help="The same rows in the same order, with other completions.")],
    space: Annotated[
        list[str] | None, typer.Option(help="The coordinate space of both; given twice, of A and of B.")
    ] = None,
    kind: Kind = "horizontal",
    convention: Convention = "plain",
    completion_field: CompletionField = None,
    target_field: TargetField = None,
    cluster: Cluster = None,
    as_json: AsJson = False,
) -> None:
    """Two files of completions for the same rows: how much better B is, with paired 95 % intervals.

    Example: `rsreward compare before.jsonl after.jsonl --space qwen2.5-vl`
    """
    from .compare import compare_files

    spaces = space or ["pixel"]
    if len(spaces) > 2:
        raise InputError(f"--space is given once for both files or twice, got {len(spaces)} of them.")
    options: dict[str, Any] = {"completion": completion_field, "target": target_field, "cluster": cluster}
    with _Bar(f"{a.name}, {b.name}") as bar:
        result = compare_files(
            a, b, spaces=(spaces[0], spaces[-1]), kind=kind, convention=convention, progress=bar, **options  # type: ignore[arg-type]
        )  # fmt: skip
    _say_what_is_missing(result, convention)
    if as_json:
        print(json.dumps(result))
        return
    table = Table(title=f"{result['rows']} rows, {convention}", box=SIMPLE_HEAD, padding=(0, 1))
    for column in ("", _plain(a.name), _plain(b.name), "difference", "95 % interval"):
        table.add_column(column, justify="right" if table.columns else "left")
    for name, (difference, low, high) in result["differences"].items():
        values = (f"{result[side][name]:.3f}" for side in ("a", "b"))
        table.add_row(name.replace("_", " "), *values, f"{difference:+.3f}", f"{low:+.3f} to {high:+.3f}")
    console.print(table)


def _add_row(table: Table, name: str, values: dict[str, float], intervals: dict[str, list[float]]) -> None:
    bounds = {name: " ".join(f"{bound:.3f}".removeprefix("0") for bound in pair) for name, pair in intervals.items()}
    cells = (f"{values[name]:.3f}\n{pair}" for name, pair in bounds.items())
    table.add_row(_plain(name), str(values["rows"]), *cells)


def _say_what_is_missing(result: dict[str, Any], convention: str) -> None:
    """On stderr: rows that were left out, and rows whose image has no size."""
    from rsreward import CONVENTIONS

    if result["broken_rows"]:
        few = "; ".join(error.rstrip(".") for error in result["broken"][:3])
        more = f"; and {result['broken_rows'] - 3} more" if result["broken_rows"] > 3 else ""
        print(f"rsreward: {result['broken_rows']} broken rows were left out: {few}{more}.", file=sys.stderr)
    if result.get("rows_without_size"):
        side = CONVENTIONS[convention].side
        where = f", in an image of {side:g} x {side:g}" if side else ""
        print(
            f"rsreward: {result['rows_without_size']} of {result['rows']} rows have no width and height: "
            f"their boxes were taken for pixels of the original image{where}.",
            file=sys.stderr,
        )


class _Bar:
    """A progress bar on stderr, over the bytes read; none where that is no terminal."""

    def __init__(self, name: str) -> None:
        stderr = Console(stderr=True)
        columns = TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:.0f} %")
        self.bar = Progress(
            *columns, TimeElapsedColumn(), TimeRemainingColumn(), console=stderr, disable=not stderr.is_terminal,
            transient=True,
        )  # fmt: skip
        self.task = self.bar.add_task(name.replace("[", r"\["))

    def __enter__(self) -> "_Bar":
        self.bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.bar.stop()

    def __call__(self, done: int, size: int) -> None:
        self.bar.update(self.task, completed=done, total=size)


def _plain(text: str) -> Text:
    """Text from a file, without markup and without what a terminal cannot print."""
    return Text(text.encode("utf-8", "backslashreplace").decode())


_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


@app.command(context_settings=_PASS_ON)
def sft(context: typer.Context) -> None:
    """Supervised fine-tuning on reasoning chains; arguments as TRL's own scripts take them.

    Example: `rsreward sft --config configs/sft_lora.yaml --data data/cot/cot.parquet --images ~/DIOR-RSVG
    --output_dir runs/sft --dry_run`
    """
    from .train import sft as run

    run(context.args)


@app.command(context_settings=_PASS_ON)
def grpo(context: typer.Context) -> None:
    """GRPO with the positional reward and the consistency weight; arguments as TRL's own scripts take them.

    Example: `rsreward grpo --config configs/grpo_lora.yaml --model_name_or_path runs/sft
    --space qwen2.5-vl --data data/dior_rsvg/train.parquet --images ~/DIOR-RSVG --output_dir runs/grpo`
    """
    from .train import grpo as run

    run(context.args)


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
        print("rsreward: stopped; the same command with --resume goes on from here.", file=sys.stderr)
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
        print(f"rsreward: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        if error.filename is None:
            raise
        print(f"rsreward: {error.filename}: {error.strerror}.", file=sys.stderr)
        sys.exit(2)
