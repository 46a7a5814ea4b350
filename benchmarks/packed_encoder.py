"""What packing buys: OryxViT over packed pictures against Siglip2's vision model over a zero-padded batch.

``python -m benchmarks.packed_encoder [--mix A|B|C|D|E|all] [--repeats 3] [--json FILE] [--threads 1]``

Both encoders have the same shape and weights (:mod:`benchmarks.encoders`) and are measured in one run, taking turns.
The printed tables name the targets and whether they are met; the exit code is 0 either way. Numbers and their
reading: ``docs/benchmarks.md``.
"""

import argparse
import json
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import torch
import transformers

from benchmarks.backends import compare_backends
from benchmarks.measure import PASSES, measure
from benchmarks.mixes import MIXES, Mix

FEATURE_TOLERANCE = 1e-4
# bfloat16 keeps 8 bits; two correct kernels round differently, so each is held against float32 instead of the other
DRIFT_TOLERANCE = 1.5


def rows_of(mix: Mix, measured: dict) -> list[dict]:
    """One row per quantity: ``padded``, ``packed``, their ``ratio``, the ``target`` in words and whether it is met."""
    apart = measured["agreement"]
    rows = [
        {
            "mix": mix.name,
            "measure": "largest difference of a feature",
            "padded": None,
            "packed": apart.features,
            "target": f"<= {FEATURE_TOLERANCE:g}",
            "met": apart.features <= FEATURE_TOLERANCE,
        },
        {"mix": mix.name, "measure": "largest difference of a gradient, relative", "packed": apart.gradients},
    ]
    for kind in PASSES:
        seconds = measured["seconds"][kind]
        ratio = {clock: seconds["padded"][clock] / seconds["packed"][clock] for clock in seconds["padded"]}
        rows.append(
            {
                "mix": mix.name,
                "measure": f"{kind}, user s",
                "padded": seconds["padded"]["user"],
                "packed": seconds["packed"]["user"],
                "ratio": ratio["user"],
                "ratio/padding": ratio["user"] / mix.padding,
                "ratio cpu": ratio["cpu"],
                "ratio wall": ratio["wall"],
                "target": f">= {mix.speed_target:.2f}",
                "met": ratio["user"] >= mix.speed_target,
                "seconds": seconds,
            }
        )
    memory = measured["memory_mib"]
    for kind in PASSES:
        if memory["padded"] is None or memory["packed"] is None:
            continue
        row = {"mix": mix.name, "measure": f"{kind}, peak MiB"}
        row |= {name: memory[name][kind] for name in memory}
        row["ratio"] = row["packed"] / row["padded"]
        if mix.memory_target is not None:
            row |= {"target": f"<= {mix.memory_target:.2f}", "met": row["ratio"] <= mix.memory_target}
        rows.append(row)
    return rows


def cuda_row(mix: Mix, repeats: int) -> dict:
    """The CUDA comparison of one mix, with its target: ``varlen`` loses no more to bfloat16 than ``exact`` does."""
    row = {"mix": mix.name, **compare_backends(mix, repeats)}
    row["target"] = f"varlen drifts <= {DRIFT_TOLERANCE:g} exact"
    row["met"] = all(
        row[f"varlen {drift}"] <= DRIFT_TOLERANCE * row[f"exact {drift}"] for drift in ("attention drift", "drift")
    )
    return row


def mix_table(mixes: Sequence[Mix]) -> str:
    """The mixes in words and numbers."""
    columns = ("width", "heads", "layers")
    rows = [
        {"mix": mix.name, "pictures": mix.description, "tokens": mix.tokens, "padding ratio": round(mix.padding, 2)}
        | {name: getattr(mix, name) for name in columns}
        for mix in mixes
    ]
    return pd.DataFrame(rows).to_string(index=False)


def result_table(rows: Sequence[dict]) -> str:
    """The measured rows as text; what a row does not have is a dash."""
    names = list(dict.fromkeys(key for row in rows for key in row if key != "seconds"))
    names = [name for name in names if name not in ("target", "met")] + ["target", "met"]
    shown = [{name: _cell(row.get(name)) for name in names} for row in rows]
    return pd.DataFrame(shown).to_string(index=False)


def _cell(value) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:.1e}" if abs(value) < 1e-3 else f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"
    return str(value)


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


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.packed_encoder", description="OryxViT packed against Siglip2 padded."
    )
    parser.add_argument("--mix", choices=[*MIXES, "all"], default="all", help="which pictures (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="timed rounds; the median is reported (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="threads torch may use (default: 1)")
    parser.add_argument("--json", type=Path, help="also write everything measured to this file")
    options = parser.parse_args(argv)
    for name in ("repeats", "threads"):
        if getattr(options, name) < 1:
            parser.error(f"argument --{name}: expected at least 1, got {getattr(options, name)}")
    if options.json and not options.json.absolute().parent.is_dir():
        parser.error(f"argument --json: the folder of {options.json} does not exist")
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark and print its tables. Returns the exit code, 0."""
    options = arguments(argv)
    torch.set_num_threads(options.threads)
    mixes = list(MIXES.values()) if options.mix == "all" else [MIXES[options.mix]]
    facts = environment(options.threads)
    print(", ".join(f"{name} {value}" for name, value in facts.items()), "\n\n" + mix_table(mixes), "\n", flush=True)
    rows, cuda_rows = [], []
    for mix in mixes:
        print(f"measuring mix {mix.name} ...", file=sys.stderr, flush=True)
        rows += rows_of(mix, measure(mix, options.repeats, options.threads))
        if torch.cuda.is_available():
            cuda_rows.append(cuda_row(mix, options.repeats))
    print(result_table(rows), "\n")
    print("Times are medians of user CPU seconds; speed ratio: padded / packed; memory ratio: packed / padded.")
    print("Peak memory is what a fresh process takes above model and inputs." if _has_memory(rows) else _NO_MEMORY)
    print("\n" + result_table(cuda_rows) if cuda_rows else "No CUDA device: the varlen backend was not measured.")
    if options.json:
        report = {"environment": facts, "rows": rows, "cuda": cuda_rows}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


_NO_MEMORY = "Peak memory was not measured: that needs Linux with glibc."


def _has_memory(rows: Sequence[dict]) -> bool:
    return any(row["measure"].endswith("MiB") for row in rows)


if __name__ == "__main__":
    raise SystemExit(main())
