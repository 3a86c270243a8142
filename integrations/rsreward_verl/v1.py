"""The consistency weight inside verl's default trainer (V1, from verl 0.9 on)."""

from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.trainer.ppo.v1 import PPOTrainerSync, register_trainer

from .settings import TRAINER_MODE, check_config, consistency_options
from .weights import GroupWeights


@register_trainer(TRAINER_MODE)
class SpatialConsistencyTrainerSync(PPOTrainerSync):
    """verl's synchronous trainer whose advantages carry the weight of their group.

        A'_i = w(group of i) A_i

    `trainer.v1.trainer_mode=rsreward_sync` chooses it; `rsreward.consistency` holds the options of
    `rsreward.consistency_weight`. Its replay buffer hands out whole groups, so the statistics are those of all rollouts
    of a prompt that did not fail. The returns stay as they are.
    """

    def __init__(self, config: DictConfig) -> None:
        check_config(config)
        self.group_weights = GroupWeights(consistency_options(config) or {})
        config.trainer.v1.trainer_mode = "sync"  # the replay buffer is chosen by this name
        super().__init__(config)
        config.trainer.v1.trainer_mode = TRAINER_MODE

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        batch = super()._compute_advantage(batch, metrics)
        where = {"keys": batch.keys, "partition_id": batch.partition_id}
        rows = tq.kv_batch_get(**where, select_fields=["uid", "extra_fields", "advantages"])
        uids = list(rows["uid"])
        weights, statistics = self.group_weights(_group_ious(batch.keys, batch.tags, uids, list(rows["extra_fields"])))
        metrics.update(statistics)
        advantages = zip(uids, rows["advantages"].unbind(), strict=True)
        weighted = [row * weights.get(uid, 1.0) for uid, row in advantages]  # padding rows have none, and no advantage
        nested = torch.nested.as_nested_tensor(weighted, layout=torch.jagged)
        return tq.kv_batch_put(**where, fields=TensorDict({"advantages": nested}, batch_size=len(batch)))


def _group_ious(
    keys: list[str], tags: list[dict[str, Any]], uids: list[str], extra_fields: list[dict[str, Any]]
) -> dict[str, list[float | None]]:
    """The IoU of each rollout by group. Padding rows are nobody's; of an agent's several outputs the last one counts.

    A key is `{uid}_{session}_{index of the output}`.
    """
    last: dict[str, dict[str, tuple[int, float | None]]] = {}
    for key, tag, uid, extra in zip(keys, tags, uids, extra_fields, strict=True):
        if tag.get("is_padding"):
            continue
        session, _, index = key.rpartition("_")
        sessions = last.setdefault(uid, {})
        if int(index) >= sessions.get(session, (0, None))[0]:
            sessions[session] = int(index), (extra.get("reward_extra_info") or {}).get("iou")
    return {uid: [value for _, value in sessions.values()] for uid, sessions in last.items()}
