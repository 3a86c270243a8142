"""The one door to every function of boxes: it checks, promotes, chooses an implementation and casts back.

Each function exists up to three times: `"plain"`, the formula below its docstring, in torch operations, which is the
reference and has derivatives; `"cpu"`, in NumPy; and `"cuda"`, a Triton kernel. The fast forms give values alone, so
whoever asks for a derivative, backward or forward, for `torch.vmap`, or records operations (`make_fx`,
`torch.jit.trace`) gets the plain form, and on a CPU `torch.compile` does too.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Literal, ParamSpec

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils._python_dispatch import _get_current_dispatch_mode

from .checks import check_tensors
from .fast import triton

P = ParamSpec("P")
Implementation = Literal["plain", "cpu", "cuda"]
LARGEST = {torch.float64: 1e150, torch.float32: 1e18}  # coordinates count up to here: their squares are finite
WIDE = {"mps": torch.float32}  # Apple's GPUs have no float64, in which formulas compute elsewhere
KERNEL_DTYPES = (torch.float32, torch.bfloat16, torch.float16)
_forced: Implementation | None = None

# torch has no public way to ask whether `vmap`, a forward derivative or a recorder such as make_fx is at work, so these
# three private names stand here and nowhere else. A torch.library.custom_op would be told, but it costs a call on few
# boxes a fifth more, and it has no forward derivatives.
_in_vmap: Callable[[Tensor], bool] = torch._C._functorch.is_functorch_wrapped_tensor
_recorder = _get_current_dispatch_mode


def _forward_derivative() -> bool:
    return forward_ad._current_level >= 0


@contextmanager
def implementation(name: Implementation) -> Iterator[None]:
    """Within it calls are computed by this implementation wherever it can compute them, by the plain one elsewhere.

    For tests and measurements. `"cuda"` takes CPU tensors too, which Triton's interpreter can compute.
    """
    global _forced
    before, _forced = _forced, name
    try:
        yield
    finally:
        _forced = before


def fast(
    check: Callable[..., None],
    *,
    rows: tuple[Callable[[Tensor], Tensor], ...] = (),
    cpu: Callable[..., Tensor | None] | None = None,
    cuda: Callable[..., Tensor | None] | None = None,
) -> Callable[[Callable[P, Tensor]], Callable[P, Tensor]]:
    """A decorator of formulas whose positional arguments are tensors, and keyword arguments options.

    Args:
        check: called with tensors and options; raises a ValueError for what does not fit.
        rows: for each tensor, which of its rows `(..., 4)` or `(..., 5)` are boxes. The formula then sees boxes alone,
            in float64, and the other rows score 0. Without it the formula sees the tensors in float32 or float64.
        cpu, cuda: faster forms with the same arguments; they return None for options that they do not have.

    Returns:
        The decorator. Results are in the promoted dtype of the tensors, the default dtype for integers.
    """

    def decorate(formula: Callable[P, Tensor]) -> Callable[P, Tensor]:
        code = formula.__code__
        names, defaults = code.co_varnames[: code.co_argcount], formula.__kwdefaults__ or {}

        @wraps(formula)
        def door(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            options: dict[str, Any] = defaults | kwargs
            tensors: tuple[Any, ...] = (*args, *(options.pop(n) for n in names[len(args) :] if n in options))
            if len(tensors) != len(names):
                return formula(*args, **kwargs)  # a TypeError that says what is missing or too much
            check_tensors(*tensors)
            check(*tensors, **options)
            dtype, value = _result_dtype(tensors), None
            kernel = _forced == "cuda" or not tensors[0].is_cpu
            form, suits = (cuda, _suits_kernel) if kernel else (cpu, _suits_numpy)
            if form is not None and _forced in (None, "cuda" if kernel else "cpu") and suits(tensors):
                value = form(*(tensors if kernel else _promoted(tensors, dtype)), **options)
            if value is None:
                tensors = _promoted(tensors, dtype)
                value = _of_boxes(formula, rows, tensors, options, dtype) if rows else formula(*tensors, **options)  # type: ignore[arg-type]
            return value if value.dtype == dtype else value.to(dtype)

        return door

    return decorate


def _of_boxes(
    formula: Callable[..., Tensor],
    rows: tuple[Callable[[Tensor], Tensor], ...],
    tensors: tuple[Tensor, ...],
    options: dict[str, Any],
    dtype: torch.dtype,
) -> Tensor:
    """The formula over the rows that are boxes. Others hold a unit box meanwhile, so that no gradient becomes NaN."""
    counts = rows[0](tensors[0])
    for are_boxes, tensor in zip(rows[1:], tensors[1:], strict=True):
        counts = counts & are_boxes(tensor)
    unit = torch.arange(tensors[0].shape[-1], device=tensors[0].device) // 2 % 2  # [0, 0, 1, 1], or with the angle 0
    wide = WIDE.get(unit.device.type, torch.float64)
    largest = LARGEST[wide]
    boxes = [torch.where(counts[..., None], t.to(wide).clamp(-largest, largest), unit) for t in tensors]
    return torch.nan_to_num(torch.where(counts, formula(*boxes, **options), 0).to(dtype), nan=0.0)


def _suits_numpy(tensors: tuple[Tensor, ...]) -> bool:
    """Whether all are ordinary tensors in this machine's memory, of which values are wanted here and now."""
    if torch.compiler.is_compiling() or _recorder() is not None or not _values_alone(tensors):
        return False
    for each in tensors:
        if type(each) is not Tensor or not each.is_cpu or each.layout is not torch.strided or each.is_neg():
            return False
    return not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]


def _suits_kernel(tensors: tuple[Tensor, ...]) -> bool:
    """Whether all are on one GPU where Triton runs, in float32 or half, and values alone are wanted.

    Whether it runs is tried only where a kernel is launched now: one that is compiled or recorded runs later.
    """
    device = tensors[0].device
    if not triton.INSTALLED or device.type not in ("cuda", "cpu") or not _values_alone(tensors):
        return False
    for each in tensors:
        if each.device != device or each.dtype not in KERNEL_DTYPES:
            return False
    return torch.compiler.is_compiling() or _recorder() is not None or triton.runs_on(device)


def _values_alone(tensors: tuple[Tensor, ...]) -> bool:
    """Whether neither a derivative, backward or forward, nor `torch.vmap` is asked for."""
    backward, compiling = torch.is_grad_enabled(), torch.compiler.is_compiling()
    for each in tensors:
        if (backward and each.requires_grad) or (not compiling and _in_vmap(each)):
            return False
    return not _forward_derivative()


def _result_dtype(tensors: tuple[Tensor, ...]) -> torch.dtype:
    dtype = tensors[0].dtype
    for each in tensors[1:]:
        if each.dtype != dtype:
            dtype = torch.promote_types(dtype, each.dtype)
    return dtype if dtype.is_floating_point else torch.get_default_dtype()


def _promoted(tensors: tuple[Tensor, ...], dtype: torch.dtype) -> tuple[Tensor, ...]:
    """In `dtype`, half precisions in float32."""
    compute = dtype if dtype in (torch.float32, torch.float64) else torch.promote_types(dtype, torch.float32)
    return tuple(t if t.dtype == compute else t.to(compute) for t in tensors)
