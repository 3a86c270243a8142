"""Rewards for grounding in aerial and satellite images: pure tensor functions on boxes and on what a model wrote.

>>> import torch
>>> from rsreward import parse_boxes, positional_reward
>>> pred = parse_boxes(["<think>Lower left.</think><answer>[10, 20, 30, 40]</answer>"])
>>> positional_reward(pred, torch.tensor([[10.0, 20.0, 30.0, 50.0]]))
tensor([0.7658])
"""

from .answers import Answer, completion_text, parse_answer, parse_box_sets, parse_boxes, parse_points
from .boxes import area, diou, giou, iou, is_box, pairwise_iou
from .consistency import (
    consistency_weight,
    consistency_weight_from_statistics,
    group_agreement,
    group_statistics,
    scale_advantages,
    weighted_rewards,
)
from .coordinates import (
    SPACES,
    Space,
    from_pixels,
    oriented_to_pixels,
    smart_resize,
    space_for,
    space_named,
    to_pixels,
)
from .format import format_reward
from .frame import Finding, FrameCheck, frame_findings
from .matching import average_precision, set_metrics, set_reward
from .metrics import (
    CONVENTIONS,
    Tally,
    grounding_breakdown,
    grounding_columns,
    grounding_metrics,
    image_region,
    paired_differences,
    size_class,
)
from .oriented import (
    ANGLES,
    canonical,
    convert_angles,
    corners,
    from_corners,
    oriented_iou,
    pairwise_oriented_iou,
)
from .pointing import point_reward
from .polygons import hull_of_oriented
from .positional import gaussian_proximity, positional_reward
from .truth import Truth, TruthError, read_truth
from .watch import RewardWatch

__version__ = "0.1.0"

__all__ = [
    "ANGLES",
    "CONVENTIONS",
    "SPACES",
    "Answer",
    "Finding",
    "FrameCheck",
    "RewardWatch",
    "Space",
    "Tally",
    "Truth",
    "TruthError",
    "area",
    "average_precision",
    "canonical",
    "completion_text",
    "consistency_weight",
    "consistency_weight_from_statistics",
    "convert_angles",
    "corners",
    "diou",
    "format_reward",
    "frame_findings",
    "from_corners",
    "from_pixels",
    "gaussian_proximity",
    "giou",
    "grounding_breakdown",
    "grounding_columns",
    "grounding_metrics",
    "group_agreement",
    "group_statistics",
    "hull_of_oriented",
    "image_region",
    "iou",
    "is_box",
    "oriented_iou",
    "oriented_to_pixels",
    "paired_differences",
    "pairwise_iou",
    "pairwise_oriented_iou",
    "parse_answer",
    "parse_box_sets",
    "parse_boxes",
    "parse_points",
    "point_reward",
    "positional_reward",
    "read_truth",
    "scale_advantages",
    "set_metrics",
    "set_reward",
    "size_class",
    "smart_resize",
    "space_for",
    "space_named",
    "to_pixels",
    "weighted_rewards",
]
