"""One job in its worker process, or in each of the several processes that do it together.

A worker uses one thread on a CPU, also where others wait for it: its sums, and with them the rows, are then the same
whatever the number of cores and seeds.
"""

import json
import multiprocessing.connection
import os
import pkgutil
import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext, suppress
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from oryx.files import atomic_write_json
from workbook.runs.progress import Progress
from workbook.runs.shards import held

ORPHAN_SECONDS = 30.0


def work(job: Any) -> None:
    """Carry out the job and mark it done; the mark tells seconds, CPU seconds, peak memory and rows."""
    began = time.monotonic()
    first, wait_for_others = True, lambda: None
    if job.torch:
        import torch

        if not torch.cuda.is_available():
            torch.set_num_threads(1)
        if job.processes > 1:
            first, wait_for_others = _among(job.processes)
    study = pkgutil.resolve_name(job.study)()
    settings, folder = study.settings(job.settings), Path(job.folder)
    # after a kill the earlier worker may live on for a moment: two must never write one file
    with held(folder, wait=ORPHAN_SECONDS) if first else nullcontext():
        progress = Progress(folder) if first else lambda *_: None
        study.run_job(settings, job.arm, job.seed, folder, progress)
        wait_for_others()
        if first:
            atomic_write_json(folder / "done", _mark(began, folder / "rows.jsonl"))


def die_with_parent(parent: int) -> None:
    """End this process soon after ``parent`` has gone, so that a kill leaves no orphan training on.

    ``parent`` is the id of the process that wanted this one: directly, by :mod:`multiprocessing` (also where a server
    forks it), or by a launcher between them.
    """
    own, starter = os.getppid() == parent, multiprocessing.parent_process()

    def watch() -> None:
        if starter is not None:
            multiprocessing.connection.wait([starter.sentinel])
        else:
            with suppress(ProcessLookupError):
                while not own or os.getppid() == parent:
                    os.kill(parent, 0)
                    time.sleep(0.5)
        os._exit(137)

    threading.Thread(target=watch, daemon=True).start()


def _among(processes: int) -> tuple[bool, Callable[[], None]]:
    """Whether this is the first of the processes of its job, and what to call to wait for all of them."""
    import torch
    from accelerate import PartialState

    # each on a GPU of its own, or all on the CPU; the first may wait hours for the last, where the library gives up
    state = PartialState(cpu=torch.cuda.device_count() < processes, timeout=timedelta(days=7))
    return state.is_main_process, state.wait_for_everyone


def _mark(began: float, rows: Path) -> dict:
    """What a finished job cost, and how many rows it wrote, so that rows lost later are noticed."""
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return {
        "seconds": round(time.monotonic() - began, 1),
        # wall time says as much about what else the machine does as about the job; CPU time says what the job needs
        "cpu_seconds": round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 2),
        "peak_memory_mb": round(own.ru_maxrss / 1024),
        **_gpu(),
        **({"rows": rows.read_bytes().count(b"\n")} if rows.exists() else {}),
    }


def _gpu() -> dict:
    """What a job that has used a GPU says of it; ``attention``: kernel -> calls for packed sequences."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return {}
    from oryx.model.attention import CALLS

    found = {
        "name": torch.cuda.get_device_name(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "attention": dict(CALLS),
        "peak_memory_mb": round(torch.cuda.max_memory_allocated() / 2**20),
    }
    return {"gpu": found}


def main(description: Path, parent: int) -> None:
    """Do the job that a file describes, for the process ``parent``."""
    die_with_parent(parent)
    work(SimpleNamespace(**json.loads(description.read_text())))


def forked(description: Path, parent: int, devices: str) -> None:
    """:func:`main` in a process of :mod:`multiprocessing`, which sees these GPUs alone; its output goes to a log."""
    log = os.open(description.with_name("log.txt"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    if devices:  # before torch opens any
        os.environ["CUDA_VISIBLE_DEVICES"] = devices
    main(description, parent)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
