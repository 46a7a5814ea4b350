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
"""Stages with a bar of their own."""
LINE_SECONDS = 20.0
BAR = "{desc:>8} |{bar:30}| {n:.1f} of {total} jobs, {elapsed} gone, {remaining} left"


class Progress:
    """Called by a job as ``progress(stage, done, total)``; writes the file at most once a second."""

    def __init__(self, folder: Path):
        self.path, self.last, self.stages = folder / FILE, 0.0, {}

    def __call__(self, stage: str, done: int, total: int) -> None:
        fresh, now = stage not in self.stages, time.monotonic()
        self.stages[stage] = {"done": done, "total": total}
        if fresh or done >= total or now - self.last >= 1.0:
            atomic_write_json(self.path, self.stages, indent=None)
            self.last = now


def shares(job: Any) -> dict[str, float]:
    """Stage of a job (its ``folder``, whether it is ``done``) -> share done, 0 to 1. An earlier stage is over."""
    try:
        found = json.loads((job.folder / FILE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        found = {}
    result = {stage: found[stage]["done"] / max(1, found[stage]["total"]) for stage in STAGES if stage in found}
    train, evaluate = result.get("train", 0.0), result.get("evaluate", 0.0)
    return {"train": 1.0 if job.done or evaluate else train, "evaluate": 1.0 if job.done else evaluate}


class Display:
    """A bar with its time left for each stage that has begun, over all jobs; a line every 20 seconds in a log."""

    def __init__(self, jobs: Sequence[Any]):
        self.jobs, self.bars = jobs, {}

    def update(self) -> None:
        """Show how far the jobs are now."""
        every = 0.5 if sys.stderr.isatty() else LINE_SECONDS
        found = [shares(job) for job in self.jobs]
        for stage in STAGES:
            done = round(sum(each[stage] for each in found), 2)
            if stage not in self.bars and done:
                # what an earlier attempt has done tells nothing about this one's pace
                self.bars[stage] = tqdm(
                    total=len(self.jobs), initial=done, desc=stage, smoothing=0, mininterval=every, miniters=0,
                    bar_format=BAR,
                )  # fmt: skip
            elif stage in self.bars:
                self.bars[stage].update(done - self.bars[stage].n)

    def close(self) -> None:
        """Show the last state and stop."""
        self.update()
        for bar in self.bars.values():
            bar.close()
