"""Coordinate spaces: which there are, which models answer in them, and how to convert to pixels and back."""

from .pixels import MAX_SIDE, Sizes, from_pixels, image_sizes, is_side, oriented_to_pixels, to_pixels
from .spaces import FAMILIES, SPACES, Five, Order, Space, smart_resize, space_for, space_named

__all__ = [
    "FAMILIES",
    "MAX_SIDE",
    "SPACES",
    "Five",
    "Order",
    "Sizes",
    "Space",
    "from_pixels",
    "image_sizes",
    "is_side",
    "oriented_to_pixels",
    "smart_resize",
    "space_for",
    "space_named",
    "to_pixels",
]
