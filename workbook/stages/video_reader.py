"""The stage ``video_reader``: OryxViT, compressor and language model trained on small frames, cards and clips.

    python -m oryx.train video_reader --scale nano --folder results/runs/shared/video --start oryx/weights/nano

The tower starts from SigLIP. The reader learns to read single cards at full resolution first, then clips of 1 to 8
frames at 1x, 4x and 16x (models of this size that met 16x at once stayed at chance). The needle study trains its
language models on from here. What ships lies in ``oryx/weights/nano/video_reader.safetensors``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from oryx.errors import MissingResource, SettingsError
from oryx.files import sha256_file
from oryx.layout import Layout
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.siglip import vit_from_siglip
from oryx.processing.patches import to_patches
from oryx.train.checkpoints import load_weights
from oryx.train.data import StepBatches
from oryx.train.device import Compute
from oryx.train.loop import TrainPlan
from oryx.train.losses import answer_loss
from oryx.train.text import answer_targets, text_batch
from workbook.data.frame_bank import READER_MIXTURE, Clip, FrameBank, draw_clip, make_bank
from workbook.data.items import generator
from workbook.data.needles import COLOURS, NUMBERS, card
from workbook.data.object_tasks import draw_object
from workbook.stages.models import build_reader, load_siglip
from workbook.stages.recipes import Recipe, recipe
from workbook.stages.shared import train_siglip
from workbook.stages.shipped import WEIGHTS
from workbook.stages.stage import Options, Progress, Training, silent, write_manifest

NAME = "video_reader"
CORPORA = ("fonts", "words", "icons", "clipart", "photos")
SIDES = (1, 2, 4)


@dataclass(frozen=True)
class VideoRecipe:
    """Shapes and training of a scale's reader of frames.

    ``steps``: of single digits, of single cards and pictures at 1x, of the same at all sides (drawn with ``shares``),
    of clips at all sides. ``frames``: frames in a step of clips, shared by clips of one length.
    """

    scale: str
    shapes: Recipe
    size: tuple[int, int] = (32, 32)
    steps: tuple[int, int, int, int] = (150, 800, 1400, 500)
    batch: int = 64
    frames: int = 160
    longest: int = 8
    shares: tuple[float, ...] = (0.15, 0.25, 0.6)
    rate: float = 1e-3
    pages: int = 2000
    shots: int = 500


_SHAPES = {"position_grid": 8, "text_layers": 2}
RECIPES = {
    "smoke": VideoRecipe(
        "smoke", recipe("smoke", **_SHAPES), steps=(1, 1, 1, 1), batch=4, frames=16, pages=8, shots=16
    ),
    "nano": VideoRecipe("nano", recipe("nano", **_SHAPES)),
    "small": VideoRecipe(
        "small",
        recipe("small", position_grid=8),
        steps=(500, 4000, 10000, 4000),
        batch=256,
        frames=1024,
        rate=5e-4,
        pages=10000,
        shots=2000,
    ),
}


def video_recipe(scale: str, **changes) -> VideoRecipe:
    """The recipe of a scale, with fields replaced; raises SettingsError for a scale that has none."""
    if scale not in RECIPES:
        raise SettingsError(f"scale {scale!r}: readers of frames are trained at {', '.join(RECIPES)}")
    return replace(RECIPES[scale], **changes)


def build_video_reader(r: VideoRecipe) -> OryxForConditionalGeneration:
    """The model in the recipe's shape, with random weights."""
    return build_reader(r.shapes)


def single_frame(rng: np.random.Generator, size: tuple[int, int], digits: int) -> tuple[np.ndarray, str, str]:
    """(frame, question, answer) of a card with a number of ``digits`` digits.

    With two digits, one in five is a picture instead and one in seven cards is asked for its colour.
    """
    if digits == 2 and rng.random() < 1 / 5:
        drawn = draw_object(rng, "icon", size, "train")
        return np.asarray(drawn.picture.convert("RGB")), "name", drawn.answer
    colour = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    number = int(rng.integers(10)) if digits == 1 else 10 + int(rng.integers(NUMBERS))
    frame = np.asarray(card(rng, number, colour, "train", size).convert("RGB"))
    if digits == 2 and rng.random() < 1 / 7:
        return frame, "colour", colour
    return frame, colour, str(number)


@dataclass(frozen=True)
class Drawn:
    """A batch of clips: ``frames`` that they number, (N, H, W, 3) uint8, None for those of the bank; region side."""

    frames: np.ndarray | None
    clips: list[Clip]
    side: int


