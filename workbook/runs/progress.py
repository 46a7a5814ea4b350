"""How far jobs are: written by each worker in its folder, shown as bars by the process that started them."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from oryx.files import atomic_write_json

FILE = "progress.json"
STAGES = ("train", "evaluate")
"""What a job does, in order: each counts as the same share of it."""
LINE_SECONDS = 20.0
BAR = "|{bar:30}| {n:.1f} of {total} jobs, {elapsed} gone, {remaining} left"


class Progress:
    """Called by a job as ``progress(stage, done, total)``; writes the share that is done at most once a second."""

    def __init__(self, folder: Path):
        self.path, self.last = folder / FILE, float("-inf")

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage in STAGES and (done >= total or now - self.last >= 1.0):
            atomic_write_json(self.path, (STAGES.index(stage) + done / max(1, total)) / len(STAGES))
            self.last = now


def share(job: Any) -> float:
    """How much of a job (its ``folder``, whether it is ``done``) is done, 0 to 1."""
    path = job.folder / FILE
    return 1.0 if job.done else json.loads(path.read_text()) if path.exists() else 0.0


class Display:
    """A bar over all jobs with the time left, once something has begun; a line every 20 seconds in a log."""

    def __init__(self, jobs: Sequence[Any]):
        self.jobs, self.bar = jobs, None

    def update(self) -> None:
        """Show how far the jobs are now."""
        done = round(sum(map(share, self.jobs)), 2)
        if self.bar is None and done:
            every = 0.5 if sys.stderr.isatty() else LINE_SECONDS
            # what an earlier attempt has done tells nothing about this one's pace
            self.bar = tqdm(
                total=len(self.jobs), initial=done, smoothing=0, mininterval=every, miniters=0, bar_format=BAR
            )
        elif self.bar is not None:
            self.bar.update(done - self.bar.n)

    def close(self) -> None:
        """Show the last state and stop."""
        self.update()
        if self.bar is not None:
            self.bar.close()
