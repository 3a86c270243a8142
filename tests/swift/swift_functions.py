"""Two functions with the signatures and the arithmetic of ms-swift 4.6, for where it is not installed.

`make smoke-swift` does the same with the real ones.
"""

import torch


def compute_rewards_per_func(
    samples, reward_funcs, reward_model_plugins, device, trainer_state=None, extra_reward_kwargs=None
):
    texts = [sample["completion"] for sample in samples]
    columns = {name: [sample[name] for sample in samples] for name in samples[0]}
    table = [function(texts, trainer_state=trainer_state, **columns) for function in reward_funcs]
    return torch.tensor([[torch.nan if r is None else r for r in row] for row in table]).T


def compute_advantages(
    rewards_per_func, reward_weights, num_generations, advantage_estimator="grpo", scale_rewards="group",
    kl_in_reward=False, beta=0.0, kl_values=None,
):  # fmt: skip
    rewards = (rewards_per_func * reward_weights).nansum(1)
    groups = rewards.view(-1, num_generations)
    advantages = groups - groups.mean(1, keepdim=True)
    if scale_rewards == "group":
        advantages = advantages / (groups.std(1, keepdim=True) + 1e-4)
    return advantages.flatten(), rewards


def compute_advantages_dynamic(rewards_per_func, reward_weights, prompt_ids, request_ids):
    return rewards_per_func.sum(1), rewards_per_func.sum(1)
