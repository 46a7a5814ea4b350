"""One small Oryx for everything: pictures, videos, clips and views of scenes, at 1x, 4x and 16x together.

    python -m oryx.train one_model --scale nano --folder results/runs/shared/one

is the paper's joint stage in small. It goes on from the shipped reader, which knows pictures at 1x; the shipped
OryxViT stays frozen (the released training code freezes it too); compressor, projector and language model learn. It
writes the weights in 8 bits (without the encoder, which is shipped already), the recipe and the training curve. What
ships lies in ``oryx/weights/nano/one/`` and was made by this code; ``oryx.load("nano")`` loads it.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from oryx.errors import MissingResource, SettingsError
from oryx.files import atomic_write_json, sha256_file
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.processing.processor import CONFIG_FILE
from oryx.train import device
from oryx.train.checkpoints import load_weights
from oryx.train.data import StepBatches
from oryx.train.device import Compute
from oryx.train.loop import TrainPlan
from oryx.train.losses import answer_loss
from workbook.stages.mixture import OPTIONS, PATCH, Material, TaskMixture
from workbook.stages.models import WithoutTower, load_shared
from workbook.stages.recipes import RECIPES as SHARED_RECIPES
from workbook.stages.shipped import WEIGHTS, shared_hash
from workbook.stages.stage import Options, Training, write_manifest

CORPORA = ("fonts", "words", "icons", "clipart", "photos", "clips")
FILE = "model.safetensors"


@dataclass(frozen=True)
class JointRecipe:
    """What is trained on and how much.

    ``horizon``: the learning rate follows the cosine of a run of so many steps, but for the last ``cooldown`` steps, in
    which it falls in a straight line; so a run may end at any step without having to know it at the start.
    ``shares``: of steps, by task. ``first``: share of the horizon at the beginning in which videos and clips are shown
    uncompressed only, mostly as single-frame questions (models of this size that meet 16x at once stay at chance).
    ``picture_sides`` and ``frame_sides``: how often each region side k is drawn later. ``tokens``: tokens of a step,
    about. ``blind``: share of steps with nothing to see. ``longest``: frames of the longest clip.
    """

    material: Material = field(default_factory=Material)
    steps: int = 3600
    horizon: int = 6500
    cooldown: int = 800
    rate: float = 1e-3
    tokens: int = 1800
    shares: tuple[tuple[str, float], ...] = (("pictures", 0.3), ("films", 0.44), ("scenes", 0.1), ("clips", 0.16))
    first: float = 0.2
    picture_sides: tuple[float, float, float] = (0.7, 0.2, 0.1)
    frame_sides: tuple[float, float, float] = (0.2, 0.4, 0.4)
    blind: float = 0.03
    longest: int = 96

    def __post_init__(self):
        if self.steps < 1 or abs(sum(share for _, share in self.shares) - 1) > 1e-6:
            raise SettingsError(f"joint recipe: expected steps and shares that add up to 1, got {self}")

    @property
    def plan(self) -> "CoolingPlan":
        """Steps and learning rates."""
        return CoolingPlan(self.steps, self.rate, log_every=50, horizon=self.horizon, cooldown=self.cooldown)


@dataclass(frozen=True)
class CoolingPlan(TrainPlan):
    """The cosine of ``horizon`` steps, cut short: in the last ``cooldown`` steps the rate falls in a straight line."""

    horizon: int = 1
    cooldown: int = 1

    def rate_at(self, step: int) -> float:
        """The cosine's rate at ``step``."""
        return TrainPlan(self.horizon, self.learning_rate, self.warmup, self.final_fraction).rate(step)

    def rate(self, step: int) -> float:
        """Learning rate of step ``step`` (from 0)."""
        begins = self.steps - self.cooldown
        if step < begins:
            return self.rate_at(step)
        left = (self.steps - step) / max(1, self.cooldown)
        return self.rate_at(max(0, begins)) * (self.final_fraction + (1 - self.final_fraction) * left)


_SMOKE = Material(
    24, films=replace(Material().films, signs=3, cards=2, paths=2, photos=2), scenes=4, haystacks=1, shots=16, pages=4,
    shots_named=4,
)  # fmt: skip
RECIPES = {
    "smoke": JointRecipe(_SMOKE, steps=6, horizon=6, cooldown=2, tokens=300, longest=8),
    "nano": JointRecipe(),
}


def recipe(scale: str, **changes: Any) -> JointRecipe:
    """The recipe of a scale, with fields replaced; raises SettingsError for a scale that has none."""
    if scale not in RECIPES:
        raise SettingsError(f"scale {scale!r}: the one model is trained at {', '.join(RECIPES)}")
    return replace(RECIPES[scale], **changes)


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
