"""The encoders of the encoder study: SigLIP, and SigLIP continued with a language model at fixed or native size.

    python -m workbook.stages.encoders --scale nano --folder results/runs/shared/encoders [--siglip oryx/weights/nano]

trains SigLIP from nothing (unless given), then from its weights two towers that differ in nothing but the size at
which the same pictures reach them in the same steps: ``control``, squeezed into SigLIP's own square, and ``oryxvit``,
at native size.
The authors made OryxViT so (maintainers' answer in the public repository: from SigLIP, a small language model as
interface, cross-entropy on text); the control is ours. What ships lies in ``oryx/weights/nano/`` and was made by that
command. On several GPUs: ``accelerate launch -m workbook.stages.encoders ...``, which splits every batch.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from PIL import Image
from transformers import SiglipVisionModel

from oryx.errors import MissingResource
from oryx.files import atomic_write_json, sha256_file
from oryx.model.siglip import vit_config_from_siglip, vit_from_siglip
from oryx.model.vit import OryxViT
from oryx.processing.resolution import Resolution
from oryx.train.checkpoints import load_weights, save_weights
from oryx.train.device import process
from oryx.train.loop import TrainPlan, train
from oryx.train.losses import answer_loss
from workbook.data import corpora
from workbook.stages.recipes import Phase, Recipe, encoder_recipe
from workbook.stages.shared import (
    WEIGHTS,
    build_siglip,
    load_siglip,
    reader_batches,
    train_siglip,
    warm_reader,
)

CONTINUED = {"control": "fixed", "oryxvit": "native"}
"""Encoder -> the size at which it is continued."""

ENCODERS = ("siglip", *CONTINUED)
CORPORA = ("fonts", "words", "icons", "clipart", "photos", "tables")
Progress = Callable[[int, int], None]


def resolution_of(size: str, r: Recipe) -> Resolution:
    """``fixed``: SigLIP's own square, the shape lost; ``native``: the picture's own size."""
    return Resolution("squash", r.side) if size == "fixed" else Resolution("native")


def encoder_file(name: str) -> str:
    """The file name of an encoder's weights."""
    return "siglip.safetensors" if name == "siglip" else f"continued_{CONTINUED[name]}.safetensors"


def public_siglip(name: str) -> SiglipVisionModel:
    """The vision tower of public SigLIP weights (or SigLIP 2's of one fixed size), by transformers; nothing is fetched.

    ``name``: a folder in transformers' format, or a repository name that is in the local cache. Raises MissingResource.
    """
    try:
        return SiglipVisionModel.from_pretrained(name, local_files_only=True)
    except (OSError, ValueError) as error:
        raise MissingResource(f"siglip={name!r}: no SigLIP weights in transformers' format there ({error})") from error


def starting_tower(r: Recipe, folder: Path | None = None, public: str = "") -> OryxViT:
    """SigLIP as an OryxViT: the one in ``folder`` (default: shipped), or ``public`` weights with the recipe's patch."""
    siglip = public_siglip(public) if public else load_siglip(r, folder).vision_model
    return vit_from_siglip(siglip, r.position_grid, r.patch)


def _at(size: str, rng, picture: Image.Image, phase: Phase, r: Recipe) -> Image.Image:
    return resolution_of(size, r).apply(picture, r.patch)


def continue_encoder(
    name: str,
    tower: OryxViT,
    r: Recipe,
    seed: int,
    folder: Path,
    progress: Progress = lambda done, total: None,
) -> list[dict]:
    """Train ``tower`` on, in place, with a language model as interface that learns too; returns the curve.

    Writes the encoder's file, in 8 bits, into ``folder`` and resumes from checkpoints there. Both continued encoders
    see the same items in the same order and start from the same language model.
    """
    size = CONTINUED[name]
    model = warm_reader(r, tower.config, seed + 1)
    model.vision_tower = tower
    plan = TrainPlan(r.reader_steps, r.reader_rate)
    batches = reader_batches(r, seed, partial(_at, size))
    curve = train(model, batches, answer_loss, plan, folder / f"{name}.pt", progress)
    if process().is_main_process:
        save_weights(folder / encoder_file(name), tower, torch.int8)
    return curve


def train_encoder(
    name: str,
    r: Recipe,
    seed: int,
    folder: Path,
    siglip: Path | None = None,
    public: str = "",
    progress: Progress = lambda done, total: None,
) -> None:
    """Train one of ENCODERS into ``folder``, with its curve (``NAME.json``).

    ``siglip``: the folder of the SigLIP that the continued ones start from; ``public``: see :func:`starting_tower`.
    """
    if name == "siglip":
        model, curve = train_siglip(r, seed, folder, progress)
        if process().is_main_process:
            save_weights(folder / encoder_file(name), model)
    else:
        tower = starting_tower(r, siglip, public)
        curve = continue_encoder(name, tower, r, seed, folder, progress)
    if process().is_main_process:
        atomic_write_json(folder / f"{name}.json", curve, indent=None)


def load_encoder(name: str, r: Recipe, folder: Path | None = None, public: str = "") -> OryxViT:
    """One of ENCODERS from ``folder`` (default: as shipped), float32, in evaluation mode.

    Raises CheckpointError if a file is missing or damaged, MissingResource for public weights that are not there.
    """
    if name == "siglip":
        return starting_tower(r, folder, public).eval()
    config = public_siglip(public).config if public else build_siglip(r).config.vision_config
    tower = OryxViT(vit_config_from_siglip(config, r.position_grid, r.patch))
    load_weights((folder or WEIGHTS / r.scale) / encoder_file(name), tower)
    return tower.eval()


def main(arguments: list[str] | None = None) -> None:
    """Command line: train the three encoders of a seed and write the manifest that ships with them."""
    parser = argparse.ArgumentParser(description="Train the encoders of the encoder study from nothing.")
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--siglip", type=Path, help="folder with siglip.safetensors; default: trained from nothing")
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)
    r, state = encoder_recipe(parsed.scale), process()
    siglip = parsed.siglip or parsed.folder
    trained = ENCODERS if parsed.siglip is None else tuple(CONTINUED)
    for name in trained:

        def show(done: int, total: int, name: str = name) -> None:
            if done % 100 == 0 and state.is_main_process:
                print(f"{name}: step {done} of {total}", flush=True)

        train_encoder(name, r, parsed.seed, parsed.folder, siglip, progress=show)
        state.wait_for_everyone()
    if not state.is_main_process:
        return
    manifest = {
        "command": f"python -m workbook.stages.encoders --scale {r.scale} --seed {parsed.seed} --folder FOLDER"
        + ("" if parsed.siglip is None else " --siglip oryx/weights/nano"),
        "seed": parsed.seed,
        "recipe": asdict(r),
        "sha256": {
            name: sha256_file((parsed.folder if name in trained else siglip) / encoder_file(name)) for name in ENCODERS
        },
        "data_sha256": corpora.data_hash(CORPORA),
        "torch": torch.__version__,
        "curves": {name: json.loads((parsed.folder / f"{name}.json").read_text()) for name in trained},
    }
    atomic_write_json(parsed.folder / "encoders.json", manifest, indent=None)


if __name__ == "__main__":
    main()
