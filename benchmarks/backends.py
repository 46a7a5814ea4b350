"""OryxViT's attention backends on a CUDA device: does ``varlen`` equal ``exact`` in bfloat16, and how fast are both."""

import copy
import statistics
import time

import torch
from torch import Tensor

from benchmarks.encoders import SEED, Batch, new_oryx
from benchmarks.mixes import Mix
from oryx.grids import cumulative_lengths
from oryx.model.attention import Segments, packed_attention

BACKENDS = ("exact", "varlen")
CALLS = 20  # passes per timed repeat: one pass is too short to time


@torch.no_grad()
def attention_drift(mix: Mix, device: str) -> dict[str, float]:
    """Distance of each backend's bfloat16 attention from ``exact`` in float32, as a share of the latter's size.

    Root mean squares. Attention is compared by itself because inside an encoder with random weights it adds little to
    the features: a wrong kernel would hide in the rounding of the rest. Queries and keys of standard deviation 2 make
    the softmax peaked, as trained ones do.
    """
    generator = torch.Generator().manual_seed(SEED)
    shape = (mix.tokens, mix.heads, mix.width // mix.heads)
    q, k, v = (torch.randn(shape, generator=generator).mul(size).to(device, torch.bfloat16) for size in (2, 2, 1))
    segments = Segments(cumulative_lengths(rows * columns for rows, columns in mix.grids))
    truth = packed_attention(q.float(), k.float(), v.float(), segments, backend="exact")
    return {name: _drift(packed_attention(q, k, v, segments, backend=name), truth) for name in BACKENDS}


def _drift(features: Tensor, truth: Tensor) -> float:
    return ((features.float() - truth).square().mean() / truth.square().mean()).sqrt().item()


@torch.no_grad()
def compare_backends(mix: Mix, repeats: int) -> dict[str, float]:
    """Measure one mix on the current CUDA device.

    Returns:
        ``exact attention drift``, ``varlen attention drift``: see :func:`attention_drift`;
        ``exact drift``, ``varlen drift``: the same for the features of the whole encoder;
        ``largest difference``: of a feature between the backends, both in bfloat16;
        ``exact tokens/s``, ``varlen tokens/s``: whole encoder, forward, bfloat16, wall time.
    """
    result = {f"{name} attention drift": drift for name, drift in attention_drift(mix, "cuda").items()}
    model, patches = new_oryx(mix).cuda(), Batch.of(mix).patches.cuda()
    truth = model(patches, mix.grids, backend="exact").tokens
    half, patches = copy.deepcopy(model).to(torch.bfloat16), patches.to(torch.bfloat16)
    out = {name: half(patches, mix.grids, backend=name).tokens.float() for name in BACKENDS}
    result |= {f"{name} drift": _drift(out[name], truth) for name in BACKENDS}
    result["largest difference"] = (out["exact"] - out["varlen"]).abs().max().item()
    seconds = {name: [] for name in BACKENDS}
    for _ in range(repeats):
        for name, samples in seconds.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            for _ in range(CALLS):
                half(patches, mix.grids, backend=name)
            torch.cuda.synchronize()
            samples.append((time.perf_counter() - start) / CALLS)
    return result | {f"{name} tokens/s": mix.tokens / statistics.median(seconds[name]) for name in BACKENDS}
