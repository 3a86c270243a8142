"""Real photographs: tiles of the KIT AIS aerial photographs, with questions made from the positions of vehicles.

The demo's model after its SFT learns on them by SFT with chains for few tiles and by GRPO with boxes for others. Each
of the three sequences of photographs is held out once.
"""

import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from qwen import Qwen, explained, started
from rsreward_qwen_vl.cot import SCHEMA
from rsreward_qwen_vl.scene_rows import SPACE
from rsreward_qwen_vl.trl_rows import grpo_rows, sft_rows
from rsreward_tools.data.own import prepare_own
from rsreward_tools.data.prompts import SHORT
from rsreward_tools.data.scenes import Phrase, SceneObject, resolve
from rsreward_tools.data.scenes.phrases import phrases
from tiny import SIZE, alone, evaluate, improved, load, scenes_of, trained

from rsreward import SPACES

FOLDER = "KIT_AIS"  # the environment's name for the folder of the photographs
SEQUENCES = {"avenue": r"MOS1\d\d", "crossing": r"MOS\d\d", "street": r"MunichStreet02-MOS\d\d"}
SIDES = (96, 144)  # of a tile, in pixels of the photograph: vehicles are 36 long
VEHICLES = (2, 4)  # in a tile


@dataclass(frozen=True)
class Photos:
    """A run of GRPO from the SFT of its sequence and seed, tested on a sequence that neither has seen."""

    held_out: str = "crossing"
    reward: str = "positional"
    seed: int = 0
    scenes: int = 500  # drawn scenes of the first SFT, which is that of the demo
    scene_steps: int = 900
    explained: int = 500  # tiles of the second SFT
    sft_steps: int = 400
    steps: int = 160
    tested: int = 512  # tiles of the sequence held out


def configs() -> list[Photos]:
    return [Photos(sequence, reward) for reward in ("positional", "iou") for sequence in SEQUENCES]


def quick(config: Photos) -> Photos:
    """The same at a few steps, with one sequence held out."""
    few = {"scenes": 32, "scene_steps": 10, "explained": 32, "sft_steps": 5, "steps": 2, "tested": 16}
    return replace(config, held_out="crossing", seed=0, **few)


class Vehicle(SceneObject):
    """A vehicle as it is labelled: by its upright box."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        x, y, w, h = self.cx, self.cy, self.length / 2, self.width / 2
        return x - w, y - h, x + w, y + h


Vehicles = list[SceneObject]


def run(config: Photos, models: Path) -> dict[str, Any]:
    """The measures on tiles of the sequence held out: after the demo's SFT, after that on tiles, and after GRPO."""
    data = models / f"photos-{config.held_out}-{config.seed}-{config.explained}-{config.steps}"
    with alone(data):
        if not (data / "cot.parquet").exists():
            prepare(Path(os.environ[FOLDER]), data, config)
    tested = list(grpo_rows(data / "test.parquet", data, SHORT))
    demo = Qwen("demo", seed=config.seed, explained=config.scenes, sft_steps=config.scene_steps, held_out=config.tested)
    pretrained, _ = started(demo, models)
    folder = models / f"{data.name}-{config.scene_steps}-{config.sft_steps}"

    def explained_rows() -> Any:
        return sft_rows(data / "cot.parquet", data, SHORT, SPACES[SPACE])

    before = trained(folder, partial(load, pretrained), explained_rows, config.sft_steps, tested, config.seed)
    rows = grpo_rows(data / "train.parquet", data, SHORT)
    scenes = evaluate(*load(pretrained), tested, config.seed)
    arm = {"reward": config.reward, "weight": "none"}
    return {"scenes": scenes, "before": before, **improved(folder, rows, config.steps, tested, config.seed, **arm)}


