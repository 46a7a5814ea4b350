"""What the studies on video share: where weights and caches lie, and the fields that all rows of an arm have."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from workbook.runs.jobs import cores
from workbook.runs.worker import die_with_parent
from workbook.stages import shipped

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""

WEIGHTS = shipped.WEIGHTS / "nano"

MOST_TOKENS = 40_000
"""Video tokens that a model reads at once: what bounds the memory of an evaluation."""


def trains_shared(settings: Any) -> bool:
    """Whether a run trains its encoder and reader itself instead of using the shipped ones."""
    return settings.from_scratch or settings.scale == "smoke"


def recipe_scale(settings: Any) -> str:
    """The scale whose encoder and reader a run uses."""
    return settings.scale if trains_shared(settings) else "nano"


def cache_folder(settings: Any) -> Path:
    """Where video files and frame features are kept for all runs of a results folder."""
    return Path(settings.results) / "runs" / "cache"


def base_row(study: str, settings: Any, arm: str, seed: int, hashes: dict[str, str]) -> dict[str, Any]:
    """The fields that all rows of an arm share."""
    return {
        "schema": 1,
        "study": study,
        "arm": arm,
        "seed": seed,
        "settings_hash": settings.settings_hash,
        **hashes,
    }


def write_in_parallel(calls: Sequence[Callable[[], object]]) -> None:
    """Make every call, each in a process of its own, as many at a time as there are cores."""
    with ProcessPoolExecutor(cores(), initializer=die_with_parent, initargs=(os.getpid(),)) as pool:
        for job in [pool.submit(call) for call in calls]:
            job.result()
