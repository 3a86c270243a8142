"""Data sets of remote-sensing visual grounding, from their published layouts to one Parquet schema."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import InputError
from .checks import checked
from .example import Example, Flaw, LayoutError, Record, read_examples
from .layouts.refer import load_refer
from .layouts.tables import load_geopix, load_lines
from .layouts.voc import load_voc
from .layouts.vrsbench import load_vrsbench
from .report import Report, check_out, sort_out, write_tables


@dataclass(frozen=True)
class Source:
    """A published data set.

    Attributes:
        loader: reads its layout.
        home: where its download is described. Users fetch it themselves, under its licence.
        layout: what the root folder must hold.
        counts: the published number of examples by split.
    """

    loader: Callable[[Path, str], Iterator[Record | Flaw]]
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
    """The examples of a data set in a fixed order, and between them the flaws of its files.

    Raises:
        InputError: if the data set is unknown, its folder does not exist, or its files have another layout.
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}: use one of {', '.join(DATASETS)}.")
    source = DATASETS[name]
    if not root.is_dir():
        raise InputError(f"there is no folder {root}: download {name} as {source.home} says, into {source.layout}.")
    return _read(source, root, name)


def _read(source: Source, root: Path, name: str) -> Iterator[Example | Flaw]:
    try:
        yield from checked(source.loader(root, name), root, name)
    except LayoutError as error:
        raise InputError(f"{error} in {root}, which should hold {source.layout}, as {source.home} says.") from None


def prepare(name: str, root: Path, out: Path, *, progress: Callable[[int], None] = lambda count: None) -> Report:
    """Write `train.parquet`, `val.parquet` and `test.parquet` of a data set, and `report.json`.

    Returns:
        The content of `report.json`: examples by split, with the published counts where they differ; images without a
        file; how many flaws were repaired and dropped, and the first of them.
    """
    check_out(out)
    items = load(name, root)
    order, layout = "annotation files in sorted order of their names", DATASETS[name].layout
    examples, report = sort_out(items, root, {"dataset": name, "root": str(root), "order": order}, progress)
    if not examples:
        raise InputError(f"{root} holds no example of {name}: it should hold {layout}.")
    found = report["examples"] | {"all": len(examples)}
    published = DATASETS[name].counts
    differs = {split: [found.get(split, 0), n] for split, n in published.items() if found.get(split, 0) != n}
    write_tables(out, examples, report | {"differs_from_published": differs})
    return report | {"differs_from_published": differs}


def photograph(image: str) -> str:
    """The name of the photograph that an image, or a patch of one, was made from.

    >>> photograph("JPEGImages/05863.jpg"), photograph("Images_val/05863_0000.png")
    ('05863', '05863')
    """
    return re.sub(r"_\d{4}$|__.*$", "", PurePosixPath(image).stem)


def shared_photographs(first: Path, second: Path) -> Counter[str]:
    """Photographs that two Parquet files share, by name, with the number of examples of the second file for each.

    To train on one and test on the other is a leak. DIOR-RSVG and VRSBench share some photographs.
    """
    known = {photograph(example.image) for example in read_examples(first)}
    return Counter(p for example in read_examples(second) if (p := photograph(example.image)) in known)
