"""How far jobs are: written by each worker beside its rows, shown by whoever watches.

A file per job holds, for every stage so far, how much is done and how long that took. Watching needs only the folders,
so a notebook's kernel and the command line that started it can show the same run.
"""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

from oryx.files import atomic_write_json

FILE = "progress.json"
STAGES = ("train", "evaluate")
"""Stages with a bar of their own; the time of any other (caching features) counts to training."""
LINE_SECONDS = 20.0


class Progress:
    """Called by a job as ``progress(stage, done, total)``; writes the file at most once a second."""

    def __init__(self, folder: Path):
        self.path, self.last, self.stages, self.began = folder / FILE, 0.0, {}, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        now = time.monotonic()
        if stage not in self.stages:
            # what was done before, by an earlier attempt perhaps, tells nothing about this one's pace
            self.stages[stage] = {"first": done}
            self.began, self.last = now, 0.0
        seconds = round(now - self.began, 3)
        self.stages[stage] |= {"done": done, "total": total, "seconds": seconds}
        if done >= total or now - self.last >= 1.0:
            atomic_write_json(self.path, self.stages, indent=None)
            self.last = now


class Watched(Protocol):
    """What is known of a job from outside."""

    folder: Path
    done: bool


def shares(job: Watched) -> dict[str, tuple[float, float | None]]:
    """Stage -> (share done from 0 to 1, seconds that the whole stage takes at the pace so far, None if unknown)."""
    try:
        found = json.loads((job.folder / FILE).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        found = {}
    before = sum(entry["seconds"] for stage, entry in found.items() if stage not in STAGES)
    result = {}
    for stage in STAGES:
        entry = found.get(stage)
        share = entry["done"] / max(1, entry["total"]) if entry else 0.0
        gained = (entry["done"] - entry["first"]) / max(1, entry["total"]) if entry else 0.0
        seconds = entry["seconds"] + (before if stage == "train" else 0.0) if entry else 0.0
        result[stage] = (1.0 if job.done else share, seconds / gained if gained > 0.01 else None)
    if result["evaluate"][0]:  # a stage that came before another is over
        result["train"] = (1.0, result["train"][1])
    return result


class Display:
    """One bar for training and one for evaluation over all jobs, each with its time left.

    Bars in a terminal, a line that renews itself in a notebook, and elsewhere a plain line every 20 seconds.
    """

    def __init__(self, jobs: Sequence[Watched], workers: int):
        self.jobs, self.workers = jobs, workers
        self.began, self.said = time.monotonic(), time.monotonic()
        self.notebook = _in_notebook()
        self.handle, self.bars = None, []
        if self.notebook:
            self.handle = _display(self._html(self._state()))
        elif sys.stderr.isatty():
            self.bars = [tqdm(total=len(jobs), desc=f"{stage:>8}", bar_format=_BAR) for stage in STAGES]

    def update(self) -> None:
        """Show how far the jobs are now."""
        state = self._state()
        if self.handle is not None:
            _display(self._html(state), self.handle)
        elif self.bars:
            for bar, (_, done, left) in zip(self.bars, state, strict=True):
                bar.n = round(done, 2)
                bar.set_postfix_str(left)
        elif time.monotonic() - self.said >= LINE_SECONDS:
            self._line(state)

    def close(self) -> None:
        """Show the last state and stop."""
        self.update()
        for bar in self.bars:
            bar.close()
        if not self.bars and self.handle is None:
            self._line(self._state())

    def _line(self, state: list[tuple[str, float, str]]) -> None:
        self.said = time.monotonic()
        text = "; ".join(f"{stage} {done:.1f} of {len(self.jobs)} jobs, {left}" for stage, done, left in state)
        print(f"{text} ({_clock(self.said - self.began)} gone)", file=sys.stderr, flush=True)

    def _html(self, state: list[tuple[str, float, str]]) -> str:
        lines = (
            f"<div>{stage} <progress value='{done:.2f}' max='{len(self.jobs)}'></progress> "
            f"{done:.1f} of {len(self.jobs)} jobs, {left}</div>"
            for stage, done, left in state
        )
        return "".join(lines) + f"<div>{_clock(time.monotonic() - self.began)} gone</div>"

    def _state(self) -> list[tuple[str, float, str]]:
        """Stage, how many jobs' worth of it are done, and the time left in words."""
        found = [shares(job) for job in self.jobs]
        result = []
        for stage in STAGES:
            paces = [seconds for each in found if (seconds := each[stage][1]) is not None]
            done = sum(each[stage][0] for each in found)
            left = len(found) - done
            if left < 1e-9:
                words = "done"
            elif not paces:
                words = "time left not known yet"
            else:
                words = f"about {_clock(left * sum(paces) / len(paces) / min(self.workers, max(1, len(found))))} left"
            result.append((stage, done, words))
        return result


_BAR = "{desc} |{bar}| {n:.1f} of {total} jobs, {elapsed} gone{postfix}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _in_notebook() -> bool:
    # Another thread may be importing IPython at this moment: then nothing runs under it yet, and the name is missing.
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython is not None and getattr(get_ipython(), "kernel", None) is not None


def _display(html: str, handle=None):
    from IPython.display import HTML, display

    return display(HTML(html), display_id=True) if handle is None else handle.update(HTML(html))
