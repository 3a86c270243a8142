"""The whole loop in one run: a tiny Qwen-VL with random weights, SFT, GRPO, and measurements on held-out scenes."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from rsreward_tools.data.prompts import instruction
from rsreward_tools.data.scenes import generate_scene
from rsreward_tools.data.scenes.explained import explained
from rsreward_tools.errors import InputError
from rsreward_tools.files import alone_in, regular_file, write_whole
from rsreward_tools.score.compare import compare_files
from rsreward_tools.score.options import Options
from transformers import AutoModelForImageTextToText, PreTrainedModel, ProcessorMixin, set_seed

from .arguments import RewardArguments
from .evaluate import METRICS, metrics_of
from .model.generate import generate
from .model.tiny import build_model, build_processor, look_once, train_tokenizer
from .scene_rows import SPACE, scene_dataset, scene_row
from .schedule import WEIGHTS, Schedule
from .train import grpo, reward_functions, sft

STAGES = ("start", "sft", "grpo")
KINDS = ("greedy", "sampled")
SEEDS_PER_RUN = 10**6  # scenes of a run: SFT takes its first half, GRPO the second; the seeds below belong to no run
TOKENIZER_SEEDS = range(10**9, 10**9 + 400)
HELD_OUT = 2 * 10**9


@dataclass(frozen=True)
class Preset:
    """A size of demo.

    Attributes:
        explained: number of scenes with reasoning chains, for SFT. GRPO sees other scenes with only their boxes.
        reward: the reward of a box in GRPO, a key of `REWARDS`.
        rollout_groups: number of held-out scenes whose groups of rollouts go into the report.
        weight: the consistency weight in GRPO, a key of `WEIGHTS`.
    """

    sft: Schedule
    grpo: Schedule
    explained: int = 500
    level: int = 1
    image_size: int = 96
    width: int = 128
    layers: int = 2
    vision_width: int = 96
    vision_layers: int = 2
    held_out: int = 1024
    samples: int = 2
    rollout_groups: int = 4
    reward: str = "positional"
    weight: str = "normalized"


PRESETS = {
    "cpu": Preset(sft=Schedule(900, 16, 2e-3), grpo=Schedule(400, 64, 2e-4, group_size=8)),
    "quick": Preset(
        sft=Schedule(60, 16, 1e-3), grpo=Schedule(4, 32, 1e-4, group_size=8), explained=100, held_out=32, samples=1
    ),
    "gpu": Preset(
        sft=Schedule(4000, 64, 5e-4),
        grpo=Schedule(1000, 256, 1e-4, group_size=8, max_completion_length=96),
        explained=8000, level=2, image_size=192, width=256, layers=6, vision_width=192, vision_layers=4,
    ),
}  # fmt: skip

Report = Callable[[str, int, int, str], None]  # stage, done, of, note


def run_demo(out: Path, preset: Preset, *, seed: int = 0, resume: bool = False, report: Report) -> dict[str, Any]:
    """Run the stages that are not done yet. Return the results, which `results.json` holds too."""
    _read(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {out}: {error.strerror}.") from None
    with alone_in(out):
        return _run(out, preset, seed, resume, report)


def _run(out: Path, preset: Preset, seed: int, resume: bool, report: Report) -> dict[str, Any]:
    run = _open(out, preset, seed, resume)
    set_seed(seed)
    tokenizer = train_tokenizer(_texts(preset.level))
    processor = build_processor(tokenizer, "qwen3-vl", preset.image_size)
    held_out = [scene_row(HELD_OUT + i, preset.level, preset.image_size) for i in range(preset.held_out)]
    first = seed * SEEDS_PER_RUN
    scenes = {
        "sft": range(first, first + preset.explained),
        "grpo": _grpo_seeds(first + SEEDS_PER_RUN // 2, preset.grpo),
    }
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for stage in STAGES:
        if stage in run["seconds"]:
            continue
        began, folder = time.perf_counter(), out / stage
        if stage == "start":
            model = _new_model(preset, tokenizer, seed).to(device)
            model.save_pretrained(folder)
            tokenizer.save_pretrained(folder)
        else:
            model = _load(out / STAGES[STAGES.index(stage) - 1]).to(device)
            schedule = getattr(preset, stage)
            rows = scene_dataset(scenes[stage], preset.level, preset.image_size, completions=stage == "sft")

            def note(step: int, logs: dict[str, float], stage: str = stage, steps: int = schedule.steps) -> None:
                report(stage, step, steps, _summary(logs))

            if stage == "sft":
                sft(model, processor, rows, preset.sft.sft(folder, seed), progress=note)
            else:
                rewards, weight = reward_functions(RewardArguments(reward=preset.reward), SPACE), WEIGHTS[preset.weight]
                arguments = preset.grpo.grpo(folder, seed)
                look_once(model)
                grpo(model, processor, rows, arguments, rewards, consistency=weight, progress=note)
        trained = time.perf_counter()
        run[stage] = _evaluate(model, processor, held_out, preset, folder, stage, seed, report)
        run["seconds"][stage] = {
            "train": round(trained - began, 3),
            "evaluate": round(time.perf_counter() - trained, 3),
        }
        write_whole(out / "results.json", json.dumps(run, indent=2))
    run["change"] = change(out)
    write_whole(out / "results.json", json.dumps(run, indent=2))
    return run


def change(out: Path) -> dict[str, dict[str, dict[str, float]]]:
    """What GRPO changed on the held-out scenes: GRPO - SFT in each metric, with a paired 95 % bootstrap interval.

    The bootstrap draws scenes. A scene's samples are drawn together, and so are its answers before and after.

    Returns:
        For greedy and sampled answers and each metric `mean`, `low` and `high`.
    """
    changes = {}
    for kind in KINDS:
        with TemporaryDirectory() as folder:
            before, after = (
                _answers_of(kind, out / stage, Path(folder) / f"{stage}.jsonl") for stage in ("sft", "grpo")
            )
            differences = compare_files(before, after, Options(SPACE, cluster="seed"))["differences"]
        changes[kind] = {
            name: dict(zip(("mean", "low", "high"), (round(value, 4) for value in differences[name]), strict=True))
            for name in METRICS
        }
    return changes


def _answers_of(kind: str, stage: Path, file: Path) -> Path:
    """A file with the answers of one kind that a stage gave."""
    lines = (stage / "completions.jsonl").read_text().splitlines()
    file.write_text("".join(f"{line}\n" for line in lines if json.loads(line)["log"] == kind))
    return file


def _open(out: Path, preset: Preset, seed: int, resume: bool) -> dict[str, Any]:
    """The results so far. A run that is not resumed starts from the beginning."""
    settings = json.loads(json.dumps(asdict(preset)))
    run = _read(out)
    if resume and run is not None:
        if (run["settings"], run["seed"]) != (settings, seed):
            raise InputError(
                f"{out} holds a run of other settings or seed: leave out --resume, or choose another --out."
            )
        return run
    for stage in STAGES:
        shutil.rmtree(out / stage, ignore_errors=True)
    (out / "report.html").unlink(missing_ok=True)
    packages = ("rsreward", "torch", "transformers", "trl", "accelerate", "datasets")
    run = {"seed": seed, "settings": settings, "versions": {p: version(p) for p in packages}, "seconds": {}}
    write_whole(out / "results.json", json.dumps(run, indent=2))
    return run


def _read(out: Path) -> dict[str, Any] | None:
    """The results of the run in this folder; None if it is empty or missing."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    regular_file(out / "results.json")
    try:
        run: dict[str, Any] = json.loads((out / "results.json").read_text())
        if {"settings", "seed", "seconds", "versions"} <= set(run):
            return run
    except (OSError, ValueError, TypeError):
        pass
    raise InputError(f"{out} is not empty and holds no run of the demo: choose another folder with --out.")


