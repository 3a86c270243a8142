"""The command `rsreward`: its own commands and those that other packages add."""

import os
import sys
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated

from ..errors import InputError
from ..files import disk_is_full

try:
    import typer

    from .data import app as data_app
    from .doctor import doctor
    from .landscape import landscape
    from .score import compare, score
    from .terminal import console, printable, say
except ImportError as error:
    sys.exit(f"rsreward: the command line needs {error.name}: pip install 'rsreward[tools]'.")
except KeyboardInterrupt:
    print("rsreward: stopped.", file=sys.stderr)
    sys.exit(130)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode="markdown", pretty_exceptions_enable=False
)
app.add_typer(data_app, name="data")
app.command()(score)
app.command()(compare)
app.command()(landscape)
app.command()(doctor)
extra_of: dict[str | None, str] = {}  # the extra that a command of another package needs
for addition in entry_points(group="rsreward.commands"):  # a typer app each, named after the extra that it needs
    added = addition.load()
    app.add_typer(added)
    extra_of |= {command.name or command.callback.__name__: addition.name for command in added.registered_commands}


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"rsreward {version('rsreward')}")
        raise typer.Exit


@app.callback()
def rsreward(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Rewards for reinforcement fine-tuning of vision-language models on remote-sensing visual grounding."""


@app.command()
def report(run: Annotated[Path, typer.Argument(help="The folder of a run of sft, grpo or evaluate.")]) -> None:
    """Write a page about a run: its plan, curves, pictures of rollouts and results.

    Example: `rsreward report runs/grpo`
    """
    from ..pages.run import write_run_report

    console.print(f"Report: {write_run_report(run)}")


def main() -> None:
    """Run the command. A mistake of the user's is one sentence and exit code 2."""
    try:
        try:
            app()
        finally:
            _flush()
    except SystemExit as end:
        stop = getattr(end.__context__, "__cause__", None)
        if isinstance(stop, KeyboardInterrupt):  # typer has made exit code 130 of it
            _say_stopped(stop)
        raise
    except KeyboardInterrupt as stop:  # before typer was at work, or after it
        _say_stopped(stop)
        sys.exit(130)
    except InputError as error:
        print("\n".join(map(printable, f"rsreward: {error}".split("\n"))), file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("rsreward"):
            raise
        command = sys.argv[1]
        extra = extra_of.get(command, "tools")
        say(f"{command} needs {error.name}, which is not installed: pip install 'rsreward[{extra}]'.")
        sys.exit(2)
    except OSError as error:
        if error.filename is None and not disk_is_full(error):
            raise
        say(f"{error.filename or 'what was to be written'}: {error.strerror}.")
        sys.exit(2)


def _say_stopped(stop: KeyboardInterrupt) -> None:
    say(" ".join(["stopped.", *getattr(stop, "__notes__", ())]))


def _flush() -> None:
    """Write what was printed now: while Python ends it is too late for a sentence."""
    try:
        sys.stdout.flush()
    except OSError as error:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())  # it would be tried again
        raise InputError(f"standard output cannot be written: {error.strerror}.") from None
