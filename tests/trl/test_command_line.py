"""`trl grpo --reward_funcs`: TRL's own script, from its arguments to the first step."""

import importlib
import json

import pytest
from rsreward_qwen_vl.model.tiny import train_tokenizer
from rsreward_trl import BoxReward, TextReward
from transformers import Qwen2Config, Qwen2ForCausalLM
from trl.scripts.grpo import main, make_parser

from rsreward import SPACES

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.mark.parametrize(("module", "space"), [("qwen2_5_vl", "qwen2.5-vl"), ("qwen3_vl", "qwen3-vl")])
def test_each_family_has_its_ready_rewards(module, space):
    ready = importlib.import_module(f"rsreward_trl.{module}")
    assert isinstance(ready.positional, BoxReward)
    assert ready.positional.reading.space == SPACES[space]
    assert isinstance(ready.format, TextReward)
    assert [ready.positional.__name__, ready.format.__name__] == ["positional_reward", "format_reward"]


def test_trl_grpo_trains_with_rewards_that_are_named_on_its_command_line(tmp_path):
    rows = [
        {"prompt": f"Where is ship {i}?", "target": [0, 0, 10, 10 + i], "width": 80, "height": 60} for i in range(4)
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    tokenizer = train_tokenizer([row["prompt"] for row in rows], vocab_size=320)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = Qwen2ForCausalLM(Qwen2Config(vocab_size=len(tokenizer), num_key_value_heads=2, **sizes))
    for part in (model, tokenizer):
        part.save_pretrained(tmp_path / "model")
    options = {
        "model_name_or_path": tmp_path / "model", "dataset_name": tmp_path / "data", "output_dir": tmp_path / "out",
        "max_steps": 1, "num_generations": 2, "per_device_train_batch_size": 4, "max_completion_length": 4,
        "use_cpu": True, "bf16": False, "report_to": "none", "save_steps": 1, "logging_steps": 1, "dtype": "float32",
    }  # fmt: skip
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    rewards = ["rsreward_trl.qwen3_vl.positional", "rsreward_trl.qwen3_vl.format"]
    main(*make_parser().parse_args_and_config([*arguments, "--reward_funcs", *rewards], fail_with_unknown_args=False))
    logged = json.loads((tmp_path / "out/checkpoint-1/trainer_state.json").read_text())["log_history"][0]
    names = {"rewards/positional_reward/mean", "rewards/format_reward/mean", "positional_reward/parse_rate"}
    assert names <= logged.keys()
