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
from rsreward_tools.files import write_whole, writing

from ..asking import journal, keyed
from .filter import Filter

FIELDS = ("dataset", "source_id", "completion", "prompt_tokens", "completion_tokens")
SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in ("dataset", "source_id", "image", "query")),
        *((name, pa.int32()) for name in ("width", "height")),
        ("target", pa.list_(pa.float64())),
        ("completion", pa.string()),
    ]
)


@dataclass(frozen=True)
class Chain:
    """What a source wrote for one example: the completion and its tokens, or the reason why there is none."""

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

    Every chain is written as it comes, so that the next run continues where this one stopped. Failed requests are not
    written: the next run asks again. `settings` are what all chains in `out` share.

    Returns:
        The content of `out/report.json`: how many chains were kept, dropped and failed, by reason, and tokens.
    """
    wanted = keyed(examples)
    failed: Counter[str] = Counter()
    with journal(out / "chains.jsonl", FIELDS, settings, ["report.json", "cot.parquet"]) as (before, write):
        done = {(row["dataset"], row["source_id"]): row for row in before}
        missing = [example for key, example in wanted.items() if key not in done]
        finished = len(wanted) - len(missing)
        progress(finished, len(wanted))
        async for chain in source(iter(missing)):
            if chain.completion is None:
                failed[chain.error or "unknown"] += 1
            else:
                key = chain.example.dataset, chain.example.source_id
                values = *key, chain.completion, chain.prompt_tokens, chain.completion_tokens
                done[key] = dict(zip(FIELDS, values, strict=True))
                write(done[key])
            finished += 1
            progress(finished, len(wanted))
        chains = [(example, done[key]) for key, example in wanted.items() if key in done]
        reasons = [judge(row["completion"], example) for example, row in chains]
        kept = [
            {name: getattr(example, name, None) for name in SCHEMA.names}
            | {"target": example.boxes[0], "completion": row["completion"]}
            for (example, row), reason in zip(chains, reasons, strict=True)
            if reason is None
        ]
        with writing(out / "cot.parquet") as part:
            pq.write_table(pa.Table.from_pylist(kept, schema=SCHEMA), part)
        report = {
            "examples": len(wanted),
            "kept": len(kept),
            "dropped": dict(sorted(Counter(reason for reason in reasons if reason).items())),
            "failed": dict(sorted(failed.items())),
            "prompt_tokens": sum(row["prompt_tokens"] for _, row in chains),
            "completion_tokens": sum(row["completion_tokens"] for _, row in chains),
        }
        write_whole(out / "report.json", json.dumps(report, indent=1) + "\n")
        return report
