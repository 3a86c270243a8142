"""The same 200 completions through the core and every trainer: the same rewards to the bit, the same weights.

TRL and verl are the real ones. ms-swift's functions are those of `swift_functions`; the real ones run in
`make smoke-swift`. EasyR1's reward function is called as EasyR1 calls it, and has no weight.
"""

import json
import random
from pathlib import Path

import numpy as np
import pytest
import rsreward_verl.trainer  # noqa: F401  # the weight in verl's compute_advantage
import swift_functions
import torch
from datasets import Dataset
from rsreward_easyr1.reward import compute_score
from rsreward_swift.options import read_options
from rsreward_swift.rewards import RSFormat, RSIoU, RSPositional
from rsreward_swift.weight import ConsistencyWeight
from rsreward_trl import SpatialConsistencyGRPOTrainer, as_reward_func
from rsreward_verl.weights import GroupWeights
from transformers import Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig
from verl import DataProto
from verl.trainer.ppo import ray_trainer
from verl.trainer.ppo.reward import load_reward_manager
from verl_rows import rollout, rsvg_config, tokenizer_of, truth

import rsreward

ROLLOUTS = Path(__file__).parents[2] / "shared" / "data" / "rollouts_dev.jsonl"
COUNT, REAL, GROUP = 200, 60, 8
SPACE = "qwen2.5-vl"
FORMS = (
    "<think>It is left.</think><answer>{}</answer>",
    '<answer>{{"bbox_2d": {}}}</answer>',
    "{}",
    "I see none.",
    "<think>a {} b</think>",
    "<think>a</think>\n<answer>{} {}</answer>",
    "```json\n[{{'bbox_2d': {}}}]\n```",
)
COLUMNS = ("target", "width", "height")


def written(rng):
    """A completion and its truth: a box some way off, in one of the ways that models write."""
    width, height = rng.choice([(800, 800), (1024, 768), (500, 900)])
    box = [rng.randint(0, 300), rng.randint(0, 300), rng.randint(310, 480), rng.randint(310, 480)]
    near = [v + rng.randint(-60, 60) for v in box]
    text = rng.choice(FORMS).format(near, near[::-1])
    return {"completion": text, "target": box, "width": width, "height": height}


@pytest.fixture(scope="module", params=["written", "real and written"])
def rows(request):
    rng, rows = random.Random(0), []  # noqa: S311
    if request.param.startswith("real"):
        if not ROLLOUTS.exists():
            pytest.skip("the real rollouts of ../shared/data are not here")
        sized = [row for row in map(json.loads, ROLLOUTS.open()) if "width" in row]
        rows = [{name: row[name] for name in ("completion", *COLUMNS)} for row in rng.sample(sized, REAL)]
    return rows + [written(rng) for _ in range(COUNT - len(rows))]


def by_core(rows):
    """Each reward and what it is made of, `(N,)`, the weight of each group, and the weighted advantages."""
    texts, target = [row["completion"] for row in rows], torch.tensor([row["target"] for row in rows]).float()
    sizes = {side: [row[side] for row in rows] for side in ("width", "height")}
    pred = rsreward.parse_boxes(texts, space=SPACE, **sizes)
    positional, form = rsreward.positional_reward(pred, target), rsreward.format_reward(texts, kind="horizontal")
    rewards, overlap = positional + form, rsreward.iou(pred, target)
    weights = rsreward.consistency_weight(overlap.view(-1, GROUP))
    deviation = rewards.view(-1, GROUP) - rewards.view(-1, GROUP).mean(1, keepdim=True)
    return {
        "rewards": rewards,
        "positional": positional,
        "format": form,
        "iou": overlap,
        "weights": weights,
        "mean weight": weights.mean(),
        "advantages": (weights[:, None] * deviation).flatten(),
    }


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
    asked = [{"prompt": "Where?"} | {c: row[c] for c in COLUMNS} for row in rows]
    trainer = Scripted(
        model=model, processing_class=tokenizer, args=arguments, train_dataset=Dataset.from_list(asked),
        reward_funcs=[
            as_reward_func(rsreward.positional_reward, space=SPACE),
            as_reward_func(rsreward.format_reward, kind="horizontal"),
        ],
    )  # fmt: skip
    output = trainer._generate_and_score_completions(asked)
    return {
        "rewards": trainer.rewards.sum(1),
        "positional": trainer.rewards[:, 0],
        "format": trainer.rewards[:, 1],
        "iou": trainer._consistency.ious,
        "weights": trainer._consistency._weight_of_each()[::GROUP],
        "mean weight": torch.tensor(trainer._metrics["train"]["consistency/weight_mean"][0]),
        "advantages": output["advantages"],
    }


