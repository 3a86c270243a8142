"""What an evaluation reports: of boxes, by the conventions of benchmarks, with intervals."""

from .conventions import CONVENTIONS, Convention, convention_named, is_readable
from .grounding import (
    counted_iou,
    grounding_breakdown,
    grounding_columns,
    grounding_metrics,
    image_region,
    size_class,
)
from .tally import Tally, paired_differences

__all__ = [
    "CONVENTIONS",
    "Convention",
    "Tally",
    "convention_named",
    "counted_iou",
    "grounding_breakdown",
    "grounding_columns",
    "grounding_metrics",
    "image_region",
    "is_readable",
    "paired_differences",
    "size_class",
]
