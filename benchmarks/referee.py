"""Why published numbers differ: the tables of docs/referee.md.

python benchmarks/referee.py           # prints them
python benchmarks/referee.py --docs    # writes them into docs/referee.md too
python benchmarks/referee.py --only corners,order

The answers are real ones, in ../shared/data. A table whose file is not there is left as the page has it.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rsreward import (
    grounding_metrics,
    parse_answer,
    parse_box_sets,
    parse_boxes,
    read_truth,
    set_metrics,
    space_named,
)
from rsreward.metrics import counted_iou

ROOT = Path(__file__).parents[1]
DATA, PAGE = ROOT.parent / "shared" / "data", ROOT / "docs" / "referee.md"
Line = Sequence[str | float | int]


def read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]


@cache
def rollouts(space: str, sized: bool = True) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Boxes, true boxes and sizes of the real answers of Qwen2.5-VL: those with a size, or all of them in pixels."""
    rows = [row for row in read("rollouts_dev.jsonl") if not sized or "width" in row]
    sizes = {name: [row[name] for row in rows] for name in ("width", "height")} if sized else {}
    pred = parse_boxes([row["completion"] for row in rows], space=space, **sizes).double()
    return pred, torch.tensor([row["target"] for row in rows], dtype=torch.float64), sizes


def counted(name: str, overlaps: Tensor, thresholds: Iterable[float]) -> Line:
    """A line of Acc at each threshold, and mIoU."""
    return [name, *((overlaps >= k).double().mean().item() for k in thresholds), overlaps.mean().item()]


def corners() -> list[Line]:
    pred, target, _ = rollouts("pixel", sized=False)
    told = grounding_metrics(pred, target, convention="rsthinker")
    thresholds = (0.5, 0.75, 0.95)
    return [
        ["", *(f"Acc@{k}" for k in thresholds), "mIoU"],
        counted("corners as corners", counted_iou(pred, target), thresholds),
        ["`--convention rsthinker`", *(told[f"acc@{k}"] for k in thresholds), told["miou"]],
    ]


def plus_one() -> list[Line]:
    pred, target, sizes = rollouts("qwen2.5-vl")
    apart = read("field/truth_in_unit_sized.jsonl")  # 50 answers that do not touch their true boxes
    of_apart = {name: [row[name] for row in apart] for name in ("width", "height")}
    wrong = parse_boxes([row["completion"] for row in apart], space="unit", **of_apart).double()
    true = (
        torch.tensor([row["target"] for row in apart], dtype=torch.float64) * torch.tensor([*of_apart.values()] * 2).T
    )
    lines: list[Line] = [["", "Acc@0.5", "mIoU", "mIoU of 50 answers that touch nothing"]]
    for name, what in (("plain", "nothing added"), ("vrsbench", "on 0..100"), ("lhrs_bot", "on 0..1")):
        told = grounding_metrics(pred, target, convention=name, **sizes)
        of_wrong = grounding_metrics(wrong, true, convention=name, **of_apart)
        lines.append([f"{what}: `--convention {name}`", told["acc@0.5"], told["miou"], of_wrong["miou"]])
    return lines


def resized() -> list[Line]:
    lines: list[Line] = [["", "Acc@0.5", "Acc@0.7", "mIoU"]]
    for space, what in (("pixel", "taken for pixels of the original"), ("qwen2.5-vl", "scaled to the original")):
        pred, target, _ = rollouts(space)
        lines.append(counted(f"{what}: `--space {space}`", counted_iou(pred, target), (0.5, 0.7)))
    return lines


@cache
def earthdial() -> list[tuple[Tensor, Tensor]]:
    """Each answer's boxes, with repeats, and the true ones of EarthDial's published file, turned as its script does."""
    rows = read("earthdial/geochat_bench.jsonl")
    space = space_named("earthdial", five="corners-ccw")
    frame: dict[str, Any] = {"kind": "oriented", "space": space, "width": 100, "height": 100}
    answers = [parse_answer(row["answer"], repeats=True) for row in rows]
    truth = [torch.tensor(read_truth(row["gt_bbox"], **frame).boxes, dtype=torch.float64) for row in rows]
    return list(zip(parse_box_sets(answers, **frame), truth, strict=True))


def best() -> list[Line]:
    spaces = {space: counted_iou(*rollouts(space)[:2]) for space in ("pixel", "norm1000", "qwen2.5-vl")}
    lines: list[Line] = [["", "Acc@0.5", "mIoU"]]
    lines.append(counted("in pixels, as `--space pixel`", spaces["pixel"], [0.5]))
    two = spaces["pixel"].maximum(spaces["norm1000"])
    lines.append(counted("in pixels or in 0..1000, whichever is better", two, [0.5]))
    lines.append(counted("in pixels of the resized image, as `--space qwen2.5-vl`", spaces["qwen2.5-vl"], [0.5]))
    lines.append(counted("in any of the three, whichever is better", two.maximum(spaces["qwen2.5-vl"]), [0.5]))
    of_three = spaces["qwen2.5-vl"].view(3, -1)  # three models on the same 500 questions
    lines.append(counted("the first of three boxes", of_three[0], [0.5]))
    lines.append(counted("the best of three boxes", of_three.amax(0), [0.5]))
    return lines


