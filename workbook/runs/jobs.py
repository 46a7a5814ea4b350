"""Run (arm, seed) jobs as processes of one thread each, as many at a time as there are cores.

Notebook, command line and cluster all call this; nothing else starts trainings. A job that is marked done is skipped,
one that was stopped goes on from its own checkpoints and rows, one that fails leaves the others alone.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oryx.errors import RunError
from oryx.files import atomic_write_json
from workbook.runs.nursery import Child, Nursery
from workbook.runs.progress import Display

POLL_SECONDS = 0.1
SHOW_SECONDS = 0.5


@dataclass(frozen=True)
class Job:
    """One arm with one seed; ``folder`` takes its rows, checkpoints, log and the mark that it is done.

    ``inputs``: hashes of what the job reads beside its settings (shared weights, data). ``processes``: that do it
    together; more than one are started by torch's launcher and find each other by accelerate.
    """

    study: str
    settings: dict
    arm: str
    seed: int
    folder: Path
    torch: bool = True
    inputs: dict = field(default_factory=dict)
    processes: int = 1

    @property
    def done(self) -> bool:
        """Whether the job has ended well, in this or an earlier run."""
        return (self.folder / "done").exists()

    @property
    def outdated(self) -> bool:
        """Whether what lies in the folder was made from other weights or data than this job's."""
        try:
            return json.loads((self.folder / "job.json").read_text()).get("inputs") != self.inputs
        except FileNotFoundError:
            return False

    @property
    def name(self) -> str:
        return f"{self.arm}, seed {self.seed}"

    def check_rows(self) -> None:
        """Raises RunError if a finished job has not the rows that it wrote (jobs of earlier versions did not count)."""
        wrote, path = json.loads((self.folder / "done").read_text()).get("rows"), self.folder / "rows.jsonl"
        there = path.read_bytes().count(b"\n") if path.exists() else 0
        if wrote is not None and there != wrote:
            raise RunError(
                f"{path}: {wrote} rows were written, {there} are there; delete {self.folder / 'done'} and run again, "
                "which computes the missing ones"
            )


@dataclass(frozen=True)
class Failure:
    """A job that ended with a non-zero exit code (below zero: the signal that killed it), and the end of its log."""

    job: Job
    code: int
    log: str


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_jobs(
    jobs: Sequence[Job],
    workers: int | None = None,
    stop_at: float | None = None,
    started: Callable[[Job], None] = lambda job: None,
    ended: Callable[[Job], None] = lambda job: None,
    nursery: Nursery | None = None,
) -> list[Failure]:
    """Run the jobs that are not done; returns those that failed. ``started`` and ``ended`` are called for each.

    ``nursery`` starts those that load torch, if given; they are the same jobs, sooner at work.

    Ctrl-C or any other exception ends the running workers and is raised again. Raises TimeoutError, after ending them,
    once ``time.monotonic()`` reaches ``stop_at``.
    """
    waiting = [job for job in jobs if not job.done]
    if not waiting:
        return []
    running: dict[subprocess.Popen | Child, Job] = {}
    failures: list[Failure] = []
    workers = workers or cores()
    display, shown = Display(jobs, workers), time.monotonic()
    try:
        while waiting or running:
            while waiting and _room(waiting[0], running.values(), workers):
                job = waiting.pop(0)
                started(job)
                running[_start(job, nursery)] = job
            for process in [p for p in running if p.poll() is not None]:
                job = running.pop(process)
                if process.returncode != 0 or not job.done:
                    failures.append(Failure(job, process.returncode, _tail(job)))
                ended(job)
            if stop_at is not None and time.monotonic() >= stop_at and (waiting or running):
                raise TimeoutError
            if time.monotonic() - shown >= SHOW_SECONDS:
                display.update()
                shown = time.monotonic()
            time.sleep(POLL_SECONDS)
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
        display.close()
    return failures


def _room(job: Job, running: Collection[Job], workers: int) -> bool:
    """Whether ``job`` may start beside the running ones; one of more processes than there are workers runs alone."""
    return not running or sum(other.processes for other in running) + job.processes <= workers


def _start(job: Job, nursery: Nursery | None) -> subprocess.Popen | Child:
    job.folder.mkdir(parents=True, exist_ok=True)
    description = job.folder / "job.json"
    fields = {name: getattr(job, name) for name in ("study", "settings", "arm", "seed", "torch", "inputs", "processes")}
    atomic_write_json(description, {**fields, "folder": str(job.folder), "parent": os.getpid()})
    if nursery is not None and job.torch and job.processes == 1:
        return nursery.start([str(description)], job.folder / "log.txt")
    with (job.folder / "log.txt").open("ab") as log:
        launch = ["torch.distributed.run", "--standalone", f"--nproc-per-node={job.processes}", "-m"]
        command = [*(launch if job.processes > 1 else []), "workbook.runs.worker", str(description)]
        return subprocess.Popen([sys.executable, "-m", *command], stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _tail(job: Job, lines: int = 12) -> str:
    return "\n".join((job.folder / "log.txt").read_text(errors="replace").splitlines()[-lines:])