def prepare(photographs: Path, out: Path, config: Photos) -> None:
    """A data set of tiles by `rsreward data prepare own`: GRPO's, SFT's with their chains, and those of the test."""
    seen = tuple(name for name in SEQUENCES if name != config.held_out)
    draw = random.Random(f"{config.held_out} {config.seed}")  # noqa: S311
    counts = {"train": scenes_of(config.steps), "val": config.explained, "test": config.tested}
    sequences = {"train": seen, "val": seen, "test": (config.held_out,)}
    (out / "images").mkdir(exist_ok=True)
    lines, chains = [], {}
    for split, count in counts.items():
        found = tiles(photographs, sequences[split], draw)
        for number, (image, objects) in zip(range(count), found, strict=False):
            name = f"images/{split}_{number:05}.png"
            image.save(out / name)
            phrase = draw.choice(questions(objects))
            target = objects[resolve(phrase, objects) or 0]
            box = [SIZE * v for v in target.box]
            lines.append(
                {"image": name, "query": str(phrase), "bbox": box, "split": split, "category": target.category}
            )
            chains[name] = explained(phrase, objects, target)
    (out / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare_own(out / "questions.jsonl", out, out)
    rows = pq.read_table(out / "val.parquet").to_pylist()
    told = [{**row, "target": row["boxes"][0], "completion": chains[row["image"]]} for row in rows]
    pq.write_table(pa.Table.from_pylist(told, schema=SCHEMA), out / "cot.parquet")


def tiles(photographs: Path, sequences: tuple[str, ...], draw: random.Random) -> Iterator[tuple[Image.Image, Vehicles]]:
    """Tiles with a few whole vehicles and no cut one, resized, mirrored and turned, and the vehicles on them."""
    of_photograph = labels(photographs, sequences)
    opened = {name: Image.open(photographs / name).convert("RGB") for name in of_photograph}
    while True:
        name = draw.choice(list(opened))
        side = draw.randint(*SIDES)
        left, top = (draw.randint(0, length - side) for length in opened[name].size)
        objects = [
            Vehicle(
                o.category, (o.cx - left) / side, (o.cy - top) / side, o.length / side, o.width / side, 0.0, (0, 0, 0)
            )
            for o in of_photograph[name]
        ]
        seen = [o for o in objects if max(o.box[:2]) < 1 and min(o.box[2:]) > 0]
        whole = [o for o in seen if min(o.box) >= 0 and max(o.box) <= 1]
        if not VEHICLES[0] <= len(whole) == len(seen) <= VEHICLES[1]:
            continue
        tile = opened[name].crop((left, top, left + side, top + side)).resize((SIZE, SIZE))
        tile, whole = turned(tile, whole, draw.randrange(4), draw.random() < 0.5)
        if questions(whole):
            yield tile, whole


def labels(photographs: Path, sequences: tuple[str, ...]) -> dict[str, Vehicles]:
    """The vehicles of the photographs of some sequences by file name, in pixels."""
    told = json.loads((photographs / "vehicles_coco.json").read_text())
    category = {c["id"]: c["name"] for c in told["categories"]}
    wanted = [re.compile(rf"images/{SEQUENCES[name]}\.jpg") for name in sequences]
    names = {i["id"]: i["file_name"] for i in told["images"] if any(w.fullmatch(i["file_name"]) for w in wanted)}
    of_photograph: dict[str, Vehicles] = {name: [] for name in names.values()}
    for label in told["annotations"]:
        if label["image_id"] in names:
            x, y, w, h = label["bbox"]
            vehicle = Vehicle(category[label["category_id"]], x + w / 2, y + h / 2, w, h, 0.0, (0, 0, 0))
            of_photograph[names[label["image_id"]]].append(vehicle)
    return of_photograph


def turned(tile: Image.Image, objects: Vehicles, quarters: int, mirrored: bool) -> tuple[Image.Image, Vehicles]:
    """The tile and its vehicles after so many quarter turns to the left, and then mirrored or not."""
    for _ in range(quarters):
        tile = tile.transpose(Image.Transpose.ROTATE_90)
        objects = [replace(o, cx=o.cy, cy=1 - o.cx, length=o.width, width=o.length) for o in objects]
    if mirrored:
        tile = tile.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        objects = [replace(o, cx=1 - o.cx) for o in objects]
    return tile, objects


def questions(objects: Vehicles) -> list[Phrase]:
    """What can be asked of the tile: a vehicle of its class alone, or by position among others or from another."""
    found = [*phrases(objects, 0), *phrases(objects, 1)]
    return [phrase for phrase in found if phrase.relation not in ("largest", "smallest")]
