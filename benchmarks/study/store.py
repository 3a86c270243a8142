"""Runs on disk: one Parquet file of one row for each, written when it is finished."""

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha1
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch

import rsreward


@dataclass(frozen=True)
class Result:
    """A finished run: its configuration and its row, with what the section's `run` returned, seeds and versions."""

    config: Any
    values: dict[str, Any]


class Store:
    """The folder of the finished runs. A run is known by its section and its configuration."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, section: str, config: Any) -> Path:
        key = sha1(json.dumps(asdict(config), sort_keys=True).encode(), usedforsecurity=False).hexdigest()[:12]
        return self.folder / section / f"{key}.parquet"

    def make(self, section: str, run: Callable[[Any], dict[str, Any]], config: Any) -> float:
        """Do a run and write its row; returns the seconds that it took."""
        start = perf_counter()
        values = run(config)
        seconds = perf_counter() - start
        path = self.path(section, config)
        path.parent.mkdir(parents=True, exist_ok=True)
        row = {
            "section": section,
            "config": json.dumps(asdict(config), sort_keys=True),
            "seeds": list(range(config.seeds)) if hasattr(config, "seeds") else [config.seed],
            "seconds": seconds,
            **versions(),
            **values,
        }
        part = path.with_suffix(".part")
        pq.write_table(pa.Table.from_pylist([row]), part)
        part.replace(path)
        return seconds

    def read(self, section: str, config: Any) -> dict[str, Any]:
        return pq.read_table(self.path(section, config)).to_pylist()[0]


def versions() -> dict[str, str]:
    return {"rsreward": rsreward.__version__, "torch": torch.__version__, "python": platform.python_version()}
