"""verl's own `main_ppo` for two steps, by the newer and by the older trainer; see `main_ppo_on_cpu.py`."""

import json
import subprocess

import numpy as np
import psutil
import pytest
from main_ppo_on_cpu import command, environment, prepare
from rsreward_verl.reward import compute_score

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("main_ppo")
    prepare(folder)
    return folder


@pytest.mark.parametrize("use_v1", [True, False])
def test_two_steps_of_main_ppo_with_the_weight_in_the_metrics(folder, use_v1):
    out = folder / f"use_v1_{use_v1}"
    out.mkdir()
    around = environment(out)
    run = [*command(folder), f"trainer.use_v1={use_v1}", f"trainer.rollout_data_dir={out}"]
    try:
        result = subprocess.run(run, env=around, capture_output=True, text=True, timeout=400, check=False)
    finally:
        assert not killed(around["VERL_FILE_LOGGER_PATH"])
    log = result.stdout + result.stderr
    assert result.returncode == 0, log[-4000:]
    logged = {entry["step"]: entry["data"] for entry in map(json.loads, (out / "metrics.jsonl").open())}
    for step in (1, 2):
        metrics = logged[step]
        ious, scores = rollouts(out / f"{step}.jsonl")
        assert ious.std() > 0.01
        weights = np.exp(1.2 * (1 - ious.mean(1)) + ious.var(1))
        assert metrics["consistency/iou_mean"] == pytest.approx(ious.mean(), abs=1e-6)
        assert metrics["consistency/iou_var"] == pytest.approx(ious.var(1).mean(), abs=1e-6)
        assert metrics["consistency/weight_mean"] == pytest.approx(weights.mean(), abs=1e-5)
        advantages = weights[:, None] * (scores - scores.mean(1, keepdims=True))
        advantages /= scores.std(1, ddof=1, keepdims=True) + 1e-6
        assert metrics["critic/advantages/max"] == pytest.approx(advantages.max(), abs=1e-3)
        assert metrics["critic/advantages/min"] == pytest.approx(advantages.min(), abs=1e-3)
        assert metrics["actor/grad_norm"] > 0
    assert "val-aux/scenes/iou/mean@1" in logged[2]
    assert "generate_rollout: step 1" in log  # the trained weights went back to the rollout


def killed(log_path):
    """What of a run is still there a minute after its end, Ray's processes too, and is no more now."""
    around = [(process, process.info["environ"] or {}) for process in psutil.process_iter(["environ"])]
    ours = [process for process, environ in around if environ.get("VERL_FILE_LOGGER_PATH") == log_path]
    alive = psutil.wait_procs(ours, timeout=60)[1]
    for process in alive:
        process.kill()
    return alive


def rollouts(file):
    """IoU and score of all rollouts, `(groups, 4)` each, read again from the texts that verl has dumped."""
    groups = {}
    for row in map(json.loads, file.open()):
        parts = compute_score("again", row["output"], row["gts"], space="qwen3-vl")
        assert parts["score"] == pytest.approx(row["score"])
        groups.setdefault(row["gts"], []).append((parts["iou"], parts["score"]))
    return np.array(list(groups.values())).transpose(2, 0, 1)
