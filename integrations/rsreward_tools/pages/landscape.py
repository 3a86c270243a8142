"""The landscape of a reward: what it pays as a predicted box of the true size is moved over the image."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import ceil, sqrt
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from rsreward import diou, giou, iou, positional_reward
from rsreward.positional import Proximity

from ..files import writing

Reward = Callable[[Tensor, Tensor], Tensor]
REWARDS: dict[str, Reward] = {"iou": iou, "giou": giou, "diou": diou}
NAMES = {"iou": "IoU", "giou": "GIoU", "diou": "DIoU"}
SHADES = (0, 0.01, 0.05, 0.2, 0.5, 1)  # parts of a reward's range, named beside the panel
FLAT = 1e-6  # a reward that changes by less from cell to cell is flat there


@dataclass(frozen=True)
class Landscape:
    """Rewards over the plane.

    Attributes:
        target: the true box, `[x1, y1, x2, y2]` in pixels.
        width, height: of the image, in pixels.
        x, y: where the predicted box's centre stands, in pixels: `(columns,)` and `(rows,)`, evenly spaced.
        values: each reward by its label, `(rows, columns)`.
    """

    target: Tensor
    width: int
    height: int
    x: Tensor
    y: Tensor
    values: dict[str, Tensor]


def positional_rewards(alphas: list[float], betas: list[float], proximities: list[Proximity]) -> dict[str, Reward]:
    """`positional_reward` for every combination of options, by its label.

    Raises:
        ValueError: if `positional_reward` refuses an option.

    >>> list(positional_rewards([2.5], [0.1, 0.5], ["center"]))
    ['positional, center, alpha 2.5, beta 0.1', 'positional, center, alpha 2.5, beta 0.5']
    """
    unit = torch.tensor([0.0, 0.0, 1.0, 1.0])
    rewards: dict[str, Reward] = {}
    for proximity, alpha, beta in product(proximities, alphas, betas):
        reward = partial(positional_reward, alpha=alpha, beta=beta, proximity=proximity)
        reward(unit, unit)
        width = "" if proximity == "wasserstein" else f" alpha {alpha:g},"
        rewards[f"positional, {proximity},{width} beta {beta:g}"] = reward
    return rewards


def landscape(target: Tensor, width: int, height: int, rewards: Mapping[str, Reward], cells: int = 240) -> Landscape:
    """The rewards of a box of the true size at each point of a grid over the image, of which its true place is one.

    Args:
        target: `(4,)`, the true box in pixels.
        width, height: of the image, in pixels.
        rewards: functions of predicted and true box, by label.
        cells: along the image's longer side, none smaller than a pixel.

    >>> plane = landscape(torch.tensor([1.0, 1.0, 2.0, 2.0]), 3, 3, {"iou": iou})
    >>> plane.values["iou"]
    tensor([[0., 0., 0.],
            [0., 1., 0.],
            [0., 0., 0.]])
    """
    step = max(1.0, max(width, height) / cells)
    x, y = (
        _through(centre, length, step)
        for centre, length in zip((target[:2] + target[2:]) / 2, (width, height), strict=True)
    )
    half = (target[2:] - target[:2]) / 2
    centres = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)
    boxes = torch.cat([centres - half, centres + half], -1)
    return Landscape(target, width, height, x, y, {label: reward(boxes, target) for label, reward in rewards.items()})


def flat(values: Tensor) -> Tensor:
    """Where no step to a neighbouring cell changes the reward, so that misses by a little more or less are paid alike.

    >>> flat(torch.tensor([[0.0, 0.0, 0.0, 1.0]]))
    tensor([[ True,  True, False, False]])
    """
    moves = torch.zeros_like(values, dtype=torch.bool)
    across, down = values.diff(dim=1).abs() > FLAT, values.diff(dim=0).abs() > FLAT
    moves[:, 1:] |= across
    moves[:, :-1] |= across
    moves[1:] |= down
    moves[:-1] |= down
    return ~moves


def write_picture(plane: Landscape, path: Path) -> None:
    """One panel for each reward, as PNG or SVG by the file's suffix; the same bytes for the same landscape."""
    count = len(plane.values)
    columns = count if count <= 3 else ceil(sqrt(count))
    lines = ceil(count / columns)
    figure = Figure(
        figsize=(4.2 * columns, (3.4 * plane.height / plane.width + 0.8) * lines + 0.3), layout="constrained"
    )
    axes = list(figure.subplots(lines, columns, squeeze=False).flat)
    for axis, (label, values) in zip(axes, plane.values.items(), strict=False):
        _draw(axis, plane, label, values)
    for axis in axes[count:]:
        axis.set_visible(False)
    figure.suptitle("Reward of a box of the true size, by its centre (white: the true box; grey: flat)", fontsize=11)
    kind = path.suffix[1:].lower()
    with writing(path) as part, rc_context({"svg.hashsalt": "rsreward"}):
        figure.savefig(part, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)


def write_data(plane: Landscape, path: Path) -> None:
    """A row for each reward and cell: reward, x, y, value; as CSV or Parquet by the file's suffix."""
    y, x = torch.meshgrid(plane.y, plane.x, indexing="ij")
    count = len(plane.values)
    columns = {
        "reward": [label for label in plane.values for _ in range(x.numel())],
        "x": x.flatten().repeat(count).numpy(),
        "y": y.flatten().repeat(count).numpy(),
        "value": torch.cat([values.flatten() for values in plane.values.values()]).numpy(),
    }
    write = pyarrow.csv.write_csv if path.suffix.lower() == ".csv" else pyarrow.parquet.write_table
    with writing(path) as part:
        write(pa.table(columns), part)


def _through(centre: Tensor, length: int, step: float) -> Tensor:
    """Points that are a step apart, one of them the centre, from 0 to the length."""
    return centre + step * torch.arange(-int(centre / step), int((length - centre) / step) + 1)


def _draw(axis: Axes, plane: Landscape, label: str, values: Tensor) -> None:
    left, right, top, bottom = (line[end].item() for line in (plane.x, plane.y) for end in (0, -1))
    half = (right - left) / max(1, len(plane.x) - 1) / 2
    extent = (left - half, right + half, bottom + half, top - half)
    shown = values.masked_fill(flat(values), torch.nan).numpy()
    low, high = values.min().item(), values.max().item()
    norm = PowerNorm(0.3, low, high if high > low else low + 1)  # so that a gentle slope can be seen beside the peak
    axis.set_facecolor("#9aa3ab")
    picture = axis.imshow(shown, extent=extent, cmap="viridis", norm=norm, interpolation="nearest")
    bar = axis.figure.colorbar(
        picture,
        ax=axis,
        fraction=0.046 * plane.height / plane.width,
        ticks=[low + part * (high - low) for part in SHADES],
    )
    bar.ax.minorticks_off()
    bar.ax.yaxis.set_major_formatter("{x:.2f}")
    bar.ax.tick_params(labelsize=7)
    axis.set(xlim=(0, plane.width), ylim=(plane.height, 0))
    x1, y1, x2, y2 = plane.target.tolist()
    axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="white", linewidth=1.2))
    axis.set_title(NAMES.get(label, label), fontsize=10)
    axis.set_xlabel(f"flat on {100 * flat(values).float().mean():.0f} % of the image", fontsize=9)
    axis.tick_params(labelsize=7)
