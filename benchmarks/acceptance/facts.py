"""Versions, the device, and how fast it multiplies matrices."""

import importlib.util
import inspect

import torch
from torch.nn.attention.varlen import varlen_attn

from benchmarks.acceptance.bench import Bench
from workbook.runs.provenance import versions

OPTIONAL = ("av", "decord", "papermill")


def run(bench: Bench) -> None:
    """Report what there is; measure the peak that later parts are held against."""
    bench.check("packages", None, ", ".join(f"{name} {version}" for name, version in versions().items()))
    absent = [name for name in OPTIONAL if importlib.util.find_spec(name) is None]
    bench.check("left out", None, ", ".join(absent) or "nothing")
    if bench.device == "cuda":
        free, total = (amount / 1e9 for amount in torch.cuda.mem_get_info())
        capability = ".".join(map(str, torch.cuda.get_device_capability()))
        bench.check(
            "device", None,
            f"{torch.cuda.get_device_name()}, capability {capability}, {free:.0f} of {total:.0f} GB free, CUDA "
            f"{torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}",
        )  # fmt: skip
    bench.check("variable-length kernel takes", None, ", ".join(inspect.signature(varlen_attn).parameters))
    side = 256 if bench.tiny else 8192
    a, b = (torch.randn(side, side, device=bench.device, dtype=torch.bfloat16) for _ in range(2))
    bench.peak_flops = 2 * side**3 / bench.seconds(lambda: a @ b, 10, 3)
    rate = bench.peak_flops / 1e12
    bench.speed(f"bf16 product of {side} x {side}", rate > 400, f"{rate:.3g} TFLOP/s (> 400)", tflops=rate)
