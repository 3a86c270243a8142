import inspect
import sys

import pytest
import torch
from datasets import Dataset
from rsreward_trl import (
    SpatialConsistencyGRPOTrainer,
    SpatialConsistencyMixin,
    as_reward_func,
    attach_spatial_consistency,
)
from rsreward_trl.trainer import _check_columns
from tiny_grpo import box_of_text, build_trainer, closed_form, length_reward, watch
from trl import GRPOTrainer, RLOOConfig, RLOOTrainer

from rsreward import consistency_weight, format_reward, positional_reward

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


def run(trainer):
    seen = watch(trainer)
    trainer.train()
    assert seen[0]["ious"].std() > 0.01  # else every weight would be the same
    return seen[0]


def test_canary_scaled_advantages_are_w_times_the_normalised_rewards(tmp_path):
    trainer = build_trainer(tmp_path)
    step = run(trainer)
    expected = closed_form(step, 4).float()
    assert torch.allclose(step["advantages"], expected, atol=1e-4)
    assert torch.allclose(torch.tensor(list(trainer._logs["advantages"])), expected, atol=1e-4)


def test_what_the_loss_sees_are_the_scaled_advantages(tmp_path):
    trainer = build_trainer(
        tmp_path, per_device_train_batch_size=4, steps_per_generation=2, num_iterations=2, max_steps=4
    )
    step = run(trainer)
    buffered = torch.cat([batch["advantages"] for batch in trainer._buffered_inputs])
    assert torch.allclose(buffered.sort().values, step["advantages"].sort().values)


def test_weight_statistics_rewards_and_parts_are_logged(tmp_path):
    trainer = build_trainer(tmp_path)
    step = run(trainer)
    logs = trainer.state.log_history[0]
    groups = step["ious"].view(-1, 4)
    assert logs["consistency/weight_mean"] == pytest.approx(consistency_weight(groups).mean().item(), rel=1e-5)
    assert logs["consistency/iou_mean"] == pytest.approx(groups.mean().item(), rel=1e-5)
    assert logs["consistency/weight_at_bound"] == 0
    assert logs["consistency/iou_var"] == pytest.approx(groups.var(1, correction=0).mean().item(), rel=1e-4)
    assert logs["positional_reward/iou"] == pytest.approx(groups.mean().item(), rel=1e-5)
    assert logs["positional_reward/parse_rate"] == 1
    assert 0 < logs["positional_reward/proximity"] <= 1
    parts = [logs[f"rsreward/{part}_time"] for part in ("rewards", "gather", "weight")]
    assert min(parts) > 0
    assert sum(parts) < logs["step_time"]
    assert logs["rewards/positional_reward/mean"] == pytest.approx(step["rewards"][:, 0].mean().item(), rel=1e-5)


def test_the_plain_trainer_with_the_weight_attached_does_the_same(tmp_path):
    scaled = run(build_trainer(tmp_path))
    plain = build_trainer(tmp_path, trainer=GRPOTrainer)
    attach_spatial_consistency(plain)
    assert torch.equal(run(plain)["advantages"], scaled["advantages"])


def test_options_reach_the_weight(tmp_path):
    step = run(build_trainer(tmp_path, consistency={"lambda_mean": 0.3, "lambda_var": 2.0}))
    assert torch.allclose(step["advantages"], closed_form(step, 4, 0.3, 2.0).float(), atol=1e-4)


@pytest.mark.parametrize("scale_rewards", ["group", "batch", "none"])
@pytest.mark.parametrize("aggregation", ["sum_then_normalize", "normalize_then_sum"])
def test_every_way_to_normalise_advantages_is_scaled(tmp_path, scale_rewards, aggregation):
    options = {"scale_rewards": scale_rewards, "multi_objective_aggregation": aggregation}
    plain = run(build_trainer(tmp_path, trainer=GRPOTrainer, **options))
    scaled = run(build_trainer(tmp_path, **options))
    assert torch.equal(plain["ious"], scaled["ious"])
    weight = consistency_weight(plain["ious"].view(-1, 4)).repeat_interleave(4)
    assert torch.allclose(scaled["advantages"], plain["advantages"] * weight, atol=1e-6)


def test_gdpo_normalises_each_reward_by_itself_and_carries_the_weight(tmp_path):
    """arXiv 2601.05242: z-scores of each reward within its group, added up, then brought to mean 0 and deviation 1."""
    step = run(build_trainer(tmp_path, multi_objective_aggregation="normalize_then_sum", reward_weights=[1.0, 0.5]))
    groups = step["rewards"].view(-1, 4, 2)
    scores = (groups - groups.mean(1, keepdim=True)) / (groups.std(1, keepdim=True) + 1e-4)
    total = (scores * torch.tensor([1.0, 0.5])).sum(-1).flatten()
    weight = consistency_weight(step["ious"].view(-1, 4)).repeat_interleave(4)
    assert torch.allclose(step["advantages"], weight * (total - total.mean()) / (total.std() + 1e-4), atol=1e-5)


LOSS_TYPES = ["grpo", "dapo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"]


@pytest.mark.parametrize("loss_type", LOSS_TYPES)
def test_every_loss_type_trains(tmp_path, loss_type):
    if f'"{loss_type}"' not in inspect.getsource(sys.modules[GRPOTrainer.__module__]):
        pytest.skip(f"this TRL has no {loss_type}")
    options = {"importance_sampling_level": "sequence"} if loss_type == "luspo" else {}
    trainer = build_trainer(tmp_path, loss_type=loss_type, **options)
    before = [p.clone() for p in trainer.model.parameters()]
    run(trainer)
    assert any(not torch.equal(a, b) for a, b in zip(before, trainer.model.parameters(), strict=True))
    assert all(p.isfinite().all() for p in trainer.model.parameters())


