"""How benchmarks and published evaluations count, by name."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Convention:
    """How a benchmark, or a published evaluation, counts.

    Those with `to_reproduce` are here to reproduce published figures. docs/referee.md says what each does to them.

    Attributes:
        thresholds: the k of Acc@k.
        closed: whether an IoU of just k counts.
        order_corners: whether an inverted prediction is put right; else it scores 0.
        clip: whether predictions are cut to the image.
        scale: what the image's width and height are in the units that boxes are compared in; None: pixels.
        whole: whether coordinates are cut to whole numbers of these units.
        plus_one: whether a box ends one unit after x2, y2, as if they named its last pixel.
        cum_iou: whether the sum of intersections over the sum of unions, in these units, is reported.
        failures_in_union: whether predictions that could not be read add the true area to the sum of unions.
        side: of the benchmark's images in pixels, all squares: their size where none is given.
        sides_for_corners: whether the last two numbers of every box are taken for its width and height.
        counts_unread: whether predictions that could not be read stay in the denominators, as IoU 0.
        any_true: whether it is for several boxes a row, and a prediction counts that meets any true box. A box that an
            answer repeats counts again.
        to_reproduce: whether it is here for the figures of others, and not for one's own.

    >>> CONVENTIONS["dior_rsvg"].thresholds, CONVENTIONS["dior_rsvg"].closed
    ((0.5, 0.6, 0.7, 0.8, 0.9), False)
    """

    thresholds: tuple[float, ...] = (0.5, 0.7)
    closed: bool = True
    order_corners: bool = False
    clip: bool = False
    scale: float | None = None
    whole: bool = False
    plus_one: bool = False
    cum_iou: bool = False
    failures_in_union: bool = True
    side: float | None = None
    sides_for_corners: bool = False
    counts_unread: bool = True
    any_true: bool = False
    to_reproduce: bool = False

    @property
    def needs_size(self) -> bool:
        """Whether the images' width and height must be given."""
        return (self.clip or self.scale is not None) and self.side is None

    @property
    def horizontal_only(self) -> bool:
        """Whether its IoU is only defined for horizontal boxes."""
        return self.order_corners or self.clip or self.scale is not None or self.plus_one or self.sides_for_corners

    @property
    def ratios(self) -> dict[str, tuple[str, str]]:
        """Its metrics as ratios of the columns of `grounding_columns`, for `Tally`."""
        rows = "rows" if self.counts_unread else "read"
        ratios = {f"acc@{k}": (f"hits@{k}", rows) for k in self.thresholds} | {"miou": ("iou", rows)}
        if self.cum_iou:
            ratios["cum_iou"] = ("intersection", "union")
        return ratios | {"parse_rate": ("read", "rows")}

    @property
    def set_ratios(self) -> dict[str, tuple[str, str]]:
        """The same for rows with several boxes; "mean_boxes" is the mean of "predictions" and "targets"."""
        ratios = {"precision": "predictions"} | ({} if self.any_true else {"recall": "targets", "f1": "mean_boxes"})
        return {f"{name}@{k}": (f"hits@{k}", divisor) for k in self.thresholds for name, divisor in ratios.items()}

    def hits(self, overlaps: Tensor, k: float) -> Tensor:
        """Which of these IoUs, from `counted_iou`, count at threshold k."""
        return overlaps >= k if self.closed else overlaps > k

    def compared(self, boxes: Tensor, image: Tensor, predicted: bool) -> Tensor:
        """Boxes in pixels as they are compared; `image` holds the widths and heights, `(..., 2)`."""
        boxes = torch.where(is_readable(boxes)[..., None], boxes, torch.nan)
        low, high = boxes[..., :2], boxes[..., 2:]
        if self.sides_for_corners:
            high = low + high
        if predicted and self.order_corners:
            low, high = torch.minimum(low, high), torch.maximum(low, high)
        if predicted and self.clip:
            low, high = (torch.minimum(corner.clamp(min=0), image) for corner in (low, high))
        if self.scale is not None:
            low, high = (corner / image * self.scale for corner in (low, high))
        if self.whole:
            low, high = (corner.round(decimals=3).floor() for corner in (low, high))  # 57 may come as 56.99999
        return torch.cat([low, high + self.plus_one], -1)


FIVE = (0.5, 0.6, 0.7, 0.8, 0.9)
CONVENTIONS = {
    "plain": Convention(),
    "dior_rsvg": Convention(FIVE, closed=False, clip=True, cum_iou=True, side=800),
    "vrsbench": Convention(scale=100, whole=True, plus_one=True, cum_iou=True, failures_in_union=False, side=512),
    "opt_rsvg": Convention(FIVE, clip=True, scale=1, cum_iou=True),
    "refgeo": Convention(order_corners=True, clip=True),
    "rsthinker": Convention((0.5, 0.75, 0.95), sides_for_corners=True, to_reproduce=True),
    "lhrs_bot": Convention((0.5,), closed=False, scale=1, plus_one=True, counts_unread=False, to_reproduce=True),
    "earthdial": Convention((0.5,), any_true=True, counts_unread=False, to_reproduce=True),
}


def convention_named(name: str) -> Convention:
    """The convention of that name.

    Raises:
        ValueError: if there is none.

    >>> convention_named("vrsbench").plus_one
    True
    """
    if name not in CONVENTIONS:
        raise ValueError(f"unknown convention {name!r}: use one of {', '.join(CONVENTIONS)}.")
    return CONVENTIONS[name]


def is_readable(pred: Tensor) -> Tensor:
    """Which rows hold a prediction at all, inverted ones included: `(...)`, bool."""
    return pred.isfinite().all(-1)
