"""What `swift rlhf --rlhf_type grpo --external_plugins .../rsreward_swift/plugin.py` loads."""

import os
import sys
from functools import partial

import swift.rl_core.advantage
import swift.rl_core.grpo_algorithm  # noqa: F401
from swift.rewards import orms

from rsreward_swift.options import read_options
from rsreward_swift.rewards import REWARDS
from rsreward_swift.weight import ConsistencyWeight, install

if not REWARDS.keys() & orms.keys():  # once, though it may be named twice
    options = read_options(os.environ)
    install(ConsistencyWeight(options), sys.modules)
    orms.update({name: partial(reward, options) for name, reward in REWARDS.items()})
