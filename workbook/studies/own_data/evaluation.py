"""The questions of one's own table to a loaded model, as batches of rows for the evaluator."""

from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any

import oryx
from oryx import Video
from oryx.errors import MissingResource
from oryx.eval.evaluate import Batch
from oryx.processing.asking import Answer
from oryx.train.device import Compute
from workbook.data.own_data import OwnItem, score


class Evaluation:
    """The questions to one arm; ``options`` go to ``model.ask``, ``base`` holds the fields that all rows share.

    :meth:`load` comes before the first answer; the batches themselves need no model.
    """

    def __init__(self, settings: Any, options: dict[str, Any], base: dict[str, Any], compute: Compute):
        self.settings, self.options, self.base, self.compute = settings, options, base, compute
        # without its visual a question has one answer, whatever the item
        self._answer_without_visual = cache(lambda question: self._ask(None, question))

    def load(self) -> None:
        """Load the model; raises MissingResource for one that has no tokenizer to ask it with."""
        name = self.base["model"]
        self.model = oryx.load(name, dtype=self.compute.dtype, device=self.compute.device)
        if getattr(self.model, "processor", None) is None:
            raise MissingResource(f"{name}: expected a whole model with its tokenizer beside the weights")

    def batches(self, items: Sequence[OwnItem]) -> Iterator[Batch]:
        """Every item with its visual and without; a row is on the disk before the next question."""
        for item in items:
            about = {"item": item.id, "task": item.task, "cluster": item.cluster, "question": item.question}
            row = {**self.base, **about, "truth": item.answer, "chance": item.chance, "visual_tokens": 0}
            yield Batch([{**row, "condition": "visual"}], partial(self.answer, item, True))
            yield Batch([{**row, "condition": "no_visual"}], partial(self.answer, item, False))

    def answer(self, item: OwnItem, visual: bool) -> list[dict]:
        """What a row says of one answer."""
        if visual:
            shown = Video(item.path, self.settings.frames) if item.is_video else item.path
            answer = self._ask(shown, item.question, **self.options)
        else:
            answer = self._answer_without_visual(item.question)
        found = {
            "answer": answer.text,
            "score": score(answer.text, item.answer, self.settings.score),
            "answer_probability": answer.probability,
            "visual_tokens": answer.visual_tokens,
            "frames": answer.frames,
            "sizes": [list(size) for size in answer.sizes],
            "seconds": answer.seconds,
        }
        return [found]

    def _ask(self, visual: Any, question: str, **options: Any) -> Answer:
        return self.model.ask(visual, question, max_new_tokens=self.settings.max_new_tokens, **options)
