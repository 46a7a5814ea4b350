"""The part ``video_reader``: a whole model trained on small frames, cards and clips, by stage ``pretrain``.

    python -m oryx.train video_reader --scale nano --folder results/runs/shared/video --start oryx/weights/nano

The tower starts from SigLIP. The reader learns to read single cards at full resolution first, then clips of 1 to 8
frames at 1x, 4x and 16x (models of this size that met 16x at once stayed at chance). The needle study trains its
language models on from here. What ships lies in ``oryx/weights/nano/video_reader.safetensors``.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from oryx.files import sha256_file
from oryx.layout import Layout
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.siglip import vit_from_siglip
from oryx.processing.images import to_patches
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from oryx.train.stages import STAGES, Training
from workbook.data.items import draw_object, generator
from workbook.data.needles import COLOURS, NUMBERS, READER_MIXTURE, Clip, FrameDataset, card, draw_clip, make_dataset
from workbook.stages.models import build_reader, load_siglip, loaded
from workbook.stages.recipes import VideoRecipe, video_recipe
from workbook.stages.shared import CORPORA, train_siglip
from workbook.stages.shipped import WEIGHTS
from workbook.stages.stage import Options, write_manifest
from workbook.stages.videos import Sample, clip_targets, question_inputs

NAME = "video_reader"
SIDES = (1, 2, 4)


def single_frame(rng: np.random.Generator, r: VideoRecipe, digits: int) -> tuple[np.ndarray, str, str]:
    """(frame, question, answer) of a card with a number of ``digits`` digits.

    With two digits, a share of ``r.pictures`` are pictures instead and one in seven cards is asked for its colour.
    """
    if digits == 2 and rng.random() < r.pictures:
        drawn = draw_object(rng, "icon", r.size, "train")
        return np.asarray(drawn.picture.convert("RGB")), "name", drawn.answer
    colour = list(COLOURS)[int(rng.integers(len(COLOURS)))]
    number = int(rng.integers(10)) if digits == 1 else 10 + int(rng.integers(NUMBERS))
    frame = np.asarray(card(rng, number, colour, "train", r.size, r.letters).convert("RGB"))
    if digits == 2 and rng.random() < 1 / 7:
        return frame, "colour", colour
    return frame, colour, str(number)


def draw_samples(r: VideoRecipe, seed: int, dataset: FrameDataset, step: int) -> list[Sample]:
    """The clips of a step, frames as source: a function of (seed, step) alone, of one region side and clip length."""
    rng = generator("video reader", seed, step)
    stage = int(np.searchsorted(np.cumsum(r.steps), step, side="right"))
    side = SIDES[int(rng.choice(len(SIDES), p=r.shares))] if stage >= 2 else 1
    if stage == 3:
        length, mixture = int(rng.integers(2, r.longest + 1)), READER_MIXTURE | {"picture": r.pictures}
        clips = [draw_clip(rng, dataset, length, mixture) for _ in range(max(1, r.frames // length))]
        return [Sample(dataset.frames, side, clip) for clip in clips]
    drawn = [single_frame(rng, r, 1 if stage == 0 else 2) for _ in range(r.batch)]
    frames = np.stack([frame for frame, _, _ in drawn])
    clips = [Clip((i,), ((question, answer),)) for i, (_, question, answer) in enumerate(drawn)]
    return [Sample(frames, side, clip) for clip in clips]


def sample_inputs(patch: int, samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Model inputs with labels of clips of one step."""
    clips, side = [sample.clip for sample in samples], samples[0].side
    shown = samples[0].source[[number for clip in clips for number in clip.frames]]
    patches, grid = to_patches(shown, patch)
    return {
        **question_inputs(clips),
        "pixel_patches": patches,
        "image_grids": torch.tensor([grid] * len(shown)),
        "visual_spec": torch.tensor([[Layout.VIDEO, len(clip.frames), side] for clip in clips]),
    }


def train_video_reader(r: VideoRecipe, options: Options, dataset: FrameDataset) -> None:
    """Train the reader on ``dataset``, its tower from the SigLIP in ``options.start`` (None: trained first).

    Resumes from checkpoints in the folder; writes ``video_reader.safetensors`` and its manifest
    (``video_reader.json``).
    """
    folder, seed, siglip, curves = options.folder, options.seed, options.start, {}
    if siglip is None:
        start, curves["siglip"] = train_siglip(r.shapes, options)
    else:
        start = load_siglip(r.shapes, siglip)
    torch.manual_seed(seed)
    model = build_reader(r.shapes)
    model.vision_tower = vit_from_siglip(start.vision_model, r.shapes.position_grid)
    batches = StepBatches(
        partial(draw_samples, r, seed, dataset),  # no workers: each would copy the dataset
        partial(sample_inputs, r.shapes.patch),
        sum(r.steps),
        lambda sample: clip_targets(sample.clip),
    )
    plan, stage = TrainPlan(sum(r.steps), r.rate), STAGES["pretrain"]
    training = Training(NAME, model, batches, answer_loss, plan, {NAME: model}, stage=stage)
    curves[NAME] = training.carry_out(*options.how)
    started = "trained first, from nothing" if siglip is None else sha256_file(siglip / "siglip.safetensors")
    files = [folder / f"{NAME}.safetensors"]
    write_manifest(folder / f"{NAME}.json", NAME, stage, options, r, files, curves, CORPORA, siglip=started)


def load_video_reader(r: VideoRecipe, folder: Path | None = None) -> OryxForConditionalGeneration:
    """The reader of a scale from ``folder`` (default: as shipped), in float32; see :func:`loaded`."""
    model = build_reader(r.shapes)
    return loaded(model, {NAME: model}, folder or WEIGHTS / r.scale, f"{NAME} --scale {r.scale}")


def run(options: Options) -> None:
    """The part as the command line asks for it; the frames to train on are written first."""
    r = video_recipe(options.scale, **options.changes)
    dataset = make_dataset(options.folder / "dataset", options.seed, r.size, **r.dataset, letters=r.letters)
    train_video_reader(r, options, dataset)
