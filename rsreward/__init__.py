"""Rewards for grounding in aerial and satellite images: pure tensor functions on boxes and on what a model wrote.

>>> import torch
>>> from rsreward import parse_boxes, positional_reward
>>> pred = parse_boxes(["<think>Lower left.</think><answer>[10, 20, 30, 40]</answer>"])
>>> positional_reward(pred, torch.tensor([[10.0, 20.0, 30.0, 50.0]]))
tensor([0.7658])
"""

from .answers import Answer, parse_answer, parse_box_sets, parse_boxes
from .boxes import area, diou, giou, iou, is_box, pairwise_iou
from .consistency import (
    consistency_weight,
    consistency_weight_from_statistics,
    group_agreement,
    group_statistics,
    scale_advantages,
)
from .coordinates import SPACES, Space, from_pixels, smart_resize, space_for, space_named, to_pixels
from .format import format_reward
from .matching import set_metrics, set_reward
from .metrics import (
    CONVENTIONS,
    grounding_breakdown,
    grounding_columns,
    grounding_metrics,
    image_region,
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
from .positional import gaussian_proximity, positional_reward
from .tally import Tally, paired_differences

__version__ = "0.1.0"

__all__ = [
    "ANGLES",
    "CONVENTIONS",
    "SPACES",
    "Answer",
    "Space",
    "Tally",
    "area",
    "canonical",
    "consistency_weight",
    "consistency_weight_from_statistics",
    "convert_angles",
    "corners",
    "diou",
    "format_reward",
    "from_corners",
    "from_pixels",
    "gaussian_proximity",
    "giou",
    "grounding_breakdown",
    "grounding_columns",
    "grounding_metrics",
    "group_agreement",
    "group_statistics",
    "image_region",
    "iou",
    "is_box",
    "oriented_iou",
    "paired_differences",
    "pairwise_iou",
    "pairwise_oriented_iou",
    "parse_answer",
    "parse_box_sets",
    "parse_boxes",
    "positional_reward",
    "scale_advantages",
    "set_metrics",
    "set_reward",
    "size_class",
    "smart_resize",
    "space_for",
    "space_named",
    "to_pixels",
]
