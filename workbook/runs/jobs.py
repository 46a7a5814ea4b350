"""The jobs of a run: every (arm, seed) is a process of its own, as many at a time as there are slots.

A slot is a GPU where there are any, else a core. Notebook, command line and cluster all call :func:`run_jobs`; nothing
else starts trainings. A job that is marked done is skipped, an interrupted one resumes from its own checkpoints and
rows, and one that fails, whatever its end, leaves the others alone.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from importlib import metadata
from itertools import takewhile
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType

from oryx.errors import RunError
from oryx.evidence.store import failed_rows, gather_parts, lay_failed_aside
from oryx.files import atomic_write_json
from workbook.runs import worker
from workbook.runs.progress import Display
from workbook.runs.shards import held

PRELOADED = ["oryx.model.modeling", "oryx.evidence.store", "PIL.Image", "safetensors.torch"]
"""What every job with torch imports: the server that workers are forked from has loaded it, and no job waits for it."""
Worker = subprocess.Popen | BaseProcess


@dataclass(frozen=True)
class Job:
    """One arm with one seed; ``folder`` takes its rows, checkpoints, log and the mark that it is done.

    ``study``: import path ``module:Class``. ``inputs``: hashes of what the job reads besides its settings (shared
    weights, data). ``level``: a job starts when every job of its seed with a lower level is done. ``processes``: that
    do the job together; more than one are started by torch's launcher and find each other by accelerate.
    """

    study: str
    settings: dict
    arm: str
    seed: int
    folder: Path
    torch: bool = True
    inputs: dict = field(default_factory=dict)
    level: int = 0
    processes: int = 1

    @property
    def done(self) -> bool:
        """Whether the job has ended well, in this or an earlier run."""
        return (self.folder / "done").exists()

    @property
    def outdated(self) -> bool:
        """Whether what lies in the folder was made from other weights or data than this job's."""
        path = self.folder / "job.json"
        return path.exists() and json.loads(path.read_text()).get("inputs") != self.inputs

    @property
    def name(self) -> str:
        """Arm and seed, for people to read."""
        return f"{self.arm}, seed {self.seed}"

    def reopen(self) -> None:
        """Let the job ask again what failed, if anything did: it is done no more, and the failed rows lie beside."""
        if not (self.folder / "rows.jsonl").exists():
            return
        with held(self.folder, wait=worker.ORPHAN_SECONDS):
            gather_parts(self.folder)
            if failed := failed_rows(self.folder):
                (self.folder / "done").unlink(missing_ok=True)  # first: it tells how many rows there are
                lay_failed_aside(self.folder)
        if failed:
            print(f"{self.name}: {failed} failed rows are kept in {self.folder / 'failed.jsonl'} and asked again")

    def check_rows(self) -> None:
        """Raises RunError if a finished job has not the rows that it wrote."""
        wrote, path = json.loads((self.folder / "done").read_text()).get("rows"), self.folder / "rows.jsonl"
        there = path.read_bytes().count(b"\n") if path.exists() else 0
        if wrote is not None and there != wrote:
            raise RunError(
                f"{path}: {wrote} rows were written, {there} are there; delete {self.folder / 'done'} and run again, "
                "which computes the missing ones"
            )


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def nvidia_smi(field: str) -> list[str]:
    """What the driver's tool says of every GPU; torch is not asked, which the parent of the workers need not load."""
    asked = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def cuda_devices() -> list[str]:
    """The GPUs that jobs may use, as ``CUDA_VISIBLE_DEVICES`` names them; empty for a CPU build of torch."""
    if "+cpu" in metadata.version("torch"):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:  # containers may lack the driver's tool
        return nvidia_smi("index") or [str(i) for i, _ in enumerate(Path("/proc/driver/nvidia/gpus").glob("*"))]
    names = [name.strip() for name in visible.split(",")]
    return list(takewhile(lambda name: name and not name.startswith("-"), names))  # as CUDA reads it


def slots(jobs: Sequence[Job], workers: int | None = None) -> list[str | None]:
    """One entry per process that may run at a time: its GPU, or None for a core. ``workers`` overrides their number.

    No more than the jobs have processes. More workers than GPUs share them in turn.
    """
    devices = cuda_devices() if any(job.torch for job in jobs) else []
    count = min(workers or len(devices) or cores(), sum(job.processes for job in jobs))
    return [devices[i % len(devices)] if devices else None for i in range(count)]


def run_jobs(
    jobs: Sequence[Job], workers: int | None = None, stop_at: float | None = None, title: str = ""
) -> list[tuple[Job, int]]:
    """Run the jobs that are not done; returns those that failed with their exit codes (below zero: a signal).

    ``title``: what is shown of them stands under this name.

    Ctrl-C or any other exception ends the running workers and is raised again. Raises TimeoutError, after ending them,
    once ``time.monotonic()`` reaches ``stop_at``.
    """
    waiting = [job for job in jobs if not job.done]  # seed by seed: of a run that ends early some seeds are whole
    if not waiting:
        return []
    free = slots(jobs, workers)
    count, failures, display = len(free), [], Display(jobs, title)
    running: dict[Worker, tuple[Job, list[str | None]]] = {}
    try:
        while waiting or running:
            while job := next_job(waiting, [job for job, _ in running.values()], len(free), count):
                waiting.remove(job)
                taken, free = free[: job.processes], free[job.processes :]
                running[_start(job, taken)] = job, taken
            for process in [process for process in running if _exit_code(process) is not None]:
                job, taken = running.pop(process)
                free += taken
                if _exit_code(process) != 0 or not job.done:
                    failures.append((job, _exit_code(process)))
                    waiting = [other for other in waiting if other.seed != job.seed or other.level <= job.level]
            if stop_at is not None and time.monotonic() >= stop_at and (waiting or running):
                raise TimeoutError
            display.update()
            time.sleep(0.1)
    finally:
        for process in running:
            process.terminate()
        while any(_exit_code(process) is None for process in running):
            time.sleep(0.1)
        display.close()
    return failures


def next_job(waiting: Sequence[Job], running: Collection[Job], free: int, count: int) -> Job | None:
    """The first waiting job that no other holds up, if as many of the ``count`` slots are free as it has processes.

    A job of more processes than there are slots runs alone.
    """
    for job in waiting:
        if not any(other.seed == job.seed and other.level < job.level for other in (*waiting, *running)):
            return job if free >= min(job.processes, count) else None
    return None


def _start(job: Job, devices: list[str | None]) -> Worker:
    """The job's process, which sees its own GPUs and no others, or the launcher of its several processes."""
    job.folder.mkdir(parents=True, exist_ok=True)
    description = job.folder / "job.json"
    atomic_write_json(description, {**asdict(job), "folder": str(job.folder)})
    devices = cuda_devices() if len(devices) < job.processes else devices
    visible = ",".join(dict.fromkeys(filter(None, devices)))
    if job.processes == 1:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED if job.torch else [])
        process = context.Process(target=worker.forked, args=(description, os.getpid(), visible))
        script, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:  # multiprocessing would run the script of this process again in every worker
            process.start()
        finally:
            sys.modules["__main__"] = script
        return process
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={job.processes}"]
    command += ["-m", worker.__name__, str(description), str(os.getpid())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # it finds the modules that this process does
    if visible:
        environment["CUDA_VISIBLE_DEVICES"] = visible
    with (job.folder / "log.txt").open("ab") as log:
        return subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment)


def _exit_code(process: Worker) -> int | None:
    return process.poll() if isinstance(process, subprocess.Popen) else process.exitcode
