"""From what a model wrote to boxes in pixels.

`completions` takes the text out of chat messages. `region` finds the answer in the text. `shapes` and `spellings` are
the forms in which boxes are written. `parse` reads them, and `boxes` brings them to pixels.
"""

from .boxes import check_kind, parse_box_sets, parse_boxes, parse_points
from .completions import completion_text
from .parse import (
    DIALECTS,
    LARGEST,
    MAX_ANSWER,
    PROBLEMS,
    READ_AS,
    Answer,
    BoxKind,
    Select,
    boxes_of,
    check_texts,
    parse_answer,
    read_region,
)
from .region import may_hold_tags

__all__ = [
    "DIALECTS",
    "LARGEST",
    "MAX_ANSWER",
    "PROBLEMS",
    "READ_AS",
    "Answer",
    "BoxKind",
    "Select",
    "boxes_of",
    "check_kind",
    "check_texts",
    "completion_text",
    "may_hold_tags",
    "parse_answer",
    "parse_box_sets",
    "parse_boxes",
    "parse_points",
    "read_region",
]
