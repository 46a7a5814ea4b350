"""One job in a process of its own: ``python -m oryx.training.worker JOB.json``. Started by :mod:`oryx.training.jobs`.

One thread: several single-thread jobs side by side are faster and steadier than threads that fight for the cores.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

from oryx.evidence.files import atomic_write_json, atomic_write_text


def die_with_parent(parent: int, every: float = 1.0) -> None:
    """End this process soon after ``parent`` has gone, so that a kill leaves no orphan training on."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os._exit(137)

    threading.Thread(target=watch, daemon=True).start()


class Progress:
    """Writes how far the job is, at most once a second, for the parent to show."""

    def __init__(self, path: Path):
        self.path, self.last, self.stage = path, 0.0, ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage != self.stage or done >= total or now - self.last >= 1.0:
            atomic_write_json(self.path, {"stage": stage, "done": done, "total": total}, indent=None)
            self.stage, self.last = stage, now


def main(arguments: list[str]) -> None:
    """Carry out the job described in the file and mark it done."""
    job = json.loads(Path(arguments[0]).read_text())
    die_with_parent(job["parent"])
    if job["torch"]:
        import torch

        torch.set_num_threads(1)
    from oryx.studies import registry

    study = registry.get(job["study"])
    folder = Path(job["folder"])
    settings = study.settings(job["settings"])
    study.run_job(settings, job["arm"], job["seed"], folder, Progress(folder / "progress.json"))
    atomic_write_text(folder / "done", "")


if __name__ == "__main__":
    main(sys.argv[1:])
