"""`report.html` of a demo run, self-contained: metrics, curves, held-out scenes with boxes, groups of rollouts."""

import json
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from PIL import Image, ImageDraw
from rsreward_tools.data.scenes import Scene, draw_scene, generate_scene
from rsreward_tools.files import write_whole, writing
from rsreward_tools.pages import render
from rsreward_tools.pages.charts import curves

from rsreward import consistency_weight, grounding_columns, group_statistics, parse_boxes

from .gallery import shade
from .scene_rows import SPACE
from .train import REWARDS

PICTURE = 288  # pixels: scenes are drawn larger than the model sees them
TRUE, COLOURS = "#ffffff", {"sft": "#ff9f1c", "grpo": "#2ec4ff"}
GALLERY = {"gained": 8, "lost": 4}  # scenes, at most


def write_report(out: Path) -> Path:
    """Write `report.html` and `gallery.png` from the files that the stages of a run left in its folder."""
    run = json.loads((out / "results.json").read_text())
    answers = {stage: _answers(out / stage / "completions.jsonl") for stage in ("sft", "grpo")}
    gallery = _gallery(answers, run["settings"])
    with writing(out / "gallery.png") as part:
        _sheet(gallery).save(part, "PNG")
    html = render(
        "demo",
        run=run,
        metrics=list(run["grpo"]["sampled"]),
        cost=reward_cost(out),
        curves=_curves(out, run["settings"]),
        seen=_seen(run, answers),
        gallery=gallery,
        groups=_groups(answers, run["settings"]),
        true_colour=TRUE,
        colours=COLOURS,
    )
    write_whole(out / "report.html", html)
    return out / "report.html"


def _answers(file: Path) -> dict[str, list[dict[str, Any]]]:
    """The lines of each kind, each with its box, its IoU and whether that is a hit at 0.5."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    texts, sizes = [line["completion"] for line in lines], [line["width"] for line in lines]
    boxes = parse_boxes(texts, space=SPACE, width=sizes, height=sizes)
    columns = grounding_columns(boxes, torch.tensor([line["target"] for line in lines]))
    found = boxes.tolist(), columns["iou"].tolist(), columns["hits@0.5"].tolist()
    kinds: dict[str, list[dict[str, Any]]] = {}
    for line, box, value, hit in zip(lines, *found, strict=True):
        read = None if box[0] != box[0] else box
        kinds.setdefault(line["log"], []).append(line | {"box": read, "iou": value, "hit": hit})
    return kinds


def _changed(answers: dict[str, Any]) -> dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
    """Greedy answers before and after: scenes that GRPO gained, lost, and kept as they were, hit or missed."""
    changed: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {"gained": [], "lost": [], "kept": []}
    for before, after in zip(answers["sft"]["greedy"], answers["grpo"]["greedy"], strict=True):
        kind = "kept" if before["hit"] == after["hit"] else "gained" if after["hit"] else "lost"
        changed[kind].append((before, after))
    return changed


def _seen(run: dict[str, Any], answers: dict[str, Any]) -> list[str]:
    """What the run shows, in three sentences."""
    settings, schedule = run["settings"], run["settings"]["grpo"]
    changed = {kind: len(pairs) for kind, pairs in _changed(answers).items()}

    def told(kind: str) -> str:
        before, after, change = run["sft"][kind], run["grpo"][kind], run["change"][kind]["acc@0.5"]
        return (
            f"{before['acc@0.5']:.1%} to {after['acc@0.5']:.1%} "
            f"({change['mean']:+.3f}, 95 % interval {change['low']:+.3f} to {change['high']:+.3f})"
        )

    others = schedule["steps"] * schedule["batch_size"] // schedule["group_size"]
    return [
        f"SFT learns from {settings['explained']:,} scenes with reasoning; GRPO continues on {others:,} others, "
        f"of which it knows only the boxes.",
        f"On {settings['held_out']:,} held-out scenes, greedy answers with an IoU of at least 0.5 go from "
        f"{told('greedy')}, sampled ones from {told('sampled')}.",
        f"GRPO finds {changed['gained']:,} targets that SFT missed and loses {changed['lost']:,} that SFT had found.",
    ]


def _gallery(answers: dict[str, Any], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The first scenes that GRPO gained and lost. If they are few, others fill the rows."""
    changed, most = _changed(answers), sum(GALLERY.values())
    shown = [(kind, pair) for kind, count in GALLERY.items() for pair in changed[kind][:count]]
    shown += [("kept", pair) for pair in changed["kept"][: most - len(shown)]]
    cards = []
    for kind, (before, after) in shown:
        scene = generate_scene(before["seed"], settings["level"])
        boxes = [(before["target"], TRUE), (before["box"], COLOURS["sft"]), (after["box"], COLOURS["grpo"])]
        cards.append(
            {
                "kind": kind,
                "query": scene.query,
                "picture": _picture(scene, boxes, before["width"]),
                "sft": before["iou"],
                "grpo": after["iou"],
                "completion": after["completion"],
            }
        )
    return cards


