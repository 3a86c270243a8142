"""Data sets of remote-sensing visual grounding, from their published layouts to one Parquet schema."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError
from ..files import folder_to_write, not_a_file, write_whole
from .example import SPLITS, Example, Flaw, LayoutError, inside, read_examples, write_examples
from .layouts.refer import load_refer
from .layouts.tables import load_geopix, load_lines
from .layouts.voc import load_voc
from .layouts.vrsbench import load_vrsbench

SHOWN = 200


@dataclass(frozen=True)
class Source:
    """A published data set.

    Attributes:
        loader: reads its layout.
        home: where its download is described; fetching it, and its licence, are the user's.
        layout: what the root folder must hold.
        counts: the published number of examples by split.
    """

    loader: Callable[[Path, str], Iterator[Example | Flaw]]
    home: str
    layout: str
    counts: dict[str, int]


_VOC = "Annotations/*.xml, {}/, train.txt, val.txt, test.txt"
_GEOPIX = "https://huggingface.co/datasets/Norman-ou/GeoPixInstruct-Anno"
DATASETS = {
    "dior_rsvg": Source(
        load_voc, "https://github.com/ZhanYang-nwpu/RSVG-pytorch", _VOC.format("JPEGImages"),
        {"train": 26_991, "val": 3_829, "test": 7_500},
    ),
    "opt_rsvg": Source(
        load_voc, "https://github.com/like413/OPT-RSVG", _VOC.format("Image"),
        {"train": 19_580, "val": 4_895, "test": 24_477},
    ),
    "vrsbench": Source(
        load_vrsbench, "https://huggingface.co/datasets/xiang709/VRSBench",
        "Annotations_train/*.json, Annotations_val/*.json, Images_train/, Images_val/", {"test": 16_159},
    ),
    "rrsis_d": Source(
        load_refer, "https://github.com/Lsan2401/RMSIN",
        "rrsisd/refs(unc).p, rrsisd/instances.json, images/rrsisd/JPEGImages/", {"all": 17_402},
    ),
    "rsvg_hr": Source(load_lines, "https://github.com/LANMNG/LQVG", "train.txt, val.txt, test.txt, images/", {}),
    "fast_t": Source(load_geopix, _GEOPIX, "data/*.FAST_T-*.parquet, and the images by image_path", {}),
    "sota_t": Source(load_geopix, _GEOPIX, "data/*.SOTA_T-*.parquet, and the images by image_path", {}),
}  # fmt: skip


def load(name: str, root: Path) -> Iterator[Example | Flaw]:
    """The examples of a data set in a fixed order, and between them what is wrong in its files.

    Raises:
        InputError: if the data set is unknown, its folder is not there, or its files are not of its layout.
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: use one of {', '.join(DATASETS)}.")
    source = DATASETS[name]
    if not root.is_dir():
        raise InputError(f"there is no folder {root}: download {name} as {source.home} says, into {source.layout}.")
    return _read(source, root, name)


def _read(source: Source, root: Path, name: str) -> Iterator[Example | Flaw]:
    try:
        yield from source.loader(root, name)
    except LayoutError as error:
        raise InputError(f"{error} in {root}, which should hold {source.layout}, as {source.home} says.") from None


def prepare(
    name: str, root: Path, out: Path, *, progress: Callable[[int], None] = lambda count: None
) -> dict[str, Any]:
    """Write `train.parquet`, `val.parquet` and `test.parquet` of a data set, and `report.json`.

    Returns:
        What `report.json` holds: examples by split, next to the published counts where they differ; images without a
        file; flaws, repaired and dropped, of which the first are listed.
    """
    not_a_file("--out", out)
    splits: dict[str, list[Example]] = {}
    flaws: list[Flaw] = []
    for count, item in enumerate(load(name, root)):
        if isinstance(item, Flaw):
            flaws.append(item)
        else:
            splits.setdefault(item.split, []).append(item)
        progress(count)
    if not splits:
        raise InputError(f"{root} holds no example of {name}: it should hold {DATASETS[name].layout}.")
    counts = {split: len(examples) for split, examples in splits.items()}
    published = DATASETS[name].counts
    found = counts | {"all": sum(counts.values())}
    images = sorted({example.image for examples in splits.values() for example in examples})
    absent = [image for image in images if not inside(root, image).is_file()]
    report = {
        "dataset": name,
        "root": str(root),
        "order": "annotation files in sorted order of their names",
        "examples": counts,
        "differs_from_published": {s: [found.get(s, 0), n] for s, n in published.items() if found.get(s, 0) != n},
        "images": len(images),
        "images_without_file": len(absent),
        "repaired": sum(flaw.repaired for flaw in flaws),
        "dropped": sum(not flaw.repaired for flaw in flaws),
        "first_images_without_file": absent[:SHOWN],
        "first_flaws": [f"{flaw.where}: {flaw.what}{'' if flaw.repaired else ' (dropped)'}" for flaw in flaws[:SHOWN]],
    }
    folder_to_write("--out", out)
    for split in SPLITS:
        (out / f"{split}.parquet").unlink(missing_ok=True)  # of another data set
    for split, examples in splits.items():
        write_examples(out / f"{split}.parquet", examples)
    write_whole(out / "report.json", json.dumps(report, indent=1) + "\n")
    return report


def photograph(image: str) -> str:
    """What names the photograph that an image or a patch of one was made from.

    >>> photograph("JPEGImages/05863.jpg"), photograph("Images_val/05863_0000.png")
    ('05863', '05863')
    """
    return re.sub(r"_\d{4}$|__.*$", "", PurePosixPath(image).stem)


def shared_photographs(first: Path, second: Path) -> Counter[str]:
    """Photographs that two Parquet files share, by name, with the number of examples of the second that use each.

    Training on one and testing on the other leaks. DIOR-RSVG and VRSBench share some.
    """
    known = {photograph(example.image) for example in read_examples(first)}
    return Counter(p for example in read_examples(second) if (p := photograph(example.image)) in known)
