"""Asking a small model about many items: greedy answers, likelihood of the truth, one row per item."""

import time
from collections.abc import Callable, Iterable

import torch

from oryx.eval.prompted import read_prompts
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.batches import END, decode
from oryx.train.inputs import PictureInputs


@torch.inference_mode()
def answer_batch(
    model: OryxForConditionalGeneration, inputs: PictureInputs, indices: list[int], visual: bool, max_new_tokens: int
) -> tuple[list[str], list[float]]:
    """Greedy answers of these items, and the log-likelihood of each item's true answer with its end token."""
    prompted = read_prompts(model, inputs.batch(indices, answers=False, visual=visual, device=model.device))
    spoken = [decode(ids) for ids in prompted.greedy([END], max_new_tokens)]
    return spoken, prompted.likelihoods([[*inputs.items[i].answer.encode(), END] for i in indices])


def answer_rows(
    model: OryxForConditionalGeneration,
    inputs: PictureInputs,
    indices: Iterable[int],
    base: dict,
    visual: bool = True,
    batch_size: int = 64,
    max_new_tokens: int = 8,
    write: Callable[[list[dict]], None] = lambda rows: None,
) -> None:
    """Write one row for each item of ``indices``, a batch at a time, through ``write``; ``base``: what all rows share.

    Batches are made of all items of ``inputs`` and asked whole, whichever are wanted: after a kill the missing rows
    must come out of the same sums, and those depend on the batch in the last bits. A batch that fails is written as
    rows with the error and no score: a failure is never a zero.
    """
    wanted, everyone = set(indices), range(len(inputs.items))
    order = sorted(everyone, key=lambda i: (inputs.length(i), i))  # like lengths side by side need little padding
    for start in range(0, len(order), batch_size):
        chunk = order[start : start + batch_size]
        if wanted.isdisjoint(chunk):
            continue
        began, error = time.perf_counter(), None
        try:
            answers, likelihoods = answer_batch(model, inputs, chunk, visual, max_new_tokens)
        except Exception as problem:
            error = f"{type(problem).__name__}: {problem}"
            answers, likelihoods = [None] * len(chunk), [None] * len(chunk)
        seconds = (time.perf_counter() - began) / len(chunk)
        rows = []
        for i, answer, likelihood in zip(chunk, answers, likelihoods, strict=True):
            item = inputs.items[i]
            rows.append(
                {
                    **base,
                    "item": item.id,
                    **item.fields,
                    "answer": answer,
                    "score": None if error else float(answer == item.answer),
                    "logprob": likelihood,
                    "visual_tokens": inputs.visual_tokens(i) if visual else 0,
                    "frames": 1 if visual and inputs.parts else 0,
                    "sizes": inputs.sizes(i) if visual and inputs.parts else [],
                    "seconds": seconds,
                    "error": error,
                }
            )
        write([row for i, row in zip(chunk, rows, strict=True) if i in wanted])
