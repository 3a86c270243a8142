"""True boxes of any form, in pixels of the original image: read in one place, for the adapters and the tools."""

from .columns import Column, as_tensor, check_area, target_boxes, target_sets
from .read import FORMS, Format, Truth, TruthError, is_corners, read_truth
from .sized import SizedTruth, read_sized_truth

__all__ = [
    "FORMS",
    "Column",
    "Format",
    "SizedTruth",
    "Truth",
    "TruthError",
    "as_tensor",
    "check_area",
    "is_corners",
    "read_sized_truth",
    "read_truth",
    "target_boxes",
    "target_sets",
]
