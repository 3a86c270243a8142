"""Qwen-VL models: processors, tiny ones, and their answers."""
