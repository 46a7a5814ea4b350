"""Items that the jobs of a seed need alike: who needs some first draws and keeps them, the others read the files.

Every arm of a study trains and is asked on the same items.
"""

import hashlib
import pickle
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock, Timeout

from oryx.files import atomic_write_bytes
from workbook.data.corpora import data_hash
from workbook.data.items import Item, evaluation_item, training_item
from workbook.data.pictures import PictureSizes

PART = 250
"""Items of one file: so many are drawn at a time, while another job draws the next."""


def shelf_of(job_folder: Path) -> Path:
    """Where the jobs of a seed keep their common items: beside the folder that holds their own."""
    return job_folder.parents[1] / "items"


def kept_training_items(
    shelf: Path, seed: int, count: int, mixture: dict[str, float], sizes: PictureSizes
) -> list[Item]:
    """The first ``count`` items of :func:`workbook.data.items.training_item`."""
    return _kept(shelf, ("training", seed, mixture, sizes), count, lambda i: training_item(seed, i, mixture, sizes))


def kept_evaluation_items(shelf: Path, task: str, split: str, count: int, sizes: PictureSizes) -> list[Item]:
    """What :func:`workbook.data.items.evaluation_items` gives."""
    return _kept(shelf, ("evaluation", split, task, sizes), count, lambda i: evaluation_item(task, split, i, sizes))


def _kept(shelf: Path, what: Sequence[object], count: int, draw: Callable[[int], Item]) -> list[Item]:
    """``draw(0)`` to ``draw(count - 1)``, where ``what`` and the shipped data decide what ``draw`` gives."""
    name = hashlib.sha256(repr((*what, data_hash())).encode()).hexdigest()[:16]
    bounds = [(start, min(start + PART, count)) for start in range(0, count, PART)]
    parts = [(shelf / f"{name}-{start}-{end}.pickle", range(start, end)) for start, end in bounds]
    for wait in (0, -1):  # first what nobody draws at the moment, then what others have not finished
        for path, indices in parts:
            with suppress(Timeout):
                _keep(path, indices, draw, wait)
    return [item for path, _ in parts for item in pickle.loads(path.read_bytes())]


def _keep(path: Path, indices: range, draw: Callable[[int], Item], wait: float) -> None:
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock"), timeout=wait):
        if not path.exists():
            atomic_write_bytes(path, pickle.dumps([draw(i) for i in indices]))
