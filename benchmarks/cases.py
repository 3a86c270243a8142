"""What is compared: a case is one piece of work at one size, done by rsreward and by its peers."""

from collections.abc import Callable, Sequence
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


def measure(case: Case, device: str, repeats: int, left_out: dict[str, str], versions: dict[str, str]) -> list[Row]:
    """Rows of the table, rsreward's first. Peers that cannot be had are put into `left_out` with the reason."""
    bytes_in = sum(each.nbytes for each in case.inputs if isinstance(each, Tensor))
    moved = bytes_in + (case.result_bytes or 0)
    turns = rotations(moved, device) if moved else 1
    jobs = {case.name: [partial(case.ours, *inputs) for inputs in _copied(case.inputs, turns)]}
    units = {case.name: case.units(*case.inputs)}
    peers = {case.name: Peer(case.name, partial, value=case.value)}
    differences: dict[str, float | None] = {case.name: None}
    for peer in case.peers:
        if device == "cuda" and not peer.cuda:
            continue
        inputs = tuple(each[: peer.limit] for each in case.inputs) if peer.limit else case.inputs
        try:
            jobs[peer.name] = [peer.make(*each) for each in _copied(inputs, turns)]
            result = jobs[peer.name][0]()
            if peer.package:
                versions |= {name: version(name) for name in _distributions()[peer.package]}
        except Exception as error:
            left_out[peer.name] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
            jobs.pop(peer.name, None)
            continue
        peers[peer.name], units[peer.name] = peer, case.units(*inputs)
        differences[peer.name] = _difference(case, peer, result, inputs)
    if case.result_bytes is not None:
        jobs["copy_ of the same bytes"] = copies(moved, device, turns)
        units["copy_ of the same bytes"] = units[case.name]
    timings = interleaved(jobs, device, case.repeats or repeats)
    costs = {name: timing.median / units[name] for name, timing in timings.items()}
    rows = []
    for name, timing in timings.items():
        row = {
            "family": case.family, "case": case.title, "size": case.size, "who": name, "unit": case.unit,
            "ours": name == case.name, "units": units[name], "median_s": timing.median, "least_s": timing.least,
            "shown": costs[name] * case.scale, "times_ours": costs[name] / costs[case.name],
            "times_copy": costs[name] / costs["copy_ of the same bytes"] if case.result_bytes is not None else None,
            "computes": peers[name].computes if name in peers else "a copy", "difference": differences.get(name),
            "peak_ratio": None,
        }  # fmt: skip
        if case.peak and name in peers and peers[name].limit is None:
            peak = peak_bytes(jobs[name][0], device)
            row["peak_ratio"] = (bytes_in + peak) / moved if peak is not None else None
        rows.append(row)
    return rows


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
