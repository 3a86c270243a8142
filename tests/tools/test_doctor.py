import json
import os
import subprocess
import sys

import pytest
from rsreward_tools.cli import doctor
from rsreward_tools.cli.main import main

import rsreward

START = "from rsreward_tools.cli.main import main; main()"


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs `rsreward doctor` over some parts; modules in the folder come before those that are installed."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", ""), *sys.path]))

    def run(*options, **parts):
        monkeypatch.setattr(doctor, "PARTS", parts)
        monkeypatch.setattr(doctor, "DEVICES", "print('[\"cpu\"]')")
        monkeypatch.setattr(sys, "argv", ["rsreward", "doctor", *options])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().out

    return run


def state(command, **parts):
    code, out = command("--json", **parts)
    [told] = json.loads(out)["parts"].values()
    assert code == (told["state"] == "fails")
    return told["state"], told["why"]


def test_the_version_is_that_of_the_package():
    printed = subprocess.run([sys.executable, "-c", START, "--version"], capture_output=True, text=True, check=True)
    assert printed.stdout == f"rsreward {rsreward.__version__}\n"


def test_every_adapter_works_with_what_the_tests_install_and_nothing_is_fetched(tmp_path):
    """Every process that the doctor starts writes down whom it asks for over the network."""
    asked = tmp_path / "asked"
    (tmp_path / "sitecustomize.py").write_text(f"""
import socket
def refuse(*address, **options):
    open({str(asked)!r}, "a").write(repr(address))
    raise OSError("there is no network here")
socket.getaddrinfo = socket.create_connection = socket.socket.connect = socket.socket.connect_ex = refuse
""")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    run = subprocess.run(
        [sys.executable, "-c", START, "doctor", "--json"], capture_output=True, text=True, env=environment
    )
    told = json.loads(run.stdout)
    states = {name: part["state"] for name, part in told["parts"].items()}
    assert {name: states[name] for name in ("core", "trl", "verl", "recipe")} == dict.fromkeys(
        ("core", "trl", "verl", "recipe"), "works"
    ), told["parts"]
    assert run.returncode == 0
    assert told["versions"]["rsreward"] == rsreward.__version__
    assert told["devices"][0].startswith("cpu")
    assert not asked.exists(), asked.read_text()


def test_what_is_not_installed_is_no_fault_and_the_extra_is_named(command):
    absent = doctor.PARTS["trl"]._replace(needs=("a_trainer_that_nobody_has",))
    assert state(command, trl=absent) == (
        "not installed",
        "needs a_trainer_that_nobody_has: pip install 'rsreward[trl]'",
    )


def test_what_is_installed_and_cannot_be_imported_is_a_fault(command, tmp_path):
    (tmp_path / "trl.py").write_text("raise ImportError('libcudart.so.99: cannot open shared object file')")
    fault = "ImportError: libcudart.so.99: cannot open shared object file"
    assert state(command, trl=doctor.PARTS["trl"]) == ("fails", fault)


def test_a_method_of_trl_that_has_moved_is_named(command, tmp_path):
    (tmp_path / "trl.py").write_text("class GRPOTrainer:\n    def _calculate_rewards(self, batch): ...")
    told, why = state(command, trl=doctor.PARTS["trl"])
    assert told == "fails"
    assert (
        "GRPOTrainer._calculate_rewards(inputs, prompts, completions, completion_ids_list), which takes (batch)" in why
    )


MOVED = {
    "PPOTrainerSync._compute_advantage takes ['self', 'data'], and not ['self', 'batch', 'metrics']": (
        "verl",
        "from verl.trainer.ppo.v1.trainer_sync import PPOTrainerSync as V\nV._compute_advantage = lambda self, data: 0",
    ),
    "torch.vmap is not noticed: is_functorch_wrapped_tensor": (
        "core",
        "import torch\ntorch._C._functorch.is_functorch_wrapped_tensor = lambda tensor: False",
    ),
    "forward derivatives are not noticed: forward_ad._current_level": (
        "core",
        "from rsreward import dispatch\ndispatch.forward_ad = type('moved', (), {'_current_level': -1})",
    ),
    "recorders are not noticed: _get_current_dispatch_mode": (
        "core",
        "from torch.utils import _python_dispatch as p\np._get_current_dispatch_mode = lambda: None",
    ),
    "cannot import name '_get_current_dispatch_mode'": (
        "core",
        "from torch.utils import _python_dispatch as p\ndel p._get_current_dispatch_mode",
    ),
}


@pytest.mark.parametrize("told", MOVED)
def test_what_has_moved_in_verl_or_torch_is_named(command, told):
    name, moved = MOVED[told]
    part = doctor.PARTS[name]
    found, why = state(command, **{name: part._replace(trial=f"{moved}\n{part.trial}")})
    assert found == "fails"
    assert told in why


@pytest.mark.parametrize(
    ("trial", "why"),
    [
        ("import os; os.abort()", "ended with -6 without a word"),
        ("import time; time.sleep(60)", "did not end in 3 seconds"),
        ("import sys; sys.exit('\\x1b[2J\\nthe last line')", "the last line"),
    ],
)
def test_a_part_that_crashes_or_hangs_ends_nothing_else(command, monkeypatch, trial, why):
    monkeypatch.setattr(doctor, "SECONDS", 3)
    assert state(command, core=doctor.Part((), "", trial)) == ("fails", why)


def test_without_json_each_fact_is_a_line(command):
    code, out = command(core=doctor.Part((), "", "print('\\x1b[31mfine')"))
    assert code == 0
    assert [line.split(None, 1) for line in out.splitlines()][-2:] == [
        ["device", "cpu"],
        ["core", r"works: \x1b[31mfine"],
    ]


def test_ctrl_c_while_python_still_imports_is_one_sentence(tmp_path):
    (tmp_path / "typer.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    stopped = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, env=environment)
    assert (stopped.returncode, stopped.stderr) == (130, "rsreward: stopped.\n")
