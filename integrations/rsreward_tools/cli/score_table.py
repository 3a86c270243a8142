"""The table of `rsreward score`: every metric on a terminal of any width, and no word cut that fits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.table import Table

from .terminal import printable, table_of


def score_tables(result: dict[str, Any], by: Sequence[str], width: int) -> list[Table]:
    """Groups by metrics or metrics by groups, whichever takes fewer tables to stay within the width.

    Args:
        result: of `score_file`.
        by: what the rows are grouped by.
        width: of the terminal.
    """
    values, intervals = dict(result["groups"]), dict(result["group_intervals"])
    names = [printable(name) for name in values]
    cells = [_cells(values[name], intervals[name]) for name in values]
    if by:
        names, cells = [*names, "all"], [*cells, _cells(result["metrics"], result["intervals"])]
    metrics = [name.replace("_", " ") for name in result["metrics"]]
    groups_down = _Grid(printable(", ".join(by)), names, metrics, cells, len(values))
    metrics_down = _Grid("", metrics, names, [list(column) for column in zip(*cells, strict=True)], len(metrics))
    return min(groups_down.tables(width), metrics_down.tables(width), key=len)


@dataclass(frozen=True)
class _Grid:
    """Cells with the names of their rows and columns; a line stands below the first `body` rows."""

    head: str
    rows: list[str]
    columns: list[str]
    cells: list[list[str]]
    body: int

    def tables(self, width: int) -> list[Table]:
        """As few tables as fit, side by side columns in each."""
        widths = [
            _widest(name, column) for name, column in zip(self.columns, zip(*self.cells, strict=True), strict=True)
        ]
        names = [self.head, *self.rows]
        first = min(max(map(cell_len, names)), width // 3)
        first = min(max(first, *map(_longest_word, names)), width - _taken([0, max(map(_most, self.cells))]))
        widths = [min(column, width - _taken([first, 0])) for column in widths]
        parts: list[list[int]] = [[]]
        for i in range(len(widths)):
            if parts[-1] and _taken([first, *(widths[j] for j in parts[-1]), widths[i]]) > width:
                parts.append([])
            parts[-1].append(i)
        return [
            table_of(
                [self.head, *(self.columns[i] for i in part)],
                [[name, *(cells[i] for i in part)] for name, cells in zip(self.rows, self.cells, strict=True)],
                widths=[first, *(widths[i] for i in part)],
                body=self.body,
            )
            for part in parts
        ]


def _cells(values: dict[str, float], intervals: dict[str, Sequence[float]]) -> list[str]:
    """Each value with its interval below."""
    return [
        str(value) if name == "rows" else f"{value:.3f}\n{_bounds(intervals[name])}" for name, value in values.items()
    ]


def _bounds(interval: Sequence[float]) -> str:
    return " ".join(f"{bound:.3f}".removeprefix("0") for bound in interval)


def _widest(name: str, cells: Sequence[str]) -> int:
    return max(_longest_word(name), _most(cells))


def _most(cells: Sequence[str]) -> int:
    return max(cell_len(line) for cell in cells for line in cell.split("\n"))


def _longest_word(text: str) -> int:
    return max(map(cell_len, text.split()), default=0)


def _taken(widths: Sequence[int]) -> int:
    """How wide a table with these columns is: a space on both sides of each, one between two, one at either end."""
    return sum(widths) + 3 * len(widths) + 1
