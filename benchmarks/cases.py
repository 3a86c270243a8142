"""What is compared: a case is one piece of work at one size, done by rsreward and by its peers."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import packages_distributions, version
from math import isnan
from typing import Any

import torch
from torch import Tensor

from timing import Call, copies, interleaved, peak_bytes, rotations

Inputs = tuple[Any, ...]
Row = dict[str, Any]
Key = tuple[str, int, str]  # title and size of a case, and who
COPY = "copy_ of the same bytes"


@dataclass(frozen=True)
class Peer:
    """Another way to do the work, or a part of it.

    Attributes:
        make: brings the inputs into the peer's own form, before the clock starts, and gives what is timed.
        computes: what comes out, where that is not what rsreward gives in this case.
        value: the result as a tensor to compare; None where it is not comparable.
        like: rsreward's function of the same quantity; the case's own if not given.
        limit: the most rows it is given, where it is slow; time is counted by the pair.
        package: what is imported, for its version.
    """

    name: str
    make: Callable[..., Call]
    computes: str = ""
    value: Callable[[Any], Tensor] | None = torch.as_tensor
    like: Callable[..., Any] | None = None
    limit: int | None = None
    cuda: bool = False
    package: str = ""


@dataclass(frozen=True)
class Case:
    """One piece of work at one size.

    Attributes:
        size: N, G, or how many completions: what it is plotted against.
        units: how many pairs, completions, ... the given inputs hold.
        unit, scale: what times are shown in, such as "ns a pair" and 1e9.
        result_bytes: of the result; with the inputs' it is what a copy of the same bytes moves. None: no such copy.
        peak: whether to measure peak memory.
    """

    family: str
    title: str
    size: int
    inputs: Inputs
    ours: Callable[..., Any]
    name: str
    peers: Sequence[Peer]
    units: Callable[..., int]
    unit: str = "ns a pair"
    scale: float = 1e9
    value: Callable[[Any], Tensor] | None = torch.as_tensor
    result_bytes: int | None = None
    peak: bool = False
    repeats: int | None = None


@dataclass(frozen=True)
class Job:
    """A peer, or rsreward itself, ready to be timed: the same work on other buffers in each call."""

    peer: Peer
    calls: list[Call]
    units: int
    difference: float | None = None


def ready(case: Case, device: str, left_out: dict[str, str], versions: dict[str, str]) -> dict[str, Job]:
    """Who does this case, rsreward first. Peers that cannot be had are put into `left_out` with the reason."""
    turns = rotations(_moved(case), device) if _moved(case) else 1
    calls: list[Call] = [partial(case.ours, *inputs) for inputs in _copied(case.inputs, turns)]
    jobs = {case.name: Job(Peer(case.name, partial), calls, case.units(*case.inputs))}
    for peer in case.peers:
        if device == "cuda" and not peer.cuda:
            continue
        inputs = tuple(each[: peer.limit] for each in case.inputs) if peer.limit else case.inputs
        try:
            calls = [peer.make(*each) for each in _copied(inputs, turns)]
            result = calls[0]()
            if peer.package:
                versions |= {name: version(name) for name in _distributions()[peer.package]}
        except Exception as error:
            left_out[peer.name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            continue
        jobs[peer.name] = Job(peer, calls, case.units(*inputs), _difference(case, peer, result, inputs))
    if case.result_bytes is not None:
        copy = copies(_moved(case), device, turns)
        jobs[COPY] = Job(Peer(COPY, partial, "a copy"), copy, case.units(*case.inputs))
    return jobs


def measure(case: Case, device: str, repeats: int, left_out: dict[str, str], versions: dict[str, str]) -> list[Row]:
    """Rows of the table, one for each way to do the work."""
    jobs = ready(case, device, left_out, versions)
    calls, repeats = {name: job.calls for name, job in jobs.items()}, min(case.repeats or repeats, repeats)
    timings = interleaved(calls, device, repeats)
    costs = {name: timing.least / jobs[name].units for name, timing in timings.items()}
    return [
        {
            "family": case.family, "case": case.title, "size": case.size, "who": name, "ours": name == case.name,
            "computes": job.peer.computes, "unit": case.unit, "units": job.units, "median_s": timings[name].median,
            "least_s": timings[name].least, "shown": costs[name] * case.scale,
            "times_ours": costs[name] / costs[case.name],
            "times_copy": costs[name] / costs[COPY] if COPY in jobs else None,
            "difference": job.difference, "peak_ratio": None,
        }
        for name, job in jobs.items()
    ]  # fmt: skip


def told(family: str, case: str, size: int, who: str, cells: dict[str, str], **figures: float) -> Row:
    """A row of a table that is not measured side by side: its cells are given as they are shown."""
    row = {"family": family, "case": case, "size": size, "who": who, "ours": True, "computes": ""}
    return row | {"cells": cells} | figures


def peaks(cases: Iterable[Case], device: str) -> dict[Key, float]:
    """Peak memory, inputs included, over that of inputs and result, by case, size and who."""
    found = {}
    for case in cases:
        for name, job in ready(case, device, {}, {}).items() if case.peak else ():
            if job.peer.limit is None and name != COPY and (peak := peak_bytes(job.calls[0], device)) is not None:
                found[case.title, case.size, name] = (_bytes(case.inputs) + peak) / _moved(case)
    return found


def _bytes(inputs: Inputs) -> int:
    return sum(each.nbytes for each in inputs if isinstance(each, Tensor))


def _moved(case: Case) -> int:
    return _bytes(case.inputs) + (case.result_bytes or 0)


_distributions = cache(packages_distributions)


def _copied(inputs: Inputs, turns: int) -> list[Inputs]:
    """The inputs and copies of them in other memory."""
    more = [tuple(each.clone() if isinstance(each, Tensor) else each for each in inputs) for _ in range(turns - 1)]
    return [inputs, *more]


def _difference(case: Case, peer: Peer, result: Any, inputs: Inputs) -> float | None:
    """The largest difference from what rsreward gives, on rows where both give a number."""
    if peer.value is None or case.value is None:
        return None
    ours, theirs = case.value((peer.like or case.ours)(*inputs)), peer.value(result)
    if ours.shape != theirs.shape:
        return None
    largest = (ours.double() - theirs.double().to(ours.device)).abs().nan_to_num(0).max().item()
    return None if isnan(largest) else float(largest)
