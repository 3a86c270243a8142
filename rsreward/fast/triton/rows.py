"""How kernels read boxes: rows broadcast without a copy, numbers apart, offsets in 64 bits."""

import torch
import triton
import triton.language as tl
from torch import Tensor

from ...checks import broadcast

Rows = tuple[Tensor, int, int, int]


def as_rows(boxes: Tensor, shape: torch.Size) -> Rows:
    """`boxes` broadcast to rows of `shape`: a view, its strides by row and number, and how many rows read each of it.

    Copied only where neither one stride nor repetition in a run describes the broadcast.
    """
    boxes, repeat = boxes.expand(*shape, boxes.shape[-1]), 1
    while boxes.dim() > 1 and 0 in (boxes.stride(-2), boxes.shape[-2] - 1) and repeat * boxes.shape[-2] < 2**30:
        repeat *= boxes.shape[-2]
        boxes = boxes.select(-2, 0)
    boxes = boxes.reshape(-1, boxes.shape[-1])
    if len(boxes) == 1:
        return boxes, 0, boxes.stride(1), 1
    return boxes, boxes.stride(0), boxes.stride(1), repeat


def packed(rows: Rows) -> bool:
    """Whether row follows row and number follows number."""
    boxes, stride, step, repeat = rows
    return (stride, step, repeat) == (boxes.shape[1], 1, 1)


def empty_rows(pred: Tensor, target: Tensor) -> Tensor:
    """Room for one number a pair."""
    shape = broadcast(pred.shape, target.shape)[:-1]
    return pred.new_empty(shape, dtype=torch.promote_types(pred.dtype, target.dtype))


@triton.jit
def block_of(size, BLOCK: tl.constexpr):
    """The rows of this program, and which of them there are."""
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    return row, row < size


@triton.jit
def first_of(boxes, stride, repeat, BLOCK: tl.constexpr):
    """Where the rows of this program begin. The division of each row is in 32 bits."""
    start = tl.program_id(0).to(tl.int64) * BLOCK
    within = (start % repeat).to(tl.int32) + tl.arange(0, BLOCK)
    return boxes + (start // repeat + within // repeat) * stride


@triton.jit
def load_packed(at, there, BLOCK: tl.constexpr):
    """The four numbers of each row, float32, in one load of 16 bytes each from the pointers `(BLOCK, 4)`."""
    x, y = tl.split(tl.reshape(tl.load(at, mask=there).to(tl.float32), [BLOCK, 2, 2]))
    x1, x2 = tl.split(x)
    y1, y2 = tl.split(y)
    return x1, y1, x2, y2


@triton.jit
def load_four(boxes, row, there, stride, step, repeat, PACKED: tl.constexpr, BLOCK: tl.constexpr):
    """The four numbers of each row, float32, by `load_packed` where that can be."""
    if PACKED:
        x1, y1, x2, y2 = load_packed(boxes + row[:, None] * 4 + tl.arange(0, 4)[None, :], there[:, None], BLOCK)
    else:
        at = first_of(boxes, stride, repeat, BLOCK)
        x1 = tl.load(at, mask=there).to(tl.float32)
        y1 = tl.load(at + step, mask=there).to(tl.float32)
        x2 = tl.load(at + step + step, mask=there).to(tl.float32)
        y2 = tl.load(at + step + step + step, mask=there).to(tl.float32)
    return x1, y1, x2, y2
