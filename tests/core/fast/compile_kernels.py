"""Compiles every kernel for the compute capabilities named, without a GPU; a JSON line for what became of each."""

import json
import re
import subprocess
import sys
import tempfile

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rsreward.fast.triton import group, oriented, paired


def cases():
    """Name, kernel, types of pointers, integers and constants, and whether products and sums are fused.

    Triton makes constants of the integers that are 1.
    """
    forms = ["none", "center", "region", "keypoints"]
    ones = dict.fromkeys(("pred_step", "pred_repeat", "target_step", "target_repeat"), 1)
    apart = {"PRED_PACKED": False, "TARGET_PACKED": False, "BLOCK": paired.BLOCK, "IOU": True, "PROXIMITY": "center"}
    packed = apart | ones | {"PRED_PACKED": True, "TARGET_PACKED": True}
    for form in forms:
        yield f"paired {form}", paired.paired_kernel, "fp32", "i32", packed | {"PROXIMITY": form}, False
    yield "paired bf16", paired.paired_kernel, "bf16", "i32", packed | {"PROXIMITY": "center"}, False
    yield "paired strided", paired.paired_kernel, "fp16", "i64", apart, False
    yield "paired planes", paired.paired_kernel, "fp32", "i32", apart | {"pred_stride": 1, "target_repeat": 1}, False
    for form in ("none", "center", "keypoints"):
        constants = ones | {"PROXIMITY": form, "BLOCK": oriented.BLOCK}
        yield f"oriented {form}", oriented.oriented_kernel, "fp32", "i32", constants, True
    yield "oriented broadcast", oriented.oriented_kernel, "bf16", "i64", {"PROXIMITY": "none", "BLOCK": 128}, True
    constants = {"GROUPS": 64, "ROLLOUTS": 8}
    yield "weight", group.weight_kernel, "fp32", "i32", constants, False
    yield "weight of one", group.weight_kernel, "fp32", "i32", constants | {"size": 1, "ROLLOUTS": 1}, False
    yield "agreement", group.agreement_kernel, "fp32", "i32", {"BLOCK": group.BLOCK}, True
    yield "agreement of one", group.agreement_kernel, "bf16", "i64", {"BLOCK": group.BLOCK, "size": 1}, True


def compiled(kernel, pointers, integers, constants, fusion, capability):
    types = dict.fromkeys(("pred", "target", "out", "boxes", "ious"), f"*{pointers}")
    types |= dict.fromkeys(("sigmas", "beta", "lambda_mean", "lambda_var", "w_min", "w_max"), "fp32")
    types |= dict.fromkeys(("pred_repeat", "target_repeat"), "i32")
    types |= dict.fromkeys(constants, "constexpr")
    signature = {name: types.get(name, integers) for name in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(signature.values()) if kind.startswith("*")}
    values = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
    source = ASTSource(kernel, signature, values, aligned)
    return triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"enable_fp_fusion": fusion})


def resources(cubin):
    """Registers and bytes of stack a thread."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        tool = triton.knobs.nvidia.cuobjdump.path
        usage = subprocess.run([tool, "--dump-resource-usage", file.name], capture_output=True, text=True, check=True)
    return [int(n) for n in re.search(r"REG:(\d+) STACK:(\d+)", usage.stdout).groups()]


def report(name, *case, capability):
    asm = compiled(*case, capability).asm
    registers, stack = resources(asm["cubin"])
    programs = "|".join(re.findall(r"(%\S+) = tt.get_program_id", asm["ttir"]))
    uses = re.findall(rf"= (.*(?:{programs})\b.*)", asm["ttir"])
    return {
        "kernel": name,
        "capability": capability,
        "registers": registers,
        "stack": stack,
        "wide_loads": asm["ptx"].count("ld.global.v4.b32"),
        "wide_rows": all(re.match(r"arith.extsi \S+ : i32 to i64", use) for use in uses),
    }


if __name__ == "__main__":
    for capability in map(int, sys.argv[1:]):
        for case in cases():
            print(json.dumps(report(*case, capability=capability)), flush=True)
