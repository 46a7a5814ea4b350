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
BAR = "{desc} |{bar:30}| {n:.1f} of {total} jobs, {elapsed} elapsed{left}"
KNOWN_FROM = 0.1
"""The time left is shown once this attempt has done such a share of what it found to do: earlier estimates jump."""


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


class _Bar(tqdm):
    """A bar that says how long is left only where that is known."""

    @property
    def format_dict(self) -> dict[str, Any]:
        """What the bar's text is made of; ``left`` is empty where there is no estimate."""
        found = super().format_dict
        done, whole = self.n - self.initial, self.total - self.initial
        known = done >= KNOWN_FROM * whole > 0
        left = self.format_interval(found["elapsed"] * (whole - done) / done) if known else ""
        return found | {"left": left and f", about {left} left"}


class Display:
    """A bar over all jobs of a study, by its title, from the start on; a line every 20 seconds in a log."""

    def __init__(self, jobs: Sequence[Any], title: str = ""):
        self.jobs, every = jobs, 0.5 if sys.stderr.isatty() else LINE_SECONDS
        # what an earlier attempt has done tells nothing about this one's pace
        begun = {"total": len(jobs), "initial": self._done()}
        self.bar = _Bar(**begun, desc=title, mininterval=every, miniters=0, bar_format=BAR)

    def _done(self) -> float:
        return round(sum(map(share, self.jobs)), 2)

    def update(self) -> None:
        """Show how far the jobs are now."""
        self.bar.update(self._done() - self.bar.n)

    def close(self) -> None:
        """Show the last state and stop."""
        self.update()
        self.bar.close()
