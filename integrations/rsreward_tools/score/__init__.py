"""Rewards and metrics for files of completions."""
