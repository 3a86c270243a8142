"""The CUDA kernels at full size: time, times a device copy of the same bytes, and the plain path beside it.

    python benchmarks/kernels.py

Medians by `triton.testing.do_bench`; the plain path is what a tensor with a gradient takes, here without its backward.
"""

from collections.abc import Callable

import torch
from triton.testing import do_bench

from rsreward import consistency_weight_from_boxes, group_agreement, kernels, oriented_iou, positional_reward

N, GROUPS, SIZE = 2**24, 100_000, 64


def median(function: Callable[[], object]) -> float:
    return float(do_bench(function, warmup=100, rep=500, return_mode="median"))


def plain(function: Callable[[], object]) -> float:
    """Median with the kernels switched off."""
    device, kernels._DEVICE = kernels._DEVICE, "none"
    try:
        return median(function)
    finally:
        kernels._DEVICE = device


def main() -> None:
    print(torch.cuda.get_device_name())
    target = torch.rand(N, 4, device="cuda") * 100
    target[:, 2:] += target[:, :2] + 1
    pred = target + torch.randn_like(target)
    turned = [torch.cat([boxes, torch.rand(N, 1, device="cuda")], 1) for boxes in (pred, target)]
    halves = [pred.bfloat16(), target.bfloat16()]
    groups = pred[: GROUPS * SIZE].view(GROUPS, SIZE, 4)
    cases: dict[str, tuple[Callable[[], torch.Tensor], list[torch.Tensor]]] = {
        "paired, center": (lambda: positional_reward(pred, target), [pred, target]),
        "paired, region": (lambda: positional_reward(pred, target, proximity="region"), [pred, target]),
        "one target for all": (lambda: positional_reward(pred, target[0]), [pred]),
        "paired, bfloat16": (lambda: positional_reward(*halves), halves),
        "oriented IoU": (lambda: oriented_iou(*turned), turned),
        "weight from boxes": (lambda: consistency_weight_from_boxes(groups, groups[:, 0]), [groups]),
        "agreement, 100 k x 64": (lambda: group_agreement(groups), [groups]),
    }
    print(f"{'':24}{'kernel ms':>12}{'x copy':>10}{'plain ms':>12}")
    for name, (function, inputs) in cases.items():
        moved = sum(t.numel() * t.element_size() for t in [*inputs, function()])
        buffer = torch.empty(moved // 2, dtype=torch.uint8, device="cuda")
        copy = median(buffer.clone)
        fused = median(function)
        print(f"{name:24}{fused:12.3f}{fused / copy:10.2f}{plain(function):12.2f}", flush=True)


if __name__ == "__main__":
    main()
