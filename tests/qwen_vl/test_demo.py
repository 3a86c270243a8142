import inspect
import json
import re
import shutil
from dataclasses import replace

import pytest
import torch
from refusals import refused
from rsreward_qwen_vl import commands, demo
from rsreward_qwen_vl.demo import PRESETS, change, run_demo
from rsreward_qwen_vl.demo_report import reward_cost, write_report
from rsreward_qwen_vl.model.tiny import build_model, look_once, train_tokenizer
from rsreward_qwen_vl.model.trained import newest_checkpoint
from rsreward_tools.errors import InputError
from rsreward_tools.pages.run import write_run_report
from small import SMALL

METRICS = {"acc@0.5", "acc@0.7", "miou", "parse_rate"}


def silent(stage, done, of, note):
    assert 0 <= done <= of


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "demo"
    return out, run_demo(out, SMALL, seed=3, report=silent)


def test_results_hold_every_stage_versions_seed_and_times(finished):
    out, run = finished
    assert json.loads((out / "results.json").read_text()) == json.loads(json.dumps(run))
    for stage in ("start", "sft", "grpo"):
        assert {kind: set(run[stage][kind]) for kind in run[stage]} == {"greedy": METRICS, "sampled": METRICS}
        assert run["seconds"][stage]["evaluate"] > 0
        assert (out / stage / "model.safetensors").exists()
    assert run["seed"] == 3
    assert {"rsreward", "torch", "transformers", "trl"} <= set(run["versions"])


def test_results_say_what_grpo_changed_with_intervals(finished):
    _, run = finished
    for kind in ("greedy", "sampled"):
        assert set(run["change"][kind]) == METRICS
        for name, found in run["change"][kind].items():
            assert found["mean"] == pytest.approx(run["grpo"][kind][name] - run["sft"][kind][name], abs=2e-4)
            assert found["low"] <= found["mean"] <= found["high"]


