"""The study at two steps: that it runs, takes up where it was cut off and writes its page; and its estimator."""

import importlib.util
import itertools
import json
import random
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import scipy.stats
import torch
from PIL import Image, ImageDraw
from torch.distributions import Normal

import rsreward

STUDY = Path(__file__).parents[2] / "benchmarks" / "study"


@pytest.fixture(scope="module")
def study():
    """The program, with its modules importable by their names."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(STUDY)
        spec = importlib.util.spec_from_file_location("study_run", STUDY / "run.py")
        module = importlib.util.module_from_spec(spec)
        patch.setitem(sys.modules, "study_run", module)
        spec.loader.exec_module(module)
        patch.delenv("KIT_AIS", raising=False)
        patch.setattr(module, "QUICK", {"seeds": 2, "targets": 2, "steps": 2, "scenes": 8, "warmup": 1})
        yield module


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    """Where a whole run has been."""
    folder = tmp_path_factory.mktemp("study")
    run(study, folder)
    return folder


def run(study, folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["run.py", "--quick", "--out", str(folder), "--only", "boxes,hacks,shared"])
        study.main()


def places(page):
    return sorted(line for line in page.read_text().splitlines() if line.startswith("<!-- "))


def test_a_second_call_does_only_what_is_missing_and_gives_the_same(study, folder, capsys):
    page = (folder / "study.md").read_text()
    figures = {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}
    lost = sorted((folder / "shared").iterdir())[3]
    row = pq.read_table(lost).to_pylist()[0]
    lost.unlink()
    run(study, folder)
    told = capsys.readouterr().out.splitlines()
    assert [line.split(", ")[1] for line in told if line.endswith(" to do")] == ["0 to do", "0 to do", "1 to do"]
    assert pq.read_table(lost).to_pylist()[0] | {"seconds": 0} == row | {"seconds": 0}
    assert (folder / "study.md").read_text() == page
    assert {path.name: path.read_bytes() for path in (folder / "figures").iterdir()} == figures
    assert row["seeds"] == [0, 1]
    assert (row["rsreward"], row["torch"]) == (rsreward.__version__, torch.__version__)


def test_the_page_has_a_place_for_every_table(study, folder, tmp_path):
    trained = [line for block in told(study, tmp_path) for line in (f"<!-- {block} -->", f"<!-- /{block} -->")]
    expected = sorted([*places(folder / "study.md"), *trained])
    assert places(STUDY.parents[1] / "docs" / "study.md") == expected


def test_a_page_without_a_place_is_refused_and_the_rest_of_a_page_is_kept(study, tmp_path):
    from page import update_page

    page = tmp_path / "page.md"
    page.write_text("Before.\n<!-- a -->\nold\n<!-- /a -->\nAfter.\n")
    update_page(page, {"a": "new"})
    assert page.read_text() == "Before.\n<!-- a -->\nnew\n<!-- /a -->\nAfter.\n"
    with pytest.raises(ValueError, match="no place <!-- b -->"):
        update_page(page, {"b": "new"})


def test_the_estimator_is_the_gradient_of_the_expected_reward(study):
    """Of r(x) = c x - |x - t|^2 it is c - 2 (mu - t); less the group's own mean it is (G - 1) / G of that."""
    from policy import policy_gradient

    draw = torch.Generator().manual_seed(0)
    mean, sigma, group = torch.tensor([0.5, -1.0]), torch.tensor([0.3, 0.6]), 8
    slope, best = torch.tensor([1.0, -2.0]), torch.tensor([0.2, 0.4])
    noise = torch.randn(200_000, group, 2, generator=draw)
    x = mean + sigma * noise
    rewards = x @ slope - (x - best).square().sum(-1)
    estimates = policy_gradient(rewards - rewards.mean(-1, keepdim=True), noise, sigma)
    expected = (group - 1) / group * (slope - 2 * (mean - best))
    error = estimates.std(0) / len(estimates) ** 0.5
    assert ((estimates.mean(0) - expected).abs() < 4 * error).all()


