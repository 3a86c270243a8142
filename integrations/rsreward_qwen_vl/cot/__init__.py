"""Reasoning data: chains written by a teacher or from a scene's geometry, and the filter that they must pass."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from rsreward_tools.data.example import Example
from rsreward_tools.errors import InputError
from rsreward_tools.files import folder_to_write, not_of_another, resume_lines, same_settings, write_whole

from .filter import Filter

FIELDS = ("dataset", "source_id", "completion", "prompt_tokens", "completion_tokens")
SCHEMA = pa.schema(
    [
        ("dataset", pa.string()), ("source_id", pa.string()), ("image", pa.string()), ("query", pa.string()),
        ("width", pa.int32()), ("height", pa.int32()), ("target", pa.list_(pa.float64())), ("completion", pa.string()),
    ]
)  # fmt: skip


@dataclass(frozen=True)
class Chain:
    """What a source wrote for one example: the completion and the tokens it cost, or why there is none."""

    example: Example
    completion: str | None = None
    error: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0


async def collect(
    examples: Sequence[Example],
    source: Callable[[Iterator[Example]], AsyncIterator[Chain]],
    judge: Filter,
    out: Path,
    *,
    settings: dict[str, Any],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Ask the source for the chains that `out/chains.jsonl` does not hold yet, judge them all, write `out/cot.parquet`.

    Every chain is written as it comes, so that a run that was cut off goes on where it stopped. Requests that failed
    are not written: the next run asks again. `settings` are those that all chains in `out` share.

    Returns:
        What `out/report.json` holds: chains kept, dropped by reason, failed by reason, and tokens.
    """
    several = [example.source_id for example in examples if len(example.boxes) != 1]
    if several:
        raise InputError(f"the question {several[0]} has several boxes: chains lead to one.")
    wanted = {_key(example.dataset, example.source_id): example for example in examples}
    if len(wanted) < len(examples):
        raise InputError(
            f"{len(examples) - len(wanted)} examples have the source_id of another: prepare the data again."
        )
    folder_to_write("--out", out)
    not_of_another("--out", out, "asked.json", "report.json", "cot.parquet")
    chains = out / "chains.jsonl"
    same_settings(out / "asked.json", settings)
    done = {_key(row["dataset"], row["source_id"]): row for row in resume_lines(chains, FIELDS)}
    missing = [example for key, example in wanted.items() if key not in done]
    failed: Counter[str] = Counter()
    finished = len(wanted) - len(missing)
    progress(finished, len(wanted))
    with chains.open("a", encoding="utf-8") as file:
        async for chain in source(iter(missing)):
            if chain.completion is None:
                failed[chain.error or "unknown"] += 1
            else:
                written: dict[str, Any] = {
                    "dataset": chain.example.dataset, "source_id": chain.example.source_id,
                    "completion": chain.completion, "prompt_tokens": chain.prompt_tokens,
                    "completion_tokens": chain.completion_tokens,
                }  # fmt: skip
                file.write(json.dumps(written) + "\n")
                file.flush()
                done[_key(chain.example.dataset, chain.example.source_id)] = written
            finished += 1
            progress(finished, len(wanted))
    kept: list[dict[str, Any]] = []
    dropped: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    for key, example in wanted.items():
        row = done.get(key)
        if row is None:
            continue
        tokens.update({name: row[name] for name in ("prompt_tokens", "completion_tokens")})
        reason = judge(row["completion"], example)
        if reason:
            dropped[reason] += 1
        else:
            kept.append(_kept(example, row["completion"]))
    partial = out / "cot.parquet.part"
    pq.write_table(pa.Table.from_pylist(kept, schema=SCHEMA), partial)
    partial.replace(out / "cot.parquet")
    report = {
        "examples": len(wanted), "kept": len(kept), "dropped": dict(sorted(dropped.items())),
        "failed": dict(sorted(failed.items())), "prompt_tokens": tokens["prompt_tokens"],
        "completion_tokens": tokens["completion_tokens"],
    }  # fmt: skip
    write_whole(out / "report.json", json.dumps(report, indent=1) + "\n")
    return report


def _key(dataset: str, source_id: str) -> str:
    return f"{dataset}\n{source_id}"


def _kept(example: Example, completion: str) -> dict[str, Any]:
    return {
        "dataset": example.dataset, "source_id": example.source_id, "image": example.image, "query": example.query,
        "width": example.width, "height": example.height, "target": example.boxes[0], "completion": completion,
    }  # fmt: skip
