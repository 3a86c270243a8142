"""`implementation`: every form of the functions of boxes, for whatever an oracle says of them."""

from dataclasses import dataclass
from importlib.util import find_spec

import pytest
import torch
from hypothesis import settings

from rsreward import dispatch

collect_ignore = ["fast/compile_kernels.py"]  # imports Triton
GPU = torch.cuda.is_available()
KERNEL_EXAMPLES = 200 if GPU else 20


@dataclass(frozen=True)
class Implementation:
    """Computes functions by one implementation, in one dtype; Triton's interpreter stands in for a missing GPU."""

    name: str
    dtype: torch.dtype

    @property
    def tolerance(self):
        """What rounding may change a number of about 1 by."""
        return 1e-12 if self.dtype == torch.float64 else 1e-6

    def rounded(self, *boxes):
        """The boxes as it sees them, in float64."""
        return [each.to(self.dtype).double() for each in boxes]

    def __call__(self, function, *boxes, dtype=None, **options):
        """`function` of the boxes in its dtype, or in this one. The result is float64, on the CPU."""
        boxes = [each.to("cuda" if self.name == "cuda" and GPU else "cpu", dtype or self.dtype) for each in boxes]
        with dispatch.implementation(self.name):
            found = function(*boxes, **options)
        assert found.dtype == boxes[0].dtype
        assert found.isfinite().all()
        return found.cpu().double()


KERNELS = [
    pytest.mark.gpu if GPU else (),
    pytest.mark.skipif(find_spec("triton") is None, reason="Triton is not installed"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),  # the interpreter computes with NumPy
]
FORMS = [
    pytest.param(Implementation("plain", torch.float64), id="plain-float64"),
    pytest.param(Implementation("plain", torch.float32), id="plain-float32"),
    pytest.param(Implementation("cpu", torch.float64), id="cpu-float64"),
    pytest.param(Implementation("cpu", torch.float32), id="cpu-float32"),
    pytest.param(Implementation("cuda", torch.float32), id="cuda-float32", marks=[m for m in KERNELS if m]),
]


@pytest.fixture(scope="session", params=FORMS)
def implementation(request):
    return request.param


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item):
    """Of hypothesis' examples a kernel gets the first few: a call of Triton's interpreter takes a tenth of a second."""
    usual = getattr(item.obj, "_hypothesis_internal_use_settings", None)
    if usual and "cuda-float32" in item.name:  # hypothesis has no public way to change what @given has bound
        item.obj._hypothesis_internal_use_settings = settings(
            usual, max_examples=min(KERNEL_EXAMPLES, usual.max_examples)
        )
    try:
        return (yield)
    finally:
        if usual:
            item.obj._hypothesis_internal_use_settings = usual


@pytest.fixture
def kernels():
    """Calls take the kernels, without a GPU in Triton's interpreter on CPU tensors."""
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    with dispatch.implementation("cuda"):
        yield