def test_the_estimator_is_autograd_of_the_advantages_times_log_probabilities(study):
    from policy import group_advantages, policy_gradient

    draw = torch.Generator().manual_seed(0)
    mean, sigma = torch.randn(5, 4, generator=draw, requires_grad=True), torch.tensor([0.1, 0.2, 0.3, 0.4])
    noise = torch.randn(5, 8, 4, generator=draw)
    advantages = group_advantages(torch.rand(5, 8, generator=draw))
    x = (mean.unsqueeze(1) + sigma * noise).detach()
    (advantages * Normal(mean.unsqueeze(1), sigma).log_prob(x).sum(-1)).mean(1).sum().backward()
    assert torch.allclose(policy_gradient(advantages, noise, sigma), mean.grad, atol=1e-5)


def test_a_target_out_of_reach_has_no_gradient_by_iou_and_has_one_by_the_positional_reward(study):
    from boxes import Boxes
    from boxes import run as train

    small = {"distance": 3.0, "seeds": 2, "targets": 8, "steps": 200, "noise": 0.25}
    iou, positional = (train(Boxes(reward, **small)) for reward in ("iou", "center"))
    assert iou["silent"] == [1, 1]
    assert max(iou["miou"]) == 0
    assert positional["silent"] == [0, 0]
    assert min(positional["miou"]) > 0.3


def test_controls_have_the_means_that_they_are_named_for(study):
    from shared import WEIGHTS

    overlap = torch.rand(3, 16, 8, generator=torch.Generator().manual_seed(0)) ** 3
    paper = WEIGHTS["paper"](overlap)
    assert torch.allclose(WEIGHTS["constant"](overlap), paper.mean(1, keepdim=True).expand(-1, 16))
    for seed in range(3):
        expected = rsreward.consistency_weight(overlap[seed], normalize=True)
        assert torch.allclose(WEIGHTS["normalized"](overlap)[seed], expected)
    assert torch.allclose(WEIGHTS["inverse"](overlap).mean(1), torch.ones(3))
    assert torch.allclose(WEIGHTS["univg"](overlap), (1 - overlap.mean(-1)).exp())
    assert set(WEIGHTS["none"](overlap).flatten().tolist()) == {1.0}


def test_intervals_are_students(study):
    from policy import interval

    values = torch.rand(20, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    middle, half = interval(values)
    low, high = scipy.stats.t.interval(0.95, 19, loc=values.mean(), scale=scipy.stats.sem(values))
    assert (middle - half, middle + half) == pytest.approx((low, high))


def answered(draw):
    """Measures as a run of a model returns them, made up."""
    return {kind: {key: draw.random() for key in ("acc@0.5", "miou", "zero")} for kind in ("greedy", "sampled")}


def made_up(module):
    """Results of the section's configurations, without training."""
    from store import Result

    draw = random.Random(0)  # noqa: S311
    stages = ("scenes", "before", "after")
    values = {"steps": [5, 10], "curve": [0.1, 0.2]}
    return [Result(c, {stage: answered(draw) for stage in stages} | values) for c in module.configs()]


def told(study, figures):
    """The tables of the sections that train a model, by name."""
    return {
        name: block
        for section in (study.SECTIONS[name] for name in ("qwen", "photos"))
        for name, block in section.blocks(made_up(section.module), figures).items()
    }


def test_arms_of_the_model_are_compared_seed_by_seed(study, tmp_path):
    import qwen
    from page import change

    def miou(reward, weight):
        return [
            result.values["after"]["greedy"]["miou"]
            for seed in range(5) for result in made_up(qwen)
            if result.config == qwen.Qwen("demo", reward, weight, seed)
        ]  # fmt: skip

    lines = told(study, tmp_path)["qwen: demo, differences"].splitlines()
    cells = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in lines}
    expected = change(miou("positional", "none"), miou("iou", "none"))
    assert cells["positional − IoU"][1:4:2] == ["5", expected]


def test_a_run_of_the_model_again_gives_the_same_and_does_not_repeat_sft(study, tmp_path):
    import qwen

    config = qwen.quick(qwen.LEVELS["far"])
    first = qwen.run(config, tmp_path)
    (weights,) = tmp_path.glob("far-*/model.safetensors")
    written = weights.stat().st_mtime_ns
    assert qwen.run(config, tmp_path) == first
    assert weights.stat().st_mtime_ns == written
    assert [path.name for path in weights.parent.iterdir() if path.is_dir()] == []
    assert first["steps"] == [2]
    assert set(first["after"]["greedy"]) >= {"acc@0.5", "miou", "zero"}


