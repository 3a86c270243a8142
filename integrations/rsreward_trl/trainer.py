"""The spatial-consistency weight inside TRL's trainers of groups: GRPO, RLOO and what is derived from them.

After `_calculate_rewards` the IoU of every rollout is gathered from all processes, so that groups are whole. Where TRL
has the hook `_transform_advantages` (its pull request 7298), the advantages are weighted there. Elsewhere those of this
process are weighted after `_generate_and_score_completions`, and with them those that TRL has logged. Both names and
signatures stand from TRL 0.20 to 1.16.
"""

import inspect
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from accelerate.utils import gather
from torch import Tensor
from trl import GRPOTrainer

from rsreward import consistency_weight, group_statistics
from rsreward.watch import WeightWatch

from .rewards import BoxReward

_OVERRIDDEN = {
    "_calculate_rewards": ["inputs", "prompts", "completions", "completion_ids_list"],
    "_generate_and_score_completions": ["inputs"],
}
_HOOK = "_transform_advantages"


class SpatialConsistencyMixin:
    """Put before a trainer of groups: `class MyTrainer(SpatialConsistencyMixin, RLOOTrainer): ...`.

    Args:
        consistency: options of `rsreward.consistency_weight`, such as `{"normalize": True}`.

    All other arguments are the trainer's own. What the weight does is said at `attach_spatial_consistency`.

    >>> from trl import RLOOTrainer
    >>> class SpatialConsistencyRLOOTrainer(SpatialConsistencyMixin, RLOOTrainer):
    ...     "RLOO whose advantages carry the weight of their group."
    """

    _consistency: "_Consistency"

    def __init__(self, *args: Any, consistency: dict[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._consistency = _Consistency(self, super(), consistency or {})

    def _calculate_rewards(self, inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        plain = super()._calculate_rewards  # type: ignore[misc]
        return self._consistency.calculate_rewards(plain, inputs, prompts, completions, completion_ids_list)

    def _transform_advantages(self, advantages: Tensor) -> Tensor:
        return self._consistency.transform_advantages(super()._transform_advantages, advantages)  # type: ignore[misc]

    def _generate_and_score_completions(self, inputs: Any) -> dict[str, Any]:
        plain = super()._generate_and_score_completions  # type: ignore[misc]
        return self._consistency.generate_and_score_completions(plain, inputs)


class SpatialConsistencyGRPOTrainer(SpatialConsistencyMixin, GRPOTrainer):
    """TRL's GRPOTrainer whose advantages carry the weight of their group.

    Takes what GRPOTrainer takes, and `consistency`, the options of `rsreward.consistency_weight`. One of its
    `reward_funcs` must be made by `as_reward_func` from a reward of boxes: the IoUs come from there.

    With a model that knows two words:

    >>> from datasets import Dataset
    >>> from rsreward_trl import positional_reward
    >>> from tokenizers import Tokenizer, models
    >>> from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    >>> from trl import GRPOConfig
    >>> tiny = LlamaConfig(vocab_size=2, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, eos_token_id=1)
    >>> words = Tokenizer(models.WordLevel({"[0,0,8,8]": 0, ".": 1}, unk_token="."))
    >>> trainer = SpatialConsistencyGRPOTrainer(
    ...     model=LlamaForCausalLM(tiny),
    ...     processing_class=PreTrainedTokenizerFast(tokenizer_object=words, pad_token=".", eos_token="."),
    ...     reward_funcs=positional_reward,
    ...     args=GRPOConfig(
    ...         num_generations=2, per_device_train_batch_size=2, use_cpu=True, bf16=False, report_to="none"
    ...     ),
    ...     train_dataset=Dataset.from_list([{"prompt": ".", "target": [0, 0, 8, 8]}]),
    ...     consistency={"normalize": True},
    ... )
    >>> attach_spatial_consistency(trainer)
    Traceback (most recent call last):
    ValueError: this trainer has the consistency weight already: attach it once.
    """


def attach_spatial_consistency(trainer: Any, **weights: Any) -> None:
    """Give a trainer that is built already the spatial-consistency weight.

        A'_i = w(group of i) A_i,    w = consistency_weight(IoUs of the group, **weights)

    It works with every `scale_rewards`, `loss_type` and `multi_objective_aggregation`, since it comes after the
    advantages and before the loss. With a KL coefficient (`beta` above 0) GRPO's KL term is not weighted; RLOO's, which
    is part of the reward, is. Groups that hold a row without a target keep weight 1.

    Among TRL's metrics stand then the mean weight, IoU and variance and the share of weights at a bound of `clip`
    (`consistency/...`; a warning tells where most are), and the seconds that a batch of
    rollouts costs beside its generation (`rsreward/rewards_time` for all reward functions, `gather_time`,
    `weight_time`), to be held against TRL's `step_time`.

    Raises:
        TypeError: if the trainer lacks the two methods, or they have other parameters than TRL 1.x gives them.
        ValueError: if no reward function knows the IoU, its columns are missing from the trainer's `train_dataset`, the
            options are wrong, or the trainer has the weight already.

    After `trainer = GRPOTrainer(...)` it is `attach_spatial_consistency(trainer, normalize=True)`. A trainer without
    groups is refused:

    >>> from trl import SFTTrainer
    >>> attach_spatial_consistency(object.__new__(SFTTrainer))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    TypeError: the consistency weight needs SFTTrainer._calculate_rewards(...), which does not exist here: ...
    """
    if hasattr(trainer, "_consistency"):
        raise ValueError("this trainer has the consistency weight already: attach it once.")
    consistency = _Consistency(trainer, trainer, weights)
    plain = {name: getattr(trainer, name, None) for name in (*_OVERRIDDEN, _HOOK)}

    def calculate_rewards(inputs: Any, prompts: Any, completions: Any, completion_ids_list: Any) -> Tensor:
        arguments = inputs, prompts, completions, completion_ids_list
        return consistency.calculate_rewards(plain["_calculate_rewards"], *arguments)

    def transform_advantages(advantages: Tensor) -> Tensor:
        return consistency.transform_advantages(plain[_HOOK], advantages)

    def generate_and_score_completions(inputs: Any) -> dict[str, Any]:
        return consistency.generate_and_score_completions(plain["_generate_and_score_completions"], inputs)

    trainer._consistency = consistency
    trainer._calculate_rewards = calculate_rewards
    if consistency.has_hook:
        trainer._transform_advantages = transform_advantages
    trainer._generate_and_score_completions = generate_and_score_completions


class _Consistency:
    """What is done around the three methods of a trainer; `plain` has them as they were."""

    def __init__(self, trainer: Any, plain: Any, weights: dict[str, Any]) -> None:
        for name, expected in _OVERRIDDEN.items():
            method = getattr(plain, name, None)
            found = list(inspect.signature(method).parameters) if method else None
            if found != expected:
                what = "does not exist" if found is None else f"takes ({', '.join(found)})"
                raise TypeError(
                    f"the consistency weight needs {type(trainer).__name__}.{name}({', '.join(expected)}), which "
                    f"{what} here: use trl >= 1.0, < 2, and report it if that is what you have."
                )
        consistency_weight(torch.zeros(1, 1), **weights)  # options are checked now, not after the first generation
        rewards = [r for r in trainer.reward_funcs if isinstance(r, BoxReward)]
        if not rewards:
            raise ValueError(
                "the consistency weight needs the IoU of every rollout: make one of reward_funcs with "
                "as_reward_func(positional_reward, ...)."
            )
        _check_columns(getattr(trainer, "train_dataset", None), rewards)
        self.trainer, self.reward, self.weights, self.watch = trainer, rewards[0], weights, WeightWatch(**weights)
        self.has_hook = hasattr(plain, _HOOK)
        self.ious = torch.empty(0)

    def calculate_rewards(self, plain: Any, inputs: Any, *arguments: Any) -> Tensor:
        with self._timed("rewards"):
            scores: Tensor = plain(inputs, *arguments)
        with self._timed("gather"):
            _, completions, _ = arguments
            columns = {c: [row[c] for row in inputs] for c in self.reward.reading.columns if c in inputs[0]}
            self.ious = gather(self.reward.ious(completions, **columns).to(self.trainer.accelerator.device))
        return scores

    def transform_advantages(self, plain: Any, advantages: Tensor) -> Tensor:
        """The gathered advantages, weighted."""
        advantages = plain(advantages)
        with self._timed("weight"):
            return _times(advantages, self._weight_of_each())

    def generate_and_score_completions(self, plain: Any, inputs: Any) -> dict[str, Any]:
        output: dict[str, Any] = plain(inputs)
        if not self.has_hook:
            with self._timed("weight"):
                each, advantages = self._weight_of_each(), output["advantages"]
                _rescale_logged(self.trainer._logs["advantages"], each.tolist())
                start = self.trainer.accelerator.process_index * len(advantages)
                output["advantages"] = _times(advantages, each[start : start + len(advantages)])
        return output

    def _weight_of_each(self) -> Tensor:
        """The weight of the group of every rollout of all processes."""
        trainer, mode = self.trainer, self._mode
        groups = self.ious.view(-1, trainer.num_generations if mode == "train" else trainer.num_generations_eval)
        known = ~groups.isnan().any(-1)
        weight = torch.ones_like(groups[:, 0])
        weight[known] = consistency_weight(groups[known], **self.weights)
        if known.any():
            mean, var = group_statistics(groups[known])
            at_bound, messages = self.watch.add(mean, var)
            values = {"weight_mean": weight[known].mean(), "iou_mean": mean.mean(), "iou_var": var.mean()}
            for name, value in (values | {"weight_at_bound": torch.tensor(at_bound)}).items():
                trainer._metrics[mode][f"consistency/{name}"].append(value.item())
            for message in messages if self.reward.watch and trainer.accelerator.is_main_process else ():
                warnings.warn(f"the consistency weight: {message}", stacklevel=2)
        return weight.repeat_interleave(groups.shape[1])

    @property
    def _mode(self) -> str:
        return "train" if self.trainer.model.training else "eval"

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.trainer._metrics[self._mode][f"rsreward/{name}_time"].append(time.perf_counter() - start)


def _check_columns(dataset: Any, rewards: list[BoxReward]) -> None:
    """Refuse a dataset whose first row lacks what the rewards read; one that is only streamed shows it later."""
    try:
        row = dataset[0]
    except (TypeError, LookupError, NotImplementedError):
        return
    for reward in rewards if isinstance(row, dict) else ():
        missing = [name for name in reward.reading.columns if name not in row]
        if missing:
            raise ValueError(
                f"{reward.__name__} in the space {reward.reading.space.name!r} needs the columns {', '.join(missing)} "
                f"of train_dataset, which has {', '.join(row)}: add them."
            )


def _times(advantages: Tensor, weight: Tensor) -> Tensor:
    """Advantages `(N,)` or `(N, T)` times one weight a row."""
    return advantages * weight.to(advantages).view(-1, *[1] * (advantages.dim() - 1))


def _rescale_logged(logged: Any, weight: list[float]) -> None:
    """Multiply the newest entries of TRL's log of advantages, a deque that may be shorter than a batch."""
    kept = min(len(logged), len(weight))
    newest = [logged.pop() for _ in range(kept)][::-1]
    logged.extend(a * w for a, w in zip(newest, weight[len(weight) - kept :], strict=True))
