import base64
import re

import pytest
import torch
from matplotlib import rcParams
from rsreward_tools.pages.charts import curves, histogram, offset_map


def texts(uri):
    """What is written in a chart; letters stay letters, so that it can be read here."""
    svg = base64.b64decode(uri.partition(",")[2]).decode()
    return [re.sub(r"<[^>]+>", "", text) for text in re.findall(r"<text[^>]*>(.*?)</text>", svg, re.DOTALL)], svg


@pytest.fixture(autouse=True)
def letters(monkeypatch):
    monkeypatch.setitem(rcParams, "svg.fonttype", "none")


@pytest.mark.parametrize("most", [1, 2, 3, 7, 40, 2_000_000])
def test_numbers_of_rows_are_whole_and_plain(most):
    cells = torch.zeros(7, 7, dtype=torch.long)
    cells[3, 3], cells[0, 0] = most, 1
    bins = torch.zeros(22, dtype=torch.long)
    bins[5] = most
    in_map, _ = texts(offset_map(cells, 3.0))
    in_bars, _ = texts(histogram(bins))
    assert not any("×" in text or "10^" in text or "mathdefault" in text for text in in_map)
    assert {"1"} <= set(in_map)
    counts = in_bars[in_bars.index("IoU") + 1 : in_bars.index("rows")]
    assert len(counts) > 1
    assert all(re.fullmatch(r"[\d,]+", text) for text in counts)
    assert len(set(counts)) == len(counts)


@pytest.mark.parametrize(
    ("points", "marks"), [([(1, 0.5)], 1), ([(1, 0.5), (2, 0.6)], 2), ([(i, i) for i in range(9)], 0)]
)
def test_a_curve_of_one_point_can_be_seen(points, marks):
    _, svg = texts(curves({"loss": points}))
    line = svg[svg.index('id="line2d') :]
    assert len(re.findall(r'<use [^>]*style="fill: #1b6ca8', line)) == marks
