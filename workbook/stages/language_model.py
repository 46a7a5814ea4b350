"""The stage ``language_model``: the one that all arms of the encoder study start from has read pictures in every form.

    python -m oryx.train language_model --folder results/runs/shared/nano

The shipped reader knows pictures at native size or squeezed, in one view. An arm that shows it tiles and a thumbnail
would start behind. So it is trained on, on all forms in equal shares, with the shipped OryxViT frozen, which is none of
the encoders that the study compares. What ships lies in ``oryx/weights/nano/language_model.safetensors``, in 8 bits.
"""

from dataclasses import dataclass

import torch

from oryx.errors import SettingsError
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.sizes import picture_forms
from oryx.train.inputs import PictureInputs
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from workbook.data.items import generator, training_item
from workbook.stages.models import LANGUAGE_MODEL, load_shared
from workbook.stages.recipes import encoder_recipe, recipe
from workbook.stages.shipped import WEIGHTS, shared_hash
from workbook.stages.stage import Options, Training, write_manifest

CORPORA = ("fonts", "words", "icons", "clipart", "photos", "tables")


@dataclass(frozen=True)
class FormsPlan:
    """``items`` pictures of each form, ``steps`` of ``batch`` pictures of one form in turn; ``seed`` of the stream."""

    items: int = 1600
    steps: int = 1000
    batch: int = 16
    rate: float = 5e-4
    seed: int = 10_000


def run(options: Options) -> OryxForConditionalGeneration:
    """Train the shipped reader on, its encoder frozen, on every form; writes the language model and its manifest.

    Raises SettingsError for another scale than nano.
    """
    if options.scale != "nano":
        raise SettingsError(f"scale {options.scale!r}: the language model of the encoder study is trained at nano")
    plan, r, folder = FormsPlan(**options.changes), recipe("nano"), options.folder
    phase, model, inputs = encoder_recipe("nano").phases[-1], load_shared(r), []
    model.freeze_vision(True)
    for number, form in enumerate(picture_forms(r.side).values()):
        first = number * plan.items
        items = [training_item(plan.seed, first + i, phase.mixture, phase.sizes) for i in range(plan.items)]
        inputs.append(PictureInputs(items, form, r.patch, model, compute=options.compute))

    def draw(step: int) -> list[tuple[int, int]]:
        """(form, item) of every sample."""
        chosen = generator("forms", plan.seed, step).choice(plan.items, plan.batch, replace=False)
        return [(step % len(inputs), i) for i in chosen.tolist()]

    batches = StepBatches(
        draw,
        lambda samples: inputs[samples[0][0]].batch([i for _, i in samples]),
        plan.steps,
        lambda sample: inputs[sample[0]].targets(sample[1]),
    )
    torch.manual_seed(plan.seed)
    schedule, saved = TrainPlan(plan.steps, plan.rate), {LANGUAGE_MODEL: model.language_model}
    training = Training(LANGUAGE_MODEL, model, batches, answer_loss, schedule, saved, torch.int8)
    curves = {LANGUAGE_MODEL: training.carry_out(options)}
    files, command = [folder / f"{LANGUAGE_MODEL}.safetensors"], "python -m oryx.train language_model --folder FOLDER"
    reader = shared_hash(WEIGHTS / "nano")
    write_manifest(folder / f"{LANGUAGE_MODEL}.json", command, plan.seed, plan, files, curves, CORPORA, reader=reader)
    return model
