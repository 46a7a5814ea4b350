"""The evaluator: batches of items and a way to answer them become rows. It alone resumes and catches failed items."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from oryx.evidence.store import RowWriter

FAILED = {"answer": None, "score": None, "logprob": None}


@dataclass(frozen=True)
class Batch:
    """Items that are asked together, whole, whichever of their rows are missing: sums depend on the batch in the last
    bits, and rows after a kill must be those of an undisturbed run.

    Attributes:
        rows: the complete row of every item but for what ``predict`` finds out, ``seconds`` and ``error``.
        payload: what ``predict`` is given.
    """

    rows: Sequence[dict]
    payload: Any


def evaluate(
    batches: Iterable[Batch],
    predict: Callable[[Any], Sequence[dict]],
    writer: RowWriter,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write the rows of ``batches`` that are not there yet, a batch at a time.

    Args:
        predict: payload -> for every row of the batch what the model gave: ``answer``, ``score``, ``logprob`` and
            whatever else the study notes; ``seconds`` only where they are not an equal share of the batch's. If it
            raises an exception the batch becomes rows with the error and no score: a failure is never a zero.
        progress: called with how many rows are done, those that were there included.
    """
    done = 0
    for batch in batches:
        done += len(batch.rows)
        if not all(map(writer.has, batch.rows)):
            began, error = time.perf_counter(), None
            try:
                found = predict(batch.payload)
            except Exception as problem:
                error = f"{type(problem).__name__}: {problem}"
                found = [FAILED] * len(batch.rows)
            shared = {"seconds": (time.perf_counter() - began) / len(batch.rows), "error": error}
            rows = [{**row, **shared, **one} for row, one in zip(batch.rows, found, strict=True)]
            writer.write(row for row in rows if not writer.has(row))
        progress(done)
