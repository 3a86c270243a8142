"""What runs in Ray: verl's reward workers, and its default trainer's advantages on a real TransferQueue."""

import json

import numpy as np
import psutil
import pytest
import ray
import rsreward_verl.trainer  # noqa: F401  # registers the trainer
import torch
import transfer_queue as tq
from omegaconf import OmegaConf
from rsreward_verl.reward import compute_score
from verl.experimental.reward_loop import RewardLoopManager
from verl.trainer.ppo.padding_utils import upsample_batch_to_divisible_size
from verl.trainer.ppo.v1 import get_trainer_cls
from verl.utils.tensordict_utils import list_of_dict_to_tensordict
from verl_rows import OUR_FUNCTION, rollout, rsvg_config, tokenizer_of, truth

pytestmark = pytest.mark.slow
TEXTS = ["<think>a</think><answer>[100, 200, 300, 400]</answer>", "none", "[0, 0, 1000, 1000]", "[90, 190, 310, 390]"]
BOX = [80, 160, 240, 400]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    tokenizer_of([*TEXTS, "Locate the left ship."]).save_pretrained(folder)
    config = rsvg_config(
        "rsvg_gpus=one", "rsvg_model=qwen3_vl_4b", f"actor_rollout_ref.model.path={folder}", "reward.num_workers=2",
        "rsreward.consistency.lambda_mean=0.7",
    )  # fmt: skip
    OmegaConf.resolve(config)
    # TransferQueue asks for whole CPUs, which are pretended; Ray's own guard kills for the memory that others use.
    ray.init(
        num_cpus=16, object_store_memory=200_000_000, include_dashboard=False, log_to_driver=False,
        _system_config={"memory_monitor_refresh_ms": 0},
    )  # fmt: skip
    tq.init(config.transfer_queue)
    yield config
    tq.close()
    ray.shutdown()
    ours = [child for child in psutil.Process().children(recursive=True) if "ray" in child.name()]
    assert not psutil.wait_procs(ours, timeout=60)[1]  # nothing of Ray stays behind


@pytest.mark.parametrize("function", [False, True])
def test_two_reward_workers_score_as_the_function_does(config, function):
    if function:
        overrides = [*OUR_FUNCTION, "+reward.custom_reward_function.reward_kwargs.space=qwen3-vl"]
        plain = ["reward.reward_manager.source=register", "reward.reward_manager.name=naive"]
        path = config.actor_rollout_ref.model.path
        config = rsvg_config(
            *overrides, *plain, f"actor_rollout_ref.model.path={path}", "reward.reward_manager.module.path=null"
        )
    manager = RewardLoopManager(config)
    tokenizer = tokenizer_of([*TEXTS, "Locate the left ship."])
    for worker in manager.reward_loop_worker_handles:
        results = ray.get([worker.compute_score.remote(rollout(tokenizer, [t], truth(BOX))) for t in TEXTS])
        expected = [compute_score("rsvg", text, truth(BOX), space="qwen3-vl") for text in TEXTS]
        assert [r["reward_extra_info"] for r in results] == expected
        assert [r["reward_score"] for r in results] == [e["score"] for e in expected]
        ray.kill(worker)


# uid, session, output, tokens, reward, IoU: groups of 4, of 3 after a failed rollout, and one of another reward; one
# rollout of two outputs, of which the last counts.
ROWS = [
    ("a", 0, 0, 3, 0.2, 0.1), ("a", 1, 0, 5, 2.0, 0.9), ("a", 2, 0, 2, 1.5, 0.5), ("a", 3, 0, 4, 0.0, 0.0),
    ("b", 0, 0, 4, 1.0, 0.0), ("b", 1, 1, 3, 1.9, 0.8), ("b", 1, 0, 2, 1.9, 0.8), ("b", 3, 0, 4, 0.3, 0.3),
    ("c", 0, 0, 4, 1.0, None), ("c", 1, 0, 4, 0.0, None),
]  # fmt: skip


ASYNC = {
    "sync": [],
    "colocate_async": [],
    "separate_async": [
        "data.train_batch_size=64", "trainer.v1.separate_async.parameter_sync_step=2",
        "actor_rollout_ref.actor.ppo_mini_batch_size=32", "actor_rollout_ref.rollout.nnodes=1",
        "actor_rollout_ref.rollout.n_gpus_per_node=1", "actor_rollout_ref.rollout.checkpoint_engine.backend=nccl",
    ],
}  # fmt: skip


