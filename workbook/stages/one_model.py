"""One small Oryx for everything: pictures, videos, clips and views of scenes, at 1x, 4x and 16x together.

    python -m oryx.train one_model --scale nano --folder results/runs/shared/one

is the paper's joint stage in small. It goes on from the shipped reader, which knows pictures at 1x; the shipped
OryxViT stays frozen (the released training code freezes it too); compressor, projector and language model learn. It
writes the weights in 8 bits (without the encoder, which is shipped already), the recipe and the training curve. What
ships lies in ``oryx/weights/nano/one/`` and was made by this code; ``oryx.load("nano")`` loads it.
"""

from dataclasses import dataclass
from pathlib import Path

import torch

from oryx.files import atomic_write_json, sha256_file
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.processor import CONFIG_FILE
from oryx.train import device
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from workbook.stages.mixture import OPTIONS, PATCH, TaskMixture
from workbook.stages.models import WithoutTower, load_shared, loaded
from workbook.stages.recipes import joint_recipe, recipe
from workbook.stages.shipped import WEIGHTS, shared_hash
from workbook.stages.stage import Options, Training, write_manifest
from workbook.stages.videos import clip_targets

CORPORA = ("fonts", "words", "icons", "clipart", "photos", "clips")


@dataclass(frozen=True)
class CoolingPlan(TrainPlan):
    """The cosine of ``horizon`` steps, cut short: in the last ``cooldown`` steps the rate falls in a straight line."""

    horizon: int = 1
    cooldown: int = 1

    def rate(self, step: int) -> float:
        """Learning rate of step ``step`` (from 0)."""
        cosine = TrainPlan(self.horizon, self.learning_rate, self.warmup, self.final_fraction)
        begins = self.steps - self.cooldown
        if step < begins:
            return cosine.rate(step)
        left = (self.steps - step) / max(1, self.cooldown)
        return cosine.rate(max(0, begins)) * (self.final_fraction + (1 - self.final_fraction) * left)


def run(options: Options) -> None:
    """Train the one model; an interrupted run resumes from the folder.

    Writes ``model.safetensors`` in 8 bits, ``config.json``, the processor's options and ``manifest.json``.
    """
    r, seed, folder = joint_recipe(options.scale, **options.changes), options.seed, options.folder
    compute = options.compute or device.compute()
    model = compute.place(load_shared(recipe("nano")))
    model.freeze_vision()
    mixture = TaskMixture(r, options, model, compute)
    batches = StepBatches(mixture.draw, mixture.collate, r.steps, lambda sample: clip_targets(sample.clip))
    torch.manual_seed(seed)
    plan = CoolingPlan(r.steps, r.rate, log_every=50, horizon=r.horizon, cooldown=r.cooldown)
    training = Training("nano", model, batches, answer_loss, plan, {"model": WithoutTower(model)}, torch.int8)
    curve = training.carry_out(options)
    if device.process().is_main_process:
        model.config.tokenizer_model_max_length = model.config.text_config.max_position_embeddings
        model.config.save_pretrained(folder)
        processor = {"options": OPTIONS.to_dict(), "prompt": "plain", "patch": PATCH}
        atomic_write_json(folder / CONFIG_FILE, {"processor_class": "OryxProcessor", **processor})
    encoder = {"file": "oryxvit.safetensors", "sha256": sha256_file(WEIGHTS / "nano" / "oryxvit.safetensors")}
    beside = {"started_from": shared_hash(WEIGHTS / "nano"), "encoder": encoder}
    files, command = [folder / "model.safetensors"], options.command("one_model")
    write_manifest(folder / "manifest.json", command, seed, r, files, {"nano": curve}, CORPORA, **beside)


def load_one_model(folder: Path) -> OryxForConditionalGeneration:
    """The model in ``folder`` with the shipped encoder; see :func:`loaded`."""
    model = load_shared(recipe("nano"))
    return loaded(model, {"model": WithoutTower(model)}, folder, f"one_model --folder {folder}")
