"""verl's older trainer: its own `compute_advantage`, called as `RayPPOTrainer.fit` calls it."""

import numpy as np
import pytest
import rsreward_verl.trainer  # noqa: F401  # wraps ray_trainer
import torch
from rsreward_verl import v0
from verl import DataProto
from verl.trainer.ppo import core_algos, ray_trainer
from verl_rows import verl_config

OLD = ["trainer.use_v1=False", "algorithm.adv_estimator=grpo"]
SECTION = ["+rsreward.consistency.lambda_mean=0.7", "+rsreward.consistency.clip=[0.1,9]"]
UIDS = ["a", "b", "a", "b", "a", "b", "a"]
IOUS = [0.1, 0.0, 0.9, 0.0, 0.5, 0.3, 0.2]
REWARDS = [1.2, 0.0, 2.0, 0.0, 1.6, 1.3, 0.3]


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """The wrappers anew for each test, with nothing seen so far."""
    for name in ("compute_advantage", "compute_data_metrics"):
        monkeypatch.setattr(ray_trainer, name, getattr(ray_trainer, name).__wrapped__)
    v0.attach()


def batch(**columns):
    mask = torch.tensor([[1.0] * n + [0.0] * (5 - n) for n in (5, 3, 4, 1, 2, 5, 3)])
    rewards = torch.zeros(7, 5)
    rewards[torch.arange(7), mask.sum(1).long() - 1] = torch.tensor(REWARDS)
    tensors = {"response_mask": mask, "token_level_rewards": rewards}
    return DataProto.from_dict(tensors, {"uid": np.array(UIDS, dtype=object)} | columns)


def advantages(config, data):
    return ray_trainer.compute_advantage(
        data,
        adv_estimator=config.algorithm.adv_estimator,
        gamma=config.algorithm.gamma,
        lam=config.algorithm.lam,
        num_repeat=config.actor_rollout_ref.rollout.n,
        norm_adv_by_std_in_grpo=True,
        config=config.algorithm,
    ).batch


def closed_form(mask, lambda_mean=0.7, lambda_var=1.0, clip=(0.1, 9)):
    """w (r - mean) / (std + 1e-6) on every token of the response, written out in numpy."""
    uids, ious, rewards, rows = np.array(UIDS), np.array(IOUS), np.array(REWARDS), np.zeros(7)
    for uid in "ab":
        i, r = ious[uids == uid], rewards[uids == uid]
        weight = np.clip(np.exp(lambda_mean * (1 - i.mean()) + lambda_var * i.var()), *clip)
        rows[uids == uid] = weight * (r - r.mean()) / (r.std(ddof=1) + 1e-6)
    return rows[:, None] * mask.numpy()


def test_scaled_advantages_are_w_times_those_of_grpo_and_the_returns_stay():
    result = advantages(verl_config(*OLD, *SECTION), batch(iou=np.array(IOUS)))
    assert np.allclose(result["advantages"], closed_form(result["response_mask"]), atol=1e-5)
    plain = core_algos.compute_grpo_outcome_advantage(
        result["token_level_rewards"], result["response_mask"], np.array(UIDS, dtype=object)
    )
    assert torch.equal(result["returns"], plain[1])


def test_a_run_without_the_section_goes_through_untouched():
    plain = advantages(verl_config(*OLD), batch(iou=np.array(IOUS)))
    assert torch.equal(plain["advantages"], plain["returns"])


def test_statistics_come_with_the_metrics_of_their_step_only():
    reports = ['{"a": {"whole-image": 3}}', "", '{"b": {"whole-image": 1, "same-box": 9}}', *[""] * 4]
    data = batch(iou=np.array(IOUS), watch=np.array(reports))
    advantages(verl_config(*OLD, *SECTION), data)
    for name in ("token_level_scores", "prompts", "responses"):
        data.batch[name] = data.batch["response_mask"]
    data.batch["attention_mask"] = torch.cat([data.batch["prompts"], data.batch["responses"]], 1)
    metrics = ray_trainer.compute_data_metrics(data, use_critic=False)
    assert metrics["consistency/iou_mean"] == pytest.approx((np.mean(IOUS[::2]) + np.mean(IOUS[1::2])) / 2)
    assert metrics["critic/score/mean"] > 0
    assert (metrics["watch/whole-image"], metrics["watch/same-box"]) == (4, 9)
    again = ray_trainer.compute_data_metrics(data, use_critic=False)
    assert not any(name.startswith(("consistency", "watch")) for name in again)


def test_a_reward_without_iou_is_told():
    with pytest.raises(ValueError, match="'iou' in reward_extra_info"):
        advantages(verl_config(*OLD, *SECTION), batch())


def test_wrong_options_are_told():
    with pytest.raises(ValueError, match=r"rsreward.consistency.*clip"):
        advantages(verl_config(*OLD, "+rsreward.consistency.clip=[3,1]"), batch(iou=np.array(IOUS)))


def test_another_signature_is_refused(monkeypatch):
    monkeypatch.setattr(ray_trainer, "compute_advantage", lambda data: data)
    with pytest.raises(TypeError, match=r"which takes \(data\)"):
        v0.attach()
