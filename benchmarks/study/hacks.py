"""What each reward pays for answers that a policy could take to: the whole image, the data's mean box, many boxes."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from boxes import FORMS, PLAIN
from policy import IMAGE, corners_of
from torch import Tensor

from rsreward import positional_reward, set_reward


@dataclass(frozen=True)
class Hacks:
    """True boxes of 2 to 20 % of the image's width, the logarithm uniform, up to twice as long as wide, anywhere."""

    seeds: int = 20
    targets: int = 200


def configs() -> list[Hacks]:
    return [Hacks()]


def run(config: Hacks) -> dict[str, Any]:
    """The mean reward of each answer in each seed: `{"paid": {answer: {reward: [per seed]}}}`."""
    draw = torch.Generator().manual_seed(0)
    shape = (config.seeds, config.targets)
    side = 0.02 * 10 ** torch.rand(shape, generator=draw)
    aspect = 2 ** (2 * torch.rand(shape, generator=draw) - 1)
    size = IMAGE * side.unsqueeze(-1) * torch.stack([aspect.sqrt(), 1 / aspect.sqrt()], -1)
    target = corners_of(size / 2 + (IMAGE - size) * torch.rand(*shape, 2, generator=draw), size)
    rewards = {**PLAIN, **{form: partial(positional_reward, proximity=form) for form in FORMS}}  # type: ignore[dict-item]
    paid = {
        answer: {name: reward(box.expand_as(target), target).mean(1).tolist() for name, reward in rewards.items()}
        for answer, box in answers(target).items()
    }
    several = {
        answer: {name: function(boxes, target).tolist() for name, function in MANY.items()}
        for answer, boxes in sets(target).items()
    }
    return {"paid": paid, "several": several}


def answers(target: Tensor) -> dict[str, Tensor]:
    """Answers of one box, from what the policy may know (the first three) or may not."""
    centre, size = (target[..., :2] + target[..., 2:]) / 2, target[..., 2:] - target[..., :2]
    middle = torch.full((2,), IMAGE / 2)
    return {
        "the whole image": torch.tensor([0.0, 0.0, IMAGE, IMAGE]),
        "the data's mean box": target.mean((0, 1)),
        "a box of one pixel, mid-image": corners_of(middle, torch.ones(2)),
        "one pixel at the true centre": corners_of(centre, torch.ones_like(size)),
        "half the sides, right centre": corners_of(centre, size / 2),
        "twice the sides, right centre": corners_of(centre, size * 2),
        "right size, one width off": target + torch.cat([size, size], -1) * torch.tensor([1.0, 0.0, 1.0, 0.0]),
        "right size, three widths off": target + torch.cat([size, size], -1) * torch.tensor([3.0, 0.0, 3.0, 0.0]),
        "the true box": target,
    }


def sets(target: Tensor) -> dict[str, Tensor]:
    """Answers of several boxes `(seeds, targets, n, 4)`, the true one of which is asked for alone."""

    def grid(n: int) -> Tensor:
        at = (torch.arange(n) + 0.5) * IMAGE / n
        centres = torch.cartesian_prod(at, at)
        return corners_of(centres, torch.full_like(centres, IMAGE / n)).expand(*target.shape[:2], -1, -1)

    true = target.unsqueeze(-2)
    return {
        "the true box": true,
        "the true box five times": true.repeat(1, 1, 5, 1),
        "the true box among nine of a grid": torch.cat([true, grid(3)], -2),
        "nine boxes of a grid": grid(3),
        "400 boxes of a grid": grid(20),
    }


def _set_reward(boxes: Tensor, target: Tensor) -> Tensor:
    flat = set_reward([*boxes.flatten(0, 1)], [*target.flatten(0, 1).unsqueeze(1)])
    return flat.view(target.shape[:2]).mean(1)


MANY = {
    "first": lambda boxes, target: positional_reward(boxes[..., 0, :], target).mean(1),
    "best": lambda boxes, target: positional_reward(boxes, target.unsqueeze(-2)).amax(-1).mean(1),
    "set": _set_reward,
}
