"""One arm of a study on pictures: trained at its resolution, then asked."""

from functools import partial
from operator import call
from pathlib import Path

import torch

from oryx.evidence.store import RowWriter
from oryx.files import atomic_write_json
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.train.device import compute
from oryx.train.inputs import PictureInputs
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from oryx.train.stages import STAGES, Training
from workbook.data.items import OBJECT_TASKS, evaluation_items, generator, training_item
from workbook.studies.base import Progress
from workbook.studies.evaluate import evaluate, picture_batches
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
    seed, machine, encoder = base["seed"], compute(settings.precision), model if own.frozen else None
    items = [training_item(seed, index, own.mixture, own.sizes) for index in range(settings.train_items)]
    how = (own.sizes.patch, encoder, partial(progress, "encode"), machine)
    inputs = PictureInputs(items, own.resolution, *how)

    def draw(step: int) -> list[int]:
        chosen = generator("arm", seed, step).choice(settings.train_items, settings.batch, replace=False).tolist()
        return sorted(chosen, key=inputs.sort_key)

    batches = StepBatches(draw, inputs.batch, settings.train_steps, inputs.targets)
    torch.manual_seed(seed)
    plan = TrainPlan(settings.train_steps, settings.learning_rate, warmup=own.warmup)
    stage = STAGES["sft" if own.frozen else "pretrain"]
    training = Training("checkpoints/arm", model, batches, answer_loss, plan, stage=stage)
    curve = training.carry_out(folder, partial(progress, "train"), machine)
    atomic_write_json(folder / "curve.json", curve, indent=None)
    passes = own.passes()
    with RowWriter(folder / "rows.jsonl") as writer:
        for done, (condition, task, view) in enumerate(passes, 1):
            count = settings.object_items if task in OBJECT_TASKS else settings.text_items
            held_out = evaluation_items(task, settings.split, count, own.sizes)
            asked = PictureInputs(held_out, view, own.sizes.patch, model, compute=machine)
            shown = picture_batches(model, asked, {**base, "condition": condition}, condition != "no_visual")
            evaluate(shown, call, writer)
            progress("evaluate", done, len(passes))