def test_the_far_level_explains_with_every_coordinate_too_far_to_the_right(study):
    import qwen

    for seed in range(20):
        row = qwen.row_of("far", seed)
        (pred,) = rsreward.parse_boxes([row["completion"][0]["content"]], space="qwen3-vl", width=[96], height=[96])
        target = torch.tensor(row["target"])
        assert (pred - target - torch.tensor([38.4, 0, 38.4, 0])).abs().max() < 2.5
        assert rsreward.iou(pred, target) < 0.05


@pytest.fixture
def photographs(tmp_path):
    """Grey photographs of the three sequences with vehicles, each of a colour of its own, and their labels."""
    folder = tmp_path / "photographs"
    (folder / "images").mkdir(parents=True)
    draw, images, labels = random.Random(0), [], []  # noqa: S311
    for number, name in enumerate(("MOS155", "MOS74", "MunichStreet02-MOS80")):
        image = Image.new("RGB", (400, 300), (80 + 20 * number,) * 3)
        canvas = ImageDraw.Draw(image)
        for place in range(48):
            x, y = 50 * (place % 8) + draw.randint(2, 10), 50 * (place // 8) + draw.randint(2, 24)
            canvas.rectangle([x, y, x + 29, y + 13], fill=(255, 5 * place, 0))
            labels.append({"image_id": number, "category_id": 1, "bbox": [x, y, 30, 14]})
        image.save(folder / "images" / f"{name}.jpg", quality=100, subsampling=0)
        images.append({"id": number, "file_name": f"images/{name}.jpg"})
    told = {"images": images, "annotations": labels, "categories": [{"id": 1, "name": "car"}]}
    (folder / "vehicles_coco.json").write_text(json.dumps(told))
    return folder


def test_a_tile_shows_its_vehicles_where_their_boxes_say_however_it_is_turned(study, photographs):
    from photos import SIZE, tiles

    shapes = set()
    draw = random.Random(1)  # noqa: S311
    for image, objects in itertools.islice(tiles(photographs, ("crossing",), draw), 40):
        red = (np.asarray(image, float) - 100)[..., 0] > 100
        expected = np.zeros((SIZE, SIZE))
        for o in objects:
            x1, y1, x2, y2 = (SIZE * v for v in o.box)
            expected[round(y1) : round(y2), round(x1) : round(x2)] = 1
            shapes.add(o.length > o.width)
        assert (red == expected).mean() > 0.97
        assert 0.9 < red.sum() / expected.sum() < 1.1
    assert shapes == {True, False}


def test_tiles_become_a_data_set_whose_test_is_of_the_sequence_held_out(study, photographs, tmp_path):
    from photos import Photos, prepare
    from rsreward_qwen_vl.trl_rows import grpo_rows, sft_rows

    out = tmp_path / "data"
    out.mkdir()
    prepare(photographs, out, Photos(held_out="street", explained=6, steps=1, tested=5))
    ground = {}
    for split, count in (("train", 8), ("val", 6), ("test", 5)):
        rows = list(grpo_rows(out / f"{split}.parquet", out, "Locate {query}."))
        assert len(rows) == count
        ground[split] = {round(int(np.median(np.asarray(row["images"][0]))), -1) for row in rows}
    assert ground["test"] == {120}
    assert ground["train"] | ground["val"] == {80, 100}
    assert len(sft_rows(out / "cot.parquet", out, "Locate {query}.", rsreward.SPACES["qwen3-vl"])) == 6


def test_without_the_photographs_their_section_is_left_out(study, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--quick", "--out", str(tmp_path), "--only", "photos"])
    study.main()
    assert "--photos does not name the folder" in capsys.readouterr().out


def test_an_unknown_section_is_refused(study, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--only", "boxes,nothing"])
    with pytest.raises(SystemExit):
        study.main()
    assert "--only knows boxes, hacks, shared, qwen, photos, not nothing." in capsys.readouterr().err
