"""Without a GPU the kernels run in Triton's interpreter, on CPU tensors; `tests/conftest.py` switches it on."""

from importlib.util import find_spec

import pytest
import torch


@pytest.fixture
def interpreter(monkeypatch):
    """The public functions take the kernels for CPU tensors."""
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU: the kernels are tested on it")
    monkeypatch.setattr("rsreward.kernels._DEVICE", "cpu")
