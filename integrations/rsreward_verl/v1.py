"""The consistency weight inside verl's default trainer (V1, from verl 0.9 on)."""

from typing import Any

import torch
import transfer_queue as tq
from omegaconf import DictConfig
from tensordict import TensorDict
from verl.trainer.ppo.v1 import register_trainer
from verl.trainer.ppo.v1.trainer_colocate_async import PPOTrainerColocateAsync
from verl.trainer.ppo.v1.trainer_separate_async import PPOTrainerSeparateAsync
from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync

from .settings import TRAINER_MODES, check_config, consistency_options
from .weights import GroupWeights, WatchCounts


class SpatialConsistencyMixin:
    """Advantages that carry the weight of their group, for each of verl's trainers.

        A'_i = w(group of i) A_i

    `rsreward.consistency` holds the options of `rsreward.consistency_weight`. The replay buffers, the asynchronous ones
    too, hand out whole groups, so the statistics are those of all rollouts of a prompt that did not fail. The returns
    stay as they are.
    """

    def __init__(self, config: DictConfig) -> None:
        check_config(config)
        self.group_weights, self.watch_counts = GroupWeights(consistency_options(config) or {}), WatchCounts()
        own = config.trainer.v1.trainer_mode
        config.trainer.v1.trainer_mode = TRAINER_MODES[own]  # verl chooses replay buffer and settings by this name
        super().__init__(config)  # type: ignore[call-arg]
        config.trainer.v1.trainer_mode = own

    def _compute_advantage(self, batch: Any, metrics: dict[str, Any]) -> Any:
        batch = super()._compute_advantage(batch, metrics)  # type: ignore[misc]
        where = {"keys": batch.keys, "partition_id": batch.partition_id}
        rows = tq.kv_batch_get(**where, select_fields=["uid", "extra_fields", "advantages"])
        uids = list(rows["uid"])
        extra_fields = list(rows["extra_fields"])
        weights, statistics = self.group_weights(_group_ious(batch.keys, batch.tags, uids, extra_fields))
        metrics.update(statistics)
        metrics.update(self.watch_counts((extra.get("reward_extra_info") or {}).get("watch") for extra in extra_fields))
        advantages = zip(uids, rows["advantages"].unbind(), strict=True)
        weighted = [row * weights.get(uid, 1.0) for uid, row in advantages]  # padding rows have none, and no advantage
        nested = torch.nested.as_nested_tensor(weighted, layout=torch.jagged)
        return tq.kv_batch_put(**where, fields=TensorDict({"advantages": nested}, batch_size=len(batch)))


@register_trainer("rsreward_sync")
class SpatialConsistencyTrainerSync(SpatialConsistencyMixin, PPOTrainerSync):
    """`trainer.v1.trainer_mode=rsreward_sync`"""


@register_trainer("rsreward_colocate_async")
class SpatialConsistencyTrainerColocateAsync(SpatialConsistencyMixin, PPOTrainerColocateAsync):
    """`trainer.v1.trainer_mode=rsreward_colocate_async`"""


@register_trainer("rsreward_separate_async")
class SpatialConsistencyTrainerSeparateAsync(SpatialConsistencyMixin, PPOTrainerSeparateAsync):
    """`trainer.v1.trainer_mode=rsreward_separate_async`"""


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
