"""What `score` and `compare` are told about the files that they read."""

from dataclasses import dataclass
from functools import cached_property

from rsreward import CONVENTIONS, Space, space_named
from rsreward.answers import READ_AS, BoxKind

from ..errors import InputError

FROM_TARGET = ("@size", "@region")  # what `by` can name beside fields: worked out from the true box


@dataclass(frozen=True)
class Options:
    """How the rows of a file are to be read and counted.

    Attributes:
        space: the coordinate space of the completions, or the name of a model of one of their families. Rows without a
            size can only be in pixels: under "qwen2.5-vl" they are taken for images that were not resized, and counted;
            in any other space they are broken.
        kind: "horizontal" targets are `[x1, y1, x2, y2]`, "oriented" ones `[cx, cy, w, h, angle]` in radians. Where the
            first row's target is a list of boxes all are, and the completions are scored as sets.
        convention: how to count, see docs/score.md; other than "plain" only for one horizontal box a row.
        by: fields to group by, each on its own; "@size" and "@region" group by the true box.
        completion, target: the fields of these, where they are not called as `records` says.
        cluster: a field that rows which are not independent share, such as the rollouts of one prompt: intervals draw
            its values instead of rows.
        think_in_prompt: whether the answers begin inside a thought that the template opened.

    Raises:
        InputError: naming the option that is wrong.
    """

    space: str | Space = "pixel"
    kind: BoxKind = "horizontal"
    convention: str = "plain"
    by: tuple[str, ...] = ()
    completion: str | None = None
    target: str | None = None
    cluster: str | None = None
    think_in_prompt: bool = False

    def __post_init__(self) -> None:
        _ = self.coordinates
        if self.kind not in READ_AS:
            raise InputError(f"--kind must be horizontal or oriented, got {self.kind!r}.")
        if self.convention not in CONVENTIONS:
            raise InputError(f"--convention must be one of {', '.join(CONVENTIONS)}, got {self.convention!r}.")
        if self.kind == "oriented" and CONVENTIONS[self.convention].horizontal_only:
            raise InputError(
                f"--convention {self.convention} is for horizontal boxes: leave it out with --kind oriented."
            )
        for name in self.by:
            if name.startswith("@") and name not in FROM_TARGET:
                raise InputError(f"--by {name} is not known: use a field or one of {', '.join(FROM_TARGET)}.")

    @cached_property
    def coordinates(self) -> Space:
        """The space itself."""
        try:
            return space_named(self.space)
        except ValueError as error:
            raise InputError(str(error)) from None

    @cached_property
    def needs_sizes(self) -> str | None:
        """What a row without width and height cannot be scored for; None where it can."""
        if self.coordinates.scale is not None:
            return f"space {self.coordinates.name!r}"
        if CONVENTIONS[self.convention].needs_size:
            return f"convention {self.convention!r}"
        return "breakdown '@region'" if "@region" in self.by else None

    @property
    def assumes_sizes(self) -> bool:
        """Whether a row without width and height is scored as one of an image that was not resized, or of the
        convention's own size."""
        return self.coordinates.needs_size or CONVENTIONS[self.convention].side is not None
