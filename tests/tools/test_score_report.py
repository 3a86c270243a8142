import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import torch
from PIL import Image
from rsreward_tools.cli.main import main
from rsreward_tools.errors import InputError
from rsreward_tools.pages.score import CARDS, CELLS, ScoreReport, offsets_in_boxes
from rsreward_tools.score.options import Options
from rsreward_tools.score.totals import score_file

from rsreward import oriented

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TARGET, PRED = [100, 50, 300, 150], [150, 50, 350, 150]


def row(pred=PRED, **fields):
    return {"completion": f"<answer>{pred}</answer>", "target": TARGET, "width": 400, "height": 200} | fields


def page(folder, *rows, images=None, **options):
    file = folder / "rows.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in rows))
    report = ScoreReport(folder / "report.html", images)
    result = score_file(file, Options(**options), watch=report.watch)
    report.write(result, {"file": file.name, "by": ", ".join(options.get("by", ()))})
    return (folder / "report.html").read_text(), report


class Addresses(HTMLParser):
    """Every tag, and every address that the page would fetch."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href", "srcset", "data")]


def test_the_page_fetches_nothing_and_what_models_write_stays_text(tmp_path):
    Image.new("RGB", (400, 200)).save(tmp_path / "a.png")
    nasty = "</pre><script>alert(1)</script><img src=http://x/y>"
    rows = row(image="a.png", query=nasty, kind=nasty), row(completion=nasty, kind="b")
    html, _ = page(tmp_path, *rows, images=tmp_path, by=("kind",))
    found = Addresses(html)
    assert "script" not in found.tags
    assert len(found.addresses) == 2 + 1  # two charts, and the photograph
    assert all(address.startswith("data:image/") for address in found.addresses)
    assert html.count("&lt;script&gt;alert(1)") >= 3


def test_lone_surrogates_do_not_stop_the_page(tmp_path):
    html, _ = page(tmp_path, row(completion="none \ud800"))
    assert r"none \ud800" in html


def test_metrics_intervals_groups_problems_and_broken_rows_are_shown(tmp_path):
    rows = [row(log="a")] * 5 + [row(completion="none", log="b")] * 5 + [row(completion="[9, 9, 1, 1]", log="b")]
    html, _ = page(tmp_path, *rows, "not an object", by=("log",))
    text = re.sub(r"<[^>]+>|\s+", " ", html.split("</style>")[1])
    for shown in (
        "0.455",
        "11 scored, 1 broken",
        "5 of 11 answers",
        "line 12 is not a JSON object",
        "inverted",
        "acc@0.7",
    ):
        assert shown in text, shown
    assert re.search(r"\d\.\d{3}–\d\.\d{3}", text)


def test_images_outside_the_folder_are_not_opened(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (400, 200)).save(tmp_path / "secret.png")
    (folder / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "text.png").write_text("no image")
    names = ["../secret.png", str(tmp_path / "secret.png"), "link.png", "text.png", "none.png", "a\0b.png", "."]
    html, _ = page(tmp_path, *[row(image=name) for name in names], images=folder)
    assert html.count("lies outside the folder of images") == 3
    assert html.count("cannot be read as an image") == 3
    assert html.count("is not in the folder of images") == 1
    assert "<image" not in html


def test_the_worst_and_the_best_rows_are_kept_whatever_the_chunks(tmp_path):
    rows = [row([100, 50, 100 + 2 * i, 150]) for i in range(1, 101)]
    _, report = page(tmp_path, *rows, *[row(completion="none")] * 20)
    assert [kept["row"].line for _, _, kept in report.kept["worst"]] == list(range(1, CARDS + 1))
    assert [kept["row"].line for _, _, kept in report.kept["best"]] == list(range(100, 100 - CARDS, -1))
    assert len(report.kept["unread"]) == CARDS
    assert report.histogram.tolist() == [20, 0] + [5] * 20


def test_offsets_are_counted_in_sides_of_the_true_box(tmp_path):
    _, report = page(tmp_path, row(), row([0, 0, 1, 1]), row([5000, 50, 5200, 150]))
    across = int((50 / 200 + 3) * CELLS / 6)
    assert report.offsets[CELLS // 2, across] == 1
    assert (report.offsets.sum(), report.far) == (2, 1)


def test_offsets_turn_with_an_oriented_box():
    target = torch.tensor([[50.0, 50.0, 20.0, 10.0, 0.4]])
    corner = oriented.corners(target)[0, 2]
    pred = torch.cat([corner, target[0, 2:]])[None]
    assert offsets_in_boxes(pred, target)[0].tolist() == pytest.approx([0.5, 0.5], abs=1e-5)


def test_sets_and_oriented_boxes_have_a_page_too(tmp_path):
    several = {"completion": f"<answer>{[TARGET, PRED]}</answer>", "target": [TARGET, PRED]}
    html, _ = page(tmp_path, several, {"completion": "none", "target": [TARGET]})
    assert html.count('<polygon class="pred"') == 2
    assert "set reward 1.100" in html
    turned = {"completion": "[[10, 20, 30, 30, 90]]", "target": [20, 25, 10, 20, 0.0]}
    html, _ = page(tmp_path, turned, kind="oriented")
    assert html.count('<polygon class="pred"') == 1


@pytest.mark.parametrize("count", [1, 2, 5, 15, 16, 40])
def test_no_row_is_both_among_the_worst_and_among_the_best(tmp_path, count):
    html, _ = page(tmp_path, *[row()] * count)  # all alike
    shown = re.findall(r"boxes of line (\d+)", html)
    assert len(shown) == len(set(shown)) == min(count, 2 * CARDS)


def test_what_was_asked_for_and_what_was_assumed_stands_on_the_page(tmp_path, monkeypatch, capsys):
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(row(width=None, image="x.png")) + "\n" + json.dumps(row("[5, 5]", image="x.png")) + "\n")
    monkeypatch.setattr(
        sys, "argv", ["rsreward", "score", str(file), "--space", "qwen2.5-vl", "--html", str(tmp_path / "r.html")]
    )
    with pytest.raises(SystemExit):
        main()
    text = re.sub(r"<[^>]+>|\s+", " ", (tmp_path / "r.html").read_text().split("</style>")[1])
    assert "kind horizontal" in re.sub(" +", " ", text)
    assert "1 of 2 rows have no width and height: their boxes were taken for pixels" in text
    assert "no box of the kind horizontal" in text
    assert "1 of 2 answers" in text


def test_where_every_answer_was_read_no_zero_is_told(tmp_path):
    html, _ = page(tmp_path, row(), row())
    assert "not read" not in html


def test_images_that_are_not_found_are_told_once(tmp_path):
    Image.new("RGB", (400, 200)).save(tmp_path / "a.png")
    file = tmp_path / "rows.jsonl"
    for names, said in (
        (["b.png", "c.png"], "none of the 2 images to show could be read from"),
        (["a.png", "b.png"], "1 of the 2 images to show could be read from"),
        ([None, None], "no image is shown: the rows have no field 'image'"),
        (["a.png", "a.png"], ""),
    ):
        file.write_text("".join(json.dumps(row(image=name)) + "\n" for name in names))
        report = ScoreReport(tmp_path / "r.html", tmp_path)
        told = report.write(score_file(file, watch=report.watch), {"file": "rows", "by": ""})
        assert told.startswith(said)
        assert bool(told) == bool(said)


def test_a_page_that_cannot_be_written_is_refused_before_the_work(tmp_path):
    for wrong in ((tmp_path, None), (tmp_path / "none" / "r.html", None), (tmp_path / "r.html", tmp_path / "none")):
        with pytest.raises(InputError, match=r"--html|--images"):
            ScoreReport(*wrong)


MEASURE = """<script>
const rect = e => { const r = e.getBoundingClientRect(); return [r.left, r.top, r.right, r.bottom]; };
const all = selector => [...document.querySelectorAll(selector)].map(rect);
const found = {
  wide: document.documentElement.scrollWidth - innerWidth,
  blocks: all("body > *"), charts: all("figure"), cards: all(".card"),
  views: all(".card svg > rect"), images: all(".card image"), trues: all("polygon.true"), preds: all("polygon.pred"),
};
document.body.append(Object.assign(document.createElement("output"), {textContent: JSON.stringify(found)}));
</script>"""


def overlap(a, b):
    return min(a[2], b[2]) - max(a[0], b[0]) > 0.5 and min(a[3], b[3]) - max(a[1], b[1]) > 0.5


@pytest.mark.skipif(CHROMIUM is None, reason="chromium, which lays the page out, is not installed")
@pytest.mark.parametrize("width", [500, 1280])  # Chromium's window is not narrower than 500
def test_in_a_browser_boxes_sit_where_they_should_and_nothing_overlaps(tmp_path, width):
    Image.new("RGB", (800, 400), "green").save(tmp_path / "a.jpg")  # twice as large as the row says
    long = "a-very-long-name-without-any-space-in-it-" * 5
    rows = [row(image="a.jpg", query=long, log=long), row(log="b"), row(completion=long, log="b")]
    html, _ = page(tmp_path, *rows, images=tmp_path, by=("log",))
    (tmp_path / "report.html").write_text(html.replace("</html>", MEASURE + "</html>"))
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'chromium'}"]
    command += ["--virtual-time-budget=5000", f"--window-size={width},2000", "--dump-dom", tmp_path / "report.html"]
    dom = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    found = json.loads(re.search(r"<output>(.*)</output>", dom)[1])
    assert found["wide"] <= 0
    assert len(found["cards"]) == 3
    for boxes in (found["blocks"], found["cards"], found["charts"]):
        shown = [box for box in boxes if box[2] > box[0] and box[3] > box[1]]
        assert len(shown) > 1
        assert not any(overlap(a, b) for i, a in enumerate(shown) for b in shown[:i])
    assert len(found["images"]) == 1
    assert all(image in found["views"] for image in found["images"])
    for view, true, card in zip(found["views"], found["trues"], found["cards"], strict=True):
        assert share(true, view) == pytest.approx([100 / 400, 50 / 200, 300 / 400, 150 / 200], abs=0.01)
        assert inside(view, card)
    for view, pred in zip(found["views"], found["preds"], strict=False):  # the last row has none
        assert share(pred, view) == pytest.approx([150 / 400, 50 / 200, 350 / 400, 150 / 200], abs=0.01)


def inside(a, b):
    return a[0] >= b[0] - 0.5 and a[1] >= b[1] - 0.5 and a[2] <= b[2] + 0.5 and a[3] <= b[3] + 0.5


def share(box, view):
    """A box in shares of a view."""
    wide, high = view[2] - view[0], view[3] - view[1]
    x1, y1, x2, y2 = box
    return [(x1 - view[0]) / wide, (y1 - view[1]) / high, (x2 - view[0]) / wide, (y2 - view[1]) / high]
