"""Configurations as verl composes them, and rollouts as verl's agent loop hands them to a reward manager."""

import json

import numpy as np
import torch
from hydra import compose, initialize_config_module
from rsreward_qwen_vl.model.tiny import train_tokenizer
from verl import DataProto

OUR_FUNCTION = ["reward.custom_reward_function.path=pkg://rsreward_verl.reward"]
OUR_MANAGER = [
    "reward.reward_manager.source=importlib",
    "reward.reward_manager.name=GroundingRewardManager",
    "reward.reward_manager.module.path=pkg://rsreward_verl.reward",
]


def verl_config(*overrides):
    """verl's own configuration under these overrides."""
    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", overrides=list(overrides))


def rsvg_config(*overrides):
    """The configuration of this package under these overrides."""
    with initialize_config_module("rsreward_verl.config", version_base=None):
        return compose("rsvg_grpo", overrides=list(overrides))


def truth(bbox, width=800, height=800):
    return json.dumps({"bbox": bbox, "width": width, "height": height})


def tokenizer_of(texts):
    return train_tokenizer(texts, vocab_size=320)


def rollout(tokenizer, outputs, ground_truth, prompt="Locate the left ship."):
    """One finished rollout, padded as `AgentLoopWorker._compute_score` does it, each further prompt longer."""
    prompts = [torch.tensor(tokenizer(prompt * turn)["input_ids"]) for turn in range(1, len(outputs) + 1)]
    responses = [torch.tensor(tokenizer(text + tokenizer.eos_token)["input_ids"]) for text in outputs]
    ids = [torch.cat(pair) for pair in zip(prompts, responses, strict=True)]
    padded = {
        "prompts": prompts, "responses": responses, "input_ids": ids,
        "attention_mask": [torch.ones_like(i) for i in ids],
    }  # fmt: skip
    tensors = {name: torch.nn.utils.rnn.pad_sequence(rows, batch_first=True) for name, rows in padded.items()}
    known = {
        "data_source": "rsvg/test", "uid": "u", "reward_model": {"style": "rule", "ground_truth": ground_truth},
        "extra_info": {"index": 0}, "raw_prompt": [{"role": "user", "content": prompt}],
    }  # fmt: skip
    columns = {name: np.array([value] * len(outputs), dtype=object) for name, value in known.items()}
    columns["response_len"] = np.array([len(r) for r in responses])
    return DataProto.from_dict(tensors, columns)
