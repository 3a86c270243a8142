import pytest
import torch

from rsreward import corners, format_reward, oriented_iou, parse_box_sets, parse_boxes
from rsreward.coordinates import Space


def test_parse_boxes_selects():
    texts = ["[[1, 2, 3, 4], [5, 6, 7, 8]]", "[1, 2, 3, 4]", "none", "[1, 2, 3, 4, 90]"]
    first, last, only = (parse_boxes(texts, select=s).nan_to_num(-1).tolist() for s in ("first", "last", "only"))
    missing = [-1.0] * 4
    assert first == [[1, 2, 3, 4], [1, 2, 3, 4], missing, missing]
    assert last == [[5, 6, 7, 8], [1, 2, 3, 4], missing, missing]
    assert only == [missing, [1, 2, 3, 4], missing, missing]


def test_parse_boxes_converts_row_by_row():
    boxes = parse_boxes(["[0, 0, 500, 500]"] * 2, space="qwen3-vl", width=[100, 200], height=[10, 20])
    assert boxes.tolist() == [[0, 0, 50, 5], [0, 0, 100, 10]]


def test_no_completions_give_no_boxes():
    assert parse_boxes([]).shape == (0, 4)
    assert parse_boxes([], space="qwen2.5-vl", width=[], height=[]).dtype == torch.float32


def test_unknown_names_are_named():
    with pytest.raises(ValueError, match="'best'"):
        parse_boxes([], select="best")
    with pytest.raises(ValueError, match=r"'metres'.*pixel"):
        parse_boxes([], space="metres")
    with pytest.raises(ValueError, match="width and height"):
        parse_boxes(["[1, 2, 3, 4]"], space="qwen3-vl")


@pytest.mark.parametrize("read", [parse_boxes, parse_box_sets, format_reward])
def test_what_is_no_list_of_texts_is_named(read):
    with pytest.raises(TypeError, match="got one text: put it into a list"):
        read("<answer>[1, 2, 3, 4]</answer>")
    with pytest.raises(TypeError, match="row 1 is a NoneType"):
        read(["[1, 2, 3, 4]", None])
    with pytest.raises(TypeError, match=r"row 0 is a list; .*rsreward_trl.completion_text"):
        read([[{"role": "assistant", "content": "[1, 2, 3, 4]"}]])


def test_oriented_answers_of_five_eight_and_four_numbers():
    texts = ["[[10, 20, 30, 30, 90]]", "[10, 20, 30, 20, 30, 30, 10, 30]", "[10, 20, 30, 30]", "(1, 2)"]
    boxes = parse_boxes(texts, kind="oriented")
    assert boxes[0].tolist() == pytest.approx([20, 25, 20, 10, torch.pi / 2])
    assert boxes[1].tolist() == pytest.approx([20, 25, 20, 10, 0])
    assert boxes[2].tolist() == pytest.approx([20, 25, 20, 10, 0])
    assert boxes[3].isnan().all()


def test_all_boxes_of_every_answer():
    texts = ["[[0, 0, 500, 500], [0, 0, 250, 500]]", "none", "[0, 0, 1000, 1000]"]
    sets = parse_box_sets(texts, space="qwen3-vl", width=[100, 50, 10], height=[100, 50, 20])
    assert [boxes.tolist() for boxes in sets] == [[[0, 0, 50, 50], [0, 0, 25, 50]], [], [[0, 0, 10, 20]]]
    assert parse_box_sets([]) == []
    with pytest.raises(ValueError, match="3 images, got 1"):
        parse_box_sets(texts, space="qwen3-vl", width=[1], height=[1])
    with pytest.raises(ValueError, match="'round'"):
        parse_boxes(texts, kind="round")


def test_quads_are_scaled_before_they_become_boxes():
    size = {"space": "norm1000", "width": 2000, "height": 1000}
    upright = parse_boxes(["[100, 100, 200, 100, 200, 500, 100, 500]"], kind="oriented", **size)
    assert oriented_iou(upright, torch.tensor([300.0, 300, 200, 400, 0])).item() == pytest.approx(1, abs=1e-5)
    box = torch.tensor([600.0, 400, 400, 100, 0.6])
    written = [round(v, 3) for v in (corners(box) / torch.tensor([2.0, 1.0])).flatten().tolist()]
    assert oriented_iou(parse_boxes([str(written)], kind="oriented", **size)[0], box).item() > 0.999


@pytest.mark.parametrize(
    ("space", "text", "tip"),
    [
        ("norm100", "[40, 40, 60, 60, 0]", (60, 60)),
        ("norm100", "[[30, 40, 70, 60, 30]]", (50 + 20 * 0.866 - 10 * 0.5, 50 + 20 * 0.5 + 10 * 0.866)),
        ("geochat", "{<30><40><70><60>|<30>}", (50 + 20 * 0.866 + 10 * 0.5, 50 - 20 * 0.5 + 10 * 0.866)),
        ("earthdial", "[[30, 40, 70, 60, 30]]", (50 + 20 * 0.866 + 10 * 0.5, 50 - 20 * 0.5 + 10 * 0.866)),
        (
            Space("own", scale=100, five="le90"),
            "[50, 50, 40, 20, 30]",
            (50 + 20 * 0.866 - 10 * 0.5, 50 + 20 * 0.5 + 10 * 0.866),
        ),
    ],
)
def test_where_the_lower_right_corner_comes_to_lie(space, text, tip):
    box = parse_boxes([text], kind="oriented", space=space, width=100, height=100)
    assert corners(box)[0, 2].tolist() == pytest.approx(tip, abs=1e-2)


def test_a_box_is_turned_in_pixels_not_in_the_space():
    box = parse_boxes(["{<40><40><60><60>|<90>}"], kind="oriented", space="geochat", width=1000, height=100)
    assert box[0, 2:4].tolist() == pytest.approx([200, 20])
    assert corners(box)[0].amax(0).tolist() == pytest.approx([510, 150])


def test_four_numbers_are_corners_in_every_space():
    box = parse_boxes(
        ["[30, 40, 70, 60]"], kind="oriented", space=Space("own", scale=100, five="le90"), width=100, height=100
    )
    assert box[0].tolist() == pytest.approx([50, 50, 40, 20, 0])
