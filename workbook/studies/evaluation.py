"""Asking an arm: batches whose payload is a call that answers them, through the one evaluator."""

from collections.abc import Iterable, Sequence
from operator import call

from oryx.eval.evaluate import Batch, evaluate
from oryx.evidence.store import RowWriter
from oryx.train.device import Compute
from workbook.studies.base import Progress


def evaluate_arm(batches: Iterable[Batch], writer: RowWriter, compute: Compute, progress: Progress) -> None:
    """Write the rows of ``batches`` that are missing, each batch answered by its payload in the run's precision.

    All batches are made before the first is asked, to count their rows.
    """
    batches = list(batches)
    total = sum(len(batch.rows) for batch in batches)
    with compute.autocast():
        evaluate(batches, call, writer, lambda done: progress("evaluate", done, total))


def chunks(items: Sequence, size: int) -> list[Sequence]:
    """The items, at most ``size`` at a time, and at least one."""
    return [items[i : i + max(1, size)] for i in range(0, len(items), max(1, size))]
