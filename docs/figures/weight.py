"""The consistency weight as a surface over the mean and the variance of a group's IoUs.

python docs/figures/weight.py --out docs/figures/weight.png
"""

import argparse

import torch
from matplotlib.figure import Figure

from rsreward.consistency import consistency_weight_from_statistics


def draw(out: str) -> None:
    mean = torch.linspace(0, 1, 201)
    var = torch.linspace(0, 0.25, 101)
    m, v = torch.meshgrid(mean, var, indexing="xy")
    weight = consistency_weight_from_statistics(m, v).masked_fill(v > m * (1 - m), torch.nan)  # no IoUs have these
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    axes = figure.subplots()
    filled = axes.contourf(mean, var, weight, levels=torch.linspace(1, 3, 17).tolist(), cmap="viridis")
    lines = axes.contour(mean, var, weight, levels=[1.25, 1.75, 2.25, 2.75], colors="white", linewidths=0.8)
    axes.clabel(lines, fmt=lambda level: f"{level:.3g}", fontsize=8)
    axes.plot(mean, mean * (1 - mean), color="black", linewidth=1)
    axes.annotate("half right, half wrong", (0.5, 0.25), (0.62, 0.24), fontsize=8, arrowprops={"arrowstyle": "-"})
    axes.set(xlabel="mean IoU of the group", ylabel="variance of its IoUs", xlim=(0, 1), ylim=(0, 0.262))
    figure.colorbar(filled, label="weight", ticks=[1, 1.5, 2, 2.5, 3])
    figure.savefig(out, dpi=130)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="docs/figures/weight.png")
    draw(parser.parse_args().out)