def by_verl(rows, folder):
    tokenizer = tokenizer_of([row["completion"] for row in rows])
    config = rsvg_config(
        "rsvg_model=qwen2_5_vl_3b", "algorithm.norm_adv_by_std_in_grpo=False", "++trainer.use_v1=False"
    )  # fmt: skip
    manager = load_reward_manager(config, tokenizer)
    results = [
        manager.loop.run_until_complete(
            manager.run_single(rollout(tokenizer, [row["completion"]], truth(*(row[c] for c in COLUMNS))))
        )
        for row in rows
    ]
    rewards = torch.tensor([r["reward_score"] for r in results])
    ious, form = ([r["reward_extra_info"][name] for r in results] for name in ("iou", "format"))
    groups = {str(g): ious[g * GROUP : (g + 1) * GROUP] for g in range(len(rows) // GROUP)}
    weights, metrics = GroupWeights({})(groups)
    data = DataProto.from_dict(
        {"token_level_rewards": rewards[:, None], "response_mask": torch.ones(len(rows), 1)},
        {"uid": np.repeat(list(groups), GROUP).astype(object), "iou": np.array(ious)},
    )
    data = ray_trainer.compute_advantage(
        data, adv_estimator="grpo", norm_adv_by_std_in_grpo=False, config=config.algorithm
    )
    return {
        "rewards": rewards,
        "format": torch.tensor(form),
        "iou": torch.tensor(ious),
        "weights": torch.tensor(list(weights.values())),
        "mean weight": torch.tensor(metrics["consistency/weight_mean"]),
        "advantages": data.batch["advantages"][:, 0],
    }


def by_ms_swift(rows, folder):
    options = read_options({"RSREWARD_SPACE": SPACE})
    weight = ConsistencyWeight(options)
    functions = [RSPositional(options), RSFormat(options), RSIoU(options)]
    table = weight.see_rewards(swift_functions.compute_rewards_per_func)(rows, functions, None, None)
    factors = torch.tensor([1.0, 1.0, 0.0])
    advantages, rewards = weight.weigh(swift_functions.compute_advantages)(
        table, factors, GROUP, scale_rewards="none"
    )  # fmt: skip
    return {
        "rewards": rewards,
        "positional": table[:, 0],
        "format": table[:, 1],
        "iou": table[:, 2],
        "weights": weight.weights(table[:, 2].view(-1, GROUP)),
        "advantages": advantages,
    }


def by_easyr1(rows, folder):
    asked = [
        {"response": row["completion"], "response_length": 1, "ground_truth": truth(*(row[c] for c in COLUMNS))}
        for row in rows
    ]
    scores = compute_score(asked, space=SPACE)
    names = {"rewards": "overall", "format": "format", "iou": "iou"}
    return {name: torch.tensor([score[theirs] for score in scores]) for name, theirs in names.items()}


@pytest.mark.filterwarnings("ignore:.* answers lie outside")  # some leave their image, as drawn
@pytest.mark.parametrize("trainer", [by_trl, by_verl, by_ms_swift, by_easyr1])
def test_a_trainer_gives_the_rewards_and_weights_of_the_core(rows, trainer, tmp_path):
    expected, found = by_core(rows), trainer(rows, tmp_path)
    assert expected["weights"].std() > 0.05
    assert expected["rewards"].unique().numel() > 50
    assert found.keys() >= {"rewards", "iou"}
    for name, values in found.items():
        if name in ("weights", "mean weight", "advantages"):
            assert torch.allclose(values.double(), expected[name].double(), rtol=0, atol=1e-6), name
        else:
            assert torch.equal(values, expected[name]), name
