"""`implementation`: every form of the functions of boxes, for whatever an oracle says of them."""

from dataclasses import dataclass
from importlib.util import find_spec

import pytest
import torch
from hypothesis import settings

from rsreward import dispatch

collect_ignore = ["fast/compile_kernels.py"]  # imports Triton
GPU = torch.cuda.is_available()


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
    """All of hypothesis' examples for the reference, fewer for the others: the interpreter is slow."""
    if request.param.name == "plain":
        yield request.param
        return
    usual = settings.get_profile("ci")
    settings.register_profile("few", usual, max_examples=30)
    settings.load_profile("few")
    yield request.param
    settings.load_profile("ci")


@pytest.fixture
def kernels():
    """Calls take the kernels, without a GPU in Triton's interpreter on CPU tensors."""
    if find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    with dispatch.implementation("cuda"):
        yield
