"""Run (arm, seed) jobs as single-thread processes, as many at a time as there are cores.

Notebook, command line and cluster all call this; nothing else starts trainings. A job that is marked done is skipped,
one that was stopped goes on from its own checkpoints and rows, one that fails leaves the others alone.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from oryx.evidence.files import atomic_write_json

POLL_SECONDS = 0.2
LINE_SECONDS = 20.0
STAGES = ("train", "evaluate")


@dataclass(frozen=True)
class Job:
    """One arm with one seed; ``folder`` takes its rows, checkpoints, log and the mark that it is done."""

    study: str
    settings: dict
    arm: str
    seed: int
    folder: Path
    torch: bool = True

    @property
    def done(self) -> bool:
        return (self.folder / "done").exists()

    @property
    def name(self) -> str:
        return f"{self.arm}, seed {self.seed}"


@dataclass(frozen=True)
class Failure:
    """A job that ended with a non-zero exit code, and the end of its log."""

    job: Job
    code: int
    log: str


def run_jobs(jobs: Sequence[Job], workers: int | None = None, show: bool = True) -> list[Failure]:
    """Run the jobs that are not done; returns those that failed. Ctrl-C ends the running ones and is raised again."""
    waiting = [job for job in jobs if not job.done]
    running: dict[subprocess.Popen, Job] = {}
    failures: list[Failure] = []
    display = Display(jobs) if show and waiting else None
    try:
        while waiting or running:
            while waiting and len(running) < (workers or os.cpu_count() or 1):
                job = waiting.pop(0)
                running[_start(job)] = job
            for process in [p for p in running if p.poll() is not None]:
                job = running.pop(process)
                if process.returncode != 0 or not job.done:
                    failures.append(Failure(job, process.returncode, _tail(job)))
            if display:
                display.update()
            time.sleep(POLL_SECONDS)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        if display:
            display.close()
    return failures


def _start(job: Job) -> subprocess.Popen:
    job.folder.mkdir(parents=True, exist_ok=True)
    description = job.folder / "job.json"
    fields = {name: getattr(job, name) for name in ("study", "settings", "arm", "seed", "torch")}
    atomic_write_json(description, {**fields, "folder": str(job.folder), "parent": os.getpid()})
    with (job.folder / "log.txt").open("ab") as log:
        command = [sys.executable, "-m", "oryx.training.worker", str(description)]
        return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _tail(job: Job, lines: int = 12) -> str:
    return "\n".join((job.folder / "log.txt").read_text(errors="replace").splitlines()[-lines:])


class Display:
    """One bar for training and one for evaluation over all jobs, with the time left; plain lines without a terminal."""

    def __init__(self, jobs: Sequence[Job]):
        self.jobs = jobs
        self.live = sys.stderr.isatty()
        self.bars = [
            tqdm(total=len(jobs), desc=f"{stage:>8}", unit="job", disable=not self.live, bar_format=_BAR)
            for stage in STAGES
        ]
        self.began, self.said = time.monotonic(), 0.0
        self.first = sum(self._shares())

    def update(self) -> None:
        shares = self._shares()
        if self.live:
            for bar, share in zip(self.bars, shares, strict=True):
                bar.n = round(share, 3)
                bar.refresh()
        elif time.monotonic() - self.said > LINE_SECONDS:
            self.said = time.monotonic()
            gained = sum(shares) - self.first
            spent = self.said - self.began
            left = (
                f", about {spent * (2 * len(self.jobs) - sum(shares)) / gained / 60:.1f} min left"
                if gained > 0.1
                else ""
            )
            text = ", ".join(f"{s} {v:.1f} of {len(self.jobs)} jobs" for s, v in zip(STAGES, shares, strict=True))
            print(f"{text}{left}", file=sys.stderr, flush=True)

    def close(self) -> None:
        for bar in self.bars:
            bar.close()

    def _shares(self) -> list[float]:
        """How many jobs' worth of each stage is done."""
        total = [0.0, 0.0]
        for job in self.jobs:
            train, evaluate = (1.0, 1.0) if job.done else _progress(job.folder / "progress.json")
            total[0] += train
            total[1] += evaluate
        return total


_BAR = "{desc} {bar} {n:.1f}/{total} jobs, {elapsed} gone, {remaining} left"


def _progress(path: Path) -> tuple[float, float]:
    try:
        found = json.loads(path.read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return 0.0, 0.0
    share = found["done"] / max(1, found["total"])
    return {"train": (share, 0.0), "evaluate": (1.0, share)}.get(found["stage"], (0.0, 0.0))
