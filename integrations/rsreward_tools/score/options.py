"""What `score` and `compare` are told about the files that they read."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from rsreward import CONVENTIONS, Space, space_named
from rsreward.answers import READ_AS, BoxKind
from rsreward.coordinates import Five, Order
from rsreward.truth import Format, read_truth

from ..errors import InputError

FROM_TARGET = ("@size", "@region")  # what `by` can name beside fields: worked out from the true box


@dataclass(frozen=True)
class Options:
    """How the rows of a file are to be read and counted.

    Attributes:
        space: the coordinate space of the completions, or the name of a model of one of their families. None: as the
            file's `frame.json` says, else pixels. Rows without a size can only be in pixels: under "qwen2.5-vl" they
            are taken for images that were not resized, and counted; in any other space they are broken.
        kind: "horizontal" targets are `[x1, y1, x2, y2]`, "oriented" ones `[cx, cy, w, h, angle]` in radians. Where the
            first row's target is a list of boxes all are, and the completions are scored as sets.
        convention: how to count, see docs/score.md; other than "plain" only for one horizontal box a row.
        by: fields to group by, each on its own; "@size" and "@region" group by the true box.
        completion, target: the fields of these, where they are not called as `records` says.
        cluster: a field that rows which are not independent share, such as the rollouts of one prompt: intervals draw
            its values instead of rows.
        think_in_prompt: whether the answers begin inside a thought that the template opened. None: as `frame.json`
            says, else not.
        min_pixels, max_pixels, five, order: where these are not as the space has them, see `rsreward.Space`.
        target_space, target_format: what the targets are written in, see `rsreward.truth.read_truth`.
        hull: read turned answers too, and score their bounding boxes against the horizontal targets.
        image_size: of rows that do not say theirs, such as "800x600".
        images: the folder that the field `image` names files of: sizes are compared with theirs.

    Raises:
        InputError: naming the option that is wrong.
    """

    space: str | Space | None = None
    kind: BoxKind = "horizontal"
    convention: str = "plain"
    by: tuple[str, ...] = ()
    completion: str | None = None
    target: str | None = None
    cluster: str | None = None
    think_in_prompt: bool | None = None
    min_pixels: int | None = field(default=None, kw_only=True)
    max_pixels: int | None = field(default=None, kw_only=True)
    five: Five | None = field(default=None, kw_only=True)
    order: Order | None = field(default=None, kw_only=True)
    target_space: str | Space | None = field(default=None, kw_only=True)
    target_format: Format | None = field(default=None, kw_only=True)
    hull: bool = field(default=False, kw_only=True)
    image_size: str | None = field(default=None, kw_only=True)
    images: Path | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        _ = self.size
        if self.space is not None:  # else a frame.json may say it
            _ = self.coordinates
        try:
            read_truth([], format=self.target_format, space=self.target_space)
        except (TypeError, ValueError) as error:
            raise InputError(f"the targets: {error}") from None
        if self.kind not in READ_AS:
            raise InputError(f"--kind must be horizontal or oriented, got {self.kind!r}.")
        if self.convention not in CONVENTIONS:
            raise InputError(f"--convention must be one of {', '.join(CONVENTIONS)}, got {self.convention!r}.")
        if self.kind == "oriented" and CONVENTIONS[self.convention].horizontal_only:
            raise InputError(
                f"--convention {self.convention} is for horizontal boxes: leave it out with --kind oriented."
            )
        if self.kind == "oriented" and self.hull:
            raise InputError("--hull scores bounding boxes, which are horizontal: leave out --kind oriented.")
        for name in self.by:
            if name.startswith("@") and name not in FROM_TARGET:
                raise InputError(f"--by {name} is not known: use a field or one of {', '.join(FROM_TARGET)}.")

    @cached_property
    def coordinates(self) -> Space:
        """The space of the completions."""
        told = {"min_pixels": self.min_pixels, "max_pixels": self.max_pixels, "five": self.five, "order": self.order}
        try:
            return space_named("pixel" if self.space is None else self.space, **told)  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise InputError(str(error)) from None

    @cached_property
    def target_coordinates(self) -> Space | None:
        """The space of the targets; None: pixels. Of the same name it is that of the completions, bounds and all."""
        if self.target_space is None:
            return None
        space = space_named(self.target_space)
        own = isinstance(self.target_space, str) and space.name == self.coordinates.name
        return self.coordinates if own else space

    @cached_property
    def size(self) -> tuple[int, int] | None:
        """The width and height of images whose rows do not say them."""
        if self.image_size is None:
            return None
        found = re.fullmatch(r"([1-9]\d{0,6})x([1-9]\d{0,6})", self.image_size)
        if not found:
            raise InputError(f"--image-size must be a width and a height such as 800x600, got {self.image_size!r}.")
        return int(found[1]), int(found[2])

    @property
    def answer_kind(self) -> BoxKind:
        """What is read of the completions."""
        return "oriented" if self.hull else self.kind

    @cached_property
    def plain_targets(self) -> bool:
        """Whether the numbers of targets are corners in pixels, or centre, sides and radians of turned boxes."""
        own = "xyxy" if self.kind == "horizontal" else "oriented"
        return self.target_space is None and self.target_format in (None, own)

    @cached_property
    def needs_sizes(self) -> str | None:
        """What a row without width and height cannot be scored for; None where it can."""
        if self.coordinates.scale is not None:
            return f"space {self.coordinates.name!r}"
        if self.target_coordinates is not None and self.target_coordinates.needs_size:
            return f"space {self.target_coordinates.name!r} of the targets"
        if CONVENTIONS[self.convention].needs_size:
            return f"convention {self.convention!r}"
        return "breakdown '@region'" if "@region" in self.by else None

    @property
    def assumes_sizes(self) -> bool:
        """Whether a row without width and height is scored as one of an image that was not resized, or of the
        convention's own size."""
        return self.coordinates.needs_size or CONVENTIONS[self.convention].side is not None
