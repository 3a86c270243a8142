"""Where in verl's configuration the options stand, and what is told to a user whose configuration does something else.

Nothing of verl is imported here, for `import verl` itself may be what loads the plug-in.
"""

import sys
from typing import Any

import torch

from rsreward import consistency_weight

from .score import check_options

MODULE = "rsreward_verl"
TRAINER_MODES = {f"rsreward_{mode}": mode for mode in ("sync", "colocate_async", "separate_async")}
_IGNORED = {
    "custom_reward_function.path": "reward.custom_reward_function.path",
    "reward_model.reward_manager": "reward.reward_manager.name",
    "reward_model.reward_loop_module_path": "reward.reward_manager.module.path",
}


def reward_options(config: Any) -> dict[str, Any]:
    """The options of `compute_score` for the reward manager: `reward.reward_kwargs`."""
    return dict(config.reward.get("reward_kwargs") or {})


def consistency_options(config: Any) -> dict[str, Any] | None:
    """The options of `rsreward.consistency_weight`: `rsreward.consistency`. None where there is no such section.

    >>> from omegaconf import OmegaConf
    >>> consistency_options(OmegaConf.create({"rsreward": {"consistency": {"normalize": True, "clip": [1, 2]}}}))
    {'normalize': True, 'clip': (1, 2)}
    """
    section = config.get("rsreward")
    if section is None:
        return None
    options = dict(section.get("consistency") or {})
    if "clip" in options:
        options["clip"] = tuple(options["clip"])
    return options


def check_config(config: Any) -> None:
    """Refuse a configuration that names rsreward and would do something else than it says.

    Raises:
        ValueError: naming the key and the mend.

    >>> from omegaconf import OmegaConf
    >>> reward = {"custom_reward_function": {}, "reward_manager": {}}
    >>> trainer = {"use_v1": True, "v1": {"trainer_mode": "sync"}}
    >>> check_config(OmegaConf.create({"trainer": trainer, "reward": reward, "rsreward": {"consistency": {}}}))
    Traceback (most recent call last):
    ValueError: trainer.v1.trainer_mode=sync would train without the consistency weight that rsreward.consistency \
asks for: use rsreward_sync.
    """
    trainer, reward = config.trainer, config.reward
    weighted = consistency_options(config)
    v1 = trainer.get("use_v1", False)
    mode = trainer.get("v1", {}).get("trainer_mode") if v1 else None
    function, manager = reward.custom_reward_function, reward.reward_manager
    ours = [MODULE in str(path) for path in (function.get("path"), manager.get("module", {}).get("path"))]
    for key, instead in _IGNORED.items():
        section, name = key.split(".")
        value = (config.get(section) or {}).get(name)
        if value is not None and (MODULE in str(value) or any(ours) or weighted is not None or mode in TRAINER_MODES):
            raise ValueError(f"verl ignores {key}={value} from 0.9 on: use {instead}.")
    if ours[1] and function.get("path"):
        raise ValueError(
            "reward.custom_reward_function.path and the GroundingRewardManager are two rewards: set one of them."
        )
    if ours[0]:
        _try_reward(dict(function.get("reward_kwargs") or {}), "reward.custom_reward_function.reward_kwargs")
    if ours[1]:
        _try_reward(reward_options(config), "reward.reward_kwargs")
    if weighted is None:
        return
    if v1 and mode not in TRAINER_MODES:
        ours_instead = f"rsreward_{mode}" if f"rsreward_{mode}" in TRAINER_MODES else " or ".join(TRAINER_MODES)
        raise ValueError(
            f"trainer.v1.trainer_mode={mode} would train without the consistency weight that rsreward.consistency asks "
            f"for: use {ours_instead}."
        )
    if f"{MODULE}.trainer" not in sys.modules:
        raise ValueError(
            f"rsreward.consistency asks for the consistency weight, and {MODULE}.trainer was not loaded: set "
            f"VERL_USE_EXTERNAL_MODULES={MODULE}.trainer, on every node."
        )
    try:
        consistency_weight(torch.zeros(1, 1), **weighted)
    except (TypeError, ValueError) as error:
        raise ValueError(f"rsreward.consistency: {error}") from None


def _try_reward(options: dict[str, Any], key: str) -> None:
    try:
        check_options(**options)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{key}: {error}") from None
