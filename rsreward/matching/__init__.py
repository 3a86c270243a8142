"""Several boxes an answer, with labels or without: who stands for whom, the reward of a set, counts and AP."""

from .average_precision import average_precision
from .counts import meets_any, precision_recall_f1, set_metrics
from .reward import set_reward
from .rows import assign

__all__ = ["assign", "average_precision", "meets_any", "precision_recall_f1", "set_metrics", "set_reward"]
