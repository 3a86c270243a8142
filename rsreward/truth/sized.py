"""A truth that travels with the size of its image: `{"bbox": ..., "width": ..., "height": ...}`, or that as JSON."""

import json
from typing import Any, NamedTuple

from ..coordinates import MAX_SIDE, is_side
from .read import TruthError


class SizedTruth(NamedTuple):
    """The true box as written, for `rsreward.truth.read_truth`, and the size of the original image in pixels."""

    bbox: Any
    width: float
    height: float


def read_sized_truth(value: Any) -> SizedTruth:
    """The three fields of an object or of its JSON.

    Raises:
        TruthError: if it is not such an object, or a side is not from 1 to MAX_SIDE pixels.

    >>> read_sized_truth('{"bbox": [80, 160, 240, 400], "width": 800, "height": 600}')
    SizedTruth(bbox=[80, 160, 240, 400], width=800, height=600)
    """
    try:
        fields = json.loads(value) if isinstance(value, str | bytes) else value
        truth = SizedTruth(fields["bbox"], fields["width"], fields["height"])
    except (ValueError, TypeError, LookupError, RecursionError):
        raise TruthError("it is not an object with bbox, width and height.") from None
    if not all(is_side(side) for side in truth[1:]):
        raise TruthError(f"width and height must be from 1 to {MAX_SIDE} pixels.")
    return truth
