"""The Qwen-VL recipe: synthetic scenes, reasoning data, SFT, GRPO, evaluation, report, command line."""
