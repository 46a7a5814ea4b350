"""One small Oryx for everything: pictures, videos, clips and views of scenes, at 1x, 4x and 16x together.

    python -m oryx.train one_model --scale nano --folder results/runs/shared/one

is the paper's joint stage in small. It goes on from the shipped reader, which knows pictures at 1x; the shipped
OryxViT stays frozen (the released training code freezes it too); compressor, projector and language model learn. It
writes the weights in 8 bits (without the encoder, which is shipped already), the recipe and the training curve. What
ships lies in ``oryx/weights/nano/one/`` and was made by this code; ``oryx.load("nano")`` loads it.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from oryx.errors import MissingResource
from oryx.files import atomic_write_json, sha256_file
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.processor import CONFIG_FILE
from oryx.train import device
from oryx.train.checkpoints import load_weights
from oryx.train.data import StepBatches
from oryx.train.device import Compute
from oryx.train.losses import answer_loss
from workbook.stages.joint_recipe import JointRecipe, recipe
from workbook.stages.mixture import OPTIONS, PATCH, TaskMixture
from workbook.stages.models import WithoutTower, load_shared
from workbook.stages.recipes import RECIPES as SHARED_RECIPES
from workbook.stages.shipped import WEIGHTS, shared_hash
from workbook.stages.stage import Options, Training, write_manifest

CORPORA = ("fonts", "words", "icons", "clipart", "photos", "clips")
FILE = "model.safetensors"


def train_one_model(
    r: JointRecipe,
    seed: int,
    folder: Path,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    compute: Compute | None = None,
    command: str = "",
) -> None:
    """Train the one model; an interrupted run resumes from ``folder``.

    Writes ``model.safetensors`` in 8 bits, ``config.json``, the processor's options and ``manifest.json``.
    ``command``: that does it again, for the manifest.
    """
    compute = compute or device.compute()
    model = compute.place(load_shared(SHARED_RECIPES["nano"]))
    model.freeze_vision()
    mixture = TaskMixture(r, seed, model, folder / "cache", compute, partial(progress, "encode"))
    batches = StepBatches(mixture.draw, mixture.collate, r.steps, lambda sample: sample.targets)
    torch.manual_seed(seed)
    training = Training("nano", model, batches, answer_loss, r.plan, {"model": WithoutTower(model)}, torch.int8)
    curve = training.carry_out(folder, partial(progress, "train"), compute)
    if device.process().is_main_process:
        model.config.tokenizer_model_max_length = model.config.text_config.max_position_embeddings
        model.config.save_pretrained(folder)
        options = {"options": OPTIONS.to_dict(), "prompt": "plain", "patch": PATCH}
        atomic_write_json(folder / CONFIG_FILE, {"processor_class": "OryxProcessor", **options})
    write_manifest(
        folder / "manifest.json", command, seed, r, [folder / FILE], {"nano": curve}, CORPORA,
        started_from=shared_hash(WEIGHTS / "nano"),
        encoder={"file": "oryxvit.safetensors", "sha256": sha256_file(WEIGHTS / "nano" / "oryxvit.safetensors")},
    )  # fmt: skip


def run(options: Options) -> None:
    """The stage as the command line asks for it."""
    r = recipe(options.scale, **options.changes)
    command = options.command("one_model")
    train_one_model(
        r, options.seed, options.folder, lambda what, *done: options.progress(*done), options.compute, command
    )


def load_one_model(folder: Path) -> OryxForConditionalGeneration:
    """The model in ``folder`` with the shipped encoder, in evaluation mode.

    Raises MissingResource if none is there, CheckpointError if the file is damaged.
    """
    if not (folder / FILE).is_file():
        raise MissingResource(f"no {folder / FILE}; train it: python -m oryx.train one_model --folder {folder}")
    model = load_shared(SHARED_RECIPES["nano"])
    load_weights(folder / FILE, WithoutTower(model))
    return model.eval()
