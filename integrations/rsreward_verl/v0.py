"""The consistency weight inside verl's older trainer: `trainer.use_v1=False`, and verl 0.7.1 and 0.8.

That trainer has no hook for advantages. Two functions of its module are wrapped: `compute_advantage` weights what it
returns, and `compute_data_metrics`, which comes later in the same step, adds the statistics. A run takes part by its
section `rsreward.consistency`; all others go through untouched.
"""

import functools
import inspect
from typing import Any

import torch
from verl.trainer.ppo import ray_trainer

from .settings import check_config, consistency_options
from .weights import GroupWeights, Metrics, WatchCounts


def attach() -> None:
    """Wrap the two functions.

    Raises:
        TypeError: if verl's `compute_advantage` no longer takes the configuration.
    """
    plain_advantage, plain_metrics = ray_trainer.compute_advantage, ray_trainer.compute_data_metrics
    signature = inspect.signature(plain_advantage)
    if "config" not in signature.parameters:
        raise TypeError(f"the consistency weight wraps verl's compute_advantage(..., config), which takes {signature}.")
    group_weights: GroupWeights | None = None
    statistics: Metrics = {}
    watch_counts = WatchCounts()

    @functools.wraps(plain_advantage)
    def compute_advantage(*args: Any, **kwargs: Any) -> Any:
        nonlocal group_weights
        data = plain_advantage(*args, **kwargs)
        algorithm = signature.bind(*args, **kwargs).arguments.get("config")
        config: Any = getattr(algorithm, "_get_root", dict)()
        options = consistency_options(config)
        if options is None or config.trainer.get("use_v1", False):
            return data
        if group_weights is None:
            check_config(config)
            group_weights = GroupWeights(options)
        uids = data.non_tensor_batch["uid"].tolist()
        groups: dict[str, list[float | None]] = {uid: [] for uid in uids}
        for uid, iou in zip(uids, data.non_tensor_batch.get("iou", [None] * len(uids)), strict=True):
            groups[uid].append(None if iou is None else float(iou))
        weights, new = group_weights(groups)
        statistics.update(new)
        statistics.update(watch_counts(data.non_tensor_batch.get("watch", ())))
        weight = torch.tensor([weights[uid] for uid in uids]).to(data.batch["advantages"])
        data.batch["advantages"] = data.batch["advantages"] * weight.unsqueeze(-1)
        return data

    @functools.wraps(plain_metrics)
    def compute_data_metrics(*args: Any, **kwargs: Any) -> dict[str, Any]:
        metrics: dict[str, Any] = plain_metrics(*args, **kwargs) | statistics
        statistics.clear()
        return metrics

    ray_trainer.compute_advantage, ray_trainer.compute_data_metrics = compute_advantage, compute_data_metrics
