"""What a trainer makes of what came with each rollout's reward: the weights of groups, and what watches counted."""

import json
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch

from rsreward import consistency_weight, group_statistics
from rsreward.consistency import consistency_weight_from_statistics
from rsreward.watch import WeightWatch

Metrics = dict[str, float]


class GroupWeights:
    """`rsreward.consistency_weight` for groups that need not be of one size.

    The IoU comes from `reward_extra_info["iou"]`: verl carries it as the number it is next to every rollout, in both
    trainers, and never pads, pools or averages it. The box is there as a string too, for the logs.

    Args:
        options: of `rsreward.consistency_weight`.

    Raises:
        ValueError: if an option is wrong.

    >>> weights, metrics = GroupWeights({})({"a": [0.0, 1.0], "b": [1.0, 1.0, 1.0], "c": [0.5, None]})
    >>> {group: round(w, 4) for group, w in weights.items()}, round(metrics["consistency/weight_mean"], 4)
    ({'a': 2.3396, 'b': 1.0, 'c': 1.0}, 1.6698)
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        consistency_weight(torch.zeros(1, 1), **options)
        self.options, self.watch = options, WeightWatch(**options)
        self.seen = False

    def __call__(self, ious: Mapping[str, Sequence[float | None]]) -> tuple[dict[str, float], Metrics]:
        """The weight of each group, and their statistics for the logs.

        Args:
            ious: for each group the IoU of each of its rollouts. A group with a None, a rollout that some other reward
                has scored, keeps weight 1.

        Raises:
            ValueError: if no rollout has had an IoU so far, for then the reward is not this package's.
        """
        known = {group: values for group, values in ious.items() if values and None not in values}
        weights = dict.fromkeys(ious, 1.0)
        if not known:
            if ious and not self.seen:
                raise ValueError(
                    "the consistency weight needs the number 'iou' in reward_extra_info of every rollout, and none of "
                    "this batch has it: use pkg://rsreward_verl.reward as the reward, or return 'iou' from your own."
                )
            return weights, {}
        self.seen = True
        statistics = [group_statistics(torch.tensor(values, dtype=torch.float64)) for values in known.values()]
        mean, var = (torch.stack(column) for column in zip(*statistics, strict=True))
        weight = consistency_weight_from_statistics(mean, var, **self.options)
        weights |= dict(zip(known, weight.tolist(), strict=True))
        at_bound, messages = self.watch.add(mean, var)
        for message in messages:
            warnings.warn(f"the consistency weight: {message}", stacklevel=2)
        values = {
            "weight_mean": weight.mean(),
            "weight_max": weight.max(),
            "iou_mean": mean.mean(),
            "iou_var": var.mean(),
            "weight_at_bound": torch.tensor(at_bound),
        }
        return weights, {f"consistency/{name}": value.item() for name, value in values.items()}


class WatchCounts:
    """What the watches of all reward workers have counted so far, for the logs.

    >>> counts = WatchCounts()
    >>> counts(['{"worker 1": {"whole-image": 3}}', "", None, '{"worker 2": {"whole-image": 4}}'])
    {'watch/whole-image': 7}
    >>> counts(['{"worker 1": {"whole-image": 5}}', '{"worker 1": {"whole-image": 4}}'])
    {'watch/whole-image': 9}
    """

    def __init__(self) -> None:
        self.latest: dict[str, dict[str, int]] = {}

    def __call__(self, reports: Iterable[str | None]) -> Metrics:
        """Their sum after these values of `reward_extra_info["watch"]`; the largest of a worker is its last."""
        for report in filter(None, reports):
            for worker, counts in json.loads(report).items():
                self.latest[worker] = max(self.latest.get(worker, {}), counts, key=lambda each: sum(each.values()))
        total: Counter[str] = Counter()
        for counts in self.latest.values():
            total.update(counts)
        return {f"watch/{name}": rows for name, rows in total.items()}
