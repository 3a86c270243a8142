"""rsreward for TRL: reward functions, and the spatial-consistency weight inside GRPOTrainer.

>>> from rsreward_trl import as_reward_func, positional_reward
>>> positional_reward(completions=["<answer>[0, 0, 10, 10]</answer>"], target=[[0, 0, 10, 10]])
[1.100000023841858]

Importing this package does not import TRL; asking for the trainer does.
"""

from typing import TYPE_CHECKING, Any

from rsreward.completions import completion_text

from .rewards import BoxReward, SetReward, TextReward, as_reward_func, format_reward, positional_reward

if TYPE_CHECKING:
    from .trainer import SpatialConsistencyGRPOTrainer, SpatialConsistencyMixin, attach_spatial_consistency

__all__ = [
    "BoxReward",
    "SetReward",
    "SpatialConsistencyGRPOTrainer",
    "SpatialConsistencyMixin",
    "TextReward",
    "as_reward_func",
    "attach_spatial_consistency",
    "completion_text",
    "format_reward",
    "positional_reward",
]


def __getattr__(name: str) -> Any:
    if name in ("SpatialConsistencyGRPOTrainer", "SpatialConsistencyMixin", "attach_spatial_consistency"):
        from . import trainer

        return getattr(trainer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
