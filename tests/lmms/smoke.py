"""Run by `make smoke-lmms`: the four tasks in the real lmms-eval, on drawn scenes, with a model that says one thing."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import rsreward_lmms_eval
import torch
from rsreward_tools.data.example import read_examples

from rsreward import grounding_metrics, parse_boxes

TASKS = {"dior_rsvg": "dior_rsvg", "opt_rsvg": "opt_rsvg", "vrsbench": "vrsbench", "rrsis_d": "plain"}
ANSWER = "{<25><25><75><75>}"  # without commas, at which lmms-eval would split it
COUNT = 24


def evaluate(folder: Path, told: dict[str, str]) -> subprocess.CompletedProcess[str]:
    tasks = ",".join(f"rsreward_{name}" for name in TASKS)
    command = [sys.executable, "-m", "lmms_eval", "--model", "dummy", "--model_args", f"response={ANSWER}"]
    command += ["--tasks", tasks, "--include_path", str(Path(rsreward_lmms_eval.__file__).parent), "--batch_size", "1"]
    command += ["--output_path", str(folder / "out"), "--log_samples"]
    around = {"HF_HOME": str(folder / "hf"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, env=os.environ | around | told, check=False, **output)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scenes = folder / "scenes"
        made = [Path(sys.executable).with_name("rsreward"), "data", "scenes", str(scenes), "--val", str(COUNT)]
        subprocess.run([*made, "--train", "8", "--size", "128"], check=True)
        for task in TASKS:
            (folder / "tables" / task).mkdir(parents=True)
            (folder / "tables" / task / "test.parquet").symlink_to(scenes / "val.parquet")
            (folder / "images").mkdir(exist_ok=True)
            (folder / "images" / task).symlink_to(scenes)
        told = {"RSREWARD_TABLES": str(folder / "tables"), "RSREWARD_IMAGES": str(folder / "images")}
        refused = evaluate(folder, told)
        assert "set RSREWARD_SPACE to the coordinate space" in refused.stdout, refused.stdout[-4000:]
        done = evaluate(folder, told | {"RSREWARD_SPACE": "norm100"})
        assert done.returncode == 0, done.stdout[-6000:]
        [file] = (folder / "out").rglob("*results.json")
        found = json.loads(file.read_text())["results"]
        examples = list(read_examples(scenes / "val.parquet"))
        sizes = {side: [getattr(example, side) for example in examples] for side in ("width", "height")}
        target = torch.tensor([example.boxes[0] for example in examples])
        pred = parse_boxes([ANSWER] * len(examples), space="norm100", **sizes)
        for task, convention in TASKS.items():
            expected = grounding_metrics(pred, target, convention=convention, **sizes)
            assert expected.pop("rows") == len(examples)
            for metric, value in expected.items():
                counted = found[f"rsreward_{task}"][f"{metric},none"]
                assert abs(counted - value) < 1e-6, (task, metric, counted, value)
            assert expected["miou"] > 0
    print(f"lmms-eval counts as the core does: {len(TASKS)} tasks of {len(examples)} questions")
