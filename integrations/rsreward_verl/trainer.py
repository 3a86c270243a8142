"""What verl loads: the consistency weight in the trainers that this verl has, and a look at the configuration.

By `VERL_USE_EXTERNAL_MODULES=rsreward_verl.trainer`, or by itself through the entry point `rsreward` of the group
`verl.plugins`, in every process. The configurations of this package set the variable.
"""

import functools
from importlib.util import find_spec
from typing import Any

import verl.utils.config

from .settings import check_config

if find_spec("verl.trainer.ppo.v1"):
    from .v1 import SpatialConsistencyTrainerSync  # noqa: F401  # importing registers it; before V0 is wrapped

from . import v0

_validate_config = verl.utils.config.validate_config


@functools.wraps(_validate_config)
def _check_and_validate(config: Any, *args: Any, **kwargs: Any) -> Any:
    check_config(config)
    return _validate_config(config, *args, **kwargs)


v0.attach()
verl.utils.config.validate_config = _check_and_validate  # verl looks at a configuration there, before Ray is started
