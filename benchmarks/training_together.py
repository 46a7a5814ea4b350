"""Two processes that train a reader together: what a helper that draws and gradients in shared memory are worth.

    python -m benchmarks.training_together [--rounds 5] [--steps 32] [--json FILE]

Steps of study 1's shared reader at nano, in the phase of mixed tasks, on two cores. Without the helper each process
draws its turns itself (``oryx/train/turns.py``); without shared memory gradients go over the network of the machine
(``oryx/train/gradients.py``). Ratios are of medians of wall time within one run, in which the four ways take turns:
what is saved is mostly waiting.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
from accelerate import Accelerator

from benchmarks.results import deliver
from oryx.train.gradients import average_gradients, by_network, exchange_for
from oryx.train.turns import TURN, InTurns
from workbook.stages.drawing import draw_reader_batch
from workbook.stages.recipes import recipe
from workbook.stages.shared import build_reader, reader_loss

PROCESSES = 2
WARM_UP = PROCESSES * TURN
"""Steps of a block before the clock starts: the helper begins, and fills what it keeps ready."""

WAYS = {
    "neither": (False, False),
    "shared memory": (False, True),
    "helper": (True, False),
    "both": (True, True),
}
"""Name -> whether a helper draws, whether gradients go through shared memory."""


def block(scale: str, steps: int, helper: bool, memory: bool, accelerator: Accelerator) -> float:
    """Seconds of a step of one way, from new weights."""
    r = recipe(scale)
    torch.manual_seed(0)
    model, first = build_reader(r), int(0.7 * r.reader_steps)
    parameters = list(model.parameters())
    exchange = exchange_for(parameters, accelerator) if memory else by_network
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    drawn, began = InTurns(partial(draw_reader_batch, r, 0), first + WARM_UP + steps, helper), 0.0
    for step in range(first, first + WARM_UP + steps):
        if step == first + WARM_UP:
            began = time.perf_counter()
        reader_loss(drawn, model, step).backward()
        average_gradients(parameters, accelerator.num_processes, exchange)
        accelerator.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return (time.perf_counter() - began) / steps


def measure_as_one(scale: str, rounds: int, steps: int, file: Path) -> None:
    """What each of the processes does; the first writes seconds a step, ``{way: [one a round]}``."""
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    seconds: dict[str, list[float]] = {name: [] for name in WAYS}
    for _ in range(rounds):
        for name, way in WAYS.items():
            seconds[name].append(block(scale, steps, *way, accelerator))
    if accelerator.is_main_process:
        file.write_text(json.dumps(seconds))


def measure(scale: str, rounds: int, steps: int) -> dict[str, list[float]]:
    """Start the processes by torch's launcher and read what they found."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "seconds.json"
        launch = ["torch.distributed.run", "--standalone", f"--nproc-per-node={PROCESSES}", "-m"]
        options = ["--scale", scale, "--rounds", str(rounds), "--steps", str(steps), "--one-of-two", str(file)]
        subprocess.run([sys.executable, "-m", *launch, __spec__.name, *options], check=True)
        return json.loads(file.read_text())


def table(found: dict[str, list[float]]) -> str:
    """The results as Markdown, with what they were measured with."""
    medians = {name: statistics.median(seconds) for name, seconds in found.items()}
    lines = [
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}, "
        f"{PROCESSES} processes of one thread, {len(found['neither'])} rounds.",
        "",
        "| with | ms a step, median | fastest to slowest round | times as fast as with neither |",
        "| --- | --- | --- | --- |",
    ]
    for name, seconds in found.items():
        spread = f"{1e3 * min(seconds):.0f} to {1e3 * max(seconds):.0f}"
        ratio = medians["neither"] / medians[name]
        lines.append(f"| {name} | {1e3 * medians[name]:.0f} | {spread} | {ratio:.2f} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> dict[str, list[float]] | None:
    """Command line: measure and print."""
    parser = argparse.ArgumentParser(description="What a helper that draws and gradients in shared memory are worth.")
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one-of-two", type=Path, metavar="FILE", help=argparse.SUPPRESS)
    parsed = parser.parse_args(arguments)
    if parsed.one_of_two:
        return measure_as_one(parsed.scale, parsed.rounds, parsed.steps, parsed.one_of_two)
    found = measure(parsed.scale, parsed.rounds, parsed.steps)
    deliver(found, table(found), parsed.json, None, "")
    return found


if __name__ == "__main__":
    main()
