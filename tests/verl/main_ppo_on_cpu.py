"""Two steps of verl's own `main_ppo` on a CPU: a tiny Qwen3-VL that has learnt the form of an answer, really sampling.

python tests/verl/main_ppo_on_cpu.py FOLDER [further overrides for verl]
"""

import os
import subprocess
import sys
from pathlib import Path

SIZE, STEPS = 64, 150
SCENES = {"train": 16, "val": 4}


def prepare(folder):
    """A model after 150 steps of SFT, which writes boxes but not yet the right ones, and rows for verl."""
    import torch
    from datasets import Dataset
    from rsreward_qwen_vl.model.tiny import build_model, build_processor, train_tokenizer
    from rsreward_qwen_vl.scene_rows import scene_row
    from rsreward_qwen_vl.schedule import Schedule
    from rsreward_qwen_vl.train import sft
    from rsreward_tools.data.example import read_examples
    from rsreward_tools.data.prompts import TEMPLATE, prompt
    from rsreward_tools.data.scenes import generate_scene
    from rsreward_tools.data.scenes.dataset import write_scenes
    from rsreward_tools.data.verl_rows import verl_rows, write_parquet
    from transformers import set_seed

    set_seed(0)
    torch.set_num_threads(1)
    schedule = Schedule(STEPS, 16, 2e-3)
    rows = [scene_row(10**9 + seed, 1, SIZE) for seed in range(schedule.steps * schedule.batch_size)]
    for row in rows:
        row["prompt"] = prompt(generate_scene(row["seed"], 1).query, TEMPLATE)
    # Not trained on the prompts, so that these are of many lengths; see OVERRIDES.
    tokenizer = train_tokenizer(row["completion"][0]["content"] for row in rows[:400])
    processor = build_processor(tokenizer, "qwen3-vl", SIZE)
    model = build_model(tokenizer, "qwen3-vl", SIZE, width=96, layers=2, vision_width=64, vision_layers=1)
    sft(model, processor, Dataset.from_list(rows), schedule.sft(folder / "model", seed=0), progress=lambda *_: None)
    write_scenes(folder / "scenes", SCENES, level=1, size=SIZE)
    (folder / "rows").mkdir()
    for split in SCENES:
        examples = read_examples(folder / "scenes" / f"{split}.parquet")
        write_parquet(verl_rows(examples, folder / "scenes"), folder / "rows" / f"{split}.parquet")


# Flash attention wants a GPU, so rows are padded and attention is torch's. A micro-batch holds the whole batch: verl
# stumbles over one whose sequences with images are all of one length (its issue 7899). CPUs and GPU are pretended.
OVERRIDES = [
    "rsvg_model=qwen3_vl_4b",
    "rsvg_gpus=one",
    "trainer.device=cpu",
    "trainer.logger=[console,file]",
    "rsreward.consistency.clip=[0.5,9]",
    "trainer.total_training_steps=2",
    "trainer.test_freq=2",
    "trainer.save_freq=-1",
    "trainer.resume_mode=disable",
    "data.train_batch_size=4",
    "data.val_batch_size=4",
    "data.max_prompt_length=256",
    "data.max_response_length=48",
    "data.dataloader_num_workers=0",
    "data.filter_overlong_prompts=False",
    "+actor_rollout_ref.model.override_config.attn_implementation=sdpa",
    "actor_rollout_ref.model.use_remove_padding=False",
    "actor_rollout_ref.model.enable_gradient_checkpointing=False",
    "actor_rollout_ref.actor.ppo_mini_batch_size=4",
    "actor_rollout_ref.actor.use_dynamic_bsz=False",
    "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=16",
    "actor_rollout_ref.actor.use_torch_compile=False",
    "actor_rollout_ref.actor.optim.lr=1e-4",
    "actor_rollout_ref.actor.fsdp_config.dtype=float32",
    "actor_rollout_ref.actor.fsdp_config.param_offload=False",
    "actor_rollout_ref.actor.fsdp_config.optimizer_offload=False",
    "actor_rollout_ref.rollout.name=generate",
    "actor_rollout_ref.rollout.n=4",
    "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16",
    "actor_rollout_ref.rollout.agent.num_workers=1",
    "actor_rollout_ref.rollout.free_cache_engine=False",
    "ray_kwargs.ray_init.num_cpus=32",
    "+ray_kwargs.ray_init.num_gpus=1",
    "+ray_kwargs.ray_init.include_dashboard=False",
    "+ray_kwargs.ray_init.object_store_memory=300000000",
    "+ray_kwargs.ray_init._system_config.memory_monitor_refresh_ms=0",
    "ray_kwargs.ray_init.runtime_env.env_vars.VERL_USE_EXTERNAL_MODULES='verl_on_cpu,rsreward_verl.trainer'",
]


def command(folder):
    """verl's command on what `prepare` left in this folder."""
    files = {
        "actor_rollout_ref.model.path": folder / "model", "data.train_files": folder / "rows" / "train.parquet",
        "data.val_files": folder / "rows" / "val.parquet", "hydra.run.dir": folder / "hydra",
        "trainer.default_local_dir": folder / "checkpoints", "trainer.validation_data_dir": folder / "val",
        "trainer.rollout_data_dir": folder / "rollouts",
    }  # fmt: skip
    config = ["--config-path=pkg://rsreward_verl.config", "--config-name=rsvg_grpo"]
    return [sys.executable, "-m", "verl.trainer.main_ppo", *config, *OVERRIDES, *(f"{k}={v}" for k, v in files.items())]


def environment(folder):
    """What the run needs around it; verl's metrics go to `metrics.jsonl` in this folder."""
    here = str(Path(__file__).parent)
    return os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")])),
        "VERL_USE_EXTERNAL_MODULES": "verl_on_cpu,rsreward_verl.trainer", "VERL_PLATFORM": "cpu",
        "VERL_ENGINE_DEVICE": "cuda", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
        "HYDRA_FULL_ERROR": "1", "RAY_DEDUP_LOGS": "0", "NO_COLOR": "1",
        "VERL_FILE_LOGGER_PATH": str(folder / "metrics.jsonl"),
    }  # fmt: skip


if __name__ == "__main__":
    folder = Path(sys.argv[1]).resolve()
    if not (folder / "rows").exists():
        prepare(folder)
    sys.exit(subprocess.run([*command(folder), *sys.argv[2:]], env=environment(folder), check=False).returncode)