def draw_batch(r: VideoRecipe, seed: int, bank: FrameBank, step: int) -> Drawn:
    """The batch of a step: a function of (seed, step) alone, with one region side and one clip length."""
    rng = generator("video reader", seed, step)
    stage = int(np.searchsorted(np.cumsum(r.steps), step, side="right"))
    side = SIDES[int(rng.choice(len(SIDES), p=r.shares))] if stage >= 2 else 1
    if stage == 3:
        length = int(rng.integers(2, r.longest + 1))
        clips = [draw_clip(rng, bank, length, READER_MIXTURE) for _ in range(max(1, r.frames // length))]
        return Drawn(None, clips, side)
    drawn = [single_frame(rng, r.size, 1 if stage == 0 else 2) for _ in range(r.batch)]
    clips = [Clip((i,), question, answer) for i, (_, question, answer) in enumerate(drawn)]
    return Drawn(np.stack([frame for frame, _, _ in drawn]), clips, side)


def reader_inputs(frames: np.ndarray, clips: Sequence[Clip], side: int, patch: int) -> dict[str, Tensor]:
    """Model inputs with labels."""
    shown = frames[[number for clip in clips for number in clip.frames]]
    grid = (shown.shape[1] // patch, shown.shape[2] // patch)
    return {
        **text_batch([clip.question for clip in clips], [clip.answer for clip in clips]),
        "pixel_patches": to_patches(shown, patch)[0],
        "image_grids": torch.tensor([grid] * len(shown)),
        "visual_spec": torch.tensor([[Layout.VIDEO, len(clip.frames), side] for clip in clips]),
    }


class ClipSample(NamedTuple):
    """A clip with the frames that it numbers and the region side at which it is shown."""

    frames: np.ndarray
    clip: Clip
    side: int


def draw_samples(r: VideoRecipe, seed: int, bank: FrameBank, step: int) -> list[ClipSample]:
    """The clips of a step; visuals of a batch are of one length, so only the text tells samples apart."""
    drawn = draw_batch(r, seed, bank, step)
    frames = bank.frames if drawn.frames is None else drawn.frames
    return [ClipSample(frames, clip, drawn.side) for clip in drawn.clips]


def sample_inputs(patch: int, samples: Sequence[ClipSample]) -> dict[str, Tensor]:
    """Model inputs with labels of clips of one step."""
    return reader_inputs(samples[0].frames, [sample.clip for sample in samples], samples[0].side, patch)


def train_video_reader(
    r: VideoRecipe,
    seed: int,
    folder: Path,
    bank: FrameBank,
    progress: Progress = silent,
    siglip: Path | None = None,
    compute: Compute | None = None,
) -> OryxForConditionalGeneration:
    """Train the reader, its tower from the SigLIP in the folder ``siglip`` (default: trained from nothing first).

    Resumes from checkpoints in ``folder``; writes ``video_reader.safetensors`` and its manifest
    (``video_reader.json``).
    """
    first = 0 if siglip is not None else r.shapes.siglip_steps
    total, curves = first + sum(r.steps), {}
    if siglip is None:
        start, curves["siglip"] = train_siglip(r.shapes, seed, folder, lambda done, _: progress(done, total), compute)
    else:
        start = load_siglip(r.shapes, siglip)
    torch.manual_seed(seed)
    model = build_video_reader(r)
    model.vision_tower = vit_from_siglip(start.vision_model, r.shapes.position_grid)
    batches = StepBatches(
        partial(draw_samples, r, seed, bank),  # no workers: each would copy the bank
        partial(sample_inputs, r.shapes.patch),
        sum(r.steps),
        lambda sample: answer_targets(sample.clip.answer),
    )
    training = Training(NAME, model, batches, answer_loss, TrainPlan(sum(r.steps), r.rate), {NAME: model})
    curves[NAME] = training.carry_out(folder, lambda done, _: progress(first + done, total), compute)
    start = "" if siglip is None else " --start oryx/weights/nano"
    write_manifest(
        folder / f"{NAME}.json",
        f"python -m oryx.train {NAME} --scale {r.scale} --seed {seed} --folder FOLDER{start}",
        seed,
        r,
        [folder / f"{NAME}.safetensors"],
        curves,
        CORPORA,
        siglip="trained first, from nothing" if siglip is None else sha256_file(siglip / "siglip.safetensors"),
    )
    return model


def load_video_reader(r: VideoRecipe, folder: Path | None = None) -> OryxForConditionalGeneration:
    """The reader of a scale from ``folder`` (default: as shipped), float32, in evaluation mode.

    Raises MissingResource if none is there, CheckpointError if the file is damaged.
    """
    path = (folder or WEIGHTS / r.scale) / "video_reader.safetensors"
    if not path.is_file():
        raise MissingResource(f"no {path}; train it: python -m oryx.train video_reader --scale {r.scale}")
    model = build_video_reader(r)
    load_weights(path, model)
    return model.eval()


def run(options: Options) -> None:
    """The stage as the command line asks for it; the frames to train on are written first."""
    r = video_recipe(options.scale, **options.changes)
    bank = make_bank(options.folder / "bank", options.seed, r.size, shots=r.shots, pages=r.pages)
    train_video_reader(r, options.seed, options.folder, bank, options.progress, options.start, options.compute)
