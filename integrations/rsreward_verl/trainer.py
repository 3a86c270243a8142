"""What verl loads: the consistency weight in the trainers that this verl has, and a look at the configuration.

By `VERL_USE_EXTERNAL_MODULES=rsreward_verl.trainer`, or by itself through the entry point `rsreward` of the group
`verl.plugins`, in every process. The configurations of this package set the variable.
"""

import functools
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import verl.utils.config
import verl.utils.import_utils

from .settings import check_config

_is_trl_available = verl.utils.import_utils.is_trl_available
_validate_config = verl.utils.config.validate_config


@functools.wraps(_is_trl_available)
def _has_trl_with_value_head() -> bool:
    """verl's FSDP worker patches a class of TRL wherever it finds TRL, and dies where that has no such class: 1.16."""
    if not _is_trl_available():
        return False
    for module in ("trl.experimental.ppo", "trl"):
        with suppress(ImportError):
            if hasattr(import_module(module), "AutoModelForCausalLMWithValueHead"):
                return True
    return False


@functools.wraps(_validate_config)
def _check_and_validate(config: Any, *args: Any, **kwargs: Any) -> Any:
    check_config(config)
    return _validate_config(config, *args, **kwargs)


verl.utils.import_utils.is_trl_available = _has_trl_with_value_head
verl.utils.config.validate_config = _check_and_validate  # verl looks at a configuration there, before Ray is started

if find_spec("verl.trainer.ppo.v1"):
    from .v1 import SpatialConsistencyTrainerSync  # noqa: F401  # registers itself; before V0 is wrapped

from . import v0  # noqa: E402

v0.attach()
