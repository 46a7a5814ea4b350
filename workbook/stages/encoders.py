"""The part ``encoders``: SigLIP, and SigLIP continued by stage ``pretrain`` at fixed or native size.

    python -m oryx.train encoders --scale nano --folder results/runs/shared/encoders [--start oryx/weights/nano]

trains SigLIP from nothing (unless given), then from its weights three towers that differ in nothing but the size at
which the same pictures reach them in the same steps: ``control``, squeezed into SigLIP's own square, ``oryxvit``, at
native size, and ``mixed``, half of them each way.
The authors made OryxViT so (maintainers' answer in the public repository: from SigLIP, a small language model as
interface, cross-entropy on text); the other two are ours. What ships lies in ``oryx/weights/nano/``. On several GPUs:
``accelerate launch -m oryx.train encoders ...``, which splits every batch.

The part ``language_model``, by stage ``sft``: the language model that all arms of the encoder study start from.

    python -m oryx.train language_model --folder results/runs/shared/nano

The reader knows pictures at native size or squeezed, in one view. An arm that shows it tiles and a thumbnail would
start behind. So it is trained on, on all forms in equal shares, with its OryxViT frozen, which is none of the encoders
that the study compares. What ships lies in ``oryx/weights/nano/language_model.safetensors``, in 8 bits.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.siglip import vit_config_from_siglip, vit_from_siglip
from oryx.model.vit import OryxViT
from oryx.processing.sizes import Resolution, picture_forms
from oryx.train.checkpoints import load_weights
from oryx.train.inputs import PictureInputs
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from oryx.train.stages import STAGES, Training
from workbook.data.items import generator, training_item
from workbook.stages.models import LANGUAGE_MODEL, build_siglip, load_shared, load_siglip, warm_reader
from workbook.stages.recipes import Phase, Recipe, encoder_recipe, forms_recipe
from workbook.stages.shared import reader_batches, train_siglip
from workbook.stages.shipped import WEIGHTS, weights_hash
from workbook.stages.stage import Options, write_manifest

PRETRAIN = STAGES["pretrain"]
CONTINUED = {"control": "fixed", "oryxvit": "native", "mixed": "mixed"}
"""Encoder -> the size at which it is continued; mixed: by lot."""

ENCODERS = ("siglip", *CONTINUED)
CORPORA = ("fonts", "words", "icons", "clipart", "photos", "tables")


def encoder_file(name: str) -> str:
    """The file name of an encoder's weights."""
    return "siglip.safetensors" if name == "siglip" else f"continued_{CONTINUED[name]}.safetensors"


def starting_tower(r: Recipe, folder: Path | None = None) -> OryxViT:
    """SigLIP as an OryxViT: the one in ``folder`` (default: shipped)."""
    return vit_from_siglip(load_siglip(r, folder).vision_model, r.position_grid)


def _at(size: str, rng, picture: Image.Image, phase: Phase, r: Recipe) -> Image.Image:
    """``fixed``: in SigLIP's own square, the shape lost; ``native``: at the picture's own size; ``mixed``: either."""
    if size == "mixed":
        size = ("fixed", "native")[int(rng.integers(2))]
    resolution = Resolution("squash", r.side) if size == "fixed" else Resolution("native")
    return resolution.apply(picture, r.patch)


def train_encoder(name: str, r: Recipe, options: Options, reader: Path | None = None) -> list[dict]:
    """Train one of ENCODERS; returns the curve, and goes on from a checkpoint in the folder.

    The continued ones start from the SigLIP in ``options.start`` (default: shipped), with a language model as interface
    that learns too, from ``reader`` (:func:`warm_reader`); all see the same items in the same order. They are kept in
    8 bits.
    """
    if name == "siglip":
        return train_siglip(r, options)[1]
    tower = starting_tower(r, options.start)
    model = warm_reader(r, tower.config, options.seed + 1, folder=reader)
    model.vision_tower = tower
    batches = reader_batches(r, options.seed, partial(_at, CONTINUED[name]))
    plan, saved = TrainPlan(r.reader_steps, r.reader_rate), {encoder_file(name).removesuffix(".safetensors"): tower}
    return Training(name, model, batches, answer_loss, plan, saved, torch.int8, PRETRAIN).carry_out(*options.how)


def load_encoder(name: str, r: Recipe, folder: Path | None = None) -> OryxViT:
    """One of ENCODERS from ``folder`` (default: as shipped), float32, in evaluation mode.

    Raises CheckpointError if a file is missing or damaged.
    """
    if name == "siglip":
        return starting_tower(r, folder).eval()
    tower = OryxViT(vit_config_from_siglip(build_siglip(r).vision_model.config, r.position_grid))
    load_weights((folder or WEIGHTS / r.scale) / encoder_file(name), tower)
    return tower.eval()


def run(options: Options) -> None:
    """The part as the command line asks for it: the encoders of a seed and their manifest."""
    r, folder = replace(encoder_recipe(options.scale), **options.changes), options.folder
    start, trained = options.start or folder, ENCODERS if options.start is None else tuple(CONTINUED)
    curves = {name: train_encoder(name, r, replace(options, start=start), reader=options.start) for name in trained}
    files = [(folder if name in trained else start) / encoder_file(name) for name in ENCODERS]
    write_manifest(folder / "encoders.json", "encoders", PRETRAIN, options, r, files, curves, CORPORA)


def run_language_model(options: Options) -> OryxForConditionalGeneration:
    """Train a reader on, its encoder frozen, on every form; writes the language model and its manifest."""
    plan, r, stage = forms_recipe(options.scale, **options.changes), encoder_recipe(options.scale), STAGES["sft"]
    model, inputs = load_shared(options.scale, options.start), []
    seed = plan.seed + options.seed
    for number, form in enumerate(picture_forms(r.side).values()):
        first = number * plan.items
        items = [training_item(seed, first + i, plan.mixture, r.phases[-1].sizes) for i in range(plan.items)]
        inputs.append(PictureInputs(items, form, r.patch, model, compute=options.compute))

    def draw(step: int) -> list[tuple[int, int]]:
        """(form, item) of every sample."""
        chosen = generator("forms", seed, step).choice(plan.items, plan.batch, replace=False)
        return [(step % len(inputs), i) for i in chosen.tolist()]

    batches = StepBatches(
        draw,
        lambda samples: inputs[samples[0][0]].batch([i for _, i in samples]),
        plan.steps,
        lambda sample: inputs[sample[0]].targets(sample[1]),
    )
    torch.manual_seed(seed)
    schedule, saved = TrainPlan(plan.steps, plan.rate), {LANGUAGE_MODEL: model.language_model}
    training = Training(LANGUAGE_MODEL, model, batches, answer_loss, schedule, saved, torch.int8, stage)
    curves = {LANGUAGE_MODEL: training.carry_out(*options.how)}
    path, file = (options.folder / f"{LANGUAGE_MODEL}.{kind}" for kind in ("json", "safetensors"))
    reader = weights_hash(options.started)
    write_manifest(path, LANGUAGE_MODEL, stage, options, plan, [file], curves, CORPORA, reader=reader)
    return model
