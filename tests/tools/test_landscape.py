import csv
import sys

import pyarrow.parquet as pq
import pytest
import torch
from refusals import refused
from rsreward_tools.cli.main import main
from rsreward_tools.pages.landscape import REWARDS, flat, landscape, positional_rewards, write_data, write_picture

from rsreward import positional_reward

TARGET = torch.tensor([20.0, 30.0, 36.0, 38.0])
RECTANGLE = ("--size", "64x48", "--target", "20,30,36,38")


@pytest.fixture(scope="module")
def plane():
    return landscape(TARGET, 64, 48, REWARDS | positional_rewards([1.0, 2.5], [0.1], ["center", "region"]))


@pytest.mark.parametrize("proximity", ["center", "region"])
@pytest.mark.parametrize("alpha", [1.0, 2.5])
def test_values_are_those_of_the_positional_reward(plane, alpha, proximity):
    values = plane.values[f"positional, {proximity}, alpha {alpha:g}, beta 0.1"]
    for row, column in ((0, 0), (10, 40), (30, 25), (len(plane.y) - 1, len(plane.x) - 1)):
        x, y = plane.x[column].item(), plane.y[row].item()
        box = torch.tensor([x - 8, y - 4, x + 8, y + 4])
        expected = positional_reward(box, TARGET, alpha=alpha, beta=0.1, proximity=proximity)
        assert values[row, column].item() == pytest.approx(expected.item(), abs=1e-6)


def test_the_true_place_is_a_point_of_the_grid_and_pays_most(plane):
    row, column = plane.y.tolist().index(34), plane.x.tolist().index(28)
    assert plane.values["iou"][row, column] == 1
    assert plane.values["positional, center, alpha 2.5, beta 0.1"][row, column] == pytest.approx(1.1)
    for values in plane.values.values():
        assert values.argmax().item() == row * len(plane.x) + column


def test_the_grid_covers_the_image(plane):
    for points, length in ((plane.x, 64), (plane.y, 48)):
        assert (points[0] >= 0).all()
        assert points[0] < 1
        assert length - 1 < points[-1] <= length


def test_iou_is_flat_where_boxes_of_the_true_size_do_not_touch(plane):
    apart = ((plane.x - 28).abs() > 17) | ((plane.y - 34).abs() > 9).unsqueeze(-1)
    assert flat(plane.values["iou"])[apart].all()
    assert not flat(plane.values["giou"]).any()


def test_a_picture_has_the_same_bytes_each_time(plane, tmp_path):
    for name in ("a.svg", "b.svg", "a.png"):
        write_picture(plane, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_data_hold_every_point_of_every_reward(plane, tmp_path):
    for name in ("a.csv", "a.parquet"):
        write_data(plane, tmp_path / name)
    rows = pq.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(rows) == len(plane.values) * len(plane.x) * len(plane.y)
    last = rows[-1]
    assert (last["x"], last["y"]) == (plane.x[-1], plane.y[-1])
    assert last["value"] == list(plane.values.values())[-1][-1, -1]
    with (tmp_path / "a.csv").open() as file:
        read = list(csv.DictReader(file))
    assert [row["reward"] for row in read] == [row["reward"] for row in rows]
    assert [float(row["value"]) for row in read] == pytest.approx([row["value"] for row in rows])


def test_the_command_writes_each_file_that_is_named(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    options = ("--reward", "iou", "--reward", "positional", "--alpha", "1", "--alpha", "10", "--proximity", "keypoints")
    files = ("--out", "l.png", "--out", "l.parquet")
    monkeypatch.setattr(sys, "argv", ["rsreward", "landscape", *options, *RECTANGLE, *files])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    told = capsys.readouterr().out
    assert "iou: 0.000 to 1.000, flat on" in told
    assert set(pq.read_table("l.parquet")["reward"].to_pylist()) == {
        "iou", "positional, keypoints, alpha 1, beta 0.1", "positional, keypoints, alpha 10, beta 0.1",
    }  # fmt: skip
    assert (tmp_path / "l.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--reward", "ciou"), "--reward must be one of iou, giou, diou, positional, got ciou."),
        (("--proximity", "centre"), "the proximity must be one of"),
        (("--alpha", "0"), "alpha must be positive"),
        (("--beta", "-1"), "beta must be"),
        (("--size", "800"), "--size must be 2 numbers with 'x' between them, got 800."),
        (("--size", "0x10"), "--size must be two whole numbers of pixels"),
        (("--target", "1,2,3"), "--target must be 4 numbers with ',' between them, got 1,2,3."),
        (("--target", "30,30,20,40"), "--target must be x1,y1,x2,y2 with x1 < x2"),
        (("--target", "30,30,2000,40"), "within the image"),
        (("--target", "nan,30,40,40"), "--target must be 4 numbers"),
        (("--out", "l.jpg"), "--out l.jpg must end in .png, .svg, .csv, .parquet."),
        ([word for alpha in range(1, 14) for word in ("--alpha", alpha)], "at most 12 rewards fit a picture, got 16"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_a_sentence(monkeypatch, capsys, tmp_path, options, said):
    assert said in refused(monkeypatch, capsys, tmp_path, "landscape", "--out", "l.png", *options)
    assert list(tmp_path.iterdir()) == []
