"""What an image is: upright, 8 bits, whole, and below its root."""

import base64
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image
from refusals import refused
from rsreward_tools.data.example import Example, inside, write_examples
from rsreward_tools.data.images import chat, check_image, image_bytes, image_size, open_image, to_8_bits
from rsreward_tools.data.verl_rows import verl_row, verl_rows
from rsreward_tools.errors import InputError

ON_ITS_SIDE = 6  # the EXIF orientation of a camera that is held upright: to be turned clockwise
SCENE = np.random.default_rng(0).integers(200, 4096, (60, 80)).astype(np.uint16)


def png(width, height, depth, kind, rows=b""):
    """A PNG by its specification, of sizes and depths that Pillow does not write."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def saved(path, values, orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(values).save(path, exif=exif)
    return path


def sent(path):
    """The image that a server gets."""
    url = chat(path, "where?")[0]["content"][0]["image_url"]["url"]
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


@pytest.mark.parametrize(
    ("dtype", "suffix"), [(np.uint16, ".png"), (np.uint16, ".tif"), (np.int32, ".tif"), (np.float32, ".tif")]
)
def test_a_scene_of_12_bits_is_stretched_between_its_2nd_and_98th_percentile(tmp_path, dtype, suffix):
    path = saved(tmp_path / f"scene{suffix}", SCENE.astype(dtype))
    ordered = np.sort(SCENE, axis=None)
    low, high = ordered[round(0.02 * ordered.size)], ordered[round(0.98 * ordered.size)]
    seen = np.asarray(open_image(path)).astype(float)
    expected = np.clip((SCENE.astype(float) - low) / (float(high) - low), 0, 1) * 255
    assert np.abs(seen - expected[..., None]).max() < 2
    assert 100 < seen.mean() < 155
    assert np.array_equal(sent(path), seen)


def test_the_stretch_of_odd_values():
    assert to_8_bits(np.full((2, 2), 7.0)).tolist() == [[0, 0], [0, 0]]
    assert to_8_bits(np.array([np.nan, 0.0, 1.0, np.inf])).tolist() == [0, 0, 255, 0]
    assert to_8_bits(np.array([np.nan])).tolist() == [0]
    rare = np.zeros(1000)
    rare[3] = 9.0
    assert to_8_bits(rare)[3] == 255


@pytest.mark.parametrize(
    ("mode", "suffix", "seen_as"),
    [
        ("1", ".png", None), ("L", ".png", 76), ("LA", ".png", 76), ("P", ".png", (255, 0, 0)),
        ("RGBA", ".png", (255, 0, 0)), ("CMYK", ".tif", (255, 0, 0)), ("YCbCr", ".jpg", (255, 0, 0)),
    ],
)  # fmt: skip
def test_other_kinds_of_image_become_rgb(tmp_path, mode, suffix, seen_as):
    path = tmp_path / f"image{suffix}"
    Image.new("RGB", (20, 10), (255, 0, 0)).convert(mode).save(path)
    seen = open_image(path)
    assert (seen.mode, seen.size) == ("RGB", (20, 10))
    if seen_as is not None:
        assert np.abs(np.asarray(seen).astype(int) - seen_as).max() <= 1
    else:
        assert set(np.unique(np.asarray(seen))) == {0, 255}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_seen_as_its_exif_says_everywhere(tmp_path, orientation):
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[:10, :10] = 255
    path = saved(tmp_path / "image.png", stored, orientation)
    upright = {
        1: stored, 2: stored[:, ::-1], 3: stored[::-1, ::-1], 4: stored[::-1], 5: stored.transpose(1, 0, 2),
        6: np.rot90(stored, -1), 7: stored[::-1, ::-1].transpose(1, 0, 2), 8: np.rot90(stored),
    }[orientation]  # fmt: skip
    assert np.array_equal(np.asarray(open_image(path)), upright)
    assert image_size(path) == (upright.shape[1], upright.shape[0])
    assert np.array_equal(sent(path), upright)
    row = verl_row(path, "a", [1, 2, 3, 4], data_source="a", split="val", index=0, embed=True)
    embedded = np.asarray(Image.open(io.BytesIO(row["images"][0]["bytes"])))
    assert np.array_equal(embedded, upright)
    assert (row["extra_info"]["width"], row["extra_info"]["height"]) == image_size(path)


def test_a_plain_file_is_sent_as_it_is(tmp_path):
    Image.fromarray(SCENE.astype(np.uint8)).save(tmp_path / "a.png", "JPEG")
    assert image_bytes(tmp_path / "a.png") == ((tmp_path / "a.png").read_bytes(), "JPEG")
    assert chat(tmp_path / "a.png", "x")[0]["content"][0]["image_url"]["url"].startswith("data:image/jpeg;base64,")


def refusable(tmp_path):
    """Images that are refused, by what is said of them."""
    whole = saved(tmp_path / "whole.jpg", np.zeros((600, 600, 3), np.uint8)).read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    saved(tmp_path / "cut.png", SCENE.astype(np.uint8))
    os.truncate(tmp_path / "cut.png", 3000)
    (tmp_path / "huge.png").write_bytes(png(30_000, 30_000, 8, 0))
    (tmp_path / "deep.png").write_bytes(png(4, 3, 16, 2, bytes(3 * 25)))
    (tmp_path / "passwd.png").write_text("root:x:0:0:root:/root:/bin/bash")
    os.mkfifo(tmp_path / "pipe.png")
    saved(tmp_path / "side.tif", SCENE.astype(np.uint8), ON_ITS_SIDE)
    return {
        "cut.jpg": "truncated", "cut.png": "truncated", "huge.png": "has more than 178,956,970 pixels: cut it into",
        "deep.png": "colours of 16 bits", "passwd.png": "cannot be read", "pipe.png": "is a device, a pipe or a socket",
        "side.tif": "lies on its side", "none.png": "there is no image",
    }  # fmt: skip


def test_what_cannot_be_shown_is_refused_in_a_sentence(tmp_path):
    for name, said in refusable(tmp_path).items():
        for use in (open_image, image_bytes, lambda path: chat(path, "where?")):
            with pytest.raises(InputError, match=said):
                use(tmp_path / name)
    for name in ("cut.jpg", "cut.png"):
        with pytest.raises(InputError, match="truncated"):
            check_image(tmp_path / name)
    with pytest.raises(InputError, match="more than 8 bits a value: embed it"):
        check_image(saved(tmp_path / "a.png", SCENE))


def test_the_commands_say_it_in_one_line_and_leave_no_file(tmp_path, monkeypatch, capsys):
    for name, said in refusable(tmp_path).items():
        example = Example(name, 600, 600, "a ship", [[1, 2, 3, 4]], None, None, None, "train", "a", "0")
        write_examples(tmp_path / "table.parquet", [example])
        for more in ([], ["--paths"]):
            if name == "deep.png" and more:
                said = "more than 8 bits"
            arguments = ["verl", "table.parquet", "--images", ".", "--out", "rows.parquet", *more]
            assert said in refused(monkeypatch, capsys, tmp_path, "data", *arguments)
        assert not list(tmp_path.glob("rows.parquet*"))


def test_a_table_that_speaks_of_another_size_than_the_image_is_refused(tmp_path):
    saved(tmp_path / "a.png", SCENE.astype(np.uint8))
    example = Example("a.png", 800, 800, "a ship", [[1, 2, 3, 4]], None, None, None, "train", "a", "0")
    with pytest.raises(InputError, match=r"a\.png is 80 x 60, and the table says 800 x 800"):
        list(verl_rows([example], tmp_path))


def test_a_link_does_not_lead_out_of_the_root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    saved(tmp_path / "secret.png", SCENE.astype(np.uint8))
    saved(root / "a.png", SCENE.astype(np.uint8))
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "folder").symlink_to(tmp_path)
    (root / "within.png").symlink_to(root / "a.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    (tmp_path / "also").symlink_to(root)
    for name in ("out.png", "folder/secret.png"):
        with pytest.raises(InputError, match=r"leads out of .* by a link"):
            inside(root, name)
    assert open_image(inside(root, "within.png")).size == (80, 60)
    assert inside(tmp_path / "also", "a.png").exists()
    with pytest.raises(InputError):
        open_image(inside(root, "loop.png"))


@pytest.mark.parametrize("name", ["a\0b.png", "\ud800.png", "9" * 300, "a/" * 2100 + "b"])
def test_what_cannot_be_a_name_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="cannot be the name of a file"):
        inside(tmp_path, name)
