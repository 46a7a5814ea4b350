"""Does it run on a GPU, rightly and fast? One prepared script for a machine that is lent for minutes.

    python -m benchmarks.gpu_acceptance --out FILE.json [--parts facts,attention,...] [--seconds 540] [--tiny]

Needs a bare copy of the repository as working directory and torch, transformers, accelerate, pandas, pydantic and
Pillow; PyAV, decord and papermill may be absent (studies on videos are skipped then). Every check is a line that begins
with PASS, FAIL, or ---- for what is only reported. A part that breaks or runs out of time is one FAIL, and the others
go on. The JSON holds all numbers with their provenance and names the device. Exit code 1 if anything failed.
``--tiny`` runs every part on a CPU with toy shapes: a trial of the script, which says nothing about speed.
"""

import argparse
import json
import shlex
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import torch

from benchmarks.acceptance.bench import Bench
from workbook.runs.jobs import nvidia_smi
from workbook.runs.provenance import git_state, now, versions

PARTS = {
    **{"facts": 30, "attention": 50, "tower": 70, "released": 120, "training": 60, "fine_tuning": 60, "ecosystem": 90},
    **{"stages": 60, "sft_step": 90, "studies": 150},
}
"""Part -> most seconds; less where the time of the whole is used up."""


def hardware(device: str) -> dict:
    """The device and what drives it."""
    if device == "cpu":
        return {"device": "cpu", "threads": torch.get_num_threads()}
    return {
        "device": torch.cuda.get_device_name(),
        "capability": torch.cuda.get_device_capability(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "driver": next(iter(nvidia_smi("driver_version")), None),
    }


@contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside after so many seconds."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"not done after {seconds:.0f} s")

    earlier = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)


def run_parts(bench: Bench, parts: Sequence[str], seconds: float, factor: float = 1.0) -> dict[str, float]:
    """Run the parts one after the other; part -> the seconds it took. ``factor``: how much longer a part may take."""
    spent, end = {}, time.monotonic() + seconds
    for part in parts:
        bench.part, began = part, time.monotonic()
        left = min(PARTS[part] * factor, end - began)
        if left < 1:
            bench.check(part, False, "no time was left for it")
            continue
        try:
            with limit(left):
                import_module(f"benchmarks.acceptance.{part}").run(bench)
        except Exception as error:  # of any kind: the other parts are still to be seen
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            bench.check(part, False, f"{type(error).__name__}: {str(error)[:300]} ({where})")
        spent[part] = time.monotonic() - began
        print(f"      {part}: {spent[part]:.0f} s", flush=True)
    return spent


def main(arguments: list[str] | None = None) -> int:
    """Command line: run, print, write the JSON; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_acceptance", description="Acceptance on a GPU.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--parts", default=",".join(PARTS), help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=540, help="for all parts together")
    parser.add_argument("--tiny", action="store_true", help="toy shapes, on the CPU where there is no GPU")
    parsed = parser.parse_args(arguments)
    parts = parsed.parts.split(",")
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"argument --parts: expected some of {', '.join(PARTS)}, got {', '.join(unknown)}")
    if not torch.cuda.is_available() and not parsed.tiny:
        parser.error("no CUDA device: --tiny tries the script on a CPU")
    bench = Bench("cuda" if torch.cuda.is_available() else "cpu", parsed.tiny)
    commit, dirty = git_state()
    start = now()
    spent = run_parts(bench, parts, parsed.seconds, 3 if parsed.tiny else 1)
    failed = [line["check"] for line in bench.checks if line["ok"] is False]
    given = sys.argv[1:] if arguments is None else arguments
    report = {
        "command": shlex.join(["python", "-m", "benchmarks.gpu_acceptance", *given]),
        "commit": commit, "dirty": dirty, "start": start, "end": now(), "python": sys.version.split()[0],
        "packages": versions(), "hardware": hardware(bench.device), "tiny": bench.tiny, "seconds": spent,
        "failed": failed, "checks": bench.checks,
    }  # fmt: skip
    parsed.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"{len(bench.checks)} lines, {len(failed)} failed" + "".join(f"\n  {name}" for name in failed))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
