"""What both kinds of policies share: GRPO's advantages, the policy gradient of a Gaussian, intervals over seeds."""

from math import sqrt

import torch
from scipy.stats import t as student
from torch import Tensor

IMAGE = 1000.0  # width and height of the image, in pixels


def group_advantages(rewards: Tensor) -> Tensor:
    """A = (r - mean r) / (std r + 1e-4) within each group `(..., G)`, as TRL computes it."""
    return (rewards - rewards.mean(-1, keepdim=True)) / (rewards.std(-1, keepdim=True) + 1e-4)


def without_gradient(rewards: Tensor) -> Tensor:
    """Whether all rewards of a group are equal, by TRL's test, so that it teaches nothing: `(..., G)` -> `(...)`."""
    std = rewards.std(-1)
    return torch.isclose(std, torch.zeros_like(std))


def policy_gradient(advantages: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The gradient of mean_g A_g log N(x_g; mu, sigma^2) in mu, for x = mu + sigma noise:  mean_g A_g noise_g / sigma.

    Args:
        advantages: `(..., G)`.
        noise: `(..., G, K)`, standard normal.
        sigma: `(K,)`.

    Returns:
        `(..., K)`.
    """
    return (advantages.unsqueeze(-1) * noise).mean(-2) / sigma


def corners_of(centre: Tensor, size: Tensor) -> Tensor:
    """`[x1, y1, x2, y2]` from centres and sizes `(..., 2)`."""
    return torch.cat([centre - size / 2, centre + size / 2], -1)


def interval(values: Tensor) -> tuple[float, float]:
    """Mean over seeds and half the width of its 95 % interval by Student's t: `(seeds,)`."""
    n = len(values)
    half = student.ppf(0.975, n - 1) * values.double().std().item() / sqrt(n) if n > 1 else float("nan")
    return values.double().mean().item(), float(half)
