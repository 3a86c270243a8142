"""What the commands share of the terminal: consoles, text that is safe to print, progress bars, tables."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any
from unicodedata import category

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

console = Console(highlight=False, markup=False)
wide_console = Console() if console.is_terminal else Console(width=160)
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control and formatting characters, lone surrogates, line separators


def printable(text: str) -> str:
    """Text from a file or a model. Characters that would steer a terminal are written as escapes.

    >>> printable("\\x1b[31mred ä")
    '\\\\x1b[31mred ä'
    """
    return "".join(repr(c)[1:-1] if category(c) in _HIDDEN else c for c in text)


def say(line: str) -> None:
    """Print a line on stderr, if there is something to say."""
    if line:
        print(printable(f"rsreward: {line}"), file=sys.stderr)


def table_of(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    title: str | None = None,
    widths: Sequence[int] | None = None,
    body: int | None = None,
) -> Table:
    """A table whose first column is text and whose others are numbers.

    Args:
        widths: of the columns, in which long texts are folded. None: as wide as needed, nothing is folded.
        body: a line stands below this many rows.
    """
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1))
    for i, column in enumerate(columns):
        layout: dict[str, Any] = {"width": widths[i], "overflow": "fold"} if widths else {"no_wrap": True}
        table.add_column(Text(column), justify="right" if i else "left", **layout)
    for i, row in enumerate(rows):
        if i == body:
            table.add_section()
        table.add_row(*map(Text, row))
    return table


class ProgressBars:
    """A progress bar for each named stage of a command, on stderr. Without a terminal there is none.

    Args:
        lines: whether to print a line at each tenth of a stage where there is no terminal.
    """

    def __init__(self, lines: bool = False) -> None:
        stderr = Console(stderr=True, highlight=False)
        columns = TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.percentage:.0f} %")
        times = TimeElapsedColumn(), TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False)
        self._bars = Progress(*columns, *times, console=stderr, disable=not stderr.is_terminal)
        self._lines = lines and self._bars.disable
        self._tasks: dict[str, TaskID] = {}
        self._tenths: dict[str, int] = {}

    def __enter__(self) -> "ProgressBars":
        self._bars.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bars.stop()

    def show(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Move the bar of a stage, which appears at its first call."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(printable(stage), total=total, note=note)
        self._bars.update(self._tasks[stage], completed=done, total=total, note=note)
        tenth = 10 * done // total if total else 10
        if self._lines and tenth > self._tenths.get(stage, 0):
            self._tenths[stage] = tenth
            print(f"{stage:>14} {done}/{total}  {note}", flush=True)
