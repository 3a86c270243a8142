"""verl's own reward managers and its estimator GDPO, with the reward of this package as the function."""

import numpy as np
import pytest
import rsreward_verl.trainer  # noqa: F401  # the weight in verl's compute_advantage
import torch
from rsreward_verl.reward import compute_score
from verl import DataProto
from verl.trainer.ppo import ray_trainer
from verl.trainer.ppo.reward import load_reward_manager
from verl_rows import OUR_FUNCTION, rollout, tokenizer_of, truth, verl_config

GOOD = "<think>Left of the pier.</think><answer>[100, 200, 300, 400]</answer>"
TEXTS = [GOOD, "[80, 160, 240, 400]", "I see no ship.", "<think>a</think><answer>[90, 160, 240, 300]</answer>"]
TRUTH = truth([80, 160, 240, 400])
GDPO = [
    "algorithm.adv_estimator=gdpo",
    "+algorithm.gdpo_reward_keys=[iou,proximity,format]",
    "+algorithm.gdpo_reward_weights=[1,0.1,1]",
    "++trainer.use_v1=False",
]


def scored(texts, *overrides):
    """What a manager of verl gives for each text, and the rows as they come to it."""
    tokenizer = tokenizer_of([*TEXTS, "Locate the left ship."])
    manager = load_reward_manager(verl_config(*OUR_FUNCTION, *overrides), tokenizer, reward_router_address=None)
    rows = [rollout(tokenizer, [text], TRUTH) for text in texts]
    return [manager.loop.run_until_complete(manager.run_single(row)) for row in rows], rows


@pytest.mark.parametrize("manager", ["naive", "dapo", "gdpo"])
def test_a_manager_of_verl_gives_the_reward_and_all_its_parts(manager):
    found, _ = scored(TEXTS, f"reward.reward_manager.name={manager}")
    for text, result in zip(TEXTS, found, strict=True):
        parts = compute_score("rsvg", text, TRUTH)
        assert result == {"reward_score": parts["score"], "reward_extra_info": parts}


def test_the_punishment_of_long_answers_lowers_the_reward_and_leaves_the_iou():
    limit, buffer = 200, 190
    keys = {"enable": True, "len": buffer, "penalty_factor": 1.0, "log": True}
    options = [f"+reward.reward_kwargs.overlong_buffer_cfg.{name}={value}" for name, value in keys.items()]
    options += ["reward.reward_manager.name=dapo", f"+reward.reward_kwargs.max_resp_len={limit}"]
    [result], [row] = scored([GOOD], *options)
    parts, length = compute_score("rsvg", GOOD, TRUTH), len(row.batch["responses"][0])
    assert limit - buffer < length < limit
    assert result["reward_score"].item() == pytest.approx(parts["score"] - (length - (limit - buffer)) / buffer)
    assert result["reward_extra_info"].items() >= parts.items()


def test_gdpo_of_the_older_trainer_takes_the_parts_and_carries_the_weight():
    texts, groups = TEXTS[:2] + TEXTS[3:] + TEXTS, [slice(0, 3), slice(3, 7)]
    found, _ = scored(texts, "reward.reward_manager.name=gdpo")
    parts = {name: np.array([r["reward_extra_info"][name] for r in found]) for name in ("iou", "proximity", "format")}
    mask = torch.tensor([[1] * n + [0] * (5 - n) for n in (5, 3, 4, 1, 2, 5, 3)])
    rewards = torch.tensor([[r["reward_score"]] for r in found]) * mask
    tensors = {"prompts": torch.ones(7, 2), "attention_mask": torch.cat([torch.ones(7, 2).long(), mask], 1)}
    tensors |= {"response_mask": mask, "token_level_rewards": rewards}
    columns = parts | {"uid": np.array(["a"] * 3 + ["b"] * 4, dtype=object)}
    plain, weighted = (
        ray_trainer.compute_advantage(
            DataProto.from_dict(tensors, columns), "gdpo", config=verl_config(*GDPO, *section).algorithm
        ).batch["advantages"]
        for section in ([], ["+rsreward.consistency.clip=[0.1,9]"])
    )
    total, weight = np.zeros(7), np.zeros(7)
    for group in groups:
        iou = parts["iou"][group]
        weight[group] = np.exp(1.2 * (1 - iou.mean()) + iou.var())
        for name, factor in (("iou", 1), ("proximity", 0.1), ("format", 1)):
            values = parts[name][group]
            total[group] += factor * (values - values.mean()) / (values.std(ddof=1) + 1e-6)
    total, weight = (torch.tensor(values).float()[:, None] * mask for values in (total, weight))
    whitened = (total - total[mask > 0].mean()) / total[mask > 0].std()
    assert torch.allclose(plain, whitened * mask, atol=1e-4)
    assert np.ptp(weight[:, 0].numpy()) > 0.1
    assert torch.allclose(weighted, plain * weight, atol=1e-5)
