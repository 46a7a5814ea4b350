"""The text of small models: bytes (ids 0 to 255) and an end token (256), in the tersest prompt there is.

A prompt is the mark of the visual, the question and a newline; the answer and the end token follow and are the only
supervised part.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from oryx.errors import InputError
from oryx.layout import IGNORED_LABEL, VISUAL_TOKEN_ID

END = 256
VOCABULARY = 259

Question = tuple[str, str]
"""A question and its answer."""


def encode_prompt(question: str, visual: bool = True) -> list[int]:
    """Token ids of the prompt, with the mark of one visual in front unless ``visual`` is false."""
    return [VISUAL_TOKEN_ID] * visual + list(question.encode()) + [10]


def answer_targets(answer: str) -> int:
    """How many supervised tokens an answer has, its end included."""
    return len(answer.encode()) + 1


def decode(ids: Sequence[int]) -> str:
    """The text before the end token; bytes that are no UTF-8 are shown as replacement characters."""
    kept = []
    for token in ids:
        if token >= END:
            break
        kept.append(int(token))
    return bytes(kept).decode("utf-8", errors="replace")


def text_batch(questions: Sequence[str], answers: Sequence[str] | None, visual: bool = True) -> dict[str, Tensor]:
    """``input_ids``, ``attention_mask`` and, with answers, ``labels``, each (B, L), padded on the right."""
    rows, labels = [], []
    for i, question in enumerate(questions):
        prompt = encode_prompt(question, visual)
        answer = [] if answers is None else [*answers[i].encode(), END]
        rows.append(prompt + answer)
        labels.append([IGNORED_LABEL] * len(prompt) + answer)
    batch = {"input_ids": _padded(rows, END), "attention_mask": _padded([[1] * len(row) for row in rows], 0)}
    return batch if answers is None else {**batch, "labels": _padded(labels, IGNORED_LABEL)}


def questions_batch(samples: Sequence[Sequence[Question]]) -> dict[str, Tensor]:
    """Several questions about each visual side by side, (B, S) each, padded on the right.

    ``text_ids``, ``text_labels``, ``text_question`` (the number of the question a token belongs to, -1 for padding) and
    ``text_place`` (the token's place within its question). Raises InputError for a sample without any question.
    """
    if not samples or not all(samples):
        raise InputError("expected at least one question for every sample")
    ids, labels, numbers, places = [], [], [], []
    for questions in samples:
        rows = [(encode_prompt(question, visual=False), [*answer.encode(), END]) for question, answer in questions]
        ids.append([token for prompt, answer in rows for token in prompt + answer])
        labels.append([label for prompt, answer in rows for label in [IGNORED_LABEL] * len(prompt) + answer])
        numbers.append([i for i, (prompt, answer) in enumerate(rows) for _ in prompt + answer])
        places.append([place for prompt, answer in rows for place in range(len(prompt) + len(answer))])
    columns = {"ids": (ids, END), "labels": (labels, IGNORED_LABEL), "question": (numbers, -1), "place": (places, 0)}
    return {f"text_{name}": _padded(rows, value) for name, (rows, value) in columns.items()}


def _padded(rows: Sequence[Sequence[int]], value: int) -> Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])
