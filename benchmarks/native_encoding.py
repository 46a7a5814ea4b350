"""Is packed native encoding as fast as fixed-size encoding? Four ways to encode the same pictures, in one run.

    python -m benchmarks.native_encoding [--mix A|B|all] [--repeats 5] [--threads 1] [--json FILE] [--docs FILE]

The paper says that it is and gives no number. The ways:

- **packed**: every picture at its own size, all in one sequence (OryxViT);
- **padded**: the same patches, zero-padded to the largest picture and masked (transformers' Siglip2, same weights);
- **partition**: dynamic partition after LLaVA-NeXT: tiles on one of its five canvases and a thumbnail, a batch of equal
  squares;
- **fixed**: every picture one square of one size, a batch of equal squares.

Equal squares go through the same OryxViT in one attention call without a mask, the fastest form there is. Partition and
fixed squares are measured twice: with the side at which they cost as many tokens a picture as native, on average
("tokens"), and with the smallest side at which no picture loses pixels ("pixels": a canvas or square as large as the
picture, for all pictures, because the side is one for all). With a CUDA device the tower has so400m's size and runs in
bfloat16. ``--docs docs/benchmarks.md`` renews the tables there.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from transformers.image_processing_utils import select_best_resolution

from benchmarks.encoders import CHANNELS, PATCH, Packed, Padded, alone, pair
from benchmarks.measure import (
    MEBIBYTE,
    PASSES,
    agreement,
    paired_ratio,
    peak_memory_in_fresh_process,
    run_pass,
    times,
)
from benchmarks.mixes import MIXES, Mix, draw_grids
from benchmarks.packed_encoder import EQUAL, FEATURE_TOLERANCE, environment
from benchmarks.results import deliver, markdown
from oryx.grids import Grid, token_count

CANVASES = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))
"""(rows, columns) of tiles: ``image_grid_pinpoints`` of LLaVA-NeXT's released configurations."""

CASES = ("tokens", "pixels")
WAYS = ("packed", "padded", *(f"{way}, equal {case}" for case in CASES for way in ("partition", "fixed")))
SO400M = Mix(
    "G",
    "8 pictures of 256 to 4096 tokens, the released tower",
    draw_grids(8, (16, 16), (64, 64), aspect=3, seed=7),
    width=1152,
    heads=16,
    layers=27,
    mlp=4304,
    speed_target=1.0,
    memory_target=1.0,
)
MOST_MEMORY = 1.1
"""Times its share of the tokens that packed encoding may take of the peak memory of equal squares."""
PEAK_FLOPS = 989e12
"""Dense bfloat16 operations a second of an H100 SXM or H200, as NVIDIA's data sheets state them (1,979 TFLOP/s with
sparsity, half of that without); the share of peak is for these cards only."""


def canvas(grid: Grid, side: int) -> Grid:
    """(rows, columns) of tiles of ``side`` patches for a picture of ``grid``, by transformers' own choice."""
    height, width = select_best_resolution(grid, [(rows * side, columns * side) for rows, columns in CANVASES])
    return height // side, width // side


def squares(mix: Mix, way: str, side: int) -> tuple[Grid, ...]:
    """The equal squares that ``partition`` or ``fixed`` encodes: tiles and thumbnails, or one a picture."""
    tiles = (1 if way == "fixed" else token_count([canvas(grid, side)]) + 1 for grid in mix.grids)
    return ((side, side),) * sum(tiles)


def keeps_pixels(mix: Mix, way: str, side: int) -> bool:
    """True if no picture of the mix has to shrink: its square has its area, or its canvas holds it."""
    if way == "fixed":
        return side * side >= mix.longest
    canvases = [canvas(grid, side) for grid in mix.grids]
    fits = zip(mix.grids, canvases, strict=True)
    return all(rows * side >= h and columns * side >= w for (h, w), (rows, columns) in fits)


def square_side(mix: Mix, way: str, case: str) -> int:
    """The side in patches: nearest to the mix's tokens, or the smallest that keeps every picture's pixels."""
    sides = range(1, max(max(grid) for grid in mix.grids) + 1)
    if case == "pixels":
        return next(side for side in sides if keeps_pixels(mix, way, side))
    return min(sides, key=lambda side: abs(token_count(squares(mix, way, side)) - mix.tokens))


