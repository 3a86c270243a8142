"""Synthetic scenes written as the data sets are published."""

import json
import pickle
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from rsreward_qwen_vl.model.processors import save_processor
from rsreward_qwen_vl.model.tiny import build_model, build_processor, train_tokenizer
from rsreward_tools.data.prompts import TEMPLATE, instruction
from rsreward_tools.data.scenes import Scene, draw_scene, generate_scene
from rsreward_tools.data.scenes.explained import explained

SCENES = [generate_scene(seed, 2) for seed in range(4)]
SPLITS = ("train", "train", "val", "test")
SIDE = 128


def _image(scene: Scene, path: Path, side: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_scene(scene, SIDE).resize((side, side)).save(path)


def write_voc(root: Path, images: str = "JPEGImages") -> None:
    (root / "Annotations").mkdir(parents=True)
    numbers: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for number, (scene, split) in enumerate(zip(SCENES, SPLITS, strict=True)):
        x1, y1, x2, y2 = scene.box(800)
        _image(scene, root / images / f"{number:05}.jpg", 800)
        (root / "Annotations" / f"{number:05}.xml").write_text(
            f"<annotation><filename>{number:05}.jpg</filename><size><width>800</width><height>800</height></size>"
            f"<object><name>thing</name><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax>"
            f"</bndbox><description>{scene.query}</description></object></annotation>"
        )
        numbers[split].append(number)
    for split, of in numbers.items():
        (root / f"{split}.txt").write_text("".join(f"{n}\n" for n in of))


def write_vrsbench(root: Path) -> None:
    for number, (scene, split) in enumerate(zip(SCENES, SPLITS, strict=True)):
        part = "val" if split == "test" else "train"
        x1, y1, x2, y2 = scene.box(1)
        _image(scene, root / f"Images_{part}" / f"{number:05}_0000.png", 512)
        record = {
            "image": f"{number:05}_0000.png",
            "objects": [
                {
                    "referring_sentence": scene.query, "obj_coord": [x1, y1, x2, y2], "obj_cls": "thing",
                    "obj_corner": [x1, y1, x2, y1, x2, y2, x1, y2], "is_unique": number % 2 == 0,
                }
            ],
        }  # fmt: skip
        (root / f"Annotations_{part}").mkdir(parents=True, exist_ok=True)
        (root / f"Annotations_{part}" / f"{number:05}_0000.json").write_text(json.dumps(record))


def write_refer(root: Path) -> None:
    images, annotations, refs = [], [], []
    for number, (scene, split) in enumerate(zip(SCENES, SPLITS, strict=True)):
        x1, y1, x2, y2 = scene.box(800)
        _image(scene, root / "images/rrsisd/JPEGImages" / f"{number:05}.jpg", 800)
        images.append({"id": number, "file_name": f"{number:05}.jpg", "width": 800, "height": 800})
        annotations.append({"id": 10 + number, "bbox": [x1, y1, x2 - x1, y2 - y1], "category_id": 1})
        refs.append(
            {"ref_id": number, "image_id": number, "ann_id": 10 + number, "split": split, "category_id": 1,
             "sentences": [{"sent": scene.query, "raw": scene.query}]}
        )  # fmt: skip
    (root / "rrsisd").mkdir(parents=True)
    instances = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "thing"}]}
    (root / "rrsisd" / "instances.json").write_text(json.dumps(instances))
    (root / "rrsisd" / "refs(unc).p").write_bytes(pickle.dumps(refs, protocol=2))


def write_lines(root: Path) -> None:
    for number, (scene, split) in enumerate(zip(SCENES, SPLITS, strict=True)):
        _image(scene, root / "images" / f"{number}.jpg", 1024)
        with (root / f"{split}.txt").open("a") as file:
            file.write(f"{number}.jpg,{','.join(f'{v:.0f}' for v in scene.box(1024))},{scene.query}, seen from above\n")


def write_geopix(root: Path, subset: str) -> None:
    (root / "data").mkdir(parents=True)
    for part, wanted in (("train", ("train", "val")), ("valid", ("test",))):
        rows = []
        for number, (scene, split) in enumerate(zip(SCENES, SPLITS, strict=True)):
            if split in wanted:
                _image(scene, root / "images" / f"{number}.png", 600)
                instance = {
                    "bbox": [round(v) for v in scene.box(600)], "category": "thing", "category_id": 1,
                    "description": scene.query, "instance_id": "0", "mask": {"counts": "", "size": [600, 600]},
                }  # fmt: skip
                rows.append({"image_id": str(number), "image_path": f"images/{number}.png", "instances": [instance]})
        pq.write_table(pa.Table.from_pylist(rows), root / f"data/{part}.{subset}-00000-of-00001.parquet")


WRITERS = {
    "dior_rsvg": write_voc,
    "opt_rsvg": lambda root: write_voc(root, "Image"),
    "vrsbench": write_vrsbench,
    "rrsis_d": write_refer,
    "rsvg_hr": write_lines,
    "fast_t": lambda root: write_geopix(root, "FAST_T"),
    "sota_t": lambda root: write_geopix(root, "SOTA_T"),
}


def save_tiny(folder: Path, scenes: list[Scene], layers: int) -> None:
    """A tiny Qwen3-VL with its processor, as a model is saved; its tokenizer has seen what these scenes ask and say."""
    texts = [text for s in scenes for text in (instruction(s.query, TEMPLATE), explained(s))]
    tokenizer = train_tokenizer(texts)
    build_model(tokenizer, "qwen3-vl", 64, layers=layers).save_pretrained(folder)
    save_processor(build_processor(tokenizer, "qwen3-vl", 64), folder)
