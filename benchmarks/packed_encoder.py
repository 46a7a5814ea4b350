"""What packing buys: OryxViT over packed pictures against three peers on the same pictures.

    python -m benchmarks.packed_encoder [--mix A|B|C|D|E|all] [--repeats 5] [--threads 1] [--json FILE] [--docs FILE]

- **padded**: Siglip2's vision model over a batch that is padded with zeros;
- **loop**: the same OryxViT on one picture after the other;
- **qwen2-vl**: the vision tower of Qwen2-VL, which packs too.

All have the same shape, the first two the packed encoder's weights as well (:mod:`benchmarks.encoders`). They take
turns in one run; ratios are medians over its rounds, of user CPU time. ``--docs docs/benchmarks.md`` renews the tables
there.
"""

import argparse
import platform
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import transformers

from benchmarks.backends import compare_backends
from benchmarks.measure import PASSES, measure, paired_ratio
from benchmarks.mixes import MIXES, Mix
from benchmarks.results import deliver, markdown

FEATURE_TOLERANCE = 1e-4
EQUAL = 0.9
"""The least share of the speed of loop and Qwen2-VL that the packed encoder is asked for: they compute as many tokens
and pad nothing either, so that no gain can be asked; a tenth is left for what measurements differ by."""
# bfloat16 keeps 8 bits; two correct kernels round differently, so each is held against float32 instead of the other
DRIFT_TOLERANCE = 1.5
NO_MEMORY = "Peak memory was not measured: that needs Linux with glibc."


def speeds(mix: Mix, seconds: Mapping) -> list[dict]:
    """A row for every pass and peer: how many times the packed encoder's user time the peer's is, and whether it is at
    least the limit."""
    rows = []
    for kind in PASSES:
        user = {name: clocks["user"] for name, clocks in seconds[kind].items()}
        for peer, limit in {"padded": mix.speed_target, "loop": EQUAL, "qwen2-vl": EQUAL}.items():
            ratio = paired_ratio(user[peer], user["packed"])
            row = {"mix": mix.name, "pass": kind, "peer": peer, "peer, user s": statistics.median(user[peer])}
            row |= {"packed, user s": statistics.median(user["packed"]), "peer / packed": ratio}
            rows.append(row | {"limit": f">= {limit:.2f}", "met": ratio >= limit})
    return rows


def memories(mix: Mix, peaks: Mapping) -> list[dict]:
    """A row for every pass: peak MiB of padded and packed, packed's share of padded's, and whether it is at most the
    limit. No rows where peaks are unknown."""
    if None in peaks.values():
        return []
    rows, limit = [], mix.memory_target
    for kind in PASSES:
        padded, packed = (peaks[name][kind] for name in ("padded", "packed"))
        row = {"mix": mix.name, "pass": kind, "padded, MiB": padded, "packed, MiB": packed}
        row |= {"packed / padded": packed / padded, "limit": f"<= {limit:.2f}"}
        rows.append(row | {"met": packed / padded <= limit})
    return rows


def cuda_row(mix: Mix, repeats: int) -> dict:
    """The CUDA comparison of one mix, with its target: ``varlen`` loses no more to bfloat16 than ``exact`` does."""
    row = {"mix": mix.name, **compare_backends(mix, repeats)}
    row["target"] = f"varlen drifts <= {DRIFT_TOLERANCE:g} exact"
    row["met"] = all(
        row[f"varlen {drift}"] <= DRIFT_TOLERANCE * row[f"exact {drift}"] for drift in ("attention drift", "drift")
    )
    return row


def environment(threads: int) -> dict[str, str | int]:
    """What the numbers depend on."""
    facts = {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": threads,
    }
    if torch.cuda.is_available():
        facts["cuda_device"] = torch.cuda.get_device_name()
    return facts


def tables(found: Mapping, mixes: Sequence[Mix]) -> str:
    """The measurements in Markdown."""
    facts = ", ".join(f"{name} {value}" for name, value in found["environment"].items())
    parts = [f"{facts}; float32, medians of {found['repeats']} rounds."]
    drawn = [
        {"mix": mix.name, "pictures": mix.description, "real tokens": mix.tokens, "padding ratio": f"{mix.padding:.2f}"}
        | {"width, heads, layers": f"{mix.width}, {mix.heads}, {mix.layers}"}
        for mix in mixes
    ]
    parts += [markdown(drawn), markdown(found["speed"]), markdown(found["memory"]) if found["memory"] else NO_MEMORY]
    apart = [one for measured in found["measured"].values() for one in measured["agreement"].values()]
    features, gradients = (max(one[what] for one in apart) for what in ("features", "gradients"))
    parts.append(
        f"Largest difference of padded or loop from packed: of a feature {features:.1e}, at most {FEATURE_TOLERANCE:g} "
        f"is asked; of a gradient, as a share of the largest in its tensor, {gradients:.1e}."
    )
    return "\n\n".join(parts + ([markdown(found["cuda"])] if found["cuda"] else []))


def main(arguments: Sequence[str] | None = None) -> dict:
    """Command line: measure and print; raises RuntimeError if padded or loop do not compute what packed computes."""
    parser = argparse.ArgumentParser(description="OryxViT packed, against padding, a loop and Qwen2-VL's tower.")
    parser.add_argument("--mix", choices=[*MIXES, "all"], default="all", help="which pictures (default: all)")
    parser.add_argument("--repeats", type=int, default=5, help="timed rounds; medians are reported (default: 5)")
    parser.add_argument("--threads", type=int, default=1, help="threads torch may use (default: 1)")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the packed-encoder marks is renewed")
    parsed = parser.parse_args(arguments)
    for name in ("repeats", "threads"):
        if getattr(parsed, name) < 1:
            parser.error(f"argument --{name}: expected at least 1, got {getattr(parsed, name)}")
    torch.set_num_threads(parsed.threads)
    mixes = list(MIXES.values()) if parsed.mix == "all" else [MIXES[parsed.mix]]
    found = {"environment": environment(parsed.threads), "repeats": parsed.repeats}
    found |= {"measured": {}, "speed": [], "memory": [], "cuda": []}
    for mix in mixes:
        print(f"measuring mix {mix.name} ...", file=sys.stderr, flush=True)
        found["measured"][mix.name] = measured = measure(mix, parsed.repeats, parsed.threads)
        for peer, apart in measured["agreement"].items():
            if apart["features"] > FEATURE_TOLERANCE:
                raise RuntimeError(f"mix {mix.name}: {peer} and packed features differ by {apart['features']:.1e}")
        found["speed"] += speeds(mix, measured["seconds"])
        found["memory"] += memories(mix, measured["memory_mib"])
        if torch.cuda.is_available():
            found["cuda"].append(cuda_row(mix, parsed.repeats))
    deliver(found, tables(found, mixes), parsed.json, parsed.docs, "packed-encoder")
    return found


if __name__ == "__main__":
    main()
