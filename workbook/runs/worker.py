"""One job in a process of its own: ``python -m workbook.runs.worker JOB.json``. Started by :mod:`workbook.runs.jobs`.

One thread, also where others wait for the job: its sums, and with them the rows, are then the same whatever the number
of cores and seeds. A second thread gains a third on idle cores and costs several times as much beside other work.
"""

import gc
import json
import os
import resource
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from datetime import timedelta
from importlib import import_module
from pathlib import Path

from oryx.files import atomic_write_json
from workbook.runs.progress import Progress
from workbook.runs.shards import held

ORPHAN_SECONDS = 30.0
HEAVY = ("oryx.model.modeling", "oryx.evidence.store", "PIL.Image", "safetensors.torch")


def load_packages() -> None:
    """Load what takes seconds to load, and spare the garbage collector all of it, now and later.

    It would look through all objects of torch and transformers again and again, while they are loaded and in the midst
    of a training, where the other processes wait meanwhile.
    """
    gc.disable()
    for name in HEAVY:
        import_module(name)
    gc.freeze()
    gc.enable()


def die_with_parent(parent: int, every: float = 0.5) -> None:
    """End this process soon after ``parent`` has gone, so that a kill leaves no orphan training on.

    ``parent`` is this process's own parent, or that of the launcher between them.
    """
    own = os.getppid() == parent

    def there() -> bool:
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            return False
        return not own or os.getppid() == parent

    def watch() -> None:
        while there():
            time.sleep(every)
        os._exit(137)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: list[str]) -> None:
    """Carry out the job described in the file and mark it done; the mark tells seconds, CPU seconds and peak memory."""
    began = time.monotonic()
    job = json.loads(Path(arguments[0]).read_text())
    die_with_parent(job["parent"])
    if job["torch"]:
        load_packages()
        import torch

        torch.set_num_threads(1)
    from workbook.studies import registry

    study = registry.get(job["study"])
    folder = Path(job["folder"])
    settings = study.settings(job["settings"])
    first, wait_for_others = _among(job["processes"])
    # after a kill the earlier worker may live on for a moment: two must never write one file
    with held(folder, wait=ORPHAN_SECONDS) if first else nullcontext():
        progress = Progress(folder) if first else lambda *_: None
        study.run_job(settings, job["arm"], job["seed"], folder, progress)
        wait_for_others()
        if first:
            atomic_write_json(folder / "done", {**_cost(began), **_rows(folder / "rows.jsonl")})


def _among(processes: int) -> tuple[bool, Callable[[], None]]:
    """Whether this is the first of the processes of its job, and what to call to wait for all of them."""
    if processes == 1:
        return True, lambda: None
    import torch
    from accelerate import PartialState

    # each on a GPU of its own, or all on the CPU; the first may wait hours for the last, where the library gives up
    state = PartialState(cpu=torch.cuda.device_count() < processes, timeout=timedelta(days=7))
    return state.is_main_process, state.wait_for_everyone


def _rows(path: Path) -> dict[str, int]:
    """How many rows were written, so that rows lost later are noticed; nothing for a job that writes none."""
    return {"rows": path.read_bytes().count(b"\n")} if path.exists() else {}


def _cost(began: float) -> dict:
    own, helpers = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    cpu = own.ru_utime + own.ru_stime + helpers.ru_utime + helpers.ru_stime
    # wall time says as much about what else the machine does as about the job; CPU time says what the job needs
    return {
        "seconds": round(time.monotonic() - began, 1),
        "cpu_seconds": round(cpu, 2),
        "peak_memory_mb": round(own.ru_maxrss / 1024),
    }


if __name__ == "__main__":
    main(sys.argv[1:])
