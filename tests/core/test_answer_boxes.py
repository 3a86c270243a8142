import pytest
import torch

from rsreward import corners, format_reward, oriented_iou, parse_answer, parse_box_sets, parse_boxes, set_reward
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
def test_what_is_not_a_list_of_texts_is_named(read):
    with pytest.raises(TypeError, match="got one text: put it into a list"):
        read("<answer>[1, 2, 3, 4]</answer>")
    with pytest.raises(TypeError, match="row 1 is a NoneType"):
        read(["[1, 2, 3, 4]", None])
    with pytest.raises(TypeError, match=r"row 0 is a list; .*rsreward.answers.completion_text"):
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


ANTICLOCKWISE = Space("own", scale=100, five="corners-ccw")


@pytest.mark.parametrize(
    ("space", "text", "tip"),
    [
        ("norm100", "[40, 40, 60, 60, 0]", (60, 60)),
        ("norm100", "[[30, 40, 70, 60, 30]]", (50 + 20 * 0.866 - 10 * 0.5, 50 + 20 * 0.5 + 10 * 0.866)),
        (ANTICLOCKWISE, "{<30><40><70><60>|<30>}", (50 + 20 * 0.866 + 10 * 0.5, 50 - 20 * 0.5 + 10 * 0.866)),
        (ANTICLOCKWISE, "[[30, 40, 70, 60, 30]]", (50 + 20 * 0.866 + 10 * 0.5, 50 - 20 * 0.5 + 10 * 0.866)),
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


def test_answers_that_are_read_already_give_the_same_boxes():
    texts = ["<think>a</think>[[1, 2, 3, 4], [5, 6, 7, 8]]", "none", "Sorry.", "{<9><4><11><5>|<40>}"]
    read = [parse_answer(text) for text in texts]
    size = {"space": "norm100", "width": 200, "height": 100}
    for kind in ("horizontal", "oriented"):
        for select in ("first", "last", "only"):
            expected = parse_boxes(texts, kind=kind, select=select, **size)
            assert torch.equal(
                parse_boxes(read, kind=kind, select=select, **size).nan_to_num(-1), expected.nan_to_num(-1)
            )
        for ours, theirs in zip(parse_box_sets(read, kind=kind), parse_box_sets(texts, kind=kind), strict=True):
            assert torch.equal(ours.nan_to_num(-1), theirs.nan_to_num(-1))


def test_a_thought_that_the_template_opened_holds_no_box():
    texts = ["it may be [1, 2, 3, 4]", "it may be [1, 2, 3, 4]</think>[5, 6, 7, 8]"]
    assert parse_boxes(texts, think_in_prompt=True).nan_to_num(-1).tolist() == [[-1] * 4, [5, 6, 7, 8]]
    missing, read = parse_box_sets(texts, think_in_prompt=True)
    assert missing.isnan().all()
    assert read.tolist() == [[5, 6, 7, 8]]


COARSE_THEN_TURNED = '{"horizontal_bbox": [10, 20, 30, 40], "oriented_bbox": [[12, 22], [28, 22], [28, 38], [12, 38]]}'


def test_of_two_kinds_of_boxes_the_one_asked_for_is_taken():
    text = "[10, 20, 30, 40] {<50><50><90><90>|<45>}"
    assert parse_boxes([text]).tolist() == [[10, 20, 30, 40]]
    assert parse_boxes([text], kind="oriented")[0].tolist() == pytest.approx([70, 70, 40, 40, torch.pi / 4])
    for kind in ("horizontal", "oriented"):
        assert parse_boxes([text], kind=kind, select="only").isnan().all()  # two boxes


@pytest.mark.parametrize("select", ["first", "last", "only"])
def test_a_coarse_box_and_then_the_turned_one_are_one_object(select):
    turned = parse_boxes([COARSE_THEN_TURNED], kind="oriented", select=select)
    assert turned[0].tolist() == pytest.approx([20, 30, 16, 16, 0])
    assert parse_boxes([COARSE_THEN_TURNED], select=select).tolist() == [[10, 20, 30, 40]]


def test_a_turned_box_at_angle_0_is_a_horizontal_one():
    size = {"width": 512, "height": 512}
    box = parse_boxes(["{<10><20><30><40>|<0>}"], space="geochat", **size)
    assert box[0].tolist() == pytest.approx([51.2, 102.4, 153.6, 204.8])
    centre = Space("own", scale=100, five="le90")
    assert parse_boxes(["[20, 30, 20, 20, 180]"], space=centre, **size)[0].tolist() == pytest.approx(box[0].tolist())
    assert parse_boxes(["{<10><20><30><40>|<90>}"], space="geochat", **size).isnan().all()


def test_corners_out_of_order_are_the_same_box():
    texts = ["[1, 1, 9, 9, 9, 1, 1, 9]", "[1, 1, 9, 1, 9, 9, 1, 9]", "[1, 1, 9, 1, 1, 9, 9, 9]"]
    boxes = parse_boxes(texts, kind="oriented")
    assert oriented_iou(boxes, boxes[1].expand(3, 5)).tolist() == pytest.approx([1, 1, 1])


def test_a_right_angle_is_exact_enough_for_a_tie():
    pred = parse_boxes(["[[26, 87, 30, 91, 90]]"], kind="oriented", space="norm100", width=100, height=100)
    assert pred.dtype == torch.float64
    assert oriented_iou(pred, torch.tensor([[28, 87.5, 4, 5, 0]])).item() >= 0.5


@pytest.mark.parametrize(
    ("text", "reward"),
    [("[]", 1), ("None", 1), ("<think>a</think><answer></answer>", 1), ("[0, 0, 0, 0]", 1), ("[10, 10, 50, 50]", 0),
     ("<think>no", 0), ("Sorry, I cannot help.", 0), ("(5, 6)", 0), ("{<1><2><3><4>|<5>}", 0)],
)  # fmt: skip
def test_only_the_answer_that_there_is_nothing_is_right_where_there_is_nothing(text, reward):
    assert set_reward(parse_box_sets([text]), [torch.empty(0, 4)]) == reward
    assert set_reward(parse_box_sets([text]), [torch.tensor([[60.0, 60, 70, 70]])]) < 0.1


def test_names_of_keys_say_which_is_x_whatever_the_order_of_the_space():
    y_first = Space("own", scale=10, order="yx")
    texts = ['{"ymin": 2, "xmin": 1, "ymax": 4, "xmax": 3}', "[2, 1, 4, 3]", "<loc0002><loc0001><loc0004><loc0003>"]
    boxes = parse_boxes(texts, space=y_first, width=100, height=10)
    assert boxes.tolist() == [[10, 2, 30, 4]] * 3