def mixes_of(mix: Mix) -> dict[str, Mix]:
    """Way -> the mix that it encodes."""
    found = {"packed": mix, "padded": mix}
    for name in WAYS[2:]:
        way, case = name.split(", equal ")
        found[name] = replace(mix, grids=squares(mix, way, square_side(mix, way, case)))
    return found


def encoders_of(mixes: Mapping[str, Mix], device: str, dtype: torch.dtype) -> dict[str, Packed | Padded]:
    """An encoder for each way, with all its tensors on ``device``; packed and padded have the same weights."""
    padded, packed = pair(mixes["packed"])
    found = {"packed": packed, "padded": padded} | {name: alone("packed", mixes[name]) for name in WAYS[2:]}
    for encoder in found.values():
        encoder.model.to(device, dtype)
        for name, value in vars(encoder).items():
            if isinstance(value, Tensor):
                setattr(encoder, name, value.to(device, dtype if value.is_floating_point() else value.dtype))
    return found


def forward_flops(mix: Mix) -> float:
    """Floating-point operations of one forward pass over the mix's real tokens; backward costs about twice as many."""
    linear = 4 * mix.width**2 + 2 * mix.width * mix.mlp
    patches = CHANNELS * PATCH**2 * mix.width * mix.tokens
    attention = 2 * mix.width * sum((rows * columns) ** 2 for rows, columns in mix.grids)
    return 2.0 * (patches + mix.layers * (linear * mix.tokens + attention))


def cuda_peaks(encoders: Mapping[str, Packed | Padded]) -> dict[str, dict[str, float]]:
    """Peak MiB of each encoder's passes above everything that is there before; warms the device up on the way."""
    found: dict[str, dict[str, float]] = {}
    for name, encoder in encoders.items():
        for kind in PASSES:
            encoder.model.zero_grad()
            run_pass(encoder, kind)
            encoder.model.zero_grad()
            torch.cuda.reset_peak_memory_stats()
            before = torch.cuda.memory_allocated()
            run_pass(encoder, kind)
            found.setdefault(name, {})[kind] = (torch.cuda.max_memory_allocated() - before) / MEBIBYTE
    return found


def clock(device: str) -> str:
    """What is compared: user CPU time, or on a GPU, which computes by itself, the time that passed."""
    return "user" if device == "cpu" else "wall"


def measure(mix: Mix, repeats: int, threads: int, device: str, memory=peak_memory_in_fresh_process) -> dict:
    """One mix: ``features`` (how far packed and padded are apart, float32) and a row for every way and pass."""
    mixes = mixes_of(mix)
    apart = agreement(*pair(replace(mix, layers=min(2, mix.layers)))).features
    cpu_peaks = (
        {name: memory("padded" if name == "padded" else "packed", mixes[name], threads) for name in WAYS}
        if (device == "cpu")
        else {}
    )
    encoders = encoders_of(mixes, device, torch.float32 if device == "cpu" else torch.bfloat16)
    peaks = cpu_peaks or cuda_peaks(encoders)
    seconds = times(encoders, repeats, torch.cuda.synchronize if device == "cuda" else lambda: None)
    rows = []
    for name, seen in mixes.items():
        for kind in PASSES:
            took, pictures = statistics.median(seconds[kind][name][clock(device)]), len(mix.grids)
            row = {"mix": mix.name, "way": name, "pass": kind, "seconds": seconds[kind][name]}
            row |= {"tokens a picture": seen.tokens / pictures, "pictures/s": pictures / took}
            row |= {"tokens/s": seen.tokens / took, "side": seen.grids[0][0] if name in WAYS[2:] else None}
            row |= {"peak MiB": peaks[name] and peaks[name][kind]}
            row["flops/s"] = forward_flops(seen) * (1 if kind == "forward" else 3) / took
            rows.append(row)
    return {"features": apart, "device": device, "rows": rows}


