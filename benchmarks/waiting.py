"""What a user waits for: imports, and a question about a film by its compression.

    python -m benchmarks.waiting [--rounds 5] [--json FILE] [--docs FILE]

*Imports* are timed in fresh processes, without the start of Python, in turns with those of packages that the import
cannot do without or that do the same. *Questions* are asked of the shipped small model in this process, at 1x, 4x and
16x in turns, up to the first token of the answer. Ratios are medians over the rounds. ``--docs docs/benchmarks.md``
renews the tables there.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

import oryx
from benchmarks.measure import in_turns, paired_ratio, timed
from benchmarks.results import deliver, markdown


@dataclass(frozen=True)
class Import:
    """A statement, that of its peer, and one limit: wall seconds, or times the CPU time of the peer."""

    statement: str
    peer: str
    most_seconds: float | None = None
    most_ratio: float | None = None


IMPORTS = (
    Import("import oryx", "import transformers", most_seconds=0.3),
    Import("from oryx import load", "import torch; from transformers import PreTrainedModel", most_ratio=2.0),
    Import("import workbook.report.page", "import pandas, scipy.special, jinja2, mistune", most_ratio=2.0),
)
"""0.3 s is what feels immediate at a prompt. The other two cannot do without their peers; beyond twice that time most
of the wait would be our own."""

FRAMES, SIZE, QUESTION = 48, (64, 64), "move"
"""Of the film, of noise; at 1x its tokens fill most of the model's context. A question that the model knows."""
RATIOS = (1, 4, 16)
MOST_OF_1X = 1.0
"""Limit of 4x and 16x: the encoder does the same work for all, and the language model reads less."""


def import_seconds(statement: str) -> dict[str, float]:
    """Wall and CPU seconds of a statement in a fresh process, after Python's own start."""
    code = (
        "import time; wall, cpu = time.perf_counter(), time.process_time(); "
        f"{statement}; print(time.perf_counter() - wall, time.process_time() - cpu)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return dict(zip(("wall", "cpu"), map(float, done.stdout.split()), strict=True))


def imports(one: Import, rounds: int) -> dict:
    """An import and its peer in turns: seconds, median ratios by clock, and whether the limit is kept."""
    ways = {"own": one.statement, "peer": one.peer}
    seconds = in_turns({name: partial(import_seconds, statement) for name, statement in ways.items()}, rounds)
    ratios = {clock: paired_ratio(seconds["own"][clock], seconds["peer"][clock]) for clock in ("wall", "cpu")}
    if one.most_seconds is not None:
        met = statistics.median(seconds["own"]["wall"]) <= one.most_seconds
    else:
        met = ratios["cpu"] <= one.most_ratio
    return {**asdict(one), "seconds": seconds, "ratios": ratios, "met": met}


def questions(rounds: int, frames: int) -> list[dict]:
    """A row for every compression: visual tokens, seconds, median ratios to 1x by clock, whether it is no slower."""
    model = oryx.load("nano")
    noise = np.random.default_rng(0).integers(0, 256, (frames, *SIZE, 3), dtype=np.uint8)
    film, answers = oryx.Video(noise, frames=frames), {}

    def ask(ratio: int) -> None:
        answers[ratio] = model.ask(film, QUESTION, compression=ratio, max_new_tokens=1)

    seconds = in_turns({ratio: partial(timed, partial(ask, ratio)) for ratio in RATIOS}, rounds)
    rows = []
    for ratio in RATIOS:
        ratios = {clock: paired_ratio(seconds[ratio][clock], seconds[1][clock]) for clock in ("wall", "cpu")}
        row = {"compression": ratio, "frames": frames, "tokens": answers[ratio].visual_tokens, "ratios": ratios}
        met = None if ratio == 1 else ratios["cpu"] <= MOST_OF_1X
        rows.append(row | {"seconds": seconds[ratio], "met": met})
    return rows


def tables(found: Mapping) -> str:
    """The results as Markdown, with what they were measured with."""
    imported = [
        {
            "import": f"`{one['statement']}`",
            "wall s": statistics.median(one["seconds"]["own"]["wall"]),
            "CPU s": statistics.median(one["seconds"]["own"]["cpu"]),
            "peer": f"`{one['peer']}`",
            "peer, CPU s": statistics.median(one["seconds"]["peer"]["cpu"]),
            "import / peer, CPU time": one["ratios"]["cpu"],
            "limit": f"<= {one['most_ratio']:.2f}" if one["most_seconds"] is None else f"<= {one['most_seconds']} s",
            "met": one["met"],
        }
        for one in found["imports"]
    ]
    asked = [
        {
            f"{one['frames']} frames of {SIZE[1]}x{SIZE[0]} at": f"{one['compression']}x",
            "visual tokens": one["tokens"],
            "wall s": statistics.median(one["seconds"]["wall"]),
            "CPU s": statistics.median(one["seconds"]["cpu"]),
            "/ 1x, wall time": one["ratios"]["wall"],
            "/ 1x, CPU time": one["ratios"]["cpu"],
            "limit": None if one["compression"] == 1 else f"<= {MOST_OF_1X:.2f}",
            "met": one["met"],
        }
        for one in found["questions"]
    ]
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    return f"{machine}, one thread, medians of {found['rounds']} rounds.\n\n{markdown(imported)}\n\n{markdown(asked)}"


def main(arguments: Sequence[str] | None = None) -> dict:
    """Command line: measure and print."""
    parser = argparse.ArgumentParser(description="What a user waits for: imports, and questions by compression.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=FRAMES, help="frames of the film")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="a file whose block between the waiting marks is renewed")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(1)
    found = {"rounds": parsed.rounds, "imports": [imports(one, parsed.rounds) for one in IMPORTS]}
    found["questions"] = questions(parsed.rounds, parsed.frames)
    deliver(found, tables(found), parsed.json, parsed.docs, "waiting")
    return found


if __name__ == "__main__":
    main()
