"""Run by `make smoke-tools` where nothing but the tools is installed: no trainer is there, and scoring works."""

import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path

RSREWARD = Path(sys.executable).with_name("rsreward")


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([RSREWARD, *map(str, arguments)], capture_output=True, text=True, check=False)


if __name__ == "__main__":
    for package in ("trl", "transformers", "peft", "accelerate", "datasets", "verl"):
        assert importlib.util.find_spec(package) is None, package

    with tempfile.TemporaryDirectory() as folder:
        texts = [f"<think>a</think><answer>[0, 0, {x}, 10]</answer>" for x in (5, 10)]
        rows = [{"completion": text, "target": [0, 0, 10, 10]} for text in texts]
        (Path(folder) / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        scored = run("score", Path(folder) / "rows.jsonl", "--json", "--html", Path(folder) / "page.html")
        assert scored.returncode == 0, scored.stderr
        assert json.loads(scored.stdout)["metrics"]["miou"] == 0.75
        assert run("compare", *[Path(folder) / "rows.jsonl"] * 2).returncode == 0
        assert run("data", "scenes", Path(folder) / "scenes", "--train", 2, "--val", 0, "--test", 0).returncode == 0
        for command in ("sft", "grpo", "evaluate", "cot", "demo"):
            assert run(command, "--help").returncode == 0
        told = run("sft", "--data", "a", "--images", "b", "--output_dir", "c")
        assert told.returncode == 2
        assert "pip install 'rsreward[recipe]'" in told.stderr, told.stderr

    shared = Path(__file__).parents[2] / ".." / "shared" / "data" / "rollouts_dev.jsonl"
    if shared.exists():
        scored = run("score", shared, "--space", "qwen2.5-vl", "--by", "log")
        assert scored.returncode == 0, scored.stderr
        print(scored.stdout)
    print("the tools work alone")
