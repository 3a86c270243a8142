"""Labels without words as one's own data: COCO and DOTA."""

import pytest
from own_files import BOX, coco, prepared
from PIL import Image
from rsreward_tools.data.example import read_examples
from rsreward_tools.data.own import prepare_own
from torch import tensor

from rsreward import corners


def test_coco_asks_by_category_or_by_its_own_words(folder):
    xywh = [10, 20, 100, 100]
    annotations = [
        {"category_id": 1, "bbox": xywh},
        {"category_id": 2, "bbox": [1, 2, 3, 4]},
        {"category_id": 2, "bbox": [5, 6, 7, 8]},
        {"category_id": 1, "bbox": xywh, "caption": "the left ship"},
    ]
    examples, _ = prepared(coco(folder, annotations))
    assert [(e.query, e.boxes, e.unique) for e in examples] == [
        ("the left ship", [BOX], None),
        ("ship", [BOX], True),
        ("plane", [[1, 2, 4, 6], [5, 6, 12, 14]], False),
    ]


@pytest.mark.parametrize(
    ("wild", "said"),
    [
        ({"category_id": 9, "bbox": [1, 2, 3, 4]}, "it has no usable 9"),
        ({"category_id": 2, "bbox": [1, 2, 3]}, "has 3 numbers, not 4"),
        ({"category_id": 2, "bbox": [1, 2, float("inf"), 4]}, "not a finite number"),
        ({"category_id": 2, "bbox": [1, 2, 3, 4], "iscrowd": 1}, "is a crowd"),
        ({"category_id": 2, "bbox": [1, 2, 3, 4], "image_id": 7}, "it has no usable 7"),
        ({"category_id": [2], "bbox": [1, 2, 3, 4]}, "unhashable"),
        ({"category_id": 2}, "it has no usable 'bbox'"),
    ],
)
def test_a_wild_annotation_of_coco_is_counted(folder, wild, said):
    examples, report = prepared(coco(folder, [{"category_id": 1, "bbox": [1, 2, 3, 4]}, wild]))
    assert ([e.query for e in examples], report["dropped"]) == (["ship"], 1)
    assert said in report["first_flaws"][0]


QUAD = "20 10 40 30 30 40 10 20"  # a rectangle of 28.28 x 14.14 that is turned by 45 degrees


def test_dotas_folders_with_splits_corners_and_what_is_wrong_in_them(tmp_path):
    for split in ("train", "test"):
        (tmp_path / split / "labelTxt").mkdir(parents=True)
        (tmp_path / split / "images").mkdir()
        Image.new("RGB", (100, 80)).save(tmp_path / split / "images" / f"{split}1.png")
    head = "imagesource:GoogleEarth\ngsd:0.146\n"
    train = f"{head}{QUAD} ship 0\n1 1 9 1 9 9 1 9 plane 1\n20 20 30 20 30 30 20 30 plane 0\nbroken\nx {QUAD} 0\n"
    (tmp_path / "train/labelTxt/train1.txt").write_text(train)
    (tmp_path / "test/labelTxt/test1.txt").write_text(f"{QUAD} ship 0\n")
    (tmp_path / "test/labelTxt/gone.txt").write_text(f"{QUAD} ship 0\n")
    report = prepare_own(tmp_path, None, tmp_path / "out")
    ship, plane = read_examples(tmp_path / "out/train.parquet")
    assert (ship.image, ship.width, ship.height) == ("train/images/train1.png", 100, 80)
    assert ship.boxes == [[10, 10, 40, 40]]
    points = sorted(map(tuple, corners(tensor(ship.oriented[0])).round().tolist()))
    assert points == [(10, 20), (20, 10), (30, 40), (40, 30)]
    assert (plane.query, plane.unique, plane.boxes) == ("plane", False, [[1, 1, 9, 9], [20, 20, 30, 30]])
    assert [e.image for e in read_examples(tmp_path / "out/test.parquet")] == ["test/images/test1.png"]
    assert (report["examples"], report["dropped"]) == ({"train": 2, "test": 1}, 3)
    assert any("gone.txt: there is no image gone" in flaw for flaw in report["first_flaws"])
    flat = prepare_own(tmp_path / "train" / "labelTxt", None, tmp_path / "flat")
    assert flat["examples"] == {"train": 2}
