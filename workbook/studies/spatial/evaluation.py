"""What an arm is asked about held-out rooms, with and without their views, as batches of rows."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby

import torch

from oryx.eval.features import FrameTokens
from oryx.eval.generate import ask, read_videos, without_video
from oryx.model.modeling import OryxForConditionalGeneration
from workbook.data.rooms import ANSWERS, Question, held_out_questions
from workbook.studies.evaluate import Batch
from workbook.studies.frames import chunks, compressed
from workbook.studies.spatial.settings import Settings
from workbook.studies.spatial.views import Views

AT_ONCE = 64
"""Questions of one length that are asked together."""


def batches_of(settings: Settings, model: OryxForConditionalGeneration, views: Views, base: dict) -> Iterator[Batch]:
    """Every held-out question, then the same without any view; ``base``: the fields that rows share."""

    def length(asked: Question) -> tuple[int, int]:
        return len(views.shown(asked.views)), len(asked.words)

    asked = sorted(held_out_questions(settings.split, settings.rooms), key=length)
    for condition in ("visual", "no_visual"):
        for _, alike in groupby(asked, key=length):
            for chunk in chunks(list(alike), AT_ONCE):
                rows = [_row(one, condition, views, base | {"split": settings.split}) for one in chunk]
                yield Batch(rows, partial(answers, model, views, chunk, condition == "visual"))


@torch.inference_mode()
def answers(model: OryxForConditionalGeneration, views: Views, asked: Sequence[Question], visual: bool) -> list[dict]:
    """What the model gives for questions of one length."""
    read = without_video(model, len(asked))
    if visual:
        shown = [views.tokens.tokens[list(views.frames(one.room, one.views))] for one in asked]
        read = read_videos(model, [compressed(model, FrameTokens(t, views.tokens.grid), views.region) for t in shown])
    return ask(read, [one.words for one in asked], [one.answer for one in asked])


def _row(asked: Question, condition: str, views: Views, base: dict) -> dict:
    seen, named = condition == "visual", "".join(str(view + 1) for view in asked.views)
    shown = len(views.shown(asked.views))
    return {
        **base,
        "condition": condition,
        "item": f"{asked.room}/{asked.words}/{named}",
        "task": asked.family,
        "cluster": asked.room,
        "question": asked.words,
        "truth": asked.answer,
        "chance": 1 / len(ANSWERS[asked.family]),
        "visual_tokens": views.visual_tokens(shown) if seen else 0,
        "frames": shown if seen else 0,
        "held_out": views.rooms[asked.room].held_out,
        "views": named,
    }
