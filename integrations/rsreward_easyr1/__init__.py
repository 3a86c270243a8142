"""The grounding reward for EasyR1: `worker.reward.reward_function=.../rsreward_easyr1/reward.py:compute_score`."""
