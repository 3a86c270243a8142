"""`rsreward doctor`: what is installed here, what of it works with rsreward, and why the rest does not."""

import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Annotated, Any, NamedTuple

import typer

from .terminal import printable

PACKAGES = (
    "rsreward", "torch", "numpy", "scipy", "triton", "trl", "transformers", "accelerate", "peft", "datasets", "verl",
    "ray", "vllm", "ms-swift", "deepspeed", "flash-attn", "liger-kernel", "pyarrow", "pillow",
)  # fmt: skip
SECONDS = 300  # that a part may take


class Part(NamedTuple):
    """A part of rsreward: the modules that it needs, the extra that brings them, and a trial that prints a line."""

    needs: tuple[str, ...]
    extra: str
    trial: str


# Each trial is the part's own check, in a process of its own: an import that crashes or hangs ends nothing else.
PARTS = {
    "core": Part(
        ("torch", "numpy"),
        "",
        """
import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode
from rsreward import dispatch, iou
boxes = torch.tensor([[0.0, 0, 2, 2], [0, 0, 4, 4]]), torch.tensor([[1.0, 1, 3, 3], [0, 0, 4, 4]])
for name in ("plain", "cpu"):
    with dispatch.implementation(name):
        found = iou(*boxes)
    assert torch.allclose(found, torch.tensor([1 / 7, 1.0])), f"the {name} IoUs of 1/7 and 1 are {found.tolist()}"
seen = []
torch.vmap(lambda box: seen.append(dispatch._in_vmap(box)) or box)(boxes[0])
assert seen == [True] and not dispatch._in_vmap(boxes[0]), "torch.vmap is not noticed: is_functorch_wrapped_tensor"
with forward_ad.dual_level():
    seen.append(dispatch._forward_derivative())
assert seen[1] and not dispatch._forward_derivative(), "forward derivatives are not noticed: forward_ad._current_level"
with TorchDispatchMode():
    seen.append(dispatch._recorder())
assert seen[2] and not dispatch._recorder(), "recorders are not noticed: _get_current_dispatch_mode"
print("the plain and the NumPy formulas give the same; torch says when values alone are wanted")
""",
    ),
    "triton": Part(
        ("triton", "torch"),
        "",
        """
import warnings, torch
from rsreward.fast import triton
devices = [torch.device("cuda", i) for i in range(torch.cuda.device_count())]
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    dumb = [device for device in devices if not triton.runs_on(device)]
assert not dumb, " ".join(str(each.message) for each in said)
print("kernels run on " + ", ".join(map(str, devices)) if devices else "not used, for there is no CUDA device")
""",
    ),
    "trl": Part(
        ("trl",),
        "trl",
        """
from trl import GRPOTrainer
import rsreward_trl
trainer = object.__new__(GRPOTrainer)  # its methods are looked at when the weight is attached
trainer.reward_funcs = [rsreward_trl.positional_reward]
rsreward_trl.attach_spatial_consistency(trainer)
hook = "has" if hasattr(GRPOTrainer, "_transform_advantages") else "lacks"
print(f"the methods of GRPOTrainer that the weight overrides are as expected; it {hook} a hook for advantages")
""",
    ),
    "verl": Part(
        ("verl",),
        "verl",
        """
import inspect
import rsreward_verl.trainer, rsreward_verl.reward
from rsreward_verl import trainer
own = getattr(trainer, "SpatialConsistencyTrainerSync", None)
for kind in own.__mro__[1].__subclasses__() if own else ():
    mine, verls = (list(inspect.signature(c._compute_advantage).parameters) for c in kind.__mro__[1:3])
    assert mine == verls, f"verl's {kind.__mro__[2].__name__}._compute_advantage takes {verls}, and not {mine}"
print(f"compute_advantage{' and _compute_advantage are' if own else ' is'} as expected")
""",
    ),
    "swift": Part(
        ("swift.rl_core",),
        "swift",
        """
import os
os.environ.setdefault("RSREWARD_SPACE", "pixel")
import rsreward_swift.plugin
print("compute_advantages of ms-swift is as expected")
""",
    ),
    "recipe": Part(
        ("trl", "datasets", "openai"),
        "recipe",
        """
import rsreward_qwen_vl.train, rsreward_qwen_vl.evaluate
print("training and evaluation can be imported")
""",
    ),
}
DEVICES = """
import json, torch
devices = [f"cpu, {torch.backends.cpu.get_cpu_capability()}, threads of torch: {torch.get_num_threads()}"]
for i in range(torch.cuda.device_count()):
    device = torch.cuda.get_device_properties(i)
    devices.append(f"cuda:{i}, {device.name}, sm_{device.major}{device.minor}, {device.total_memory / 2**30:.0f} GiB")
print(json.dumps(devices + ["mps"] * torch.backends.mps.is_available()))
"""


def doctor(json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say what is installed, which parts of rsreward work with it, and why others do not.

    Ends with 1 if something that is installed does not work. Nothing is fetched.

    Example: `rsreward doctor`
    """
    told = examine()
    if json_:
        print(json.dumps(told, indent=1))
    else:
        for name, value in told["versions"].items():
            print(f"{name:>14}  {value}")
        for device in told["devices"]:
            print(printable(f"{'device':>14}  {device}"))
        for name, part in told["parts"].items():
            print(printable(f"{name:>14}  {part['state']}: {part['why']}"))
    if any(part["state"] == "fails" for part in told["parts"].values()):
        raise typer.Exit(1)


def examine() -> dict[str, Any]:
    """Versions, devices and the state of each part: works, not installed, or fails."""
    versions = {"python": platform.python_version(), "system": platform.platform()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    tried = {name: _start(part.trial) for name, part in PARTS.items() if not _missing(part)}
    devices = _result(_start(DEVICES))
    parts = {}
    for name, part in PARTS.items():
        if name in tried:
            works, why = _result(tried[name])
            parts[name] = {"state": "works" if works else "fails", "why": why}
        else:
            mend = f": pip install 'rsreward[{part.extra}]'" if part.extra else ""
            parts[name] = {"state": "not installed", "why": f"needs {', '.join(_missing(part))}{mend}"}
    return {"versions": versions, "devices": json.loads(devices[1]) if devices[0] else [], "parts": parts}


def _missing(part: Part) -> list[str]:
    return [module for module in part.needs if find_spec(module.partition(".")[0]) is None]


def _start(trial: str) -> subprocess.Popen[str]:
    offline = os.environ | {"HF_HUB_OFFLINE": "1", "WANDB_MODE": "offline", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", trial]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, **pipes, text=True, errors="replace", env=offline)  # type: ignore[call-overload,no-any-return]  # noqa: S603


def _result(process: subprocess.Popen[str]) -> tuple[bool, str]:
    """Whether the trial ended well, and the last line of what it printed or of why it did not."""
    try:
        out, err = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return False, f"did not end in {SECONDS} seconds"
    works = process.returncode == 0
    lines = (out if works else err).strip().splitlines() or [f"ended with {process.returncode} without a word"]
    return works, lines[-1]
