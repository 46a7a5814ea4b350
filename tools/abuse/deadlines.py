"""Work in processes that are ended when they take too long: a decoder that hangs or dies costs its own item alone."""

import multiprocessing
import resource
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from typing import Any

import psutil

HUNG, DIED = "hung", "died"


class Worker:
    """A process that answers one item after the other."""

    def __init__(self, function: Callable[[Any], Any], gigabytes: float):
        context = multiprocessing.get_context("spawn")
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_answer, args=(function, end, gigabytes), daemon=True)
        self.process.start()
        end.close()
        self.item, self.began, self.spent = None, 0.0, 0.0

    def ask(self, item: Any) -> None:
        """Hand it an item."""
        self.item, self.began, self.spent = item, time.monotonic(), self._seconds()
        self.pipe.send(item)

    def hangs(self, seconds: float) -> bool:
        """Whether its item has taken so many seconds of a core, or waits ten times as long: others may go before."""
        waited = time.monotonic() - self.began
        return waited > 10 * seconds or (waited > seconds and self._seconds() - self.spent > seconds)

    def _seconds(self) -> float:
        try:
            return sum(psutil.Process(self.process.pid).cpu_times()[:2])
        except psutil.Error:  # it has died, which the pipe tells
            return 0.0

    def end(self) -> None:
        """Kill it, whatever it does."""
        self.process.kill()
        self.process.join()
        self.pipe.close()


def carried_out(
    function: Callable[[Any], Any],
    items: Iterable[Any],
    seconds: float,
    workers: int = 2,
    gigabytes: float = 6,
    first: float = 60,
) -> Iterator[tuple[Any, Any]]:
    """(item, ``function(item)``) in the order of ending; HUNG as of :meth:`Worker.hangs`, DIED where the process did.

    ``function``: importable, of items that can be pickled; ``gigabytes``: of address space for a process, beyond which
    allocations fail; ``first``: seconds more for the first item of a process, which has libraries to load.
    """
    left, pool, warm = iter(items), [], set()
    try:
        while True:
            while len(pool) < workers and (item := next(left, HUNG)) is not HUNG:
                pool.append(Worker(function, gigabytes))
                pool[-1].ask(item)
            if not pool:
                return
            wait([worker.pipe for worker in pool], timeout=0.5)
            for worker in list(pool):
                limit = seconds + (0 if worker in warm else first)
                try:
                    if worker.pipe.poll():
                        found = worker.pipe.recv()
                        warm.add(worker)
                    elif worker.hangs(limit):
                        found = HUNG
                    else:
                        continue
                except (EOFError, OSError):
                    found = DIED
                yield worker.item, found
                item = next(left, HUNG)
                if found in (HUNG, DIED) or item is HUNG:
                    worker.end()
                    pool.remove(worker)
                    if item is not HUNG:
                        worker = Worker(function, gigabytes)
                        pool.append(worker)
                if item is not HUNG:
                    worker.ask(item)
    finally:
        for worker in pool:
            worker.end()


def _answer(function: Callable[[Any], Any], pipe: Any, gigabytes: float) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one ends it
    most = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    while True:
        try:
            item = pipe.recv()
        except EOFError:
            return
        pipe.send(function(item))