def test_the_mixin_goes_before_other_grpo_trainers(tmp_path):
    gmpo = pytest.importorskip("trl.experimental.gmpo", reason="this TRL has no GMPO")

    class Trainer(SpatialConsistencyMixin, gmpo.GMPOTrainer):
        pass

    trainer = build_trainer(tmp_path, trainer=Trainer, arguments=gmpo.GMPOConfig)
    step = run(trainer)
    assert torch.allclose(step["advantages"], closed_form(step, 4).float(), atol=1e-4)


def test_the_mixin_weights_the_advantages_of_rloo(tmp_path):
    class Trainer(SpatialConsistencyMixin, RLOOTrainer):
        pass

    trainer = build_trainer(tmp_path, trainer=Trainer, arguments=RLOOConfig, beta=0.0)
    step = run(trainer)
    rewards, weight = step["rewards"].sum(1).view(-1, 4), consistency_weight(step["ious"].view(-1, 4))
    others = (rewards.sum(1, keepdim=True) - rewards) / 3
    expected = (weight[:, None] * (rewards - others)).flatten()
    assert torch.allclose(step["advantages"], expected, atol=1e-5)
    assert torch.allclose(torch.tensor(list(trainer._logs["advantages"])), expected, atol=1e-5)


class HookedTrainer(GRPOTrainer):
    """What TRL becomes with its pull request 7298: the advantages of all processes pass through a method."""

    def _transform_advantages(self, advantages):
        return advantages + 1

    def _generate_and_score_completions(self, inputs):
        output = super()._generate_and_score_completions(inputs)
        return output | {"advantages": self._transform_advantages(output["advantages"])}


@pytest.mark.parametrize("attached", [False, True])
def test_a_trainer_with_a_hook_for_advantages_is_weighted_there_and_once(tmp_path, attached):
    class Trainer(SpatialConsistencyMixin, HookedTrainer):
        pass

    plain = run(build_trainer(tmp_path, trainer=HookedTrainer))
    trainer = build_trainer(tmp_path, trainer=HookedTrainer if attached else Trainer)
    if attached:
        attach_spatial_consistency(trainer)
    weight = consistency_weight(plain["ious"].view(-1, 4)).repeat_interleave(4)
    assert torch.allclose(run(trainer)["advantages"], plain["advantages"] * weight, atol=1e-6)
    assert "rsreward/weight_time" in trainer.state.log_history[0]


def test_groups_without_a_target_keep_weight_1(tmp_path):
    def build(kind):
        trainer = build_trainer(tmp_path, trainer=kind)
        rows = trainer.train_dataset.to_list()
        rows = [row | {"target": None if i % 2 else row["target"]} for i, row in enumerate(rows)]
        trainer.train_dataset = type(trainer.train_dataset).from_list(rows, features=trainer.train_dataset.features)
        return trainer

    plain, scaled = (run_some_without_target(build(kind)) for kind in (GRPOTrainer, SpatialConsistencyGRPOTrainer))
    unknown = plain["ious"].isnan().view(-1, 4).any(1).repeat_interleave(4)
    assert unknown.any()
    assert not unknown.all()
    assert torch.equal(plain["advantages"][unknown], scaled["advantages"][unknown])
    assert not torch.allclose(plain["advantages"][~unknown], scaled["advantages"][~unknown])


def run_some_without_target(trainer):
    seen = watch(trainer)
    trainer.train()
    return seen[0]


def test_evaluation_is_weighted_by_its_own_group_size(tmp_path):
    trainer = build_trainer(tmp_path, num_generations_eval=2, per_device_eval_batch_size=8)
    seen = watch(trainer)
    trainer.evaluate(trainer.train_dataset.select(range(4)))
    assert torch.allclose(seen[0]["advantages"], closed_form(seen[0], 2).float(), atol=1e-4)


def test_a_trainer_without_a_box_reward_is_refused(tmp_path):
    with pytest.raises(ValueError, match="as_reward_func"):
        build_trainer(tmp_path, reward_funcs=[as_reward_func(format_reward), length_reward])


def test_columns_that_the_reward_lacks_are_named_when_the_trainer_is_built(tmp_path):
    reward = as_reward_func(positional_reward, space="qwen3-vl")
    assert build_trainer(tmp_path, reward_funcs=[reward])
    with pytest.raises(ValueError, match="space 'qwen3-vl' needs the columns width, height of train_dataset"):
        build_trainer(tmp_path, reward_funcs=[reward], without=("width", "height"))
    with pytest.raises(ValueError, match="needs the columns target of train_dataset"):
        build_trainer(tmp_path, without=("target",))
    stream = Dataset.from_list([{"prompt": "a"}]).to_iterable_dataset()
    for unknown in (None, [], stream, stream.with_format("torch")):
        _check_columns(unknown, [reward])  # which cannot be told


def test_the_weight_is_attached_only_once(tmp_path):
    with pytest.raises(ValueError, match="already"):
        attach_spatial_consistency(build_trainer(tmp_path))


def test_bad_options_are_refused_when_the_trainer_is_built(tmp_path):
    with pytest.raises(ValueError, match="clip"):
        build_trainer(tmp_path, consistency={"clip": (3.0, 0.5)})


def test_moved_signatures_are_refused_when_the_trainer_is_built(tmp_path):
    class Moved(GRPOTrainer):
        def _calculate_rewards(self, batch):
            return batch

    with pytest.raises(TypeError, match=r"_calculate_rewards.*takes \(batch\).*trl >= 1.0"):
        attach_spatial_consistency(build_trainer(tmp_path, trainer=Moved))

    class Gone:
        reward_funcs = (box_of_text(),)

    with pytest.raises(TypeError, match="does not exist"):
        attach_spatial_consistency(Gone())
