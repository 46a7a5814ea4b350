"""The jobs of the study of views: one arm trained, and asked."""

from collections.abc import Sequence
from functools import partial
from math import isqrt
from pathlib import Path
from shutil import copyfile

import torch
from torch import Tensor

from oryx.evidence.store import RowWriter
from oryx.files import atomic_write_json
from oryx.train.checkpoints import load_weights
from oryx.train.device import compute
from oryx.train.inputs import questions_batch
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from oryx.train.stages import STAGES, Training
from workbook.data.items import generator
from workbook.data.needles import Clip
from workbook.data.rooms import OF_VIEWS, Room, draw_questions, rooms
from workbook.stages.models import without_tower
from workbook.stages.one_model import load_one_model, run
from workbook.stages.stage import Options
from workbook.stages.videos import clip_targets, frame_inputs
from workbook.studies.base import Progress
from workbook.studies.frames import evaluate_arm
from workbook.studies.spatial.evaluation import batches_of
from workbook.studies.spatial.settings import Settings
from workbook.studies.spatial.views import Views

QUESTION_TEXT = 12
"""Tokens that a question and its answer take, about."""
SHARES = (0.3, 0.5, 0.2)
"""Of later steps with questions about one view, two and all."""
MODEL = "model"


def draw_step(settings: Settings, seed: int, views: Views, shown: Sequence[Room], step: int) -> list[Clip]:
    """Views of the rooms of a step and questions about them: first about one view alone, later about one, two or all.

    All arms take the same steps on the same questions.
    """
    rng, early = generator("rooms", seed, step), step < settings.first * settings.train_steps
    number = 1 if early else int(rng.choice(list(OF_VIEWS), p=SHARES))
    cost = views.visual_tokens(number) + settings.questions * QUESTION_TEXT
    clips: list[Clip] = []
    while len(clips) < max(2, settings.tokens // cost):
        room, drawing = shown[int(rng.integers(len(shown)))], int(rng.integers(1 << 20))
        if asked := draw_questions(rng, room, settings.questions, OF_VIEWS[number]):
            turns = tuple((one.words, one.answer) for one in asked)
            clips.append(Clip(views.frames(room.id, asked[0].views, drawing), turns))
    return clips


def train_one_model(settings: Settings, seed: int, folder: Path, progress: Progress) -> None:
    """Train the one model that all arms start from."""
    run(Options(settings.scale, seed, folder, None, compute(settings.precision), partial(progress, "train")))


def train(settings: Settings, arm: str, seed: int, folder: Path, weights: Path, progress: Progress) -> None:
    """Train one arm from the one model in ``weights``; writes its weights without the tower, and ``curve.json``."""
    machine = compute(settings.precision)
    model = machine.place(load_one_model(weights))
    shown = rooms("train")[: settings.train_rooms]
    region = isqrt(settings.ratio)
    views = Views(arm, shown, range(settings.drawings), region, model, machine)

    def collate(clips: Sequence[Clip]) -> dict[str, Tensor]:
        return {**questions_batch([clip.turns for clip in clips]), **frame_inputs(clips, views.tokens, region)}

    draw = partial(draw_step, settings, seed, views, shown)
    batches = StepBatches(draw, collate, settings.train_steps, clip_targets)
    torch.manual_seed(seed)
    plan = TrainPlan(settings.train_steps, settings.learning_rate, warmup=50)
    parts = {MODEL: without_tower(model)}
    training = Training("training", model, batches, answer_loss, plan, parts, torch.float32, STAGES["joint"])
    curve = training.carry_out(folder, partial(progress, "train"), machine)
    atomic_write_json(folder / "curve.json", curve, indent=None)


def ask(
    settings: Settings, arm: str, folder: Path, trained: Path, weights: Path, base: dict, progress: Progress
) -> None:
    """Ask the weights in ``trained``, as an arm is shown the held-out rooms, and write its rows into ``folder``."""
    machine = compute(settings.precision)
    model = machine.place(load_one_model(weights))
    load_weights(trained / f"{MODEL}.safetensors", without_tower(model))
    if trained != folder:
        copyfile(trained / "curve.json", folder / "curve.json")
    shown = rooms(settings.split)[: settings.rooms]
    views = Views(arm, shown, ["held out"], isqrt(settings.ratio), model, machine)
    with RowWriter(folder / "rows.jsonl") as writer:
        evaluate_arm(batches_of(settings, model.eval(), views, base), writer, machine, progress)
