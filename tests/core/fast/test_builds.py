import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

CAPABILITIES = ["80", "90"]
SCRIPT = Path(__file__).with_name("compile_kernels.py")


@pytest.fixture(scope="module")
def reports():
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    ran = subprocess.run([sys.executable, SCRIPT, *CAPABILITIES], capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_every_kernel_compiles_without_a_gpu(reports):
    assert len(reports) == 15 * len(CAPABILITIES)


def test_next_to_nothing_spills_to_the_stack(reports):
    assert [r for r in reports if r["stack"] > 16] == []


def test_packed_boxes_are_read_16_bytes_at_a_time(reports):
    packed = [r for r in reports if r["kernel"] in {"paired none", "paired center", "agreement"}]
    assert len(packed) == 3 * len(CAPABILITIES)
    assert all(r["wide_loads"] for r in packed)


def test_rows_are_counted_in_64_bits(reports):
    assert all(r["wide_rows"] for r in reports)
