"""A GRPO trainer on a tiny random Qwen3-VL, whose every completion stands for a box drawn from its text."""

import zlib

import torch
from datasets import Dataset
from rsreward_qwen_vl.model.tiny import build_model, build_processor, train_tokenizer
from rsreward_qwen_vl.scene_rows import scene_row
from rsreward_trl import BoxReward, SpatialConsistencyGRPOTrainer, as_reward_func
from trl import GRPOConfig

from rsreward import positional_reward

SIZE = 64


class BoxOfText(BoxReward):
    """A random model never writes a box: this reads one out of the checksum of whatever it wrote."""

    def boxes(self, completions, **columns):
        _, truth = super().boxes(completions, **columns)
        drawn = [zlib.crc32(c[0]["content"].encode()) % 100 for c in completions]
        shift = torch.tensor(drawn, dtype=torch.float32)[:, None] / 100
        return truth + shift * (truth[:, 2:] - truth[:, :2]).repeat(1, 2), truth


def box_of_text():
    plain = as_reward_func(positional_reward)
    return BoxOfText(plain.reward, plain.reading, "positional_reward", {})


def length_reward(completion_ids, **columns):
    return [len(set(ids)) / 10 for ids in completion_ids]


def build_trainer(
    folder,
    trainer=SpatialConsistencyGRPOTrainer,
    arguments=GRPOConfig,
    consistency=None,
    reward_funcs=None,
    without=(),
    **options,
):
    dataset = [scene_row(seed, 1, SIZE) for seed in range(8)]
    tokenizer = train_tokenizer(
        [row["prompt"][0]["content"] + row["completion"][0]["content"] for row in dataset], vocab_size=320
    )
    for row in dataset:
        del row["completion"]
    sizes = {"width": 32, "layers": 1, "vision_width": 32, "vision_layers": 1}
    settings = {
        "output_dir": str(folder), "max_steps": 1, "per_device_train_batch_size": 8, "num_generations": 4,
        "max_completion_length": 6, "report_to": "none", "bf16": False, "gradient_checkpointing": False,
        "save_strategy": "no", "disable_tqdm": True, "dataloader_pin_memory": False, "use_cpu": True,
        "logging_steps": 1,
    }  # fmt: skip
    extra = {} if consistency is None else {"consistency": consistency}
    return trainer(
        model=build_model(tokenizer, "qwen3-vl", SIZE, **sizes),
        reward_funcs=reward_funcs or [box_of_text(), length_reward],
        args=arguments(**(settings | options)),
        train_dataset=Dataset.from_list(dataset).remove_columns(list(without)),
        processing_class=build_processor(tokenizer, "qwen3-vl", SIZE),
        **extra,
    )


def watch(trainer):
    """Record the gathered rewards, the gathered IoUs and the local advantages of every generation."""
    seen = []
    calculate, generate = trainer._calculate_rewards, trainer._generate_and_score_completions
    reward = trainer.reward_funcs[0]

    def calculate_rewards(inputs, prompts, completions, completion_ids_list):
        rewards = calculate(inputs, prompts, completions, completion_ids_list)
        ious = reward.ious(completions, target=[row["target"] for row in inputs])
        seen.append({"rewards": rewards, "ious": trainer.accelerator.gather(ious)})
        return rewards

    def generate_and_score_completions(inputs):
        output = generate(inputs)
        seen[-1]["advantages"] = trainer.accelerator.gather(output["advantages"])
        return output

    trainer._calculate_rewards = calculate_rewards
    trainer._generate_and_score_completions = generate_and_score_completions
    return seen


def closed_form(step, group_size, lambda_mean=1.2, lambda_var=1.0):
    """w (r - mean) / (std + 1e-4) written out, group by group."""
    total, expected = step["rewards"].sum(1).double(), []
    for g in range(0, len(total), group_size):
        r, i = total[g : g + group_size], step["ious"][g : g + group_size].double()
        w = torch.exp(lambda_mean * (1 - i.mean()) + lambda_var * ((i - i.mean()) ** 2).mean()).clamp(0.5, 3)
        expected.append(w * (r - r.mean()) / (r.std() + 1e-4))
    return torch.cat(expected)
