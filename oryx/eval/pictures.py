"""Questions about pictures: batches of items for the evaluator, and a small model's answers to them."""

from collections.abc import Callable, Iterator, Sequence

from oryx.eval.evaluate import Batch, evaluate
from oryx.eval.generate import read_prompts
from oryx.eval.prompts import BytePrompt
from oryx.evidence.store import RowWriter
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.inputs import PictureInputs

ASK_BATCH = 64
"""Pictures that are asked about together."""


def picture_batches(inputs: PictureInputs, base: dict, visual: bool, size: int = ASK_BATCH) -> Iterator[Batch]:
    """All items of ``inputs``, like lengths side by side, which need little padding; ``base``: what all rows share."""
    order = sorted(range(len(inputs.items)), key=lambda i: (inputs.length(i), i))
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        yield Batch([_row(inputs, i, base, visual) for i in chosen], chosen)


def _row(inputs: PictureInputs, index: int, base: dict, visual: bool) -> dict:
    item, seen = inputs.items[index], visual and bool(inputs.parts)
    return {
        **base,
        "item": item.id,
        **item.fields,
        "visual_tokens": inputs.visual_tokens(index) if visual else 0,
        "frames": int(seen),
        "sizes": inputs.sizes(index) if seen else [],
    }


def ask_pictures(
    model: OryxForConditionalGeneration,
    inputs: PictureInputs,
    base: dict,
    visual: bool,
    writer: RowWriter,
    size: int = ASK_BATCH,
    max_new_tokens: int = 8,
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Write a row for every item of ``inputs`` that has none: the greedy answer and the log-likelihood of the truth."""

    def predict(indices: Sequence[int]) -> list[dict]:
        return picture_answers(model, inputs, indices, visual, max_new_tokens)

    evaluate(picture_batches(inputs, base, visual, size), predict, writer, progress)


def picture_answers(
    model: OryxForConditionalGeneration,
    inputs: PictureInputs,
    indices: Sequence[int],
    visual: bool,
    max_new_tokens: int = 8,
) -> list[dict]:
    """What the model gives for items that are asked together: ``answer``, ``score`` and ``logprob`` of each."""
    truths = [inputs.items[i].answer for i in indices]
    with inputs.compute.autocast():
        prompted = read_prompts(model, inputs.batch(indices, answers=False, visual=visual))
        answers, likelihoods = prompted.answers(BytePrompt(), truths, max_new_tokens)
    return [
        {"answer": answer, "score": float(answer == truth), "logprob": likelihood}
        for answer, truth, likelihood in zip(answers, truths, likelihoods, strict=True)
    ]
