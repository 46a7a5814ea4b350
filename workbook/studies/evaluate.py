"""The evaluator: batches of items and a way to answer them become rows. It alone resumes and catches failed items."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

from oryx.eval.generate import BytePrompt, read_prompts
from oryx.evidence.store import RowWriter
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.inputs import PictureInputs

ASK_BATCH = 64
"""Pictures that are asked about together."""
LONGEST_ANSWER = 8
"""Most new tokens about a picture."""
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
            raises an exception, too little memory included, the batch becomes rows with the error and no score (a
            failure is never a zero) and lets go of what it held. An error of the device itself is raised again.
        progress: called with how many rows are done, those that were there included.
    """
    done = 0
    for batch in batches:
        done += len(batch.rows)
        if not all(map(writer.has, batch.rows)):
            began, error = time.perf_counter(), None
            try:
                found = predict(batch.payload)
            except torch.AcceleratorError:  # the device is lost: every later batch would fail too
                raise
            except Exception as problem:
                error = f"{type(problem).__name__}: {problem}"
                found = [FAILED] * len(batch.rows)
            if error is not None:  # outside the clause, which holds every frame of the failed call
                gc.collect()
                torch.cuda.empty_cache()
            shared = {"seconds": (time.perf_counter() - began) / len(batch.rows), "error": error}
            rows = [{**row, **shared, **one} for row, one in zip(batch.rows, found, strict=True)]
            writer.write(row for row in rows if not writer.has(row))
        progress(done)


def picture_batches(
    model: OryxForConditionalGeneration, inputs: PictureInputs, base: dict, visual: bool, size: int = ASK_BATCH
) -> Iterator[Batch]:
    """All items of ``inputs``, like lengths side by side, which need little padding; ``base``: what all rows share."""
    order = sorted(range(len(inputs.items)), key=lambda i: (inputs.length(i), i))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        answers = partial(picture_answers, model, inputs, chosen, visual)
        yield Batch([_row(inputs, i, base, visual) for i in chosen], answers)


def _row(inputs: PictureInputs, index: int, base: dict, visual: bool) -> dict:
    item, seen = inputs.items[index], visual and inputs.view is not None
    return {
        **base,
        "item": item.id,
        **item.fields,
        "visual_tokens": inputs.visual_tokens(index) if visual else 0,
        "frames": int(seen),
        "sizes": inputs.sizes(index) if seen else [],
    }


def picture_answers(
    model: OryxForConditionalGeneration, inputs: PictureInputs, indices: Sequence[int], visual: bool
) -> list[dict]:
    """What the model gives for items that are asked together: ``answer``, ``score`` and ``logprob`` of each."""
    truths = [inputs.items[i].answer for i in indices]
    with inputs.compute.autocast():
        prompted = read_prompts(model, inputs.batch(indices, answers=False, visual=visual))
        return prompted.answers(BytePrompt(), truths, LONGEST_ANSWER)
