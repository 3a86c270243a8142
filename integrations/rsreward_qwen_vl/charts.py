"""The charts of the page, each as the `src` of an image."""

import io
from collections.abc import Mapping, Sequence

import torch
from matplotlib import rc_context
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from .figures import data_uri


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
        figure.colorbar(picture, ax=axis, label="rows", shrink=0.9)
    axis.set(xlim=(-reach, reach), ylim=(reach, -reach), aspect="equal")
    axis.add_patch(Rectangle((-0.5, -0.5), 1, 1, fill=False, edgecolor="#c0392b"))
    axis.set(xlabel="widths of the true box", ylabel="heights of the true box")
    return _svg(figure)


def curves(panels: Mapping[str, Sequence[tuple[float, float]]], labels: Mapping[str, str] | None = None) -> str:
    """One small panel for each named series of (step, value); nothing where there is none."""
    if not panels:
        return ""
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(11, 2.3 * rows), layout="constrained")
    axes = list(figure.subplots(rows, 3, squeeze=False).flat)
    for axis, (title, points) in zip(axes, panels.items(), strict=False):
        axis.plot(*zip(*points, strict=True) if points else ([], []), color="#1b6ca8", linewidth=1.4)
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
