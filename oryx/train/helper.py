"""A process beside the training that draws its next batches, in order. Needs no torch, nor do most things to draw.

It is spawned: a fork of a process in which torch's threads talk to others was seen to hang within the fork itself.
"""

import multiprocessing
import os
import queue
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from workbook.runs.worker import die_with_parent

Batch = TypeVar("Batch")

AHEAD = 8
"""Batches that are kept ready."""

NICENESS = 10
"""Low enough a priority to leave a core to the training, high enough that other work on it does not starve a helper."""

POLL_SECONDS = 1.0


@dataclass(frozen=True)
class _Failed:
    error: Exception
    place: str


def drawn_ahead(draw: Callable[[int], Batch], numbers: Sequence[int]) -> Iterator[tuple[int, Batch]]:
    """(number, ``draw(number)``) of each of ``numbers``, drawn by a helper that ends with the iterator.

    Processes that train together wait for each other in every step; that is when a helper of low priority gets most of
    its work done. ``draw`` and batches are pickled. An exception of ``draw`` is raised here; raises ChildProcessError
    if the helper has gone.
    """
    context = multiprocessing.get_context("spawn")
    results = context.Queue(AHEAD)
    helper = context.Process(target=_draw_all, args=(draw, numbers, results), daemon=True)
    helper.start()
    try:
        for number in numbers:
            found = _next(results, helper)
            if isinstance(found, _Failed):
                found.error.add_note(f"in the helper that draws batches:\n{found.place}")
                raise found.error
            yield number, found
    finally:
        helper.terminate()
        helper.join()


def _next(results: multiprocessing.Queue, helper: multiprocessing.Process):
    while True:
        alive = helper.is_alive()  # asked first: what a helper gave before it ended is still there
        try:
            return results.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if not alive:
                raise ChildProcessError(f"the helper that draws batches ended with {helper.exitcode}") from None


def _draw_all(draw: Callable[[int], Batch], numbers: Sequence[int], results: multiprocessing.Queue) -> None:
    die_with_parent(os.getppid())
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    for number in numbers:
        try:
            found = draw(number)
        except Exception as error:
            results.put(_Failed(error, traceback.format_exc()))
            return
        results.put(found)