def _groups(answers: dict[str, Any], settings: dict[str, Any]) -> list[dict[str, Any]]:
    """The same scenes' groups under both policies, with m, v and the weight."""
    size = settings["grpo"]["group_size"]
    cards = []
    for stage in ("sft", "grpo"):
        lines = answers[stage]["groups"]
        scenes = len(lines) // size  # generated scene by scene, size times over
        for i in range(scenes):
            group = lines[i::scenes]
            ious = torch.tensor([line["iou"] for line in group])
            mean, var = group_statistics(ious)
            scene = generate_scene(group[0]["seed"], settings["level"])
            boxes = [(group[0]["target"], TRUE)] + [(line["box"], shade(line["iou"])) for line in group]
            cards.append(
                {
                    "stage": stage,
                    "query": scene.query,
                    "picture": _picture(scene, boxes, group[0]["width"]),
                    "mean": mean.item(),
                    "var": var.item(),
                    "weight": consistency_weight(ious).item(),
                }
            )
    return cards


def _picture(scene: Scene, boxes: list[tuple[list[float] | None, str]], size: float) -> Image.Image:
    image = draw_scene(scene, PICTURE)
    draw = ImageDraw.Draw(image)
    for box, colour in boxes:
        if box is not None:
            x1, y1, x2, y2 = (v * PICTURE / size for v in box)
            draw.rectangle((min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)), outline=colour, width=2)
    return image


def _sheet(cards: list[dict[str, Any]], columns: int = 4, margin: int = 6, line: int = 22) -> Image.Image:
    """The cards' pictures with their questions, as one picture."""
    width, height = PICTURE + margin, PICTURE + line + margin
    sheet = Image.new("RGB", (columns * width + margin, -(-len(cards) // columns) * height + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for i, card in enumerate(cards):
        x, y = margin + i % columns * width, margin + i // columns * height
        sheet.paste(card["picture"], (x, y))
        line_below = f"{card['query']}: IoU {card['sft']:.2f} to {card['grpo']:.2f}"
        draw.text((x + 2, y + PICTURE + 3), line_below, fill="#1d2733", font_size=15)
    return sheet


def reward_cost(out: Path) -> dict[str, float]:
    """Milliseconds of a GRPO step and of its rewards, gathering and weights, and the `share` of these three in it.

    Empty for GRPO without the weight, which does not log them.
    """
    history = json.loads((out / "grpo" / "history.json").read_text())
    parts = {part: f"rsreward/{part}_time" for part in ("rewards", "gather", "weight")}
    names = parts | {"step": "step_time"}
    entries = [entry for entry in history if all(name in entry for name in names.values())]
    if not entries:
        return {}
    cost = {part: 1e3 * mean(float(entry[name]) for entry in entries) for part, name in names.items()}
    return cost | {"share": sum(cost[part] for part in parts) / cost["step"]}


def _curves(out: Path, settings: dict[str, Any]) -> str:
    """The training curves that this run has, as one picture."""
    box_reward = REWARDS[settings["reward"]].__name__
    panels = {
        "SFT loss": ("sft", "loss"),
        "reward": ("grpo", "reward"),
        "IoU of rollouts": ("grpo", f"{box_reward}/iou"),
        "format reward": ("grpo", "rewards/format_reward/mean"),
        "mean weight": ("grpo", "consistency/weight_mean"),
        "variance of IoU in a group": ("grpo", "consistency/iou_var"),
    }
    if settings["weight"] == "normalized":
        del panels["mean weight"]  # it is 1 at every step
    history = {stage: json.loads((out / stage / "history.json").read_text()) for stage in ("sft", "grpo")}
    points = {
        title: [(entry["step"], float(entry[key])) for entry in history[stage] if key in entry]
        for title, (stage, key) in panels.items()
    }
    points = {title: series for title, series in points.items() if series}
    return curves(points, {title: f"{stage.upper()} step" for title, (stage, _) in panels.items()})