def _texts(level: int) -> Iterator[str]:
    for seed in TOKENIZER_SEEDS:
        scene = generate_scene(seed, level)
        yield instruction(scene.query)
        yield explained(scene)


def _grpo_seeds(first: int, schedule: Schedule) -> range:
    return range(first, first + schedule.steps * schedule.batch_size // schedule.group_size)


def _new_model(preset: Preset, tokenizer: Any, seed: int) -> PreTrainedModel:
    sizes = {name: getattr(preset, name) for name in ("width", "layers", "vision_width", "vision_layers")}
    return build_model(tokenizer, "qwen3-vl", preset.image_size, **sizes, seed=seed)


def _load(folder: Path) -> PreTrainedModel:
    model: PreTrainedModel = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)
    return model


def _evaluate(
    model: PreTrainedModel,
    processor: ProcessorMixin,
    held_out: list[dict[str, Any]],
    preset: Preset,
    folder: Path,
    stage: str,
    seed: int,
    report: Report,
) -> dict[str, dict[str, float]]:
    """Greedy and sampled metrics; the completions are kept in `completions.jsonl`."""
    groups = held_out[: preset.rollout_groups]
    kinds = {"greedy": held_out, "sampled": held_out * preset.samples, "groups": groups * preset.grpo.group_size}
    total, done = sum(map(len, kinds.values())), 0
    lines = []
    for kind, rows in kinds.items():

        def note(count: int, before: int = done) -> None:
            report(f"evaluate {stage}", before + count, total, "")

        length = preset.grpo.max_completion_length
        texts = generate(
            model,
            processor,
            rows,
            sampled=kind != "greedy",
            seed=seed,
            batch_size=128,
            max_new_tokens=length,
            progress=note,
        )
        done += len(rows)
        for row, text in zip(rows, texts, strict=True):
            fields = {"completion": text, "target": row["target"], "width": row["width"], "height": row["height"]}
            lines.append(json.dumps({"log": kind, "seed": row["seed"], **fields}))
    write_whole(folder / "completions.jsonl", "\n".join(lines) + "\n")
    metrics = metrics_of(folder / "completions.jsonl", SPACE, by="log")
    return {kind: metrics[kind] for kind in KINDS}


def _summary(logs: dict[str, float]) -> str:
    named = {"loss": "loss", "reward": "reward", "positional_reward/iou": "IoU", "iou/iou": "IoU"}
    named["consistency/weight_mean"] = "weight"
    return ", ".join(f"{label} {float(logs[key]):.3f}" for key, label in named.items() if key in logs)
