"""Seconds until `import rsreward` is done, and `import torch` alone, in fresh processes."""

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from cases import Case, Peer


def imported(module: str) -> None:
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)


def cases(sizes: str, device: str) -> Iterator[Case]:
    torch_alone = Peer("import torch", lambda _: partial(imported, "torch"), "a part", value=None)
    yield Case(
        "startup", "import", 1, ("rsreward",), imported, "import rsreward", [torch_alone], lambda _: 1, "s", 1.0,
        value=None, repeats=1 if sizes == "quick" else 7,
    )  # fmt: skip
