"""The vision tower in the released shape, bfloat16: packed, padded and fixed squares of equal tokens."""

from dataclasses import replace

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.acceptance.bench import Bench, drift
from benchmarks.encoders import Batch, Packed, Padded, new_oryx, siglip2_from_oryx
from benchmarks.measure import PASSES, run_pass
from benchmarks.mixes import Mix
from benchmarks.native_encoding import SO400M, forward_flops, mixes_of

FIXED = "fixed, equal tokens"


def towers(bench: Bench, mix: Mix) -> dict[str, tuple[Mix, Packed | Padded]]:
    """Way -> what it encodes, and its encoder, made on the device; all have the same weights."""
    fixed = mixes_of(mix)[FIXED]
    with torch.device(bench.device):
        vit = new_oryx(mix)
        siglip2 = siglip2_from_oryx(vit, mix)
    found: dict[str, tuple[Mix, Packed | Padded]] = {
        "packed": (mix, Packed(vit, mix, Batch.of(mix))),
        "padded": (mix, Padded(siglip2, mix, Batch.of(mix))),
        FIXED: (fixed, Packed(vit, fixed, Batch.of(fixed))),
    }
    for _, encoder in found.values():
        encoder.model.to(bench.device, torch.bfloat16)
        for name, value in vars(encoder).items():
            if isinstance(value, torch.Tensor):
                dtype = torch.bfloat16 if value.is_floating_point() else value.dtype
                setattr(encoder, name, value.to(bench.device, dtype))
    return found


def kernels(bench: Bench, encoder: Packed | Padded) -> list[str]:
    """The names of what ran for one forward pass, those that took longest first."""
    activities = [ProfilerActivity.CUDA] if bench.device == "cuda" else [ProfilerActivity.CPU]
    with profile(activities=activities) as seen:
        run_pass(encoder, "forward")
        bench.wait()
    time = "self_device_time_total" if bench.device == "cuda" else "self_cpu_time_total"
    events = sorted(seen.key_averages(), key=lambda event: -getattr(event, time))
    return [event.key for event in events if getattr(event, time) > 0]


@torch.no_grad()
def parity(bench: Bench, mix: Mix) -> None:
    """The bfloat16 tower by either path against float32 by the exact one."""
    with torch.device(bench.device):
        vit = new_oryx(mix)
    patches = Batch.of(mix).patches.to(bench.device)
    truth = vit(patches, mix.grids, backend="exact").tokens
    half = vit.to(torch.bfloat16)
    apart = [drift(half(patches.bfloat16(), mix.grids, backend=way).tokens, truth) for way in ("exact", "auto")]
    found = f"{apart[1]:.1e} against {apart[0]:.1e} of the exact path (< 1.5 times)"
    bench.check("tower: drift of bf16 from float32", apart[1] < 1.5 * apart[0] < 0.15, found, drift=apart)


def run(bench: Bench) -> None:
    """Parity, what ran, and speed and memory of every way."""
    mix = SO400M
    if bench.tiny:
        mix = replace(SO400M, grids=((4, 4), (6, 3), (4, 9)), width=144, heads=2, layers=2, mlp=64)
    parity(bench, mix)
    found, tokens_a_second = towers(bench, mix), {}
    ran = kernels(bench, found["packed"][1])
    flash = [name for name in ran if any(word in name.lower() for word in ("flash", "fmha", "varlen"))]
    bench.check(
        "tower, packed: the variable-length kernel ran", bool(flash) if bench.device == "cuda" else None,
        "; ".join(name[:90] for name in (flash or ran)[:3]), kernels=ran[:12],
    )  # fmt: skip
    for kind in PASSES:
        for way, (seen, encoder) in found.items():
            with bench.peak_memory() as peak:
                encoder.model.zero_grad()
                spent = bench.seconds(lambda encoder=encoder, kind=kind: run_pass(encoder, kind), 3, 1)
                held = peak()
            encoder.model.zero_grad()
            rate = forward_flops(seen) * (1 if kind == "forward" else 3) / spent
            tokens_a_second[kind, way] = seen.tokens / spent
            bench.check(
                f"tower, {way}, {kind}", None,
                f"{seen.tokens / spent:,.0f} tokens/s, {rate / 1e12:.3g} TFLOP/s on real tokens, "
                f"{bench.share(rate):.0%} of the measured matrix peak, {held:.1f} GB",
                seconds=spent, tflops=rate / 1e12, share=bench.share(rate), gigabytes=held,
            )  # fmt: skip
        for other, least in ((FIXED, 0.9), ("padded", 1.0)):
            ratio = tokens_a_second[kind, "packed"] / tokens_a_second[kind, other]
            bench.speed(f"tower, {kind}: packed over {other}", ratio > least, f"{ratio:.2f} (> {least})", ratio=ratio)