def write_answers(out, stage, hits, *, samples):
    """Held-out scenes, hit or missed by every greedy and sampled answer alike."""
    lines = [
        {"log": kind, "seed": demo.HELD_OUT + scene, "target": [0, 0, 48, 48], "width": 96, "height": 96}
        | {"completion": "<answer>[0, 0, 500, 500]</answer>" if hit else "<answer>[500, 500, 1000, 1000]</answer>"}
        for kind, times in (("greedy", 1), ("sampled", samples))
        for _ in range(times)
        for scene, hit in enumerate(hits)
    ]
    (out / stage).mkdir(exist_ok=True)
    (out / stage / "completions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.mark.parametrize(("before", "after"), [((0, 1), (1, 1)), ((1, 0), (0, 0))])
def test_the_interval_of_the_change_is_that_of_independent_scenes(tmp_path, before, after):
    scenes = 200
    write_answers(tmp_path, "sft", before * (scenes // 2), samples=4)
    write_answers(tmp_path, "grpo", after * (scenes // 2), samples=4)
    rise = 0.5 if after[0] else -0.5
    half = 1.96 * (0.25 / scenes) ** 0.5  # half of the scenes changed by 1: the standard error of a share of 1 / 2
    for kind in ("greedy", "sampled"):  # four samples that agree tell no more than one answer
        for name in ("acc@0.5", "acc@0.7", "miou"):
            found = change(tmp_path)[kind][name]
            assert found["mean"] == rise
            assert (found["low"], found["high"]) == pytest.approx((rise - half, rise + half), abs=0.01)
        assert change(tmp_path)[kind]["parse_rate"] == {"mean": 0, "low": 0, "high": 0}


def test_sft_sees_the_explained_scenes_alone_and_grpo_others_without_reasoning(tmp_path, monkeypatch):
    seen = {}

    def stop(model, processor, rows, *arguments, **options):
        seen.update(rows=rows, options=options)
        raise KeyboardInterrupt

    for stage in ("sft", "grpo"):
        with monkeypatch.context() as patch:
            patch.setattr(demo, stage, stop)
            with pytest.raises(KeyboardInterrupt):
                run_demo(tmp_path / "demo", SMALL, seed=3, resume=stage == "grpo", report=silent)
        seen[stage] = seen["rows"][:]
    assert len(seen["sft"]["seed"]) == SMALL.explained
    assert "<think>" in seen["sft"]["completion"][0][0]["content"]
    assert "completion" not in seen["grpo"]
    assert not set(seen["grpo"]["seed"]) & set(seen["sft"]["seed"])


def test_grpo_logs_the_weight_and_the_rewards(finished):
    out, _ = finished
    logs = {name for entry in json.loads((out / "grpo" / "history.json").read_text()) for name in entry}
    assert {"consistency/weight_mean", "positional_reward/iou", "rewards/format_reward/mean"} <= logs


def test_the_cost_of_rewards_is_a_part_of_the_step(finished):
    cost = reward_cost(finished[0])
    assert set(cost) == {"step", "rewards", "gather", "weight", "share"}
    assert 0 < cost["rewards"] + cost["gather"] + cost["weight"] < cost["step"]
    assert cost["share"] * cost["step"] == pytest.approx(cost["rewards"] + cost["gather"] + cost["weight"])


def test_the_control_trains_without_the_weight(finished, tmp_path):
    run = run_demo(tmp_path / "demo", replace(SMALL, weight="none"), seed=3, report=silent)
    assert run["sft"] == finished[1]["sft"]
    logs = {name for e in json.loads((tmp_path / "demo" / "grpo" / "history.json").read_text()) for name in e}
    assert "positional_reward/iou" in logs
    assert "consistency/weight_mean" not in logs
    assert reward_cost(tmp_path / "demo") == {}
    assert "consistency weight in GRPO: none" in " ".join(write_report(tmp_path / "demo").read_text().split())


def test_the_control_of_the_reward_trains_on_iou_alone(tmp_path):
    run_demo(tmp_path / "demo", replace(SMALL, reward="iou"), seed=3, report=silent)
    entries = json.loads((tmp_path / "demo" / "grpo" / "history.json").read_text())
    logs = {name for entry in entries for name in entry}
    assert {"iou/iou", "consistency/weight_mean", "rewards/format_reward/mean"} <= logs
    assert not [name for name in logs if "positional" in name or "proximity" in name]
    assert "reward in GRPO: iou" in " ".join(write_report(tmp_path / "demo").read_text().split())


def test_the_report_tells_gains_and_losses(finished, tmp_path):
    out = tmp_path / "demo"
    shutil.copytree(finished[0], out)
    groups = {
        stage: [line for line in (out / stage / "completions.jsonl").read_text().splitlines() if '"groups"' in line]
        for stage in ("sft", "grpo")
    }
    hits = {"sft": [0] * 20 + [1] * 10 + [1] * 70, "grpo": [1] * 20 + [0] * 10 + [1] * 70}
    for stage in ("sft", "grpo"):
        write_answers(out, stage, hits[stage], samples=1)
        with (out / stage / "completions.jsonl").open("a") as file:
            file.write("\n".join(groups[stage]) + "\n")
    run = json.loads((out / "results.json").read_text())
    run["change"] = change(out)
    (out / "results.json").write_text(json.dumps(run))
    page = " ".join(write_report(out).read_text().split())
    assert "GRPO finds 20 targets that SFT missed and loses 10 that SFT had found." in page
    assert f"(+0.100, 95 % interval {run['change']['greedy']['acc@0.5']['low']:+.3f} to" in page
    assert (page.count("gained: IoU 0.00 → 1.00"), page.count("lost: IoU 1.00 → 0.00")) == (8, 4)
    assert page.count("grpo − sft") == 2


def test_the_report_needs_nothing_but_itself(finished):
    html = write_report(finished[0]).read_text()
    assert html.count("<img") == 1 + 3 + 2 * 2  # curves, gallery, groups of two scenes under two policies
    assert set(re.findall(r'src="([^:]+):', html)) == {"data"}
    assert "http" not in html.split("</style>")[1]
    assert 'class="key" style="border-color:#ffffff"' in html


def test_the_page_of_a_demo_is_its_own_and_report_says_so(finished, tmp_path):
    (tmp_path / "results.json").write_text("[1]")
    page = write_report(finished[0]).read_bytes()
    with pytest.raises(InputError, match=r"a run of `rsreward demo`, whose page is .*report\.html\."):
        write_run_report(finished[0])
    assert (finished[0] / "report.html").read_bytes() == page
    with pytest.raises(InputError, match="not what `rsreward evaluate` writes"):
        write_run_report(tmp_path)


@pytest.mark.parametrize("preset", ["gpu", "large"])
def test_a_quick_demo_has_no_other_preset(tmp_path, monkeypatch, capsys, preset):
    told = refused(monkeypatch, capsys, tmp_path, "demo", "--quick", "--preset", preset)
    assert "--quick is a preset of its own: leave out --preset or --quick." in told


@pytest.mark.parametrize(
    ("option", "known"),
    [("reward", "iou, positional"), ("weight", "paper, normalized, none"), ("preset", "cpu, quick")],
)
def test_an_option_that_is_unknown_is_refused_with_those_that_are_known(tmp_path, monkeypatch, capsys, option, known):
    told = refused(monkeypatch, capsys, tmp_path, "demo", f"--{option}", "giou")
    assert f"--{option} must be one of {known}" in told
    assert "got 'giou'." in told


def test_the_commands_own_defaults_are_those_of_the_preset():
    defaults = inspect.signature(commands.demo).parameters
    for name in ("reward", "weight"):
        assert defaults[name].default == getattr(PRESETS["cpu"], name)


def test_a_finished_run_resumes_to_the_same_results_without_training(finished, monkeypatch):
    out, run = finished
    for stage in ("sft", "grpo"):
        monkeypatch.setattr(demo, stage, lambda *a, **k: pytest.fail("trained again"))
    assert run_demo(out, SMALL, seed=3, resume=True, report=silent) == json.loads(json.dumps(run))


def test_a_run_that_was_cut_off_goes_on_where_it_was(finished, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(demo, "grpo", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run_demo(tmp_path / "demo", SMALL, seed=3, report=silent)
    resumed = run_demo(tmp_path / "demo", SMALL, seed=3, resume=True, report=silent)
    whole = finished[1]
    for stage in ("start", "sft", "grpo"):
        assert resumed[stage] == whole[stage]


def test_other_settings_do_not_resume(finished):
    with pytest.raises(InputError, match="other settings or seed"):
        run_demo(finished[0], SMALL, seed=4, resume=True, report=silent)


@pytest.mark.parametrize("results", ["{}", "[1]", "{", '{"seed": 1}'])
def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path, results):
    (tmp_path / "results.json").write_text(results)
    (tmp_path / "sft").mkdir()
    (tmp_path / "sft" / "thesis.tex").write_text("")
    for resume in (False, True):
        with pytest.raises(InputError, match="not empty"):
            run_demo(tmp_path, SMALL, resume=resume, report=silent)
    assert (tmp_path / "sft" / "thesis.tex").exists()


def test_a_file_is_not_a_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="holds no run"):
        run_demo(tmp_path / "file", SMALL, report=silent)


def test_the_vision_tower_sees_the_image_of_a_group_once_and_nothing_else_changes():
    tokenizer = train_tokenizer(["the left ship"] * 3)
    sizes = {"width": 48, "layers": 1, "vision_width": 32, "vision_layers": 1}
    plain, sharing = (build_model(tokenizer, "qwen3-vl", 96, **sizes) for _ in range(2))
    seen = []
    sharing.model.visual.blocks[0].register_forward_pre_hook(lambda block, inputs: seen.append(len(inputs[0])))
    look_once(sharing)
    images = torch.randn(3, 36, 1536, generator=torch.Generator().manual_seed(0))
    patches = images[[2, 0, 2, 1, 0, 2]].flatten(0, 1)
    grid = torch.tensor([[1, 6, 6]] * 6)
    outputs = [model.model.visual(patches, grid_thw=grid) for model in (plain, sharing)]
    assert seen == [3 * 36]
    for expected, found in zip(*(features_of(output) for output in outputs), strict=True):
        torch.testing.assert_close(found, expected)
    for output in outputs:
        sum(features.square().sum() for features in features_of(output)).backward()
    for expected, found in zip(plain.model.visual.parameters(), sharing.model.visual.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("grids", [[[1, 4, 6], [1, 6, 4]], [[1, 6, 6], [1, 6, 6]]], ids=["shapes", "equal sums"])
def test_images_that_only_look_alike_are_each_seen(grids):
    tokenizer = train_tokenizer(["the left ship"] * 3)
    model = build_model(tokenizer, "qwen3-vl", 96, width=48, layers=1, vision_width=32, vision_layers=1)
    first = torch.arange(grids[0][1] * grids[0][2] * 1536.0).remainder(7).view(-1, 1536)
    patches = torch.cat([first, first if grids[0] != grids[1] else first.flip(0)])
    expected = model.model.visual(patches, grid_thw=torch.tensor(grids))
    look_once(model)
    found = model.model.visual(patches, grid_thw=torch.tensor(grids))
    assert torch.equal(found.pooler_output, expected.pooler_output)


def features_of(output):
    return [output.last_hidden_state, output.pooler_output, *output.deepstack_features]


def test_training_goes_on_from_the_newest_whole_checkpoint(tmp_path):
    for step, files in ((50, ("model.safetensors", "trainer_state.json")), (100, ("model.safetensors",))):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in files:
            (folder / name).write_text("")
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-50")
    assert newest_checkpoint(tmp_path / "none") is None
