"""The page of `rsreward score --html`: metrics with intervals, IoU, centre offsets, problems, worst and best rows."""

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from rsreward import corners
from rsreward.boxes import centre_offset

from ..errors import InputError
from ..files import regular_file, writing
from ..score.broken import MOST_REASONS, describe_broken
from ..score.measure import Scored, tensors
from ..score.rows import Row
from . import render
from .pictures import jpeg

CARDS = 8  # rows of each kind
LONGEST_TEXT, PICTURE = 800, 640
BINS, REACH, CELLS = 20, 3.0, 61
TRUE, PRED = "#ffffff", "#ff9f1c"


class ScoreReport:
    """Gathers what the page shows while rows are scored; its memory does not grow with them.

    Args:
        html: the file to write.
        images: the folder that the rows' `image` names are in; None to draw boxes on an empty ground.

    Raises:
        InputError: if `html` cannot be written or `images` is no folder.
    """

    def __init__(self, html: Path, images: Path | None = None) -> None:
        if html.is_dir() or not html.parent.is_dir():
            raise InputError(f"--html {html} cannot be written: name a file in a folder that is there.")
        if images is not None and not images.is_dir():
            raise InputError(f"--images {images} is not a folder: name the one that the rows' 'image' names are in.")
        self.html, self.images = html, images
        self.histogram = torch.zeros(BINS + 2, dtype=torch.long)  # not read, exactly 0, and the bins of (0, 1]
        self.offsets = torch.zeros(CELLS, CELLS, dtype=torch.long)
        self.far = 0
        self.kept: dict[str, list[tuple[float, float, dict[str, Any]]]] = {"worst": [], "best": [], "unread": []}
        self.several, self.read = False, 0
        self.draws = torch.Generator().manual_seed(0)

    def watch(self, scored: Scored) -> None:
        """Take in a chunk."""
        self.several = scored.rows[0].several
        columns = tensors(scored.columns)
        values, read = columns["set_reward" if self.several else "iou"].double(), columns["read"]
        if not self.several:
            bins = torch.where(read, 1 + (values * BINS).ceil().long(), 0)
            self.histogram += torch.bincount(bins, minlength=BINS + 2)
            self._watch_offsets(scored)
        self.read += int(read.sum())
        draws = torch.rand(len(values), generator=self.draws, dtype=torch.float64)  # among equals any, by the seed
        for kind, rank, ties in (
            ("worst", values, draws),
            ("best", -values, -draws),
            ("unread", values * 0, draws),
        ):
            order = ties.argsort()
            order = order[rank[order].argsort(stable=True)]
            first = order[(read if kind != "unread" else ~read)[order]][:CARDS].tolist()
            new = [(rank[i].item(), ties[i].item(), _kept(scored, i, values[i].item())) for i in first]
            self.kept[kind] = sorted(self.kept[kind] + new, key=lambda entry: entry[:2])[:CARDS]

    def _watch_offsets(self, scored: Scored) -> None:
        rows = [i for i, pred in enumerate(scored.preds) if len(pred)]
        if not rows:
            return
        pred = torch.tensor([scored.preds[i][0] for i in rows], dtype=torch.float64)
        target = torch.tensor([scored.rows[i].target[0] for i in rows], dtype=torch.float64)
        cells = ((offsets_in_boxes(pred, target) + REACH) * (CELLS / (2 * REACH))).floor()
        inside = ((cells >= 0) & (cells < CELLS)).all(1)
        column, row = cells[inside].long().unbind(1)
        self.offsets.view(-1).index_add_(0, row * CELLS + column, torch.ones_like(row))
        self.far += int((~inside).sum())

    def write(self, result: dict[str, Any], about: dict[str, str]) -> str:
        """Write the page.

        Args:
            result: of `score_file`.
            about: what to say of the run, by name.

        Returns:
            A sentence about the images that should be on it and are not; nothing where there is nothing to say.
        """
        problems = sorted({name for counts in result["problems"].values() for name in counts} - {"answers"})
        half = self.read // 2  # of few rows no one is both among the worst and among the best
        limits = {"worst": half, "best": self.read - half, "unread": CARDS}
        cards = {kind: [self._card(kept) for _, _, kept in of[: limits[kind]]] for kind, of in self.kept.items()}
        from . import charts  # matplotlib: not before the rows are done, for their memory's sake

        drawn = {"IoU": charts.histogram(self.histogram), "Centre": charts.offset_map(self.offsets, REACH)}
        html = render(
            "score",
            result=result,
            about=about,
            problems=problems,
            broken=describe_broken(result, most=MOST_REASONS),
            charts={} if self.several else drawn,
            far=self.far,
            reach=REACH,
            cards=cards,
            value_name="set reward" if self.several else "IoU",
            true_colour=TRUE,
            pred_colour=PRED,
        )
        with writing(self.html) as part:
            part.write_text(html, encoding="utf-8", errors="backslashreplace")
        return self._describe_missing_images([card for of in cards.values() for card in of])

    def _describe_missing_images(self, cards: list[dict[str, Any]]) -> str:
        """A sentence about the images that the page should show and does not; nothing where all are there."""
        found, missing = (sum(bool(card[name]) for card in cards) for name in ("src", "missing"))
        if self.images is None or found == len(cards):
            return ""
        if not found and not missing:
            return f"no image is shown: the rows have no field 'image' that names one in --images {self.images}."
        if not missing:
            return ""
        such = next(card["missing"] for card in cards if card["missing"])
        return (
            f"{found or 'none'} of the {found + missing} images to show could be read from --images {self.images}: "
            f"{such}."
        )

    def _card(self, kept: dict[str, Any]) -> dict[str, Any]:
        """What the page shows of a row: its picture, its boxes as polygons, the view that holds them."""
        row: Row = kept["row"]
        picture, size, missing = self._picture(row.image)
        size = (row.width, row.height) if row.width and row.height else size
        polygons = {"true": _polygons(torch.tensor(row.target)), "pred": _polygons(torch.tensor(kept["pred"]))}
        view = (0.0, 0.0, float(size[0]), float(size[1])) if size else _view(polygons["true"] + polygons["pred"])
        text = row.completion if len(row.completion) <= LONGEST_TEXT else row.completion[:LONGEST_TEXT] + " …"
        src = jpeg(picture) if picture else None
        return kept | {"src": src, "missing": missing, "view": view, "polygons": polygons, "text": text}

    def _picture(self, name: str | None) -> tuple[Image.Image | None, tuple[float, float] | None, str]:
        """The image of a row, made small, and its size; or what to say in its place.

        Names that lead out of the folder are not followed.
        """
        if self.images is None or name is None:
            return None, None, ""
        root = self.images.resolve()
        try:
            file = (root / name).resolve()
            if not file.is_relative_to(root):
                return None, None, f"{name} lies outside the folder of images"
            with Image.open(regular_file(file)) as image:
                size = image.size
                image.draft("RGB", (PICTURE, PICTURE))
                image.thumbnail((PICTURE, PICTURE))
                return image.convert("RGB"), size, ""
        except FileNotFoundError:
            return None, None, f"{name} is not in the folder of images"
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None, None, f"{name} cannot be read as an image"


