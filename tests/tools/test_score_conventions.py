"""`rsreward score` under the conventions that reproduce published figures."""

import json

import pytest
from rsreward_tools.errors import InputError
from rsreward_tools.score.options import Options
from rsreward_tools.score.totals import score_file
from score_files import written

BOX = [10, 10, 20, 20]
SIZED = {"width": 100, "height": 100}


def test_it_says_that_it_reproduces_published_figures(score, tmp_path):
    row = {"completion": "[11, 10, 21, 20]", "target": BOX, **SIZED}
    said = {name: score([row], "--convention", name)[2] for name in ("plain", "refgeo", "rsthinker", "lhrs_bot")}
    assert {name for name, line in said.items() if "reproduces published figures; docs/referee.md" in line} == {
        "rsthinker", "lhrs_bot",
    }  # fmt: skip


def test_repeats_count_again_and_nothing_is_missed(tmp_path):
    row = {"completion": f"[{BOX}, {BOX}, {BOX}]", "target": [BOX, [50, 50, 60, 60]]}
    found = {name: score_file(written(tmp_path, row), Options(convention=name)) for name in ("plain", "earthdial")}
    plain, earthdial = (found[name]["metrics"] for name in ("plain", "earthdial"))
    assert (plain["precision@0.5"], plain["recall@0.5"]) == (1, 0.5)  # a repeated box is one box
    assert earthdial["precision@0.5"] == 1
    assert not {"recall@0.5", "f1@0.5", "precision@0.7"} & earthdial.keys()
    far = {"completion": "[[50, 50, 60, 60], [80, 80, 90, 90]]", "target": [BOX]}
    told = score_file(written(tmp_path, row, far), Options(convention="earthdial"))["metrics"]
    assert told["precision@0.5"] == 3 / 5  # three copies of one box, against two wrong boxes


def test_an_answer_without_a_box_adds_nothing_to_precision(tmp_path):
    rows = [{"completion": text, "target": [BOX]} for text in (f"[{BOX}]", "Sorry, I cannot help.")]
    told = score_file(written(tmp_path, *rows), Options(convention="earthdial"))["metrics"]
    assert (told["precision@0.5"], told["parse_rate"]) == (1, 0.5)


def test_a_convention_of_several_boxes_is_refused_for_one(tmp_path):
    row = {"completion": str(BOX), "target": BOX}
    with pytest.raises(InputError, match="earthdial is for targets that are lists of boxes"):
        score_file(written(tmp_path, row), Options(convention="earthdial"))
    with pytest.raises(InputError, match="conventions but earthdial are for one box a row"):
        score_file(written(tmp_path, row | {"target": [BOX]}), Options(convention="rsthinker"))


def test_unreadable_answers_are_said_to_be_left_out_where_they_are(tmp_path, rsreward):
    rows = [{"completion": text, "target": BOX, **SIZED} for text in (str(BOX), "Sorry, I cannot help.")]
    file = written(tmp_path, *rows)
    plain, lhrs = (rsreward("score", file, "--convention", name).stdout for name in ("plain", "lhrs_bot"))
    assert "1 of 2 answers could not be read; they count as IoU 0." in plain
    assert "1 of 2 answers could not be read; this convention leaves them out." in lhrs
    metrics = json.loads(rsreward("score", file, "--convention", "lhrs_bot", "--json").stdout)["metrics"]
    assert (metrics["acc@0.5"], metrics["parse_rate"]) == (1, 0.5)
