"""The charts of the page, each as the `src` of an image."""

import io
from collections.abc import Mapping, Sequence

import torch
from matplotlib import rc_context
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from torch import Tensor

from .pictures import data_uri

PLAIN = "{x:,.0f}"  # numbers of rows


def histogram(counts: Tensor) -> str:
    """How many rows were not read, have IoU 0, and lie in each of the equal bins of (0, 1]: `(bins + 2,)`."""
    figure = Figure(figsize=(5.6, 4), layout="constrained")
    axis = figure.subplots()
    unread, zero, *bins = counts.tolist()
    width = 1 / len(bins)
    axis.bar([-2.5 * width, -width], [unread, zero], width, color=["#8a95a1", "#c0392b"])
    middles = [(i + 0.5) * width for i in range(len(bins))]
    axis.bar(middles, bins, width, color="#1b6ca8", edgecolor="white", linewidth=0.4)
    axis.set_xticks([-2.5 * width, -width, 0.25, 0.5, 0.75, 1], ["not\nread", "0", "0.25", "0.5", "0.75", "1"])
    axis.set(xlabel="IoU", ylabel="rows")
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.yaxis.set_major_formatter(PLAIN)
    axis.grid(axis="y", alpha=0.25)
    return _svg(figure)


def offset_map(counts: Tensor, reach: float) -> str:
    """How many predicted centres lie in each cell around the true box, up to `reach` sides away: `(cells, cells)`."""
    figure = Figure(figsize=(4.9, 4), layout="constrained")
    axis = figure.subplots()
    if counts.any():
        extent = (-reach, reach, reach, -reach)
        shown = counts.double().masked_fill(counts == 0, torch.nan).numpy()
        picture = axis.imshow(shown, extent=extent, cmap="viridis", norm=LogNorm(1, max(2, counts.max().item())))
        bar = figure.colorbar(picture, ax=axis, label="rows", shrink=0.9, format=PLAIN)
        bar.set_ticks(_log_ticks(int(counts.max())))
        bar.minorticks_off()
    axis.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    axis.add_patch(Rectangle((-0.5, -0.5), 1, 1, fill=False, edgecolor="#c0392b"))
    axis.set(xlabel="widths of the true box", ylabel="heights of the true box")
    return _svg(figure)


def _log_ticks(most: int) -> list[int]:
    """Round numbers of rows to name on a logarithmic scale from 1: 1, 2, 5, 10 where they are few, else tenfold.

    >>> _log_ticks(1), _log_ticks(30), _log_ticks(250_000)
    ([1, 2], [1, 2, 5, 10, 20], [1, 10, 100, 1000, 10000, 100000])
    """
    steps = (1, 2, 5) if most <= 100 else (1,)
    ticks = [step * 10**power for power in range(len(str(most))) for step in steps]
    return [tick for tick in ticks if tick <= max(2, most)]


def curves(panels: Mapping[str, Sequence[tuple[float, float]]], labels: Mapping[str, str] | None = None) -> str:
    """One small panel for each named series of (step, value); nothing where there is none."""
    if not panels:
        return ""
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(11, 2.3 * rows), layout="constrained")
    axes = list(figure.subplots(rows, 3, squeeze=False).flat)
    for axis, (title, points) in zip(axes, panels.items(), strict=False):
        marker = "o" if len(points) < 3 else ""  # a line of one point cannot be seen
        axis.plot(*zip(*points, strict=True) if points else ([], []), color="#1b6ca8", linewidth=1.4, marker=marker)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_title(title, fontsize=10)
        axis.set_xlabel((labels or {}).get(title, "step"), fontsize=8)
        axis.grid(alpha=0.25)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    return _svg(figure)


def _svg(figure: Figure) -> str:
    """The same bytes for the same chart."""
    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "rsreward"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return data_uri("image/svg+xml", buffer.getvalue())
