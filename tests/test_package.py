import doctest
import subprocess
import sys
from pathlib import Path


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_the_core_imports_nothing_but_torch():
    loaded = python("import sys, rsreward; print(*sys.modules)").split()
    for module in ("trl", "transformers", "PIL", "datasets", "accelerate", "shapely", "scipy", "matplotlib", "triton"):
        assert module not in loaded


def test_the_adapter_imports_trl_only_for_the_trainer():
    loaded = python("import sys, rsreward_trl; print(*sys.modules)").split()
    assert "trl" not in loaded
    trainer = "rsreward_trl.SpatialConsistencyGRPOTrainer.__mro__[2].__name__"
    assert python(f"import rsreward_trl; print({trainer})") == "GRPOTrainer\n"


def test_the_rewards_for_trl_are_there_without_trl():
    hidden = "lambda name: installed(name) if name != 'trl' else (_ for _ in ()).throw(m.PackageNotFoundError(name))"
    code = f"import importlib.metadata as m; installed = m.version; m.version = {hidden}; import rsreward_trl"
    python(f"{code}; print(rsreward_trl.positional_reward.__name__)")


def test_the_configuration_of_the_verl_adapter_is_read_without_verl():
    loaded = python("import sys, rsreward_verl.settings, rsreward_verl.weights; print(*sys.modules)").split()
    assert not {"verl", "ray", "trl"} & set(loaded)


def test_every_public_name_is_there():
    for package in ("rsreward", "rsreward_trl", "rsreward.answers", "rsreward.coordinates", "rsreward.frame"):
        python(f"import {package}; [getattr({package}, name) for name in {package}.__all__]")


def test_the_command_line_helps_with_an_example():
    for command in ("score", "compare", "landscape", "demo", "cot", "evaluate", "report", "doctor"):
        start = f"import sys; sys.argv = ['rsreward', '{command}', '--help']"
        assert f"rsreward {command}" in python(f"{start}; from rsreward_tools.cli.main import main; main()")


def test_the_examples_in_the_readme_run():
    failed, tried = doctest.testfile(str(Path(__file__).parents[1] / "README.md"), module_relative=False)
    assert tried > 0
    assert failed == 0


def test_the_wheel_holds_all_packages_types_and_templates(tmp_path):
    root = Path(__file__).parents[1]
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", tmp_path, root], check=True)
    [wheel] = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", tmp_path / "site", wheel], check=True)
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / "site")!r})
import rsreward, rsreward_trl, rsreward_verl.config, rsreward_tools.cli.main, rsreward_qwen_vl.commands
import rsreward_swift, rsreward_easyr1, rsreward_lmms_eval
ours = (rsreward, rsreward_trl, rsreward_verl, rsreward_swift, rsreward_easyr1, rsreward_tools, rsreward_qwen_vl)
for package in (*ours, rsreward_lmms_eval):
    assert package.__file__.startswith(sys.path[0]), package.__file__
"""
    python(code)
    files = ["rsreward/py.typed", "rsreward_trl/py.typed", "rsreward_tools/pages/templates/demo.html.j2"]
    files += [
        "rsreward_verl/py.typed",
        "rsreward_verl/config/rsvg_grpo.yaml",
        "rsreward_verl/config/rsvg_gpus/one.yaml",
        "rsreward_lmms_eval/dior_rsvg.yaml",
        "rsreward_lmms_eval/_rsvg_yaml",
        "rsreward_lmms_eval/_no_rows.json",
    ]
    for file in files:
        assert (tmp_path / "site" / file).exists()
