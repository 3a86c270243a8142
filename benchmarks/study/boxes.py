"""Policies over boxes: each target has a Gaussian of its own over boxes, and GRPO moves it by the reward alone."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

import torch
from policy import IMAGE, corners_of, group_advantages, policy_gradient, without_gradient
from torch import Tensor

from rsreward import diou, giou, iou, oriented_iou, positional_reward

FORMS = ("center", "region", "keypoints", "wasserstein")


@dataclass(frozen=True)
class Boxes:
    """A run. Lengths are in sides of the target, a side being the square root of its area."""

    reward: str = "center"
    alpha: float = 2.5
    beta: float = 0.1
    distance: float = 3.0  # of the start from the target's centre
    side: float = 0.05  # of the target, in widths of the image
    aspect: float = 1.0  # its width over its height
    noise: float = 0.5  # standard deviation of sampled centres; of the sizes' logarithms and the angle: 0.4 of it
    rate: float = 0.2  # the step, in standard deviations of the samples; falls linearly to 0
    turn: float | None = None  # the start's angle error in degrees; None for boxes without an angle
    seeds: int = 20
    targets: int = 60
    group: int = 8
    steps: int = 400


def centre_distance(pred: Tensor, target: Tensor) -> Tensor:
    """1 - |centre - true centre| / diagonal of the image."""
    offset = (pred[..., :2] + pred[..., 2:] - target[..., :2] - target[..., 2:]) / 2
    return 1 - offset.norm(dim=-1) / (sqrt(2) * IMAGE)


PLAIN: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": iou,
    "giou": giou,
    "diou": diou,
    "distance": centre_distance,
    "iou+distance": lambda pred, target: iou(pred, target) + 0.1 * centre_distance(pred, target),
}
REWARDS = (*PLAIN, *FORMS)


def reward_of(config: Boxes) -> Callable[[Tensor, Tensor], Tensor]:
    if config.reward in PLAIN:
        return oriented_iou if config.turn is not None else PLAIN[config.reward]
    form: Any = config.reward
    return lambda pred, target: positional_reward(pred, target, alpha=config.alpha, beta=config.beta, proximity=form)


def run(config: Boxes) -> dict[str, Any]:
    """GRPO for all seeds and targets at once: greedy mIoU along the way `(points, seeds)`, and its end by seed."""
    draw = torch.Generator().manual_seed(0)
    count, side = config.seeds * config.targets, config.side * IMAGE
    size = side * torch.tensor([sqrt(config.aspect), 1 / sqrt(config.aspect)])
    target = _box(torch.zeros(4 if config.turn is None else 5), side, size)
    angle = torch.rand(count, generator=draw) * 2 * torch.pi
    start = [config.distance * angle.cos(), config.distance * angle.sin()]
    start += list(0.4 * torch.randn(2, count, generator=draw))
    start += [] if config.turn is None else [torch.full((count,), config.turn).deg2rad()]
    mean = torch.stack(start, -1)
    sigma = config.noise * torch.tensor([1.0, 1.0, 0.4, 0.4, 0.4])[: mean.shape[-1]]
    reward, overlap = reward_of(config), iou if config.turn is None else oriented_iou
    every, steps, curve, silent = max(1, config.steps // 20), [], [], torch.empty(0)
    for step in range(config.steps + 1):
        if step % every == 0 or step == config.steps:
            greedy = overlap(_box(mean, side, size), target).view(config.seeds, -1)
            steps.append(step)
            curve.append(greedy.mean(1).tolist())
        noise = torch.randn(count, config.group, len(sigma), generator=draw)
        rewards = reward(_box(mean[:, None] + sigma * noise, side, size), target)
        if step == 0:
            silent = without_gradient(rewards).float().view(config.seeds, -1).mean(1)
        gradient = policy_gradient(group_advantages(rewards), noise, sigma)
        mean = mean + config.rate * (1 - step / config.steps) * sigma.square() * gradient
    acc = (greedy > 0.5).float().mean(1)
    sides = mean[:, 2:4].mean(-1).view(config.seeds, -1).mean(1).exp()  # of the final boxes, over the target's
    ends = {"miou": curve[-1], "acc": acc.tolist(), "sides": sides.tolist(), "silent": silent.tolist()}
    return {"steps": steps, "curve": curve, **ends}


def _box(parameters: Tensor, side: float, size: Tensor) -> Tensor:
    """Boxes from offsets of the centre in sides, logarithms of the sizes relative to the target's, and the angle."""
    centre, size = IMAGE / 2 + side * parameters[..., :2], size * parameters[..., 2:4].exp()
    if parameters.shape[-1] == 4:
        return corners_of(centre, size)
    return torch.cat([centre, size, parameters[..., 4:]], -1)


DISTANCES, RATES = (1.0, 3.0, 5.0), (0.05, 0.1, 0.2, 0.4)
ALPHAS, BETAS = (0.5, 1.0, 2.5, 5.0, 10.0), (0.1, 0.5, 1.0)
NOISES = (0.1, 0.25, 0.5, 1.0)
TURNS = (0.0, 30.0, 60.0, 90.0)


def configs() -> list[Boxes]:
    """By distance and rate; by alpha and beta; by form, beta and noise; by size and aspect ratio; oriented boxes."""
    some = [Boxes(reward, distance=d, rate=rate) for d in DISTANCES for reward in REWARDS for rate in RATES]
    some += [Boxes("center", a, b, d) for a in ALPHAS for b in BETAS for d in DISTANCES]
    some += [Boxes(form, a, b) for form in ("region", "keypoints") for a in ALPHAS for b in BETAS]
    some += [Boxes(form, 2.5, b, 1.0, noise=noise) for form in FORMS for b in BETAS for noise in NOISES]
    some += [Boxes("iou", distance=1.0, noise=noise) for noise in NOISES]
    some += [Boxes(reward, noise=noise) for reward in REWARDS for noise in (0.25, 1.0)]
    some += [Boxes(reward, side=side) for reward in REWARDS for side in (0.02, 0.2)]
    some += [Boxes(reward, aspect=4.0) for reward in REWARDS]
    return some + [
        Boxes(reward, distance=1.0, aspect=3.0, turn=turn, targets=20)
        for reward in ("iou", "center", "region", "wasserstein") for turn in TURNS
    ]  # fmt: skip
