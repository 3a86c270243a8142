"""torchvision's compiled functions beside a torch without CUDA.

The wheels on PyPI are built for a torch with CUDA. Their library asks for three others that a CPU build lacks, though
its CPU functions call nothing in them. Here the loader is given stand-ins that hold the names and do nothing.
"""

import ctypes
import subprocess
import tempfile
from importlib.util import find_spec
from pathlib import Path

import torch

MISSING = ("libcudart.so.13", "libcudart.so.12", "libc10_cuda.so", "libtorch_cuda.so")


def load() -> None:
    """Load the library so that `torch.ops.torchvision` has its functions.

    Raises:
        ImportError: if torchvision is not there.
        OSError, subprocess.CalledProcessError: if it does not load, or there is no compiler or `nm`.
    """
    spec = find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ImportError("torchvision is not installed")
    library = Path(spec.origin).with_name("_C.so")
    wanted = _names("--undefined-only", library)
    for each in ("libc10", "libtorch_cpu", "libtorch_python"):
        wanted -= _names("--defined-only", Path(torch.__file__).parent / "lib" / f"{each}.so")
    absent = sorted(name for name in wanted if "cuda" in name.lower())
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "stand_ins.c"
        source.write_text("".join(f"void *{name}(void) {{ return 0; }}\n" for name in absent))
        for name in MISSING:
            built, versions = Path(folder) / name, Path(folder) / "versions"
            versions.write_text(f"{name} {{ global: *; }};\n")
            linked = [f"-Wl,-soname,{name}", f"-Wl,--version-script,{versions}"]
            command = ["gcc", "-shared", "-fPIC", "-w", *linked, "-o", str(built), str(source)]
            subprocess.run(command, check=True, capture_output=True)
            ctypes.CDLL(str(built), mode=ctypes.RTLD_GLOBAL)
        torch.ops.load_library(str(library))


def _names(which: str, library: Path) -> set[str]:
    listed = subprocess.run(["nm", "-D", which, str(library)], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].partition("@")[0] for line in listed.splitlines()}
