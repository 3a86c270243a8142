"""What the commands share of the terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unicodedata import category

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

console = Console(highlight=False, markup=False)
wide_console = Console() if console.is_terminal else Console(width=160)
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control and formatting characters, lone surrogates, line separators


def printable(text: str) -> str:
    """Text from a file or a model, with what would steer a terminal written out.

    >>> printable("\\x1b[31mred ä")
    '\\\\x1b[31mred ä'
    """
    return "".join(repr(c)[1:-1] if category(c) in _HIDDEN else c for c in text)


def say(line: str) -> None:
    """A line on stderr, if there is something to say."""
    if line:
        print(printable(f"rsreward: {line}"), file=sys.stderr)


@contextmanager
def counting(name: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for a known number of things, moved by calling it with how many are done and of how many."""
    columns = TextColumn(name), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield show
