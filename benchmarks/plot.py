"""How cost grows: with N for paired, oriented and the whole step, with G for groups."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cases import Row

PANELS: list[tuple[str, str, str, str, str, Callable[[Row], float]]] = [
    ("paired", "the reward", "Paired reward", "pairs", "ms", lambda row: row["least_s"] * 1e3),
    ("oriented", "oriented IoU", "Oriented IoU", "pairs", "ms", lambda row: row["least_s"] * 1e3),
    ("group", "all pairs", "All pairs within a group", "rollouts G in a group", "µs a group",
     lambda row: row["shown"] * row["size"] ** 2 / 1e3),
    ("group", "the weight", "Weight of a group", "rollouts G in a group", "µs a group",
     lambda row: row["shown"] * row["size"] / 1e3),
    ("step", "boxes", "Reward step", "completions", "ms", lambda row: row["least_s"] * 1e3),
    ("step", "the same", "Reward step with the format reward", "completions", "ms", lambda row: row["least_s"] * 1e3),
]  # fmt: skip
COLOURS = ["#1b6ca8", "#e08e0b", "#2e8b57", "#8e5ea2", "#795548", "#17a2b8", "#7f8c8d"]


def save_plot(rows: Sequence[Row], path: Path) -> None:
    panels: list[tuple[list[Row], str, str, str, Callable[[Row], float]]] = []
    for family, start, title, x, y, cost in PANELS:
        own = [
            row for row in rows
            if row["family"] == family and row["case"].startswith(start) and "all pairs of" not in row["case"]
        ]  # fmt: skip
        if own:
            panels.append((own, title, x, y, cost))
    if not panels:
        return
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(4.6 * columns, 4.4 * lines), layout="constrained")
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis, panel in zip(axes, panels, strict=False):
        _draw(axis, *panel)
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=130)


def _draw(axis: Axes, rows: Sequence[Row], title: str, x: str, y: str, cost: Callable[[Row], float]) -> None:
    at = "units" if x == "pairs" else "size"
    series = {who: [row for row in rows if row["who"] == who] for who in dict.fromkeys(row["who"] for row in rows)}
    axis.set_prop_cycle(color=COLOURS)
    for who, points in sorted(series.items(), key=lambda each: -cost(each[1][-1]) / each[1][-1][at]):
        style: dict[str, Any] = {"linewidth": 1.1}
        if points[0]["ours"]:
            style = {"color": "#c0392b", "linewidth": 2.4, "zorder": 3}
        elif points[0]["computes"] in ("a copy", "a part"):
            style["linestyle"] = ":"
        places = {row[at]: cost(row) for row in points}
        axis.plot(list(places), list(places.values()), marker="o", markersize=3.5, label=who, **style)
    axis.set(xscale="log", yscale="log", title=title, xlabel=x, ylabel=y)
    ticks = sorted({row["size"] for row in rows})
    axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3, linewidth=0.5)
    axis.legend(fontsize=7.5, loc="upper left", framealpha=0.85)
    bottom, top = axis.get_ylim()
    axis.set_ylim(bottom, top * (top / bottom) ** 0.5)
