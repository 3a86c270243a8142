"""Rewards for answers in 0..1000, ready for TRL's command line, where options cannot be given.

    trl grpo --reward_funcs rsreward_trl.qwen3_vl.positional rsreward_trl.qwen3_vl.format

For Qwen3-VL, Qwen3.5 and Qwen2-VL. The dataset has the columns `target`, `width` and `height`.

>>> positional(["<answer>[0, 0, 500, 500]</answer>"], target=[[0, 0, 400, 400]], width=[800], height=[800])
[1.100000023841858]
"""

from rsreward import format_reward, positional_reward

from .rewards import as_reward_func

positional = as_reward_func(positional_reward, space="qwen3-vl")
format = as_reward_func(format_reward, kind="horizontal")
