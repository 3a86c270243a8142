"""What of other packages is overridden, wrapped or private, and is taken for granted.

A test that fails here says what has moved and which file of ours leans on it. `rsreward doctor` looks at the same.
"""

import inspect
import os
import struct
from collections import deque

import pytest
import torch
from PIL import Image
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode


def takes(function, *names, where):
    """The names of a function's parameters, the first of them."""
    found = list(inspect.signature(function).parameters)[: len(names)]
    assert found == list(names), f"{function.__qualname__} takes {found} and no longer {list(names)}: mend {where}"


def test_torch_tells_of_vmap_forward_derivatives_and_recorders():
    where = "mend rsreward/dispatch.py"
    seen = []
    inside = torch._C._functorch.is_functorch_wrapped_tensor
    torch.vmap(lambda row: seen.append(inside(row)) or row)(torch.ones(2))
    assert seen == [True], f"torch._C._functorch.is_functorch_wrapped_tensor no longer knows vmap: {where}"
    assert not inside(torch.ones(2)), where
    assert forward_ad._current_level < 0, f"forward_ad._current_level is no longer below 0 by itself: {where}"
    with forward_ad.dual_level():
        assert forward_ad._current_level >= 0, f"forward_ad._current_level no longer counts levels: {where}"
    mode = torch.utils._python_dispatch._get_current_dispatch_mode
    assert mode() is None, where
    with TorchDispatchMode() as recorder:
        assert mode() is recorder, f"_get_current_dispatch_mode no longer gives the innermost mode: {where}"


@pytest.mark.filterwarnings("ignore")
def test_trl_hands_over_what_the_weight_and_the_gallery_read(tmp_path):
    pytest.importorskip("rsreward_qwen_vl.model.tiny", reason="the recipe's packages are not installed")
    from rsreward_trl import as_reward_func
    from tiny_grpo import build_trainer
    from trl import GRPOTrainer, RLOOTrainer

    from rsreward import positional_reward

    weight, gallery = "integrations/rsreward_trl/trainer.py", "integrations/rsreward_qwen_vl/gallery.py"
    for kind in (GRPOTrainer, RLOOTrainer):
        takes(kind._calculate_rewards, "self", "inputs", "prompts", "completions", "completion_ids_list", where=weight)
        takes(kind._generate_and_score_completions, "self", "inputs", where=weight)
    handed = {}

    def reward(completions, **columns):
        handed.update(columns)
        return [float(i) for i, _ in enumerate(completions)]

    trainer = build_trainer(
        tmp_path, trainer=GRPOTrainer, reward_funcs=[as_reward_func(positional_reward), reward], save_strategy="steps",
        save_steps=1,
    )  # fmt: skip
    output = {}
    generate = trainer._generate_and_score_completions
    trainer._generate_and_score_completions = lambda inputs: output.update(generate(inputs)) or output
    trainer.train()
    assert {"log_metric", "log_extra", "target"} <= handed.keys(), "mend integrations/rsreward_trl/rewards.py"
    assert output["advantages"].shape == (8,), f"output['advantages'] is no longer (N,): mend {weight}"
    logged = trainer._logs["advantages"]
    assert isinstance(logged, deque), f"_logs['advantages'] is no longer a deque: mend {weight}"
    assert list(logged)[-8:] == pytest.approx(output["advantages"].tolist()), f"it lacks the newest: mend {weight}"
    assert {"train", "eval"} <= trainer._metrics.keys(), f"_metrics is no longer by mode: mend {weight}"
    assert (trainer.num_generations, trainer.num_generations_eval) == (4, 4), weight
    assert {"images", "prompt", "completion", "extra"} <= trainer._logs.keys(), f"mend {gallery}"
    assert "positional_reward/box" in trainer._logs["extra"], f"log_extra no longer reaches _logs: mend {gallery}"
    files = {file.name: os.stat(file).st_mtime_ns for file in (tmp_path / "checkpoint-1").iterdir()}
    last = max(files, key=lambda name: files[name])
    where = "mend newest_checkpoint in integrations/rsreward_qwen_vl/model/trained.py"
    assert last == "trainer_state.json", f"the last file of a checkpoint is {last}: {where}"


