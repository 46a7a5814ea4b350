"""The questions of one's own table to a loaded model, as batches of rows for the evaluator."""

from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import oryx
from oryx import Video
from oryx.errors import MissingResource
from oryx.eval.evaluate import Batch
from oryx.evidence.store import RowWriter
from oryx.train.device import compute
from workbook.data.answers import score
from workbook.data.own_data import OwnItem
from workbook.studies.base import Progress
from workbook.studies.frames import evaluate_arm
from workbook.studies.own_data.settings import Settings


def ask_items(
    settings: Settings, options: dict, base: dict, items: Sequence[OwnItem], folder: Path, progress: Progress
) -> None:
    """Ask one arm every item with its visual and without; each row is on the disk before the next question.

    ``options`` go to ``model.ask``, ``base`` holds the fields that all rows share. The model is loaded only if a row is
    missing. Raises MissingResource for a model that has no tokenizer to ask it with.
    """
    machine = compute(settings.precision)

    def ask(visual: Any, question: str, **more: Any) -> Any:
        return model.ask(visual, question, max_new_tokens=settings.max_new_tokens, **more)

    without_visual = cache(partial(ask, None))  # one answer, whatever the item

    def answer(item: OwnItem, visual: bool) -> list[dict]:
        shown = Video(item.path, settings.frames, **settings.decoding) if item.is_video else item.path
        given = ask(shown, item.question, **options) if visual else without_visual(item.question)
        found = {"answer": given.text, "score": score(given.text, item.answer, settings.score)}
        found |= {"answer_probability": given.probability, "visual_tokens": given.visual_tokens}
        sizes = [list(size) for size in given.sizes]
        seen = {"frames": given.frames, "sizes": sizes, "decoder": given.decoder}
        return [found | seen | {"seconds": given.seconds}]

    batches = []
    for item in items:
        about = {"item": item.id, "task": item.task, "cluster": item.cluster, "question": item.question}
        row = {**base, **about, "truth": item.answer, "chance": item.chance, "visual_tokens": 0}
        for condition in ("visual", "no_visual"):
            batches.append(Batch([{**row, "condition": condition}], partial(answer, item, condition == "visual")))
    with RowWriter(folder / "rows.jsonl") as writer:
        if not all(writer.has(row) for batch in batches for row in batch.rows):
            model = oryx.load(base["model"], dtype=machine.dtype, device=machine.device)
            if getattr(model, "processor", None) is None:
                raise MissingResource(f"{base['model']}: expected a whole model with its tokenizer beside the weights")
        evaluate_arm(batches, writer, machine, progress)