def ratios(mix: Mix, measured: Mapping) -> list[dict]:
    """Packed against every other way of a mix, of which ``measured`` is what :func:`measure` found.

    Pictures/s and tokens/s over theirs, peak memory as a share of theirs, and limits.

    Padding is held to the mix's own limits. Equal squares pad nothing, so there packed may be as fast as the operations
    on both sides say, but for the tenth of ``EQUAL``, and may take the memory of its tokens, but for a tenth.
    """
    by_way, mixes = {(row["way"], row["pass"]): row for row in measured["rows"]}, mixes_of(mix)
    own, found = clock(measured["device"]), []
    for (way, kind), other in by_way.items():
        if way == "packed":
            continue
        packed, tokens = by_way["packed", kind], mix.tokens / mixes[way].tokens
        said = forward_flops(mixes[way]) / forward_flops(mix)
        slowest, most = EQUAL * said, MOST_MEMORY * tokens
        if way == "padded":
            said, slowest, most = None, mix.speed_target, mix.memory_target
        speed = paired_ratio(other["seconds"][own], packed["seconds"][own])
        line = {"mix": mix.name, "against": way, "pass": kind, "tokens/s": speed * tokens, "pictures/s": speed}
        line |= {"by operations": said, "limit": f">= {slowest:.2f}", "met": speed >= slowest}
        memory = packed["peak MiB"] / other["peak MiB"] if packed["peak MiB"] and other["peak MiB"] else None
        line |= {"peak memory": memory, "memory limit": f"<= {most:.2f}"}
        found.append(line | {"memory met": None if memory is None else memory <= most})
    return found


def tables(found: Sequence[Mapping], mixes: Sequence[Mix], facts: Mapping) -> str:
    """The measurements in Markdown."""
    lines = [", ".join(f"{name} {value}" for name, value in facts.items()) + ".", ""]
    for one, mix in zip(found, mixes, strict=True):
        device = "bfloat16 on CUDA, wall time" if one["device"] == "cuda" else "float32 on the CPU, user CPU time"
        lines += [
            f"Mix {mix.name}: {mix.description}; width {mix.width}, {mix.layers} layers; {device}. Packed and padded "
            f"features differ by at most {one['features']:.1e} (at most two layers, float32).",
            "",
            "| way | side, patches | tokens a picture | pass | pictures/s | tokens/s | peak MiB |"
            + (" share of peak |" if one["device"] == "cuda" else ""),
            "| --- | --- | --- | --- | --- | --- | --- |" + (" --- |" if one["device"] == "cuda" else ""),
        ]
        for row in one["rows"]:
            peak = "unknown" if row["peak MiB"] is None else f"{row['peak MiB']:,.0f}"
            share = f" {row['flops/s'] / PEAK_FLOPS:.0%} |" if one["device"] == "cuda" else ""
            lines.append(
                f"| {row['way']} | {row['side'] or 'own'} | {row['tokens a picture']:,.0f} | {row['pass']} "
                f"| {row['pictures/s']:,.3g} | {row['tokens/s']:,.0f} | {peak} |{share}"
            )
        lines.append("")
    lines += [
        "Packed native against the others (above 1: packed is faster; memory below 1: packed needs less); medians of "
        "the ratios of every round, the limits are those of pictures/s and of peak memory:",
        "",
        markdown([line for one, mix in zip(found, mixes, strict=True) for line in ratios(mix, one)]),
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> list[dict]:
    """Command line: measure, print, and renew the docs; raises RuntimeError if packed and padded features differ."""
    parser = argparse.ArgumentParser(description="Packed native encoding against padding, partition and squares.")
    parser.add_argument("--mix", choices=["A", "B", "all"], default="all", help="which pictures on the CPU")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds; the median is reported")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the native-encoding marks is renewed")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)
    chosen = [(MIXES[name], "cpu") for name in ("A", "B") if parsed.mix in (name, "all")]
    if torch.cuda.is_available():
        chosen.append((SO400M, "cuda"))
    found = []
    for mix, device in chosen:
        print(f"measuring mix {mix.name} on {device} ...", file=sys.stderr, flush=True)
        found.append(measure(mix, parsed.repeats, parsed.threads, device))
        if found[-1]["features"] > FEATURE_TOLERANCE:
            raise RuntimeError(f"mix {mix.name}: packed and padded features differ by {found[-1]['features']:.1e}")
    text = tables(found, [mix for mix, _ in chosen], environment(parsed.threads))
    deliver(found, text, parsed.json, parsed.docs, "native-encoding")
    return found


if __name__ == "__main__":
    main()
