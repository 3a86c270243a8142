"""A shared policy: one small network from noisy features of a scene to a Gaussian over boxes, trained by GRPO.

Its targets share parameters, so that a group's weight can do more than set the size of the step.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any, NamedTuple

import torch
from boxes import PLAIN
from policy import IMAGE, corners_of, group_advantages, policy_gradient
from torch import Tensor

from rsreward import consistency_weight, iou, positional_reward

FEATURES = 24
SIGMA = torch.tensor([0.03, 0.03, 0.2, 0.2])  # of sampled centres, in widths of the image, and of the sizes' logarithms


@dataclass(frozen=True)
class Shared:
    """A run for all seeds at once. Each seed has a network, features and scenes of its own."""

    weight: str = "none"
    rate: float = 0.016  # the learning rate at the start; falls linearly to 0
    optimizer: str = "adam"
    hard: str = "small"  # what is hard about hard targets: "small"; "noisy" (their features, too); "unexplained"
    share: float = 0.5  # of hard targets
    hidden: int = 32
    reward: str = "center"  # one of REWARDS
    explained: int = 64  # scenes of the supervised start
    warmup: int = 150  # its steps
    seeds: int = 20
    scenes: int = 1024
    batch: int = 32
    group: int = 8
    steps: int = 400


def _paper(overlap: Tensor) -> Tensor:
    return consistency_weight(overlap)


def _constant(overlap: Tensor) -> Tensor:
    """The paper's weight without emphasis: its mean over the batch, for every group."""
    weight = _paper(overlap)
    return weight.mean(-1, keepdim=True).expand_as(weight)


def _inverse(overlap: Tensor) -> Tensor:
    weight = 1 / _paper(overlap)
    return weight / weight.mean(-1, keepdim=True)


WEIGHTS: dict[str, Callable[[Tensor], Tensor]] = {  # IoUs (seeds, batch, G) -> the weight of each group
    "none": lambda overlap: torch.ones_like(overlap[..., 0]),
    "constant": _constant,
    "paper": _paper,
    "mean": lambda overlap: consistency_weight(overlap, lambda_var=0.0),
    "variance": lambda overlap: consistency_weight(overlap, lambda_mean=0.0),
    "normalized": lambda overlap: _paper(overlap) / _constant(overlap),  # as normalize=True within each seed's batch
    "univg": lambda overlap: torch.exp(1 - overlap.mean(-1)),  # UniVG-R1
    "inverse": _inverse,  # emphasis on the easy, of mean 1: the opposite of "normalized"
}


REWARDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "iou": iou,
    "iou+distance": PLAIN["iou+distance"],
    "center": positional_reward,
    "center 0.5": partial(positional_reward, beta=0.5),
    "region": partial(positional_reward, proximity="region"),
    "region 0.5": partial(positional_reward, proximity="region", beta=0.5),
    "keypoints 0.5": partial(positional_reward, proximity="keypoints", beta=0.5),
}


class Scenes(NamedTuple):
    features: Tensor  # (seeds, n, FEATURES)
    truth: Tensor  # (seeds, n, 4): centre and logarithms of the sizes, in widths of the image
    hard: Tensor  # (seeds, n), bool


class Start(NamedTuple):
    parameters: list[Tensor]
    train: Scenes
    validation: Scenes
    test: Scenes


def draw_scenes(config: Shared, n: int, mixing: tuple[Tensor, Tensor], draw: torch.Generator, share: float) -> Scenes:
    """Targets anywhere in the image; easy ones with sides of about 30 % of it, hard ones 10 % (unless "noisy").

    Features are sines of random mixtures of centre, size and kind, with noise: `sin(A u + b) + noise`.
    """
    seeds = config.seeds
    hard = torch.rand(seeds, n, generator=draw) < share
    side = torch.where(hard & torch.tensor(config.hard != "noisy"), 0.1, 0.3).unsqueeze(-1)
    centre = 0.1 + 0.8 * torch.rand(seeds, n, 2, generator=draw)
    log_size = side.log() + 0.25 * torch.randn(seeds, n, 2, generator=draw)
    kind = torch.where(hard, 1.0, -1.0).unsqueeze(-1)
    known = torch.cat([4 * centre - 2, log_size + 1.75, kind], -1)
    noise = torch.where(hard & torch.tensor(config.hard == "noisy"), 0.5, 0.05).unsqueeze(-1)
    features = torch.sin(known @ mixing[0] + mixing[1])
    return Scenes(
        features + noise * torch.randn(seeds, n, FEATURES, generator=draw), torch.cat([centre, log_size], -1), hard
    )


