"""Load: a long video again and again, two runs side by side, hundreds of small runs in one folder."""

import gc
import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import MEBIBYTE, in_fresh_process, resident
from tools.abuse.crashes import SECONDS, Subject, code_state, different
from tools.abuse.disturb import Watched
from workbook.runs.shards import read_status

FRAMES, SIDE = 1600, 32
WARM = 5
"""Rounds after which nothing more is loaded on first use."""
MOST_GROWN = 16.0
"""MiB by which the memory of a process may differ between the first rounds and the last: what an allocator does."""
SMALL = "tests.toy:ToyStudy"
PAIR = ("spatial_correspondence", "native_vs_fixed_resolution")


def memory(folder: Path, rounds: int) -> dict[str, Any]:
    """MiB of this process after the first :data:`WARM` rounds and after all; in each the nano model reads a video."""
    import torch

    from oryx.eval.features import FrameEncoder
    from oryx.eval.generate import ask, read_videos
    from oryx.train.device import compute
    from workbook.data.haystacks import make_haystack
    from workbook.stages.models import build_reader
    from workbook.stages.recipes import video_recipe
    from workbook.studies.frames import at_size

    torch.set_num_threads(1)
    size = (SIDE, SIDE)
    path = make_haystack(folder, "dev", 0, FRAMES, size).path
    model = build_reader(video_recipe("nano").shapes).eval()
    encoder, held, said = FrameEncoder(model, partial(at_size, size=size), 4, compute("fp32")), [], set()
    for _ in range(rounds):
        said.add(ask(read_videos(model, [encoder.encode(path)]), ["number"], ["7"])[0]["logprob"])
        gc.collect()
        held.append((resident("VmRSS") or 0) / MEBIBYTE)
    first, last = max(held[: WARM + 1]), max(held[-WARM:])
    wrong = f"{len(said)} different likelihoods" if len(said) > 1 else ""
    wrong = wrong or (f"{last - first:.1f} MiB more" if last - first > MOST_GROWN else "")
    what = f"a video of {FRAMES:,} frames through the nano model"
    return {"what": what, "times": rounds, "measured": f"{first:.0f} MiB, then {last:.0f}", "wrong": wrong}


def side_by_side(work: Path) -> dict[str, Any]:
    """Two studies at the same time in one results folder: the rows and verdicts of each alone."""
    subjects = [Subject(name, work / code_state() / name) for name in PAIR]
    for subject in subjects:
        _ = subject.undisturbed
    place = work / "side-by-side"
    shutil.rmtree(place, ignore_errors=True)
    runs = [Watched(subject.command(place / "results"), place / subject.name) for subject in subjects]
    codes = [run.ended(SECONDS) for run in runs]
    wrong = "" if codes == [0, 0] else f"exit codes {codes}"
    wrong = wrong or next(filter(None, (different(subject, place / "results") for subject in subjects)), "")
    what = f"{' and '.join(PAIR)} at the same time"
    return {"what": what, "times": 1, "measured": f"exit codes {codes}", "wrong": wrong}


def sweep(work: Path, runs: int, workers: int) -> dict[str, Any]:
    """Small runs with different settings in one results folder, some at a time; then what ``status`` says of them."""
    results = work / "sweep"
    shutil.rmtree(results, ignore_errors=True)

    def run(width: int) -> int:
        words = ["run", SMALL, "--scale", "smoke", "--no-notebook", "--no-merge", "--jobs", "1", "-p", f"width={width}"]
        command = [sys.executable, "-m", "oryx", *words, "--results", str(results)]
        return subprocess.run(command, capture_output=True, timeout=SECONDS).returncode

    with ThreadPoolExecutor(workers) as pool:
        codes = list(pool.map(run, range(1, runs + 1)))
    began = time.monotonic()
    states = [read_status(path)["state"] for path in (results / "runs").glob("*/*/*/seed-*/status.json")]
    took = time.monotonic() - began
    rows = sum(path.read_bytes().count(b"\n") for path in results.rglob("rows.jsonl"))
    wrong = "" if codes == [0] * runs else f"{sum(map(bool, codes))} exit codes other than 0"
    wrong = wrong or ("" if states == ["done"] * runs else f"{states.count('done')} are done")
    what = f"small runs in one folder, {workers} at a time"
    measured = f"{states.count('done')} done, {rows:,} rows, their states read in {took:.2f} s"
    return {"what": what, "times": runs, "measured": measured, "wrong": wrong}


def table(workers: int, rounds: int, runs: int, work: Path) -> dict[str, Any]:
    """What was tried, how often, what was measured and what went wrong."""
    work.mkdir(parents=True, exist_ok=True)
    lines = [in_fresh_process(memory, work / "video", rounds), side_by_side(work), sweep(work, runs, workers)]
    return {
        "summary": json.dumps({line["what"]: line["measured"] for line in lines}),
        "lines": lines,
        "faults": [line for line in lines if line["wrong"]],
    }
