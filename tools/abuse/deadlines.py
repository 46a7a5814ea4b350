"""Work in processes that are ended when they take too long: a decoder that hangs or dies costs its own item alone."""

import multiprocessing
import resource
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from typing import Any

HUNG, DIED = "hung", "died"


class Worker:
    """A process that answers one item after the other."""

    def __init__(self, function: Callable[[Any], Any], gigabytes: float):
        context = multiprocessing.get_context("spawn")
        self.pipe, end = context.Pipe()
        self.process = context.Process(target=_answer, args=(function, end, gigabytes), daemon=True)
        self.process.start()
        end.close()
        self.item, self.began = None, 0.0

    def ask(self, item: Any) -> None:
        """Hand it an item."""
        self.item, self.began = item, time.monotonic()
        self.pipe.send(item)

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
    """(item, ``function(item)``) in the order of ending; HUNG after ``seconds``, DIED where the process did.

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
                    elif time.monotonic() - worker.began > limit:
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