def test_verl_computes_advantages_and_checks_configurations_where_they_are_wrapped():
    pytest.importorskip("verl", reason="verl is not installed")
    import rsreward_verl.trainer
    from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase
    from verl.trainer.ppo import ray_trainer

    v0 = "integrations/rsreward_verl/v0.py"
    plain = ray_trainer.compute_advantage.__wrapped__
    takes(plain, "data", where=v0)
    assert "config" in inspect.signature(plain).parameters, f"compute_advantage lacks config: mend {v0}"
    takes(ray_trainer.compute_data_metrics.__wrapped__, "batch", where=v0)
    source = inspect.getsource(ray_trainer.RayPPOTrainer.fit)
    order = [source.find(f"{name}(") for name in ("compute_advantage", "compute_data_metrics")]
    assert 0 < order[0] < order[1], f"a step of RayPPOTrainer.fit no longer calls the two in this order: mend {v0}"
    takes(RewardManagerBase.__init__, "self", "config", "tokenizer", "compute_score", where="rsreward_verl/reward.py")
    takes(RewardManagerBase.run_single, "self", "data", where="rsreward_verl/reward.py")
    own = "integrations/rsreward_verl/trainer.py"
    takes(rsreward_verl.trainer._validate_config, "config", where=own)
    assert not inspect.signature(rsreward_verl.trainer._is_trl_available).parameters, own


def test_verls_default_trainer_and_its_queue_are_as_the_weight_needs_them():
    pytest.importorskip("verl.trainer.ppo.v1", reason="this verl has no second trainer")
    import transfer_queue
    from rsreward_verl import v1

    where = "integrations/rsreward_verl/v1.py"
    kinds = v1.SpatialConsistencyMixin.__subclasses__()
    assert len(kinds) == 3
    for kind in kinds:
        takes(kind.__mro__[2]._compute_advantage, "self", "batch", "metrics", where=where)
    for function, needed in (
        (transfer_queue.kv_batch_get, {"keys", "partition_id", "select_fields"}),
        (transfer_queue.kv_batch_put, {"keys", "partition_id", "fields"}),
    ):
        found = set(inspect.signature(function).parameters)
        assert needed <= found, f"{function.__name__} takes {found}: mend {where}"


@pytest.mark.parametrize("name", ["compute_rewards_per_func", "compute_advantages", "compute_advantages_dynamic"])
def test_ms_swift_shares_the_functions_that_are_wrapped(name):
    home = "grpo_algorithm" if name == "compute_rewards_per_func" else "advantage"
    swift = pytest.importorskip(f"swift.rl_core.{home}", reason="ms-swift is not installed: make smoke-swift")
    import swift_functions

    expected = list(inspect.signature(getattr(swift_functions, name)).parameters)
    takes(getattr(swift, name), *expected, where="rsreward_swift/weight.py and tests/swift/swift_functions.py")


def test_pillow_tells_of_deep_colours_of_bombs_and_of_orientation(tmp_path):
    where = "mend integrations/rsreward_tools/data/images.py"
    tiff = tmp_path / "deep.tif"
    tags = {256: (3, 1, 1), 257: (3, 1, 1), 258: (3, 3, 122), 259: (3, 1, 1), 262: (3, 1, 2), 273: (4, 1, 128),
            277: (3, 1, 3), 278: (3, 1, 1), 279: (4, 1, 6)}  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, *entry) for tag, entry in tags.items())
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    tiff.write_bytes(head.ljust(122, b"\0") + struct.pack("<6H", 16, 16, 16, 0, 0, 0))
    with Image.open(tiff) as image:
        assert any(";16" in str(tile[3]) for tile in image.tile), f"Image.tile says {image.tile} of 16 bits: {where}"
        assert image.getexif().get(274, 1) == 1, f"getexif lacks a default: {where}"
    assert issubclass(Image.DecompressionBombError, Exception)
    assert Image.MAX_IMAGE_PIXELS, f"Pillow no longer has a limit of pixels: {where}"


def test_typer_makes_exit_code_130_of_ctrl_c_and_keeps_what_it_came_from():
    import typer

    app = typer.Typer()

    @app.command()
    def stop():
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as end:
        app([])
    found = end.value.code, type(getattr(end.value.__context__, "__cause__", None))
    assert found == (130, KeyboardInterrupt), f"typer ends with {found}: mend integrations/rsreward_tools/cli/main.py"


def test_hypothesis_keeps_the_settings_of_a_test_where_ours_change_them():
    from hypothesis import given
    from hypothesis import strategies as st

    test = given(st.integers())(lambda number: None)
    assert hasattr(test, "hypothesis"), "mend tests/core/conftest.py"
    assert hasattr(test, "_hypothesis_internal_use_settings"), "hypothesis has renamed it: mend tests/core/conftest.py"
