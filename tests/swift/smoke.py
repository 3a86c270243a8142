"""Run by `make smoke-swift`: two steps of the real `swift` command on a tiny Qwen3-VL, checked against the core."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import rsreward_swift
import torch
from rsreward_qwen_vl.model.processors import save_processor
from rsreward_qwen_vl.model.tiny import build_model, build_processor, train_tokenizer
from rsreward_qwen_vl.scene_rows import SPACE, scene_row

from rsreward import format_reward, iou, parse_boxes, positional_reward

SIZE, GROUP, STEPS = 64, 4, 2
TOLD = {
    "RSREWARD_SPACE": SPACE,
    "RSREWARD_TARGET": "solution",
    "RSREWARD_CLIP": "[0.5, 9]",
    "RSREWARD_LAMBDA_VAR": "2",
}
HERE, PLUGIN = Path(__file__).parent, Path(rsreward_swift.__file__).with_name("plugin.py")


def prepare(folder: Path) -> None:
    """A model that writes boxes, though not the right ones, since it has seen texts alone; and rows for swift."""
    rows = [scene_row(seed, 1, SIZE) for seed in range(256)]
    chats = [
        f"<|im_start|>user\n{row['prompt'][0]['content']}<|im_end|>\n<|im_start|>assistant\n"
        f"{row['completion'][0]['content']}<|im_end|>"
        for row in rows
    ]
    tokenizer = train_tokenizer(chats)
    model = build_model(tokenizer, "qwen3-vl", SIZE, width=96, layers=2, vision_width=64, vision_layers=1)
    batch = tokenizer(chats, return_tensors="pt", padding=True)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for step in range(150):
        some = torch.arange(step * 16, step * 16 + 16) % len(rows)
        loss = model(**{name: values[some] for name, values in batch.items()}, labels=labels[some]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    print(f"the tiny model has learnt the form of an answer: loss {loss.item():.2f}")
    model.save_pretrained(folder / "model")
    save_processor(build_processor(tokenizer, "qwen3-vl", SIZE), folder / "model")
    with (folder / "rows.jsonl").open("w") as file:
        for number, row in enumerate(rows[:16]):
            row["images"][0].save(folder / f"{number}.png")
            content = f"<image>{row['prompt'][0]['content']}"
            known = {"solution": row["target"], "width": SIZE, "height": SIZE}  # swift logs a column of that name
            asked = {"messages": [{"role": "user", "content": content}], "images": [str(folder / f"{number}.png")]}
            file.write(json.dumps(asked | known) + "\n")


def train(folder: Path, processes: int, told: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Two steps; by one process two groups at once, by several one that is split over them."""
    out = folder / f"run{processes}"
    options = {
        "rlhf_type": "grpo", "model": folder / "model", "model_type": "tiny_qwen3_vl", "template": "tiny_qwen3_vl",
        "dataset": folder / "rows.jsonl", "split_dataset_ratio": 0, "output_dir": out, "add_version": "false",
        "tuner_type": "full", "torch_dtype": "float32", "bf16": "false", "use_cpu": "true", "attn_impl": "sdpa",
        "max_steps": STEPS, "num_generations": GROUP,
        "per_device_train_batch_size": 2 * GROUP if processes == 1 else GROUP // processes,
        "gradient_accumulation_steps": 1, "max_completion_length": 64, "temperature": 1.0, "learning_rate": "1e-3",
        "gradient_checkpointing": "false", "log_completions": "true", "report_to": "none", "save_strategy": "no",
        "logging_steps": 1, "dataloader_num_workers": 0, "dataset_num_proc": 1, "load_from_cache_file": "false",
        "seed": 1,
    }  # fmt: skip
    command = [Path(sys.executable).with_name("swift"), "rlhf"]
    for name, value in options.items():
        command += [f"--{name}", str(value)]
    command += ["--external_plugins", str(HERE / "tiny_qwen.py"), str(PLUGIN)]
    command += ["--reward_funcs", "rs_positional", "rs_format", "rs_iou", "--reward_weights", "1", "1", "0"]
    around = {"ACCELERATE_USE_CPU": "true", "CUDA_VISIBLE_DEVICES": "", "MODELSCOPE_OFFLINE": "1"}
    several = {"NPROC_PER_NODE": str(processes)} if processes > 1 else {}
    environment = os.environ | told | around | several
    return subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )


def check(out: Path) -> None:
    """Rewards and weighted advantages of every completion that swift has logged, again from its text."""
    seen, weights = set(), []
    for logged in map(json.loads, (out / "completions.jsonl").open()):
        seen |= set(logged["step"])
        target = torch.tensor(logged["solution"])
        pred = parse_boxes(logged["completion"], space=SPACE, width=SIZE, height=SIZE)
        positional, form = positional_reward(pred, target), format_reward(logged["completion"], kind="horizontal")
        assert torch.equal(torch.tensor(logged["RSPositional"]), positional)
        assert torch.equal(torch.tensor(logged["RSFormat"]), form)
        overlap, reward = (values.double().view(-1, GROUP) for values in (iou(pred, target), positional + form))
        mean = overlap.mean(1, keepdim=True)
        weight = torch.exp(1.2 * (1 - mean) + 2 * (overlap - mean).square().mean(1, keepdim=True)).clamp(0.5, 9)
        plain = (reward - reward.mean(1, keepdim=True)) / (reward.std(1, keepdim=True) + 1e-4)
        advantages = torch.tensor(logged["advantages"], dtype=torch.float64).view(-1, GROUP)
        assert torch.allclose(advantages, weight * plain, atol=1e-5), (advantages, weight * plain)
        weights += weight.flatten().tolist()
    assert seen == {str(step + 1) for step in range(STEPS)}, seen
    assert max(weights) - min(weights) > 0.01, weights


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        refused = train(Path(name), 1, TOLD | {"RSREWARD_SPACE": "qwen9-vl"})
        assert refused.returncode != 0
        assert "ValueError: the options of rsreward are wrong: unknown coordinate space 'qwen9-vl'" in refused.stdout
        for processes in (1, 2):
            trained = train(Path(name), processes, TOLD)
            assert trained.returncode == 0, trained.stdout[-6000:]
            check(Path(name) / f"run{processes}")
    print("ms-swift gives the rewards and the weighted advantages of the core")
