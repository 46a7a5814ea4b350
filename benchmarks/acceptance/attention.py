"""Packed attention: the variable-length kernel and the exact path, both against float64 written out."""

import torch
from torch import Tensor

from benchmarks.acceptance.bench import Bench, drift
from oryx.grids import cumulative_lengths
from oryx.model.attention import packed_attention, varlen_supported

LIMITS = {torch.float32: 1e-5, torch.bfloat16: 2e-2}
"""Largest drift of the exact path from float64, outputs and gradients."""
KERNEL_LIMIT = 1.5
"""Largest drift of the kernel over that of the exact path: two right ones round differently."""


def cases(tiny: bool) -> dict[str, tuple]:
    """Name -> heads, heads of keys, head width, causal, lengths."""
    long = 90 if tiny else 2048
    return {
        "full, tower 16 x 72": (16, 16, 72, False, [1, 60, 300, 300, long, 17]),
        "causal 8 x 64": (8, 8, 64, True, [1, 17, 90, 90, long]),
        "causal, grouped 28 / 4 x 128": (28, 4, 128, True, [1, 17, 90, 90, long]),
    }


def written_out(q: Tensor, k: Tensor, v: Tensor, lengths: list[int], causal: bool) -> Tensor:
    """The definition, segment by segment."""
    out, group = [], q.shape[1] // k.shape[1]
    for one, *seen in zip(*(part.split(lengths) for part in (q, k, v)), strict=True):
        key, value = (part.repeat_interleave(group, 1) for part in seen)
        logits = torch.einsum("ihd,jhd->hij", one, key) * q.shape[-1] ** -0.5
        if causal:
            past = torch.ones(len(one), len(key), dtype=torch.bool, device=q.device).tril()
            logits = logits.masked_fill(~past, -torch.inf)
        out.append(torch.einsum("hij,jhd->ihd", logits.softmax(-1), value))
    return torch.cat(out)


def run(bench: Bench) -> None:
    """Forward and gradients of every case, number format and path."""
    for name, (heads, kv, width, causal, lengths) in cases(bench.tiny).items():
        generator = torch.Generator(bench.device).manual_seed(0)
        shapes = ((sum(lengths), heads, 2.0), (sum(lengths), kv, 2.0), (sum(lengths), kv, 1.0))  # a peaked softmax
        base = [torch.randn(n, h, width, device=bench.device, generator=generator) * size for n, h, size in shapes]
        bounds = cumulative_lengths(lengths)
        for dtype, limit in LIMITS.items():
            given = [part.to(dtype).requires_grad_() for part in base]
            truths = [part.detach().double().requires_grad_() for part in given]
            truth = written_out(*truths, lengths, causal)
            weight = torch.randn(truth.shape, device=bench.device, dtype=torch.float64, generator=generator)
            wanted = [truth, *torch.autograd.grad((truth * weight).sum(), truths)]

            def apart(backend: str, given=given, weight=weight, wanted=wanted, bounds=bounds, causal=causal) -> list:
                out = packed_attention(*given, bounds, causal=causal, backend=backend)
                got = [out, *torch.autograd.grad((out.double() * weight).sum(), given)]
                return [drift(one, true) for one, true in zip(got, wanted, strict=True)]

            exact, label = apart("exact"), f"attention, {name}, {str(dtype)[6:]}"
            bench.check(f"{label}: exact path against float64", max(exact) < limit, shown(exact, limit), drift=exact)
            if varlen_supported(given[0]):
                kernel = apart("varlen")
                ratio = max(a / max(b, 1e-4) for a, b in zip(kernel, exact, strict=True))
                found = f"{ratio:.2f} times its drift (< {KERNEL_LIMIT}); {shown(kernel)}"
                bench.check(f"{label}: kernel against the exact path", ratio < KERNEL_LIMIT, found, drift=kernel)
            elif dtype != torch.float32:
                bench.check(f"{label}: kernel", None if bench.device == "cpu" else False, "not for these tensors here")


def shown(drifts: list[float], limit: float | None = None) -> str:
    """Drifts of the output and the gradients of q, k and v."""
    return " ".join(f"{one:.1e}" for one in drifts) + ("" if limit is None else f" (< {limit:g})")
