"""The page on which one moves a box computes what the core computes."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
import torch

from rsreward import consistency_weight, gaussian_proximity, iou, oriented_iou, positional_reward
from rsreward.positional import PROXIMITIES

PAGE = Path(__file__).parents[2] / "docs" / "_static" / "play.html"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def test_the_page_stands_alone():
    text = PAGE.read_text()
    assert not re.search(r"<(?:link|img|script[^>]+src)|@import|fetch\(|https?://(?!www\.w3\.org/2000/svg)", text)
    assert len(text.splitlines()) < 400


def test_the_page_has_every_proximity():
    listed = re.search(r"const PROXIMITIES = \{(.*?)\n\};", PAGE.read_text(), re.S)[1]
    assert set(PROXIMITIES) <= set(re.findall(r"^  (\w+)[:,]", listed, re.M))


def random_boxes(count, turned, seed):
    random = torch.Generator().manual_seed(seed)
    low = torch.tensor([120.0, 80.0, 5.0, 5.0, -3.0]) * torch.tensor([1, 1, 1, 1, turned])
    span = torch.tensor([160.0, 120.0, 150.0, 110.0, 6.0 * turned])
    return (low + span * torch.rand(count, 5, generator=random)).double()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here to open the page with")
def test_the_page_gives_the_numbers_of_the_core():
    pred = torch.cat([random_boxes(20, 0, 0), random_boxes(20, 1, 1)])
    target = torch.cat([random_boxes(20, 0, 2), random_boxes(20, 1, 3)])
    pred[0], pred[-1] = target[0], target[-1]
    alphas, betas = [0.5, 1.0, 2.5, 5.0] * 10, [0.1, 0.5] * 20
    keys = ("pred", "target", "alpha", "beta")
    cases = [
        dict(zip(keys, case, strict=True)) for case in zip(pred.tolist(), target.tolist(), alphas, betas, strict=True)
    ]
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=3000", "--dump-dom"]
    page = f"{PAGE.as_uri()}?check={quote(json.dumps(cases))}"
    dom = subprocess.run([CHROMIUM, *flags, page], capture_output=True, text=True, check=True, timeout=300).stdout
    shown = json.loads(html.unescape(re.search(r'<pre id="check"[^>]*>(.*?)</pre>', dom, re.S)[1]))

    def corners_of(boxes):
        return torch.cat([boxes[..., :2] - boxes[..., 2:4] / 2, boxes[..., :2] + boxes[..., 2:4] / 2], -1)

    near = {"abs": 1e-6, "rel": 0}
    for case, found in zip(cases, shown["cases"], strict=True):
        p, t = (torch.tensor(case[name], dtype=torch.float64) for name in ("pred", "target"))
        upright = p[4] == t[4] == 0
        p, t = (corners_of(p), corners_of(t)) if upright else (p, t)
        assert found["iou"] == pytest.approx((iou if upright else oriented_iou)(p, t).item(), **near)
        for form in PROXIMITIES:
            alpha = 2.5 if form == "wasserstein" else case["alpha"]  # which has none
            proximity = gaussian_proximity(p, t, alpha=alpha, over=form).item()
            reward = positional_reward(p, t, alpha=alpha, beta=case["beta"], proximity=form).item()
            assert found["proximity"][form] == pytest.approx(proximity, **near)
            assert found["reward"][form] == pytest.approx(reward, **near)
    ious = torch.tensor([found["iou"] for found in shown["cases"]], dtype=torch.float64)
    assert shown["group"]["weight"] == pytest.approx(consistency_weight(ious).item(), **near)
