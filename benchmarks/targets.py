"""What the project has set itself, against a run."""

from collections.abc import Callable, Sequence
from math import log

from cases import Row
from trainers import IN_TRL, IN_VERL, PARSING

Target = tuple[str, Callable[[Sequence[Row]], float], float, str]  # text, what is measured, its limit, how it is shown
NO_RIVAL = ("a part", "a copy", "finds none", "an approximation")
DETECTRON2 = 441  # ns a pair of its oriented kernel, on two cores like those of docs/performance.md


def judged(rows: Sequence[Row], targets: Sequence[Target]) -> tuple[list[list[str]], list[list[str]]]:
    """The targets whose rows were measured, met or not; and every row that a peer does faster."""
    lines = []
    for text, measured, limit, form in targets:
        try:
            value = measured(rows)
        except ValueError:  # none of its rows is there
            continue
        lines.append([text, form.format(value), "met" if value <= limit else "NOT met"])
    behind: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if not row["ours"] and row["computes"] not in NO_RIVAL and row["times_ours"] < 1:
            behind.setdefault((row["who"], row["case"]), []).append(row)
    return lines, [[f"{who}: {case}", *_joined(lost)] for (who, case), lost in behind.items()]


def _joined(rows: Sequence[Row]) -> tuple[str, str]:
    return ", ".join(f"{row['size']:,}" for row in rows), ", ".join(f"{row['times_ours']:.2f}" for row in rows)


def _of(rows: Sequence[Row], family: str, case: str = "", size: int | None = None) -> list[Row]:
    return [
        row for row in rows
        if row["family"] == family and row["case"].startswith(case) and size in (None, row["size"])
    ]  # fmt: skip


def _ours(field: str, *where: str | int) -> Callable[[Sequence[Row]], float]:
    """The largest value of a field in our rows of a case and size."""
    return lambda rows: max(row[field] for row in _of(rows, *where) if row["ours"] and row[field] is not None)  # type: ignore[arg-type]


def _fastest_peer(rows: Sequence[Row]) -> float:
    peers = [row for row in _of(rows, "paired", "the reward", 2**20) if not row["ours"]]
    return max(1 / row["times_ours"] for row in peers if row["computes"] not in NO_RIVAL)


def _shapely(field: str, sign: int) -> Callable[[Sequence[Row]], float]:
    where = "oriented", "oriented IoU", 100_000
    return lambda rows: max(row[field] ** sign for row in _of(rows, *where) if row["who"] == "shapely")


def _agreement(rows: Sequence[Row]) -> float:
    where = "group", "mean IoU with the others of 100,000", 64
    return max(1 / row["times_ours"] for row in _of(rows, *where) if row["who"].startswith("by hand"))


def _parser(rows: Sequence[Row]) -> float:
    return max(row["shown"] for row in _of(rows, "parsing") if row["ours"] and row["case"] != "five boxes")


def _growth(rows: Sequence[Row]) -> float:
    """The largest exponent of time over length, from the shortest to the longest text of a kind."""
    hostile = _of(rows, "hostile")
    exponents = []
    for case in dict.fromkeys(row["case"] for row in hostile):
        short, *_, long = [row for row in hostile if row["case"] == case]
        exponents.append(log(long["least_s"] / short["least_s"]) / log(long["units"] / short["units"]))
    return max(exponents)


def _importing(rows: Sequence[Row]) -> float:
    return max(1 / row["times_ours"] for row in _of(rows, "startup") if not row["ours"])


def _verl(rows: Sequence[Row]) -> float:
    score, parser = (row["shown"] for row in _of(rows, "trainers", IN_VERL) if row["who"] in ("compute_score", PARSING))
    return float(score - parser)


def _file(rows: Sequence[Row]) -> float:
    return max(row["times_yardstick"] for row in _of(rows, "file") if row["who"] == "this version")


M = 2**20
TARGETS: list[Target] = [
    ("paired reward, 1 M: our time over the fastest peer's, below 1", _fastest_peer, 1, "{:.2f}"),
    ("paired reward, 1 M: at most 6 x copy", _ours("times_copy", "paired", "the reward", M), 6, "{:.1f}"),
    ("paired reward, 1 M: peak under 1.3 x inputs and output", _ours("peak_ratio", "paired", "the reward", M), 1.3,
     "{:.2f}"),
    ("oriented IoU, 100 k: under half of detectron2's 441 ns", _ours("shown", "oriented", "oriented IoU", 100_000),
     DETECTRON2 / 2, "{:.0f} ns"),
    ("oriented IoU: a hundredth of shapely's time", _shapely("times_ours", -1), 0.01, "{:.4f}"),
    ("oriented IoU, float32: within 1e-5 of shapely", _shapely("difference", 1), 1e-5, "{:.0e}"),
    ("parser: at most 5 us a completion with one box, slowest dialect", _parser, 5, "{:.1f} us"),
    ("parser: at most 5 ms for a million hostile characters", _ours("shown", "hostile", "", 1_000_000), 5, "{:.1f} ms"),
    ("parser: time grows with at most length ^ 1.1", _growth, 1.1, "{:.2f}"),
    ("the reward step, 4,096 completions: at most 25 ms", _ours("shown", "step", "boxes", 4_096), 25, "{:.1f} ms"),
    ("inside TRL, 4,096 completions, format, boxes and weight: at most 25 ms",
     _ours("shown", "trainers", IN_TRL, 4_096), 25, "{:.0f} ms"),
    ("inside verl, a rollout, beside the parser: at most 100 us", _verl, 100, "{:.0f} us"),
    ("scoring a file: at most 3 x json.loads and parse_answer", _file, 3, "{:.1f}"),
    ("import rsreward: at most 1.2 x import torch", _importing, 1.2, "{:.2f}"),
]  # fmt: skip
CUDA_TARGETS: list[Target] = [
    ("paired reward, 16 M: at most 1.2 x copy", _ours("times_copy", "paired", "the reward", 16 * M), 1.2, "{:.2f}"),
    ("oriented IoU, 16 M: at most 2.5 x copy", _ours("times_copy", "oriented", "oriented IoU", 16 * M), 2.5, "{:.2f}"),
    ("mean IoU in 100,000 groups of 64: a twentieth of eager", _agreement, 0.05, "{:.3f}"),
]
