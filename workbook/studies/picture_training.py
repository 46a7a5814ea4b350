"""One arm of a study on pictures: trained at its resolution, then asked."""

from functools import partial
from pathlib import Path

import torch

from oryx.evidence.store import RowWriter
from oryx.files import atomic_write_json
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.device import Compute, compute
from oryx.train.inputs import PictureInputs
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from oryx.train.stages import STAGES, Training
from workbook.data.items import OBJECT_TASKS, evaluation_items, generator, training_item
from workbook.studies.base import Progress
from workbook.studies.evaluate import ask_pictures
from workbook.studies.pictures import PictureArm, PictureSettings


def run_arm(
    settings: PictureSettings,
    own: PictureArm,
    model: OryxForConditionalGeneration,
    folder: Path,
    base: dict,
    progress: Progress,
) -> None:
    """Train ``own`` and ask it; resumes from checkpoint and rows in ``folder``. ``base``: what all rows share."""
    seed, machine = base["seed"], compute(settings.precision)
    batches = training_batches(settings, own, model, seed, machine, progress)
    torch.manual_seed(seed)
    plan = TrainPlan(settings.train_steps, settings.learning_rate, warmup=own.warmup)
    training = Training(
        "checkpoints/arm", model, batches, answer_loss, plan, stage=STAGES["sft" if own.frozen else "pretrain"]
    )
    curve = training.carry_out(folder, partial(progress, "train"), machine)
    atomic_write_json(folder / "curve.json", curve, indent=None)
    passes = own.passes()
    with RowWriter(folder / "rows.jsonl") as writer:
        for done, (condition, task, view) in enumerate(passes, 1):
            count = settings.object_items if task in OBJECT_TASKS else settings.text_items
            held_out = evaluation_items(task, settings.split, count, own.sizes)
            asked = PictureInputs(held_out, view, own.sizes.patch, model, compute=machine)
            ask_pictures(model, asked, {**base, "condition": condition}, condition != "no_visual", writer)
            progress("evaluate", done, len(passes))


def training_batches(
    settings: PictureSettings,
    own: PictureArm,
    model: OryxForConditionalGeneration,
    seed: int,
    machine: Compute,
    progress: Progress,
) -> StepBatches:
    """The batches of an arm whose pictures are drawn, and encoded if its encoder is frozen, before the first step."""
    items = [training_item(seed, index, own.mixture, own.sizes) for index in range(settings.train_items)]
    encoder = model if own.frozen else None
    inputs = PictureInputs(
        items, own.resolution, own.sizes.patch, encoder, lambda done, total: progress("encode", done, total), machine
    )

    def draw(step: int) -> list[int]:
        chosen = generator("arm", seed, step).choice(settings.train_items, settings.batch, replace=False).tolist()
        return sorted(chosen, key=inputs.sort_key)

    return StepBatches(draw, inputs.batch, settings.train_steps, inputs.targets)
