"""The hooks, called with the arguments that each trainer gives, against the core on groups of one size."""

import asyncio
import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rsreward import scale_advantages

SPEC = importlib.util.spec_from_file_location("hooks", Path(__file__).parents[2] / "examples" / "hooks.py")
hooks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(hooks)

GROUPS, SIZE = 5, 4
IOU = torch.rand(GROUPS, SIZE, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
REWARDS = IOU + torch.arange(GROUPS * SIZE).view(GROUPS, SIZE) % 2


def expected(rewards=REWARDS, **weights):
    return scale_advantages(rewards - rewards.mean(1, keepdim=True), IOU, **weights)


@pytest.mark.parametrize("weights", [{}, {"lambda_mean": 2.0, "clip": (0.0, 9.0)}, {"normalize": True}])
def test_groups_in_any_order_get_the_weight_of_the_core(weights):
    order = torch.randperm(GROUPS * SIZE, generator=torch.Generator().manual_seed(1))
    names = np.repeat(list("edcba"), SIZE)[order]
    found = hooks.weighted_advantages(REWARDS.flatten()[order], IOU.flatten()[order], names, **weights)
    assert torch.allclose(found, expected(**weights).flatten()[order], atol=1e-12)
    assert expected(**weights).abs().min() > 1e-3


def test_groups_may_have_several_sizes():
    found = hooks.weighted_advantages([0, 1, 5, 0, 1], [0, 1, 1, 0, 0], ["a", "a", "b", "c", "c"])
    assert found.tolist() == pytest.approx([-1.1698234, 1.1698234, 0, -1.5, 1.5])


def test_slime():
    class Sample:
        def __init__(self, score, iou):
            self.reward = {"score": score, "iou": iou}

        def get_reward_value(self, args):
            return self.reward[args.reward_key]

    samples = [Sample(r, i) for r, i in zip(REWARDS.flatten().tolist(), IOU.flatten().tolist(), strict=True)]
    raw, advantages = hooks.slime(SimpleNamespace(reward_key="score", n_samples_per_prompt=SIZE), samples)
    assert raw == REWARDS.flatten().tolist()
    assert advantages == pytest.approx(expected().flatten().tolist())


def test_skyrl():
    mask = torch.ones(GROUPS * SIZE, 3)
    mask[0, 2] = 0
    rewards = torch.zeros_like(mask)
    rewards[:, 1] = IOU.flatten().float()
    advantages, returns = hooks.skyrl(rewards, mask, index=np.repeat(np.arange(GROUPS), SIZE), config=None, gamma=1.0)
    assert advantages is returns
    assert torch.allclose(advantages, expected(IOU).flatten()[:, None].float() * mask, atol=1e-6)


def test_rllm():
    groups = [SimpleNamespace(trajectories=[SimpleNamespace(signals={"iou": i}) for i in row]) for row in IOU.tolist()]
    advantages, _ = hooks.rllm(list(REWARDS.numpy()), None, traj_groups=groups)
    assert np.stack(advantages) == pytest.approx(expected().numpy())


def test_nemo_rl():
    prompts, batch = torch.arange(GROUPS).repeat_interleave(SIZE)[:, None].expand(-1, 7), {"reward/iou": IOU.flatten()}
    advantages = hooks.NemoRL(None, None).compute_advantage(
        prompt_ids=prompts, rewards=REWARDS.flatten(), mask=torch.ones(GROUPS * SIZE, 3), repeated_batch=batch
    )
    assert torch.allclose(advantages, expected().flatten()[:, None].expand(-1, 3), atol=1e-12)


def test_prime_rl():
    traces = [
        SimpleNamespace(reward=r, metrics={"iou": i}) for r, i in zip(REWARDS[0].tolist(), IOU[0].tolist(), strict=True)
    ]
    given = []
    episodes = [SimpleNamespace(traces=traces[:1]), SimpleNamespace(traces=traces[1:])]
    asyncio.run(hooks.prime_rl(None, episodes, lambda trace, advantage: given.append((trace, advantage))))
    assert [trace for trace, _ in given] == traces
    assert [advantage for _, advantage in given] == pytest.approx(expected()[0].tolist())
