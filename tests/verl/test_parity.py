"""The same completions through the core, TRL and verl: the same rewards to the bit, the same weights."""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import rsreward_verl.trainer  # noqa: F401  # the weight in verl's compute_advantage
import torch
from datasets import Dataset
from rsreward_trl import SpatialConsistencyGRPOTrainer, as_reward_func
from rsreward_verl.weights import GroupWeights
from transformers import Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig
from verl import DataProto
from verl.trainer.ppo import ray_trainer
from verl.trainer.ppo.reward import load_reward_manager
from verl_rows import rollout, rsvg_config, tokenizer_of, truth

import rsreward

ROLLOUTS = Path(__file__).parents[3] / "shared" / "data" / "rollouts_dev.jsonl"
COUNT, REAL, GROUP = 200, 60, 8
SPACE = "qwen2.5-vl"


def written(rng):
    """A completion and its truth: a box some way off, in one of the ways that models write."""
    width, height = rng.choice([(800, 800), (1024, 768), (500, 900)])
    box = [rng.randint(0, 300), rng.randint(0, 300), rng.randint(310, 480), rng.randint(310, 480)]
    near = [v + rng.randint(-60, 60) for v in box]
    shape = rng.choice(
        ["<think>It is left.</think><answer>{}</answer>", '<answer>{{"bbox_2d": {}}}</answer>', "{}", "I see none.",
         "<think>a {} b</think>", "<think>a</think>\n<answer>{} {}</answer>", "```json\n[{{'bbox_2d': {}}}]\n```"]
    )  # fmt: skip
    return {"completion": shape.format(near, near[::-1]), "target": box, "width": width, "height": height}


@pytest.fixture(scope="module", params=["written", "real and written"])
def rows(request):
    rng, rows = random.Random(0), []  # noqa: S311
    if request.param.startswith("real"):
        if not ROLLOUTS.exists():
            pytest.skip("the real rollouts of ../shared/data are not here")
        sized = [row for row in map(json.loads, ROLLOUTS.open()) if "width" in row]
        rows = rng.sample(sized, REAL)
    return rows + [written(rng) for _ in range(COUNT - len(rows))]


def by_core(rows):
    texts, target = [row["completion"] for row in rows], torch.tensor([row["target"] for row in rows]).float()
    pred = rsreward.parse_boxes(
        texts, space=SPACE, width=[row["width"] for row in rows], height=[row["height"] for row in rows]
    )
    rewards = rsreward.positional_reward(pred, target) + rsreward.format_reward(texts, kind="horizontal")
    weights = rsreward.consistency_weight(rsreward.iou(pred, target).view(-1, GROUP))
    deviation = rewards.view(-1, GROUP) - rewards.view(-1, GROUP).mean(1, keepdim=True)
    return rewards, weights, (weights[:, None] * deviation).flatten()


def by_trl(rows, folder):
    texts = [row["completion"] for row in rows]
    tokenizer = tokenizer_of(texts)

    class Scripted(SpatialConsistencyGRPOTrainer):
        def _generate_single_turn(self, *args, **kwargs):
            return [tokenizer(text + tokenizer.eos_token)["input_ids"] for text in texts], None

        def _calculate_rewards(self, inputs, prompts, completions, completion_ids_list):
            self.rewards = super()._calculate_rewards(inputs, prompts, completions, completion_ids_list)
            return self.rewards

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=2, **sizes))
    arguments = GRPOConfig(
        str(folder), per_device_train_batch_size=COUNT, num_generations=GROUP, max_completion_length=2048,
        scale_rewards="none", report_to="none", use_cpu=True, bf16=False,
    )  # fmt: skip
    asked = [{"prompt": "Where?"} | {c: row[c] for c in ("target", "width", "height")} for row in rows]
    trainer = Scripted(
        model=model, processing_class=tokenizer, args=arguments, train_dataset=Dataset.from_list(asked),
        reward_funcs=[
            as_reward_func(rsreward.positional_reward, space=SPACE),
            as_reward_func(rsreward.format_reward, kind="horizontal"),
        ],
    )  # fmt: skip
    output = trainer._generate_and_score_completions(asked)
    weight_mean = trainer._metrics["train"]["consistency/weight_mean"][0]
    return trainer.rewards.sum(1), weight_mean, output["advantages"]


def by_verl(rows):
    tokenizer = tokenizer_of([row["completion"] for row in rows])
    config = rsvg_config(
        "rsvg_model=qwen2_5_vl_3b", "algorithm.norm_adv_by_std_in_grpo=False", "trainer.use_v1=False"
    )  # fmt: skip
    manager = load_reward_manager(config, tokenizer)
    results = [
        manager.loop.run_until_complete(
            manager.run_single(
                rollout(tokenizer, [row["completion"]], truth(row["target"], row["width"], row["height"]))
            )
        )
        for row in rows
    ]
    rewards = torch.tensor([r["reward_score"] for r in results])
    ious = [r["reward_extra_info"]["iou"] for r in results]
    groups = {str(g): ious[g * GROUP : (g + 1) * GROUP] for g in range(len(rows) // GROUP)}
    weights, metrics = GroupWeights({})(groups)
    data = DataProto.from_dict(
        {"token_level_rewards": rewards[:, None], "response_mask": torch.ones(len(rows), 1)},
        {"uid": np.repeat(list(groups), GROUP).astype(object), "iou": np.array(ious)},
    )
    data = ray_trainer.compute_advantage(
        data, adv_estimator="grpo", norm_adv_by_std_in_grpo=False, config=config.algorithm
    )
    return rewards, weights, metrics["consistency/weight_mean"], data.batch["advantages"][:, 0]


@pytest.mark.filterwarnings("ignore:the reward of verl. .* answers lie outside")  # some leave their image, as drawn
def test_core_trl_and_verl_agree(rows, tmp_path):
    rewards, weights, advantages = by_core(rows)
    assert weights.std() > 0.05
    assert rewards.unique().numel() > 50
    trl_rewards, trl_weight_mean, trl_advantages = by_trl(rows, tmp_path)
    verl_rewards, verl_weights, verl_weight_mean, verl_advantages = by_verl(rows)
    assert torch.equal(trl_rewards, rewards)
    assert torch.equal(verl_rewards, rewards)
    assert list(verl_weights.values()) == pytest.approx(weights.tolist(), abs=1e-6)
    assert verl_weight_mean == pytest.approx(trl_weight_mean, abs=1e-6)
    assert torch.allclose(trl_advantages, advantages, atol=1e-6)
    assert torch.allclose(verl_advantages, advantages, atol=1e-6)
