"""Tables of a run: on the terminal, as Markdown, and in the page."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from cases import Row
from targets import CUDA_TARGETS, TARGETS, judged

BY_CASE = ("parsing", "hostile")  # small cases that share one table, a line each


@dataclass(frozen=True)
class Table:
    title: str
    header: Sequence[str]
    lines: Sequence[Sequence[str]]


def number(value: float | None) -> str:
    """Three digits; nothing where there is no value."""
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}" if value >= 1 else f"{value:.2g}"


def tables(rows: Sequence[Row]) -> list[Table]:
    found = []
    for family, of_family in groupby(rows, lambda row: row["family"]):
        own = list(of_family)
        if "cells" in own[0]:
            found += [_by_cells(title, list(of)) for title, of in groupby(own, lambda row: row["case"])]
        elif family in BY_CASE:
            found.append(_by_case(own))
        else:
            titles = dict.fromkeys(row["case"] for row in own)
            found += [_by_peer(title, [row for row in own if row["case"] == title]) for title in titles]
    return found


def _by_peer(title: str, rows: Sequence[Row]) -> Table:
    """A line for each way to do the work, a column for each size."""
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    extras = {
        "x copy": [number(row["times_copy"]) for row in rows],
        "peak": [number(row["peak_ratio"]) for row in rows],
        "gives": [row["computes"] for row in rows],
        "difference": ["" if row["difference"] is None else f"{row['difference']:.0e}" for row in rows],
    }
    shown = [name for name, cells in extras.items() if any(cells)]
    lines = []
    for who in dict.fromkeys(row["who"] for row in rows):
        at = {row["size"]: (index, row) for index, row in enumerate(rows) if row["who"] == who}
        cells = [_cell(at[size][1]) if size in at else "" for size in sizes]
        largest = at[max(at)][0]
        lines.append([who, *cells, *(extras[name][largest] for name in shown)])
    return Table(f"{title} ({rows[0]['unit']})", ["", *(f"{size:,}" for size in sizes), *shown], lines)


def _by_cells(title: str, rows: Sequence[Row]) -> Table:
    """Of what is not timed side by side: its rows bring their cells along."""
    return Table(title, ["", *rows[0]["cells"]], [[row["who"], *row["cells"].values()] for row in rows])


def _cell(row: Row) -> str:
    if row["ours"] or row["computes"] == "a copy":
        return number(row["shown"])
    return f"{number(row['shown'])} ({row['times_ours']:.{0 if row['times_ours'] >= 10 else 2}f}x)"


def _by_case(rows: Sequence[Row]) -> Table:
    """A line for each case, a column for each way to do it or for each size."""
    column = "size" if len({row["who"] for row in rows}) == 1 else "who"
    columns = list(dict.fromkeys(row[column] for row in rows))
    lines = []
    for title in dict.fromkeys(row["case"] for row in rows):
        at = {row[column]: row for row in rows if row["case"] == title}
        cells = ["finds none" if at[c]["computes"] == "finds none" else _cell(at[c]) for c in columns]
        lines.append([title, *cells])
    header = [f"{c:,} characters" if isinstance(c, int) else c for c in columns]
    return Table(f"{rows[0]['family']} ({rows[0]['unit']})", ["", *header], lines)


def show(found: Sequence[Table]) -> None:
    console = Console(highlight=False, markup=False, width=max(150, Console().width))
    for table in found:
        drawn = RichTable(title=table.title, title_justify="left", box=None, pad_edge=False)
        for index, name in enumerate(table.header):
            drawn.add_column(name, justify="right" if index else "left")
        for line in table.lines:
            drawn.add_row(*line)
        console.print(drawn, "")


def _markdown(table: Table) -> str:
    lines = [table.header, ["---", *["---:"] * (len(table.header) - 1)], *table.lines]
    return f"**{table.title}**\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page(results: dict[str, Any], picture: str) -> str:
    """The generated part: machine, who was left out, picture, targets, tables."""
    described = ", ".join(f"{name} {value}" for name, value in results["machine"].items())
    others = ", ".join(f"{name} {version}" for name, version in sorted(results["peers"].items()))
    parts = [f"Measured on: {described}. Peers: {others or 'none'}."]
    parts += [f"Left out: {name} ({reason})." for name, reason in results["left out"].items()]
    parts.append(f"![How cost grows with pairs, group size and completions]({picture})")
    targets, behind = judged(results["rows"], CUDA_TARGETS if "GPU" in results["machine"] else TARGETS)
    if targets:
        parts.append(_markdown(Table("Targets", ["target", "measured", ""], targets)))
    if behind:
        parts.append(_markdown(Table("Faster than rsreward", ["", "at", "share of our time"], behind)))
    parts += [_markdown(table) for table in tables(results["rows"])]
    return "\n\n".join(parts)


def update_page(results: dict[str, Any], path: Path, picture: str, part: str = "") -> None:
    """Write the page; or the part of it between `<!-- part -->` and `<!-- /part -->`."""
    text = page(results, picture) + "\n"
    if part:
        before, opening, rest = path.read_text().partition(f"<!-- {part} -->\n")
        _, closing, after = rest.partition(f"<!-- /{part} -->")
        if not closing:
            raise ValueError(f"{path} has no part <!-- {part} --> ... <!-- /{part} --> to write into.")
        text = before + opening + text + closing + after
    path.write_text(text)
