"""One arm of a study on pictures: trained at its resolution, then asked."""

from functools import cache
from pathlib import Path
from typing import Any

import torch

from oryx.eval.evaluate import ask_pictures
from oryx.evidence.store import RowWriter
from oryx.files import atomic_write_json
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.device import Compute, compute
from oryx.train.inputs import PictureInputs
from oryx.train.loop import StepBatches, TrainPlan, answer_loss, train
from workbook.data.items import generator
from workbook.studies.base import Progress
from workbook.studies.pictures import PictureArm, PictureStudy, items_of


def train_arm(
    settings: Any,
    arm: PictureArm,
    model: OryxForConditionalGeneration,
    seed: int,
    folder: Path,
    progress: Progress,
    machine: Compute,
) -> list[dict]:
    """Train ``model`` in place on the arm's items; returns the curve. ``folder``: of the job; resumes from there."""
    model.freeze_vision(arm.frozen)
    items = items_of(folder).training(seed, settings.train_items, arm.mixture, arm.sizes)
    inputs = PictureInputs(
        items,
        arm.resolution,
        arm.sizes.patch,
        model if arm.frozen else None,
        lambda done, total: progress("encode", done, total),
        machine,
    )

    def draw(step: int) -> list[int]:
        chosen = generator("arm", seed, step).choice(len(items), settings.batch, replace=False)
        return sorted(chosen.tolist(), key=inputs.sort_key)

    torch.manual_seed(seed)
    return train(
        model,
        StepBatches(draw, inputs.batch, settings.train_steps, inputs.targets),
        answer_loss,
        TrainPlan(settings.train_steps, settings.learning_rate, warmup=arm.warmup),
        folder / "checkpoints" / "arm.pt",
        lambda done, total: progress("train", done, total),
        machine,
    )


def run_arm(
    study: PictureStudy,
    settings: Any,
    arm: str,
    model: OryxForConditionalGeneration,
    seed: int,
    folder: Path,
    base: dict,
    progress: Progress,
) -> None:
    """Train one arm and ask it; goes on from checkpoint and rows in ``folder``. ``base``: what all rows share."""
    own, machine, items = study.picture_arm(settings, arm), compute(settings.precision), items_of(folder)
    curve = train_arm(settings, own, model, seed, folder, progress, machine)
    atomic_write_json(folder / "curve.json", curve, indent=None)
    held_out = cache(lambda task: items.evaluation(task, settings.split, study.count(settings, task), own.sizes))
    passes = [(evaluation, task) for evaluation in own.evaluations for task in evaluation.tasks]
    done, total = 0, sum(study.count(settings, task) for _, task in passes)
    with RowWriter(folder / "rows.jsonl") as writer:
        for evaluation, task in passes:
            asked, fields = held_out(task), {**base, "condition": evaluation.condition}
            if not all(writer.has({**fields, "item": item.id}) for item in asked):
                inputs = PictureInputs(asked, evaluation.resolution, own.sizes.patch, model, compute=machine)
                ask_pictures(model, inputs, fields, evaluation.visual, writer)
            done += len(asked)
            progress("evaluate", done, total)
