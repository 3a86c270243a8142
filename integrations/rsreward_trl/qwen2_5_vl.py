"""Rewards for answers in pixels of the resized image, ready for TRL's command line, where options cannot be given.

    trl grpo --reward_funcs rsreward_trl.qwen2_5_vl.positional rsreward_trl.qwen2_5_vl.format

For Qwen2.5-VL whose image processor has its own bounds. The dataset has the columns `target`, `width` and `height`.

>>> positional(["<answer>[0, 0, 504, 504]</answer>"], target=[[0, 0, 500, 500]], width=[1000], height=[1000])
[1.100000023841858]
"""

from rsreward import format_reward, positional_reward

from .rewards import as_reward_func

positional = as_reward_func(positional_reward, space="qwen2.5-vl")
format = as_reward_func(format_reward, kind="horizontal")
