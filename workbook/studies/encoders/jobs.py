"""The work of the encoder study: one encoder trained, all of them probed, one arm trained and asked.

See :mod:`workbook.studies.encoders.study`, which says what is compared.
"""

import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

from oryx.files import atomic_write_json, sha256_file
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.vit import OryxViT
from oryx.train.checkpoints import module_sha256
from oryx.train.device import compute
from workbook.stages.encoders import ENCODERS, encoder_file, load_encoder, train_encoder
from workbook.stages.models import load_siglip, warm_reader
from workbook.stages.recipes import Recipe, encoder_recipe
from workbook.stages.stage import Options
from workbook.studies.base import Progress, Study
from workbook.studies.encoders.arms import ARMS, ENCODER_JOBS, trains_encoders
from workbook.studies.encoders.probes import probe_encoders
from workbook.studies.picture_training import run_arm as run_picture_arm
from workbook.studies.pictures import PictureStudy


def recipe_of(settings: Any) -> Recipe:
    """The recipe of a run's encoders: the scale's, with the run's square and patch."""
    return encoder_recipe(settings.scale, settings.side, settings.patch)


def train(settings: Any, name: str, seed: int, folder: Path, progress: Progress) -> None:
    """Train one encoder of a seed into its job's folder."""
    siglip, r = folder.parent / ENCODER_JOBS[0], recipe_of(settings)
    options = Options(r.scale, seed, folder, siglip, compute(settings.precision), partial(progress, "train"))
    curve = train_encoder(name, r, options, settings.siglip)
    atomic_write_json(folder / f"{name}.json", curve, indent=None)


def encoder_folder(settings: Any, name: str, seed: int, arms: Path) -> Path:
    """Where the weights of an encoder of a seed lie: in its job's folder among ``arms``, or the shipped ones."""
    return arms / ENCODER_JOBS[ENCODERS.index(name)] if trains_encoders(settings, seed) else Study.weights


def load_tower(settings: Any, name: str, seed: int, arms: Path) -> OryxViT:
    """One encoder of a seed."""
    return load_encoder(name, recipe_of(settings), encoder_folder(settings, name, seed, arms), settings.siglip)


def weights_hash(settings: Any, seed: int, arms: Path) -> str:
    """One identification of the three encoders of a seed, over their parameters; worked out once a seed and kept."""
    files = [encoder_folder(settings, name, seed, arms) / encoder_file(name) for name in ENCODERS]
    known = [settings.siglip, *(sha256_file(file) for file in files if file.is_file())]
    path = arms.parent / "items" / f"encoders-{hashlib.sha256(repr(known).encode()).hexdigest()[:16]}.json"
    if not path.is_file():
        found = "+".join(module_sha256(load_tower(settings, name, seed, arms))[:8] for name in ENCODERS)
        atomic_write_json(path, found)
    return json.loads(path.read_text())


def probe(settings: Any, seed: int, folder: Path, progress: Progress) -> None:
    """Write ``looks.json``: what the encoders of a seed show without a language model."""
    machine, arms, r, captions = compute(settings.precision), folder.parent, recipe_of(settings), None
    towers = {name: machine.place(load_tower(settings, name, seed, arms)) for name in ENCODERS}
    if not settings.siglip:  # public weights have a tokenizer of their own, which nothing here needs
        captions = machine.place(load_siglip(r, encoder_folder(settings, "siglip", seed, arms)))
    found = probe_encoders(
        towers, captions, r, seed, settings.split, settings.look_items, lambda done, n: progress("probe", done, n)
    )
    atomic_write_json(folder / "looks.json", found)


def reader_on(tower: OryxViT, r: Recipe, seed: int) -> OryxForConditionalGeneration:
    """A language model and a new projector on a trained tower; the same ones for every arm of a seed."""
    model = warm_reader(r, tower.config, seed, forms=True)
    model.vision_tower = tower
    return model


def run_arm(
    study: PictureStudy, settings: Any, arm: str, seed: int, folder: Path, base: dict, progress: Progress
) -> None:
    """Train one arm on its encoder and ask it; goes on from checkpoint and rows in ``folder``."""
    base = {**base, "weights_hash": weights_hash(settings, seed, folder.parent)}
    model = reader_on(load_tower(settings, ARMS[arm].encoder, seed, folder.parent), recipe_of(settings), seed)
    run_picture_arm(study, settings, arm, model, seed, folder, base, progress)
