"""Asking a loaded model the items of one's own table: one row an answer."""

from typing import Any

import torch

import oryx
from oryx import Video
from oryx.errors import MissingResource
from oryx.processing.asking import Answer
from workbook.data.own_data import OwnItem, score


class Asker:
    """A model, and how an arm asks it: ``options`` go to ``model.ask``.

    Raises MissingResource for a model that has no tokenizer to ask it with.
    """

    def __init__(self, model: str, options: dict[str, Any], settings: Any):
        gpu = torch.cuda.is_available()
        self.model = oryx.load(model, dtype=torch.bfloat16 if gpu else torch.float32, device="cuda" if gpu else "cpu")
        if getattr(self.model, "processor", None) is None:
            raise MissingResource(f"{model}: expected a whole model with its tokenizer beside the weights")
        self.options, self.settings = options, settings
        self.blind: dict[str, Answer] = {}

    def row(self, item: OwnItem, visual: bool) -> dict[str, Any]:
        """What a row says of one answer; an item that fails says why and has no score."""
        row = {
            "task": item.task,
            "cluster": item.cluster,
            "question": item.question,
            "truth": item.answer,
            "chance": item.chance,
            "answer": None,
            "score": None,
            "visual_tokens": 0,
            "error": None,
        }
        try:
            answer = self._see(item) if visual else self._blind(item.question)
        except Exception as error:  # of any kind: one bad file must not end the run
            return row | {"error": f"{type(error).__name__}: {error}"}
        return row | {
            "answer": answer.text,
            "score": score(answer.text, item.answer, self.settings.score),
            "answer_probability": answer.probability,
            "visual_tokens": answer.visual_tokens,
            "frames": answer.frames,
            "sizes": [list(size) for size in answer.sizes],
            "seconds": answer.seconds,
        }

    def _see(self, item: OwnItem) -> Answer:
        visual = Video(item.path, self.settings.frames) if item.is_video else item.path
        return self.model.ask(visual, item.question, max_new_tokens=self.settings.max_new_tokens, **self.options)

    def _blind(self, question: str) -> Answer:
        if question not in self.blind:  # without its visual a question has one answer, whatever the item
            self.blind[question] = self.model.ask(None, question, max_new_tokens=self.settings.max_new_tokens)
        return self.blind[question]