@lru_cache(maxsize=8)
def _started(config: Shared) -> Start:
    """Scenes, and networks after some steps of supervised learning on a few of them that are explained."""
    draw = torch.Generator().manual_seed(0)
    mixing = (
        torch.randn(config.seeds, 5, FEATURES, generator=draw),
        torch.rand(config.seeds, 1, FEATURES, generator=draw) * 2 * torch.pi,
    )
    train, validation, test = (
        draw_scenes(config, n, mixing, draw, share)
        for n, share in ((config.scenes, config.share), (512, 0.5), (1024, 0.5))
    )
    explained = draw_scenes(
        config, config.explained, mixing, draw, 0.0 if config.hard == "unexplained" else config.share
    )
    shapes = (FEATURES, config.hidden), (config.hidden, 4)
    parameters = []
    for rows, columns in shapes:
        parameters.append(torch.randn(config.seeds, rows, columns, generator=draw) / rows**0.5)
        parameters.append(torch.zeros(config.seeds, 1, columns))
    parameters[3] = parameters[3] + torch.tensor([0.5, 0.5, -1.75, -1.75])
    parameters = [p.requires_grad_() for p in parameters]
    optimizer = torch.optim.Adam(parameters, lr=5e-3)
    for _ in range(config.warmup):
        optimizer.zero_grad()
        error = (mean_of(parameters, explained.features) - explained.truth) / SIGMA
        error.square().mean((1, 2)).sum().backward()
        optimizer.step()
    return Start([p.detach() for p in parameters], train, validation, test)


def start_of(config: Shared) -> Start:
    """The same start for all weights, rates, optimisers and rewards."""
    return _started(replace(config, weight="none", rate=0.0, optimizer="adam", reward="center", steps=0))


def mean_of(parameters: list[Tensor], features: Tensor) -> Tensor:
    """The network: `(seeds, n, FEATURES)` -> `(seeds, n, 4)`, the mean of the box's Gaussian."""
    first, first_bias, second, second_bias = parameters
    return torch.baddbmm(second_bias, torch.tanh(torch.baddbmm(first_bias, features, first)), second)


def box_of(values: Tensor) -> Tensor:
    """Pixels from centre and logarithms of the sizes."""
    return IMAGE * corners_of(values[..., :2], values[..., 2:].clamp(max=1).exp())


def run(config: Shared) -> dict[str, Any]:
    """GRPO from the supervised start; greedy IoU on held-out scenes along the way and at the end, for each seed."""
    start = start_of(config)
    draw = torch.Generator().manual_seed(1)
    parameters = [p.clone().requires_grad_() for p in start.parameters]
    optimizers = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}
    optimizer = optimizers[config.optimizer](parameters, lr=config.rate)
    falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / config.steps)
    rows = torch.arange(config.seeds).unsqueeze(-1)
    every, steps, curve, weight_means = max(1, config.steps // 10), [], [], []
    for step in range(config.steps + 1):
        if step % every == 0:
            steps.append(step)
            curve.append(measured(parameters, start.test))
        if step == config.steps:
            break
        chosen = torch.randint(config.scenes, (config.seeds, config.batch), generator=draw)
        mean = mean_of(parameters, start.train.features[rows, chosen])
        truth = box_of(start.train.truth[rows, chosen]).unsqueeze(-2)
        noise = torch.randn(*mean.shape[:-1], config.group, 4, generator=draw)
        boxes = box_of(mean.detach().unsqueeze(-2) + SIGMA * noise)
        overlap = iou(boxes, truth)
        rewards = REWARDS[config.reward](boxes, truth)
        weight = WEIGHTS[config.weight](overlap)
        weight_means.append(weight.mean().item())
        advantages = weight.unsqueeze(-1) * group_advantages(rewards)
        optimizer.zero_grad()
        mean.backward(-policy_gradient(advantages, noise, SIGMA) / config.batch)
        optimizer.step()
        falling.step()
    end = measured(parameters, start.test)
    validation = measured(parameters, start.validation)["miou"]
    return {
        "steps": steps,
        "curve": {name: [point[name] for point in curve] for name in end},
        **end,
        "validation": validation,
        "weight": sum(weight_means) / max(1, len(weight_means)),
    }


def measured(parameters: list[Tensor], scenes: Scenes) -> dict[str, list[float]]:
    """Greedy mIoU and Acc@0.5 of each seed: of easy and of hard scenes, and of both, counted alike."""
    with torch.no_grad():
        overlap = iou(box_of(mean_of(parameters, scenes.features)), box_of(scenes.truth))
    figures = {}
    for name, value in (("miou", overlap), ("acc", (overlap > 0.5).float())):
        easy, hard = (_mean_where(value, kind) for kind in (~scenes.hard, scenes.hard))
        figures |= {f"{name}_easy": easy, f"{name}_hard": hard, name: (easy + hard) / 2}
    return {name: value.tolist() for name, value in figures.items()}


def _mean_where(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum(-1) / mask.sum(-1).clamp(min=1)


RATES = {"adam": (0.008, 0.016, 0.032, 0.064), "sgd": (0.0015, 0.003, 0.006, 0.012)}
SETTINGS = {
    "half are hard": Shared(),
    "one in ten is hard": Shared(share=0.1),
    "hard by noise": Shared(hard="noisy"),
    "hard never explained": Shared(hard="unexplained"),
    "a narrow network": Shared(hidden=8),
    "plain SGD": Shared(optimizer="sgd"),
    "four times the steps": Shared(steps=1600),
}


ARMS = {weight: (weight, "center") for weight in WEIGHTS}
ARMS |= {reward: ("none", reward) for reward in REWARDS if reward != "center"}  # without a weight


def configs() -> list[Shared]:
    """Every weight with the default reward, and every other reward without a weight, at every rate in every setting."""
    return [
        replace(setting, weight=weight, rate=rate, reward=reward)
        for setting in SETTINGS.values()
        for weight, reward in ARMS.values()
        for rate in RATES[setting.optimizer]
    ]
