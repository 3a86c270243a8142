"""VOC's annotations: sizes, turned boxes, encodings, entities, and the split files of DIOR-RSVG."""

import pytest
from layouts import FIRST_VOC as FIRST
from layouts import changed, write_voc
from PIL import Image
from rsreward_tools.data.example import Example, Flaw
from rsreward_tools.data.published import load
from rsreward_tools.errors import InputError
from torch import tensor

from rsreward import corners


@pytest.mark.parametrize("told", ["<width>800</width><height>800</height>", "<width>0</width><height>0</height>", ""])
def test_the_size_is_that_of_the_image(tmp_path, told):
    write_voc(tmp_path)
    changed(tmp_path, FIRST, ("<width>800</width><height>800</height>", told))
    Image.new("RGB", (1024, 600)).save(tmp_path / "JPEGImages/00000.jpg")
    items = list(load("dior_rsvg", tmp_path))
    assert {(e.width, e.height) for e in items if isinstance(e, Example) and "00000" in e.image} == {(1024, 600)}
    said = [item for item in items if isinstance(item, Flaw) and "the file counts" in item.what]
    assert len(said) == bool(told)
    for flaw in said:
        assert "JPEGImages/00000.jpg is 1024 x 600, and the annotation says" in flaw.what
        assert flaw.repaired


ROBNDBOX = "<robndbox><cx>400</cx><cy>300</cy><w>200</w><h>100</h><angle>{}</angle></robndbox>"
CORNERS = ((300, 250), (500, 250), (500, 350), (300, 350))
DIOR_R = "<robndbox>{}</robndbox>".format(
    "".join(
        f"<x_{name}>{x}</x_{name}><y_{name}>{y}</y_{name}>"
        for name, (x, y) in zip(("left_top", "right_top", "right_bottom", "left_bottom"), CORNERS, strict=True)
    )
)


@pytest.mark.parametrize(
    ("element", "hull"),
    [
        (ROBNDBOX.format(0), [300, 250, 500, 350]),
        (ROBNDBOX.format(1.5707963267948966), [350, 200, 450, 400]),
        (ROBNDBOX.format(0.5235987755982988), [288.4, 206.7, 511.6, 393.3]),
        (DIOR_R, [300, 250, 500, 350]),
    ],
)
def test_turned_boxes_of_voc(tmp_path, element, hull):
    write_voc(tmp_path)
    text = (tmp_path / FIRST).read_text()
    box = text[text.index("<bndbox>") : text.index("</bndbox>") + len("</bndbox>")]
    changed(tmp_path, FIRST, (box, element))
    [example] = [e for e in load("dior_rsvg", tmp_path) if isinstance(e, Example) and e.source_id == "0"]
    assert example.boxes[0] == pytest.approx(hull, abs=0.1)
    points = corners(tensor(example.oriented[0]))
    assert [*points.amin(0).tolist(), *points.amax(0).tolist()] == pytest.approx(hull, abs=0.1)
    if "0.52" in element:  # clockwise as one looks at it: the right end of the long side lies lower
        assert max(points.tolist())[1] > 300
    changed(tmp_path, FIRST, (element, box + element))
    [both] = [e for e in load("dior_rsvg", tmp_path) if isinstance(e, Example) and e.source_id == "0"]
    assert (both.boxes[0] != example.boxes[0], both.oriented) == (True, example.oriented)


@pytest.mark.parametrize(("declared", "written"), [("GB2312", "gbk"), ("gbk", "gbk"), ("GB18030", "gb18030")])
def test_declared_chinese_encodings_are_read(tmp_path, declared, written):
    write_voc(tmp_path)
    text = (tmp_path / FIRST).read_text()
    query = text[text.index("<description>") + 13 : text.index("</description>")]
    chinese = text.replace(query, "左边的艦船")  # the character 艦 is in GBK and not in GB 2312
    (tmp_path / FIRST).write_bytes(f'<?xml version="1.0" encoding="{declared}"?>{chinese}'.encode(written))
    assert "左边的艦船" in {e.query for e in load("dior_rsvg", tmp_path) if isinstance(e, Example)}


BOMB = "<!DOCTYPE a [<!ENTITY b 'bbbbbbbb'>{}]>".format(
    "".join(f"<!ENTITY {chr(99 + i)} '{f'&{chr(98 + i)};' * 10}'>" for i in range(9))
)


@pytest.mark.parametrize(
    "doctype",
    [BOMB, '<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>', '<!DOCTYPE a [<!ENTITY % b SYSTEM "http://x/y">%b;]>'],
)  # fmt: skip
def test_entities_are_refused(tmp_path, doctype):
    write_voc(tmp_path)
    changed(tmp_path, FIRST, ("<annotation>", f"{doctype}<annotation>"), ("<name>thing", "<name>&b;"))
    with pytest.raises(InputError, match="declares or uses the entity b, and annotations need none"):
        list(load("dior_rsvg", tmp_path))


@pytest.mark.parametrize("encoding", ["of-another", "base64", "utf-7", "utf-16"])
def test_an_encoding_that_cannot_be_read_is_told_in_a_sentence(tmp_path, encoding):
    write_voc(tmp_path)
    changed(tmp_path, FIRST, ("<annotation>", f'<?xml version="1.0" encoding="{encoding}"?><annotation>'))
    with pytest.raises(InputError, match=r"00000\.xml is not an annotation of dior_rsvg, .*encoding"):
        list(load("dior_rsvg", tmp_path))


def test_split_files_that_overlap_get_the_sentence_that_helps(tmp_path):
    write_voc(tmp_path)
    (tmp_path / "test.txt").write_text("0\n3\n1\n")
    with pytest.raises(InputError, match=r"object 0 is in train\.txt and in test\.txt, as are 2 of its 3.*first pub"):
        list(load("dior_rsvg", tmp_path))
