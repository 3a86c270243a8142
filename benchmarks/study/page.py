"""Tables in Markdown and their places in a page."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from policy import interval
from store import Result


def varied(results: Sequence[Result], default: Any, *names: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The rows of the runs that differ from the default configuration in these fields alone, by their values."""
    fixed = [field.name for field in fields(default) if field.name not in names]
    return {
        tuple(getattr(result.config, name) for name in names): result.values
        for result in results
        if all(getattr(result.config, name) == getattr(default, name) for name in fixed)
    }


def mean(values: Sequence[float]) -> str:
    """A mean over seeds and its 95 % interval."""
    middle, half = interval(torch.tensor(values))
    return f"{middle:.3f} ± {half:.3f}"


def change(values: Sequence[float], others: Sequence[float]) -> str:
    """The mean difference of the same seeds and its 95 % interval; bold where that leaves out 0."""
    middle, half = interval(torch.tensor(values) - torch.tensor(others))
    text = f"{middle:+.3f} ± {half:.3f}"
    return f"**{text}**" if abs(middle) > half else text


def table(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    rows = [header, ["---", *["---:"] * (len(header) - 1)], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def update_page(path: Path, blocks: Mapping[str, str]) -> None:
    """Write each block between `<!-- NAME -->` and `<!-- /NAME -->`; into a page that is not there, at its end.

    Raises:
        ValueError: if a page that is there has no place for a block.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else _empty(blocks)
    for name, block in blocks.items():
        before, opening, rest = text.partition(f"<!-- {name} -->\n")
        _, closing, after = rest.partition(f"<!-- /{name} -->")
        if not closing:
            raise ValueError(f"{path} has no place <!-- {name} --> ... <!-- /{name} --> to write into.")
        text = f"{before}{opening}{block}\n{closing}{after}"
    path.write_text(text, encoding="utf-8")


def _empty(blocks: Mapping[str, str]) -> str:
    return "".join(f"<!-- {name} -->\n<!-- /{name} -->\n\n" for name in blocks)
