"""The card of a data set, and that no card takes the place of one that somebody wrote."""

import yaml
from layouts import write_voc
from own_files import ROW, lines
from PIL import Image
from rsreward_tools.cards import CARD, own_card, write_card
from rsreward_tools.data.published import DATASETS


def head_and_text(folder):
    _, head, text = (folder / CARD).read_text().split("---\n", 2)
    return yaml.safe_load(head), text


def test_the_card_of_a_published_data_set(rsreward, tmp_path):
    write_voc(tmp_path / "root")
    rsreward("data", "prepare", "dior_rsvg", tmp_path / "root", "--out", tmp_path / "out")
    head, text = head_and_text(tmp_path / "out")
    assert head["pretty_name"] == "dior_rsvg"
    assert "license" not in head
    assert {file["path"] for file in head["configs"][0]["data_files"]} == {
        path.name for path in (tmp_path / "out").glob("*.parquet")
    }
    assert f"[dior_rsvg]({DATASETS['dior_rsvg'].home})" in text
    assert "Not known to rsreward" in text
    assert "26,991 are published" in text
    assert "## Dropped and repaired\n\nNothing." in text


def test_the_card_says_what_was_dropped_and_why(rsreward, tmp_path):
    Image.new("RGB", (800, 600)).save(tmp_path / "a.png")
    boxes = [10, 20, 110, 120], [30, 40, 30, 50], [70, 80, 70, 90], [-5, 0, 40, 40], [1, 2, 3]
    file = lines(tmp_path, *(ROW | {"bbox": box} for box in boxes))
    done = rsreward("data", "prepare", "own", file, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    _, text = head_and_text(tmp_path / "out")
    assert f"One's own files: `{file}`." in text
    assert "| train | 2 | 1 | 2 |" in text
    assert "| the box … has no area | dropped | 2 |" in text
    assert "| the box … leaves the image of … x … | repaired | 1 |" in text
    assert "read as `xyxy` in the space `pixel`" in text


def test_a_card_of_ours_is_written_anew_and_yours_is_left(rsreward, tmp_path):
    write_voc(tmp_path / "root")
    out = tmp_path / "out"
    prepare = "data", "prepare", "dior_rsvg", tmp_path / "root", "--out", out
    assert "README.md" not in rsreward(*prepare).stderr
    first = (out / CARD).read_bytes()
    assert "README.md" not in rsreward(*prepare).stderr
    assert (out / CARD).read_bytes() == first
    for mine in (first.replace(b"Not known to rsreward.", b"CC BY 4.0."), b"# Mine\n", b"\xff\xfe"):
        (out / CARD).write_bytes(mine)
        done = rsreward(*prepare)
        assert (done.returncode, (out / CARD).read_bytes()) == (0, mine)
        assert f"{out / CARD} is your own, or was changed by hand: it is left as it is." in done.stderr


def test_what_was_written_is_read_back(tmp_path):
    assert own_card(tmp_path) is None
    assert write_card(tmp_path, "---\na: 1\n---\n\n# Ä\n\n") == ""
    assert own_card(tmp_path) == "---\na: 1\n---\n\n# Ä\n\n"
    assert [path.name for path in tmp_path.iterdir()] == [CARD]
