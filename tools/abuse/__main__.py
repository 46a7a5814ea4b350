"""``python -m tools.abuse [PART ...]``: abuse the package and count what comes of it.

Each part writes what it found, and where that comes from, to results/abuse/PART.json; ``python -m tools.docs`` puts the
tables into docs/robustness.md. Exit code 1 if anything went wrong, hung or died through our door.
"""

import argparse
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.abuse import crashes, decoders, fuzz, load
from workbook.cli import STUDIES
from workbook.runs.provenance import git_state, now, versions

REPOSITORY = Path(__file__).parents[2]
RESULTS, WORK = REPOSITORY / "results" / "abuse", REPOSITORY / "build" / "abuse"
PARTS: dict[str, Callable[[argparse.Namespace], dict[str, Any]]] = {
    "decoders": lambda asked: decoders.table(asked.workers, asked.each),
    "fuzz": lambda asked: fuzz.table(asked.workers, asked.inputs),
    "crashes": lambda asked: crashes.table(asked.workers, asked.points, asked.work, asked.studies.split(",")),
    "load": lambda asked: load.table(asked.workers, asked.rounds, asked.runs, asked.work),
}


def parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    made = argparse.ArgumentParser(prog="python -m tools.abuse", description=__doc__.split("\n\n")[0])
    made.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; default: all")
    made.add_argument("--each", type=int, default=1, help="decoders: every how manieth file of a kind (1)")
    made.add_argument("--inputs", type=int, default=10_000, help="fuzz: how many in all (10000)")
    made.add_argument("--points", type=int, default=3, help="crashes: how many for every study (3)")
    made.add_argument("--studies", default=",".join(STUDIES), help="crashes: of which studies (all)")
    made.add_argument("--rounds", type=int, default=100, help="load: how often a long video is read (100)")
    made.add_argument("--runs", type=int, default=200, help="load: how many small runs (200)")
    made.add_argument("--work", type=Path, default=WORK, help="crashes, load: where points are kept (build/abuse)")
    made.add_argument("--workers", type=int, default=os.cpu_count(), help="processes at a time (as many as cores)")
    made.add_argument("--folder", type=Path, default=RESULTS, help="where the counts go (results/abuse)")
    return made


def without_places(words: list[str]) -> list[str]:
    """The words of a command but for folders and workers of this machine, which change no count."""
    places = [number for number, word in enumerate(words) if word in ("--folder", "--work", "--workers")]
    return [word for number, word in enumerate(words) if not {number, number - 1} & set(places)]


def main(words: list[str]) -> int:
    """Carry out the parts asked for; 1 if one of them found a fault."""
    asked = parser().parse_args(words)
    if unknown := set(asked.parts) - set(PARTS):
        parser().error(f"expected parts of {', '.join(PARTS)}, got {', '.join(sorted(unknown))}")
    asked.folder.mkdir(parents=True, exist_ok=True)
    faults = 0
    for name in asked.parts or PARTS:
        commit, dirty = git_state()
        source = {
            "command": shlex.join(["python", "-m", "tools.abuse", *without_places(words)]),
            "commit": commit,
            "dirty": dirty,
            "start": now(),
        }
        began = time.monotonic()
        found = PARTS[name](asked)
        source |= {"seconds": round(time.monotonic() - began), "cores": os.cpu_count(), "machine": platform.machine()}
        source |= {"python": platform.python_version(), "packages": versions()}
        (asked.folder / f"{name}.json").write_text(json.dumps({"source": source, **found}, indent=1) + "\n")
        print(f"{name}: {found['summary']}, {source['seconds']} s")
        for fault in found["faults"]:
            print("  ", ", ".join(f"{key}: {value}" for key, value in fault.items()))
        faults += len(found["faults"])
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
