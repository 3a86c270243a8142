"""The consistency weight around ms-swift's `compute_advantages`, the one function that its trainers share.

The IoUs travel as the column of `rs_iou` in swift's own table of rewards, `(N, functions)`: swift gathers it from all
processes, resamples its rows (`--dynamic_sample`) and cuts it to batches (Ray), so the groups in it are always whole.
Which column that is, is seen where the table is made.
"""

import inspect
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rsreward import consistency_weight, group_statistics
from rsreward.watch import WeightWatch

from .options import Options
from .rewards import RSIoU

_FIRST = {
    "compute_rewards_per_func": ["samples", "reward_funcs"],
    "compute_advantages": ["rewards_per_func", "reward_weights", "num_generations"],
    "compute_advantages_dynamic": ["rewards_per_func", "reward_weights", "prompt_ids"],
}


class ConsistencyWeight:
    """What is done around three functions of ms-swift.

        A'_i = w(group of i) A_i,    w = consistency_weight(IoUs of the group)

    It works with every `--scale_rewards` and `--advantage_estimator`, since it comes after the advantages and before
    the loss. Groups that hold a row without a true box keep weight 1. Without `rs_iou` among the reward functions there
    is no weight.

    Args:
        options: of the plug-in.

    >>> from rsreward_swift.options import read_options
    >>> ConsistencyWeight(read_options({"RSREWARD_SPACE": "pixel"})).weights(torch.tensor([[0.0, 1.0], [1.0, 1.0]]))
    tensor([2.3396, 1.0000])
    """

    def __init__(self, options: Options) -> None:
        self.options, self.watch = options, WeightWatch(**options.weight)
        self.column: int | None = None

    def see_rewards(self, plain: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """`compute_rewards_per_func`, and the place of `rs_iou` in its table is noted."""
        signature = _signature(plain)

        @wraps(plain)
        def compute_rewards_per_func(*args: Any, **kwargs: Any) -> Tensor:
            functions = signature.bind(*args, **kwargs).arguments["reward_funcs"]
            self.column = next((i for i, function in enumerate(functions) if isinstance(function, RSIoU)), None)
            if self.column is None and self.options.weight:
                raise ValueError(
                    f"the options {', '.join(self.options.weight)} are of the consistency weight, which needs rs_iou "
                    f"among --reward_funcs, with 0 in its place in --reward_weights."
                )
            return plain(*args, **kwargs)

        return compute_rewards_per_func

    def weigh(self, plain: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
        """`compute_advantages`, whose advantages are weighted."""
        signature = _signature(plain)

        @wraps(plain)
        def compute_advantages(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
            advantages, rewards = plain(*args, **kwargs)
            if self.column is None:
                return advantages, rewards
            table, factors, size = (signature.bind(*args, **kwargs).arguments[name] for name in _FIRST[plain.__name__])
            if factors[self.column] != 0:
                raise ValueError(
                    f"rs_iou is there for the consistency weight alone: its --reward_weights must be 0, got "
                    f"{factors[self.column].item():g}."
                )
            weight = self.weights(table[:, self.column].view(-1, size))
            return advantages * weight.repeat_interleave(size).to(advantages), rewards

        return compute_advantages

    def weights(self, iou: Tensor) -> Tensor:
        """The weight of each group, `(..., G)` -> `(...)`; 1 for a group with an IoU that is NaN.

        >>> from rsreward_swift.options import read_options
        >>> weight = ConsistencyWeight(read_options({"RSREWARD_SPACE": "pixel"}))
        >>> weight.weights(torch.tensor([[0.0, 1.0], [1.0, 1.0], [torch.nan, 0.0]]))
        tensor([2.3396, 1.0000, 1.0000])
        """
        known = ~iou.isnan().any(-1)
        weight = torch.ones_like(iou[..., 0])
        weight[known] = consistency_weight(iou[known], **self.options.weight)
        if self.options.watch and known.any():
            for message in self.watch.add(*group_statistics(iou[known]))[1]:
                if not dist.is_initialized() or dist.get_rank() == 0:  # all see the same groups
                    warnings.warn(f"the consistency weight: {message}", stacklevel=2)
        return weight

    def refuse(self, plain: Callable[..., Any]) -> Callable[..., Any]:
        """`compute_advantages_dynamic`, of samples that a multi-turn scheduler has split: refused with `rs_iou`."""
        _signature(plain)

        @wraps(plain)
        def compute_advantages_dynamic(*args: Any, **kwargs: Any) -> Any:
            if self.column is not None:
                raise ValueError(
                    "the consistency weight needs groups of --num_generations rollouts, and the multi-turn scheduler "
                    "has split rollouts into several samples: use one that returns one sample a rollout, or leave "
                    "out rs_iou."
                )
            return plain(*args, **kwargs)

        return compute_advantages_dynamic


def install(weight: ConsistencyWeight, modules: dict[str, Any]) -> None:
    """Put the weight in the place of swift's functions, also where they have been imported already.

    Args:
        weight: with the options.
        modules: `sys.modules`.

    Raises:
        ImportError: if swift lacks one of the functions or it has other parameters than in ms-swift 4.6.
    """
    around: dict[tuple[str, str], Callable[[Any], Any]] = {
        ("swift.rl_core.grpo_algorithm", "compute_rewards_per_func"): weight.see_rewards,
        ("swift.rl_core.advantage", "compute_advantages"): weight.weigh,
        ("swift.rl_core.advantage", "compute_advantages_dynamic"): weight.refuse,
    }
    for (home, name), wrap in around.items():
        plain = getattr(modules.get(home), name, None)
        if plain is None:
            raise ImportError(_MOVED.format(f"{home}.{name}", "does not exist"))
        wrapped = wrap(plain)
        for module in [module for key, module in modules.items() if key.startswith("swift.")]:
            if vars(module).get(name) is plain:
                setattr(module, name, wrapped)


_MOVED = "the consistency weight needs {} of ms-swift 4.6, which {} here: use that release, and report it."


def _signature(plain: Callable[..., Any]) -> inspect.Signature:
    signature, expected = inspect.signature(plain), _FIRST[plain.__name__]
    found = list(signature.parameters)
    if found[: len(expected)] != expected:
        raise ImportError(_MOVED.format(f"{plain.__name__}({', '.join(expected)}, ...)", f"takes ({', '.join(found)})"))
    return signature
