import json

import pytest
from score_files import GOOD, written


def test_two_files_are_compared_pair_by_pair(tmp_path, rsreward):
    before = written(tmp_path, *[GOOD | {"completion": "none"}] * 3, *[GOOD] * 7).rename(tmp_path / "a.jsonl")
    after = written(tmp_path, *[GOOD] * 9, "{").rename(tmp_path / "b.jsonl")
    found = json.loads(rsreward("compare", before, after, "--json").stdout)
    assert (found["rows"], found["broken_rows"]) == (9, 1)
    assert (found["a"]["acc@0.5"], found["b"]["acc@0.5"]) == pytest.approx((6 / 9, 1))
    difference, low, high = found["differences"]["acc@0.5"]
    assert difference == pytest.approx(3 / 9)
    assert 0 <= low < difference < high
    table = rsreward("compare", before, after)
    assert "+0.333" in table.stdout
    assert "b.jsonl, line 10 is not JSON" in table.stderr


def test_files_of_one_name_and_one_file_in_two_spaces_are_told_apart(tmp_path, rsreward):
    for name in "ab":
        (tmp_path / name).mkdir()
    a, b = (written(tmp_path / name, GOOD | {"width": 900, "height": 900}) for name in "ab")
    for arguments in ((a, b), (a, a, "--space", "qwen3-vl", "--space", "pixel")):
        table = rsreward("compare", *arguments).stdout
        spaces = ("qwen3-vl", "pixel") if "--space" in arguments else ("pixel", "pixel")
        assert f"A: {arguments[0]}, space {spaces[0]}\n" in table
        assert f"B: {arguments[1]}, space {spaces[1]}\n" in table


def test_differences_draw_prompts_where_their_field_is_named(tmp_path, rsreward):
    prompts = [GOOD | {"prompt": f"p{i}"} for i in range(30)]
    files = {}
    for times in (1, 8):
        before = written(tmp_path, *[p | {"completion": "none"} for p in prompts[:9]] * times, *prompts[9:] * times)
        before = before.rename(tmp_path / f"before{times}.jsonl")
        after = written(tmp_path, *prompts[:9] * times, *prompts[9:] * times).rename(tmp_path / f"after{times}.jsonl")
        files[times] = before, after
    once, apart = (json.loads(rsreward("compare", *files[times], "--json").stdout)["differences"] for times in (1, 8))
    clustered = json.loads(rsreward("compare", *files[8], "--cluster", "prompt", "--json").stdout)["differences"]
    assert clustered["acc@0.5"] == pytest.approx(once["acc@0.5"])
    assert apart["acc@0.5"][1] > once["acc@0.5"][1]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [([GOOD], "holds more rows than"), ([GOOD, GOOD | {"target": [1, 1, 2, 2]}], "line 2 have different targets")],
)
def test_files_of_other_rows_are_not_compared(tmp_path, rows, sentence, rsreward):
    a = written(tmp_path, GOOD, GOOD).rename(tmp_path / "a.jsonl")
    b = written(tmp_path, *rows)
    result = rsreward("compare", a, b)
    assert (result.returncode, result.stderr.count("\n"), result.stdout) == (2, 1, "")
    assert sentence in result.stderr