def offsets_in_boxes(pred: Tensor, target: Tensor) -> Tensor:
    """Centre of each prediction less that of its true box, `(N, 2)`, in sides of the true box and along them."""
    if target.shape[1] == 4:
        return centre_offset(pred, target) / (target[:, 2:] - target[:, :2])
    (x, y), (cosine, sine) = (pred - target)[:, :2].unbind(1), (target[:, 4].cos(), target[:, 4].sin())
    return torch.stack([x * cosine + y * sine, y * cosine - x * sine], 1) / target[:, 2:4]


def _kept(scored: Scored, i: int, value: float) -> dict[str, Any]:
    return {"row": scored.rows[i], "pred": scored.preds[i], "answer": scored.answers[i], "value": value}


def _polygons(boxes: Tensor) -> list[list[list[float]]]:
    """The corners of boxes `(n, 4)` or `(n, 5)`."""
    if not boxes.numel():
        return []
    if boxes.shape[1] == 5:
        return corners(boxes).tolist()
    return [[[x1, y1], [x2, y1], [x2, y2], [x1, y2]] for x1, y1, x2, y2 in boxes.tolist()]


def _view(polygons: list[list[list[float]]]) -> tuple[float, float, float, float]:
    """x, y, width and height of a view that holds the polygons, with a margin."""
    points = torch.tensor([point for polygon in polygons for point in polygon] or [[0.0, 0.0]])
    low, side = points.amin(0), (points.amax(0) - points.amin(0)).max().clamp(min=1) * 1.2
    x, y = (low - side / 12).tolist()
    return x, y, side.item(), side.item()
