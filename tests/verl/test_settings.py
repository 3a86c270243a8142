import os
import subprocess
import sys

import pytest
import rsreward_verl.trainer  # noqa: F401  # the check wants it loaded
from omegaconf import OmegaConf, open_dict
from rsreward_verl.settings import check_config, consistency_options, reward_options
from verl.trainer.ppo.utils import need_critic, need_reference_policy
from verl.utils.config import validate_config
from verl_rows import OUR_FUNCTION, OUR_MANAGER, rsvg_config, verl_config

MODELS = ("qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen3_vl_4b", "qwen3_vl_8b", "qwen3_5_9b")
SECTION = ["+rsreward.consistency.lambda_mean=1.2"]
MODE = ["trainer.v1.trainer_mode=rsreward_sync"]


@pytest.mark.parametrize("gpus", ["one", "eight", "nodes"])
@pytest.mark.parametrize("model", MODELS)
def test_every_configuration_composes_with_verls_and_passes_both_checks(model, gpus):
    config = rsvg_config(f"rsvg_model={model}", f"rsvg_gpus={gpus}")
    OmegaConf.resolve(config)
    validate_config(config, use_reference_policy=need_reference_policy(config), use_critic=need_critic(config))
    assert consistency_options(config) == {
        "lambda_mean": 1.2, "lambda_var": 1.0, "clip": (0.5, 3.0), "normalize": False,
    }  # fmt: skip
    spaces = {"qwen2_5": "qwen2.5-vl", "qwen3_v": "qwen3-vl", "qwen3_5": "qwen3.5"}
    assert reward_options(config)["space"] == spaces[model[:7]]
    assert config.data.image_patch_size == {"qwen2": 14, "qwen3": 16}[model[:5]]
    rollouts = config.data.train_batch_size * config.actor_rollout_ref.rollout.n
    assert rollouts % (config.trainer.nnodes * config.trainer.n_gpus_per_node) == 0
    assert config.data.train_batch_size % config.actor_rollout_ref.actor.ppo_mini_batch_size == 0


def test_the_configurations_say_nothing_that_verl_does_not_know():
    ours, verls = (OmegaConf.to_container(c) for c in (rsvg_config(), verl_config()))
    assert set(keys_of(ours)) - set(keys_of(verls)) == {
        *(f"rsreward.consistency.{name}" for name in ("lambda_mean", "lambda_var", "clip", "normalize")),
        *(f"reward.reward_kwargs.{name}" for name in ("space", "alpha", "beta", "proximity", "format_weight")),
        "ray_kwargs.ray_init.runtime_env.env_vars.VERL_USE_EXTERNAL_MODULES",
    }


def keys_of(tree, prefix=""):
    for key, value in tree.items():
        yield from keys_of(value, f"{prefix}{key}.") if isinstance(value, dict) and value else [prefix + key]


@pytest.mark.parametrize(
    "overrides",
    [[], OUR_FUNCTION, OUR_MANAGER, [*SECTION, *MODE], [*SECTION, "trainer.v1.trainer_mode=rsreward_separate_async"],
     [*OUR_MANAGER, "+reward.reward_kwargs.target_format=quad", "+reward.reward_kwargs.hull=True"],
     ["custom_reward_function.path=my.py"], MODE,
     ["trainer.use_v1=False", *SECTION], [*OUR_FUNCTION, "+reward.custom_reward_function.reward_kwargs.space=unit"]],
)  # fmt: skip
def test_configurations_that_do_what_they_say_pass(overrides):
    check_config(verl_config(*overrides))


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (["custom_reward_function.path=pkg://rsreward_verl.reward"], "ignores custom_reward_function.path.*use reward"),
        (["custom_reward_function.path=my.py", *MODE], "ignores custom_reward_function.path=my.py"),
        (["reward_model.reward_manager=dapo", *OUR_FUNCTION], "ignores reward_model.reward_manager=dapo.*manager.name"),
        (
            ["reward_model.reward_loop_module_path=pkg://rsreward_verl.reward"],
            "use reward.reward_manager.module.path",
        ),
        ([*OUR_MANAGER, "reward.custom_reward_function.path=my.py"], "two rewards"),
        ([*OUR_FUNCTION, "+reward.custom_reward_function.reward_kwargs.alfa=1"], "reward_kwargs: .*'alfa'"),
        ([*OUR_MANAGER, "+reward.reward_kwargs.space=metres"], "reward.reward_kwargs: .*'metres'"),
        ([*OUR_MANAGER, "+reward.reward_kwargs.space=qwen3-vl", "+reward.reward_kwargs.max_pixels=9"], "mean nothing"),
        (SECTION, "trainer_mode=sync would train without.*use rsreward_sync"),
        (
            [*SECTION, "trainer.v1.trainer_mode=colocate_async"],
            "trainer_mode=colocate_async would.*use rsreward_colocate_async",
        ),
        ([*SECTION, "trainer.v1.trainer_mode=mine"], "trainer_mode=mine would train without.*use rsreward_sync or"),
        ([*OUR_MANAGER, "+reward.reward_kwargs.beta=-1"], "reward.reward_kwargs: beta"),
        ([*OUR_MANAGER, "+reward.reward_kwargs.select=best"], "reward.reward_kwargs: select"),
        ([*OUR_MANAGER, "+reward.reward_kwargs.target_format=yxyx"], "reward.reward_kwargs: .*'yxyx'"),
        ([*MODE, "+rsreward.consistency.clip=[3,1]"], "rsreward.consistency: clip"),
        ([*MODE, "+rsreward.consistency.lambda=1"], "rsreward.consistency: .*'lambda'"),
    ],
)
def test_configurations_that_would_do_something_else_are_refused(overrides, told):
    with pytest.raises(ValueError, match=told):
        check_config(verl_config(*overrides))


def test_a_plug_in_that_was_not_loaded_is_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "rsreward_verl.trainer")
    with pytest.raises(ValueError, match="was not loaded: set VERL_USE_EXTERNAL_MODULES="):
        check_config(verl_config(*SECTION, *MODE))


def test_configurations_of_verl_0_8_pass_which_know_no_v1():
    config = verl_config(*SECTION, *OUR_MANAGER)
    with open_dict(config):
        for name in ("use_v1", "v1"):
            del config.trainer[name]
        for name in ("custom_reward_function", "reward_model"):
            del config[name]
    check_config(config)


@pytest.mark.parametrize("loaded", [{}, {"VERL_USE_EXTERNAL_MODULES": "rsreward_verl.trainer"}])
def test_main_ppo_loads_the_plug_in_and_tells_before_ray_is_started(loaded, tmp_path):
    key = "custom_reward_function.path=pkg://rsreward_verl.reward"
    code = f"""
import sys
sys.argv = ["main_ppo", "{key}", "hydra.run.dir={tmp_path}"]
import ray
from verl.trainer.main_ppo import main
from verl.trainer.ppo.v1 import get_trainer_cls
print(get_trainer_cls("rsreward_sync").__name__)
try:
    main()
except SystemExit:
    print(ray.is_initialized())
"""
    policy = {"VERL_USE_EXTERNAL_PLUGINS": "none"} if loaded else {}
    result = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | loaded | policy, capture_output=True, text=True, check=False
    )
    assert result.stdout.splitlines()[-2:] == ["SpatialConsistencyTrainerSync", "False"], result.stderr[-2000:]
    assert f"verl ignores {key} from 0.9 on: use reward.custom_reward_function.path." in result.stderr