def closed_form(lambda_mean=0.7, lambda_var=1.0):
    """w (r - mean) / (std + 1e-6) of each rollout, its last output standing for it, written out in numpy."""
    last = {(uid, session): (r, i) for uid, session, output, _, r, i in sorted(ROWS, key=lambda row: row[:3])}
    advantages = {}
    for uid in "abc":
        group = {key: value for key, value in last.items() if key[0] == uid}
        r, i = (np.array(column, dtype=float) for column in zip(*group.values(), strict=True))
        weight = np.clip(np.exp(lambda_mean * (1 - i.mean()) + lambda_var * i.var()), 0.5, 3) if uid != "c" else 1
        advantages |= dict(zip(group, weight * (r - r.mean()) / (r.std(ddof=1) + 1e-6), strict=True))
    return advantages


def fields(uid, session, output, tokens, reward, overlap):
    ones = torch.ones(tokens, dtype=torch.int64)
    scores = torch.zeros(tokens)
    scores[-1] = reward
    known = {
        "iou": overlap,
        "box": "[1, 2, 3, 4]",
        "watch": json.dumps({f"worker {session}": {"same-box": output + 1}}),
    }
    parts = {"reward_extra_info": {} if overlap is None else known}
    return {
        "uid": uid, "prompts": ones, "responses": ones, "input_ids": ones, "attention_mask": ones, "position_ids": ones,
        "response_mask": ones, "loss_mask": ones, "rm_scores": scores, "num_turns": 2, "extra_fields": parts,
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["sync", "colocate_async", "separate_async"])
def test_v1_advantages_on_a_real_transfer_queue_are_the_closed_form(config, mode):
    config = OmegaConf.merge(config, OmegaConf.from_dotlist([f"trainer.v1.trainer_mode=rsreward_{mode}", *ASYNC[mode]]))
    trainer = get_trainer_cls(config.trainer.v1.trainer_mode)(config)
    assert (trainer.trainer_mode, config.trainer.v1.trainer_mode) == (mode, f"rsreward_{mode}")
    assert isinstance(trainer, get_trainer_cls(mode))
    keys = [f"{uid}_{session}_{output}" for uid, session, output, *_ in ROWS]
    tq.kv_batch_put(
        keys=keys, partition_id="train", tags=[{"seq_len": row[3]} for row in ROWS],
        fields=list_of_dict_to_tensordict([fields(*row) for row in ROWS]),
    )  # fmt: skip
    batch = tq.KVBatchMeta(partition_id="train", keys=keys, tags=[{"seq_len": row[3]} for row in ROWS])
    batch = upsample_batch_to_divisible_size(batch, 8, eos_token_id=0)
    batch.reorder([*range(len(batch))[::-1]])
    metrics = {}
    batch = trainer._compute_advantage(batch, metrics)
    result = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=["advantages", "returns"])
    expected = closed_form()
    tokens = {key: row[3] for key, row in zip(keys, ROWS, strict=True)}
    assert len(batch) == 16
    for key, advantages in zip(batch.keys, result["advantages"].unbind(), strict=True):
        uid, session, _ = key.rsplit("_", 2)
        value = 0 if uid.startswith("pad") else expected[uid, int(session)]
        assert torch.allclose(advantages, torch.full((tokens.get(key, 1),), float(value)), atol=1e-5), key
    ious = [[0.1, 0.9, 0.5, 0.0], [0.0, 0.8, 0.3]]
    assert metrics["consistency/iou_mean"] == pytest.approx(np.mean([np.mean(i) for i in ious]))
    assert metrics["consistency/iou_var"] == pytest.approx(np.mean([np.var(i) for i in ious]))
    weights = [np.exp(0.7 * (1 - np.mean(i)) + np.var(i)) for i in ious]
    assert metrics["consistency/weight_mean"] == pytest.approx(np.mean(weights))
    assert metrics["watch/same-box"] == 1 + 2 + 1 + 1  # the last word of each of the four workers
    tq.kv_clear(keys=batch.keys, partition_id="train")
