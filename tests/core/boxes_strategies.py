"""Boxes for hypothesis."""

import torch
from hypothesis import strategies as st

_coordinate = st.floats(-1e3, 1e3, width=32)
_side = st.floats(0.125, 1e3, width=32)


def box(corner=_coordinate, side=_side):
    """A box with area as `(4,)`, float64."""
    return st.builds(
        lambda x, y, w, h: torch.tensor([x, y, x + w, y + h], dtype=torch.float64), corner, corner, side, side
    )


any_float = st.floats(allow_nan=True, allow_infinity=True)
any_row = st.lists(any_float, min_size=4, max_size=4)
group_ious = st.lists(st.floats(0, 1), min_size=2, max_size=16)
