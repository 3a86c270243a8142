"""What a call costs: interleaved repeats, medians and minima, peak memory, and the machine it was measured on."""

import ctypes
import gc
import os
import platform
import resource
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from math import ceil
from pathlib import Path
from statistics import median
from time import process_time

import torch

Call = Callable[[], object]
SHORTEST = 2e-3  # seconds of one sample: quicker calls are repeated within it


@dataclass(frozen=True)
class Timing:
    """Seconds a call: on a CPU of the processor, on CUDA by the GPU's own clock."""

    median: float
    least: float


def interleaved(jobs: Mapping[str, Sequence[Call]], device: str, repeats: int) -> dict[str, Timing]:
    """Every repeat takes one sample of each job, so that whatever else the machine does falls on all of them.

    Args:
        jobs: the calls of each job: the same work, on other buffers where there are several, taken in turn.
    """
    numbers = {}
    for name, calls in jobs.items():
        once = min(_sample(calls, len(calls), device) for _ in range(2))
        numbers[name] = len(calls) * min(1000, ceil(SHORTEST / (once * len(calls))))
    samples: dict[str, list[float]] = {name: [] for name in jobs}
    gc.disable()
    for _ in range(repeats):
        for name, calls in jobs.items():
            samples[name].append(_sample(calls, numbers[name], device))
    gc.enable()
    return {name: Timing(median(seconds), min(seconds)) for name, seconds in samples.items()}


def _sample(calls: Sequence[Call], number: int, device: str) -> float:
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        for call in islice(cycle(calls), number):
            call()
        end.record()
        end.synchronize()
        return start.elapsed_time(end) / 1e3 / number
    begin = _processor_seconds()
    for call in islice(cycle(calls), number):
        call()
    return (_processor_seconds() - begin) / number


def _processor_seconds() -> float:
    """Of this process and of those that it has started and that have ended: what else runs is not counted."""
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return process_time() + others.ru_utime + others.ru_stime


def rotations(size: int, device: str) -> int:
    """How many copies of buffers of this many bytes outgrow the L2 cache of a GPU twice; at most 64. One on a CPU."""
    if device != "cuda":
        return 1
    cache: int = torch.cuda.get_device_properties(0).L2_cache_size
    return min(64, ceil(2 * cache / size))


def copies(moved: int, device: str, number: int) -> list[Call]:
    """Calls of `copy_` that read and write this many bytes in all."""
    pairs = [[torch.ones(max(1, moved // 8), device=device) for _ in range(2)] for _ in range(number)]
    return [lambda a=a, b=b: a.copy_(b) for a, b in pairs]


def peak_bytes(call: Call, device: str) -> int | None:
    """Bytes a call holds at its worst moment beyond what was held before it; None where the system does not tell.

    On a CPU it is the process's own high-water mark (Linux), so it holds for any library, to the pages touched. Exact
    in a process of its own whose allocator gives buffers back as soon as they are free, see `give_back_at_once`.
    """
    call()
    gc.collect()
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        return torch.cuda.max_memory_allocated() - before
    try:
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
    except (OSError, AttributeError):
        return None
    before = _process_bytes("VmRSS")
    call()
    return _process_bytes("VmHWM") - before


def give_back_at_once() -> None:
    """Have glibc map every buffer of its own from now on; where there is no glibc nothing changes."""
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(-3, 65_536)  # M_MMAP_THRESHOLD


def _process_bytes(field: str) -> int:
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field)]
    return int(line.split()[1]) * 1024


def machine(device: str, repeats: int) -> dict[str, str]:
    """What the figures hold for."""
    described = {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "processes that wanted a core at the end": f"{os.getloadavg()[0]:.0f}",
        "repeats": str(repeats),
        "threads used": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "Python": platform.python_version(),
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _git("rev-parse", "--short", "HEAD") + ("+" if _git("status", "--porcelain", "rsreward") else ""),
    }
    return {"GPU": torch.cuda.get_device_name()} | described if device == "cuda" else described


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _git(*arguments: str) -> str:
    asked = subprocess.run(["git", *arguments], cwd=Path(__file__).parent.parent, capture_output=True, text=True)
    return asked.stdout.strip()