def repeats() -> list[Line]:
    preds, truth = map(list, zip(*earthdial(), strict=True))
    inside = [boxes[(_upright(boxes)[:, :2] >= 0).all(1)] for boxes in truth]
    lines: list[Line] = [["", "predictions", "true boxes", "hits", "precision", "recall", "F1"]]
    for what, convention, true in (
        ("any true box, repeats again: `--convention earthdial`", "earthdial", truth),
        ("the same without true boxes that begin outside the image, as `eval.py` reads them", "earthdial", inside),
        ("one to one", "plain", truth),
    ):
        told = set_metrics(preds, true, thresholds=[0.5], convention=convention)
        shares = [told.get(f"{name}@0.5", "") for name in ("precision", "recall", "f1")]
        lines.append([what, *(int(told[name]) for name in ("predictions", "targets", "hits@0.5")), *shares])
    return lines


def _upright(boxes: Tensor) -> Tensor:
    """The corners of boxes before they are turned."""
    return torch.cat([boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2], 1)


def clipping() -> list[Line]:
    pred, target, sizes = rollouts("qwen2.5-vl")
    centre, half = (pred[:, :2] + pred[:, 2:]) / 2, (pred[:, 2:] - pred[:, :2]) / 2
    lines: list[Line] = [["", "leave the image", "Acc@0.5", "mIoU", "clipped: Acc@0.5", "mIoU"]]
    image = torch.tensor([sizes["width"], sizes["height"]] * 2).T
    for what, factor in (("as the model wrote them", 1), ("each box 1.5 times as wide and high", 1.5)):
        boxes = torch.cat([centre - half * factor, centre + half * factor], 1)
        leave = int(((boxes < -1) | (boxes > image + 1)).any(1).sum())
        told = [grounding_metrics(boxes, target, convention=name, **sizes) for name in ("plain", "refgeo")]
        lines.append([what, leave, *(each[of] for each in told for of in ("acc@0.5", "miou"))])
    return lines


def unread() -> list[Line]:
    pred, target, _ = rollouts("pixel", sized=False)
    overlaps, read = counted_iou(pred, target), pred.isfinite().all(1)
    tenth = torch.arange(len(pred)) % 10 == 0
    lines: list[Line] = [["", "answers read", "Acc@0.5 of all", "Acc@0.5 of those read"]]
    for what, said in (
        ("as they are", read),
        ("every tenth is cut off", read & ~tenth),
        ("silent wherever its box would be wrong", read & (overlaps >= 0.5)),
    ):
        right = ((overlaps >= 0.5) & said).sum().item()
        lines.append([what, int(said.sum()), right / len(pred), right / said.sum().item()])
    return lines


def order() -> list[Line]:
    splits = {
        name: [*map(int, (DATA / f"dior_rsvg_splits/{name}.txt").read_text().split())] for name in ("train", "test")
    }
    train, size = set(splits["train"]), 1 + max(map(max, splits.values()))
    orders = {"sorted by name": list(range(size)), "sorted the other way round": list(range(size - 1, -1, -1))}
    runs = [range(start, min(start + 2, size)) for start in range(0, size, 2)]  # two objects an image, about
    random.Random(0).shuffle(runs)  # noqa: S311
    orders["in any other order"] = [counter for run in runs for counter in run]
    lines: list[Line] = [["annotation files are read", "test questions", "of them in train, sorted by name", "share"]]
    for what, objects in orders.items():
        leaked = sum(objects[counter] in train for counter in splits["test"])
        lines.append([what, len(splits["test"]), leaked, leaked / len(splits["test"])])
    return lines


TABLES: dict[str, tuple[str, Callable[[], list[Line]]]] = {
    "corners": ("rollouts_dev.jsonl", corners),
    "plus-one": ("rollouts_dev.jsonl", plus_one),
    "resized": ("rollouts_dev.jsonl", resized),
    "best": ("rollouts_dev.jsonl", best),
    "repeats": ("earthdial/geochat_bench.jsonl", repeats),
    "clipping": ("rollouts_dev.jsonl", clipping),
    "unread": ("rollouts_dev.jsonl", unread),
    "order": ("dior_rsvg_splits/test.txt", order),
}


def markdown(lines: Sequence[Line]) -> str:
    header, *rest = ([_cell(value) for value in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, ["---", *["---:"] * (len(header) - 1)], *rest])


def _cell(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def write(page: Path, name: str, text: str) -> None:
    """Put a table between its two marks."""
    marks = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, opening, rest = page.read_text(encoding="utf-8").partition(marks[0])
    _, closing, after = rest.partition(marks[1])
    if not closing:
        raise ValueError(f"{page} has no part {marks[0].strip()} ... {marks[1]} to write into.")
    page.write_text(f"{before}{opening}{text}\n{closing}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--docs", action="store_true", help="write the tables into docs/referee.md")
    parser.add_argument("--only", default=",".join(TABLES), help=f"some of {', '.join(TABLES)}")
    told = parser.parse_args()
    if unknown := set(told.only.split(",")) - set(TABLES):
        parser.error(f"--only knows {', '.join(TABLES)}, not {', '.join(sorted(unknown))}.")
    for name in told.only.split(","):
        file, table = TABLES[name]
        if not (DATA / file).exists():
            print(f"{name}: left out, for there is no {DATA / file}.\n")
            continue
        text = markdown(table())
        print(f"{name}\n{text}\n", flush=True)
        if told.docs:
            write(PAGE, name, text)


if __name__ == "__main__":
    main()
