"""The stage ``shared``: SigLIP, then OryxViT with the reader behind it, trained from nothing.

    python -m oryx.train shared --scale nano --folder results/runs/shared/nano

writes fp16 safetensors and a manifest with command, recipe, training curves and the sha256 of every file. What ships
with the package lies in ``oryx/weights/<scale>/``.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.distributed.nn.functional import all_gather
from transformers import SiglipModel

from oryx.errors import SettingsError
from oryx.grids import image_token_count
from oryx.layout import Layout
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.siglip import vit_from_siglip
from oryx.processing.patches import normalised
from oryx.train import device
from oryx.train.data import StepBatches
from oryx.train.device import Compute, process
from oryx.train.loop import TrainPlan
from oryx.train.losses import answer_loss
from oryx.train.text import END, answer_targets, text_batch
from workbook.stages.drawing import Sample, draw_reader_batch, draw_siglip_batch, fit_training_picture
from workbook.stages.models import build_reader, build_siglip, reader_parts
from workbook.stages.recipes import CAPTION_LENGTH, Recipe, recipe
from workbook.stages.stage import Options, Progress, Training, silent, write_manifest

CORPORA = ("fonts", "words", "icons", "clipart", "photos")


def caption_ids(captions: Sequence[bytes]) -> Tensor:
    """Token ids (n, CAPTION_LENGTH) of captions of at most that many bytes, padded as SigLIP's text tower is taught."""
    ids = torch.full((len(captions), CAPTION_LENGTH), END)
    for i, caption in enumerate(captions):
        ids[i, : len(caption)] = torch.tensor(list(caption))
    return ids


def square_pixels(pictures: Sequence[Image.Image | np.ndarray]) -> Tensor:
    """(n, 3, side, side) in [-1, 1], for transformers' SigLIP, of RGB pictures of its size, or their pixels."""
    return normalised(np.stack([np.asarray(picture) for picture in pictures]).transpose(0, 3, 1, 2))


def siglip_inputs(pairs: Sequence[tuple[np.ndarray, bytes]]) -> dict[str, Tensor]:
    """Model inputs of pairs of pixels and caption."""
    pixels, captions = zip(*pairs, strict=True)
    return {"input_ids": caption_ids(captions), "pixel_values": square_pixels(pixels)}


def siglip_loss(model: SiglipModel, batch: dict) -> Tensor:
    """The sigmoid loss of a batch of pairs: every picture against every caption.

    Of several processes each encodes its share of the pairs and compares its pictures with the captions of all, as the
    SigLIP paper does (arXiv 2303.15343, section 3.3).
    """
    out, state = model(input_ids=batch["input_ids"], pixel_values=batch["pixel_values"]), process()
    captions = torch.cat(all_gather(out.text_embeds)) if state.num_processes > 1 else out.text_embeds
    logits = out.image_embeds @ captions.T * model.logit_scale.exp() + model.logit_bias
    sign, first = -torch.ones_like(logits), state.process_index * len(logits)
    sign[:, first : first + len(logits)].fill_diagonal_(1.0)
    return -F.logsigmoid(sign * logits).sum() / batch["num_items_in_batch"]


def sorted_reader_batch(r: Recipe, seed: int, fit: Callable[..., Image.Image], step: int) -> list[Sample]:
    """The training items of a step; those of equal length, which share attention calls, side by side."""
    return sorted(draw_reader_batch(r, seed, step, fit), key=lambda sample: (len(sample.patches), _length(sample)))


def _length(sample: Sample) -> int:
    return image_token_count(None, sample.grid) + len(sample.question) + len(sample.answer)


def reader_inputs(samples: Sequence[Sample]) -> dict[str, Tensor]:
    """Model inputs with labels of training items."""
    patches, grids, questions, answers = zip(*samples, strict=True)
    return {
        **text_batch(questions, answers),
        "pixel_patches": normalised(np.concatenate(patches)),
        "image_grids": torch.tensor(grids),
        "visual_spec": torch.tensor([[Layout.ONE_VIEW, 1, 1]] * len(samples)),
    }


def sample_targets(sample: Sample) -> int:
    """Supervised tokens of a training item."""
    return answer_targets(sample.answer)


def reader_batches(r: Recipe, seed: int, fit: Callable[..., Image.Image] = fit_training_picture) -> StepBatches:
    """The batches of a reader's training; ``fit`` gives each picture its size."""
    draw = partial(sorted_reader_batch, r, seed, fit)
    return StepBatches(draw, reader_inputs, r.reader_steps, sample_targets, device.compute().workers)


def siglip_training(r: Recipe, seed: int) -> Training:
    """SigLIP of the recipe, from nothing; raises SettingsError for a batch that the processes cannot share evenly."""
    if r.siglip_batch % (processes := process().num_processes):
        raise SettingsError(f"siglip_batch: expected a multiple of {processes} processes, got {r.siglip_batch}")
    torch.manual_seed(seed)
    siglip, draw = build_siglip(r), partial(draw_siglip_batch, r, seed)
    batches = StepBatches(draw, siglip_inputs, r.siglip_steps, workers=device.compute().workers)
    plan = TrainPlan(r.siglip_steps, r.siglip_rate)
    return Training("siglip", siglip, batches, siglip_loss, plan, {"siglip": siglip})


def train_siglip(
    r: Recipe, seed: int, folder: Path, progress: Progress = silent, compute: Compute | None = None
) -> tuple[SiglipModel, list[dict]]:
    """SigLIP of the recipe, trained from nothing, and its curve; writes ``siglip.safetensors``."""
    training = siglip_training(r, seed)
    return training.model, training.carry_out(folder, progress, compute)


def train_shared(
    r: Recipe,
    seed: int,
    folder: Path,
    progress: Progress = silent,
    compute: Compute | None = None,
    command: str = "",
) -> OryxForConditionalGeneration:
    """Train SigLIP, then OryxViT with the reader, from nothing; resumes from checkpoints in ``folder``.

    Writes ``siglip.safetensors``, ``oryxvit.safetensors``, ``reader.safetensors`` (everything but the tower) and
    ``manifest.json``; returns the whole model.
    """
    total = r.siglip_steps + r.reader_steps
    siglip, first = train_siglip(r, seed, folder, lambda done, _: progress(done, total), compute)
    torch.manual_seed(seed + 1)
    model = build_reader(r)
    model.vision_tower = vit_from_siglip(siglip.vision_model, r.position_grid)
    plan, batches = TrainPlan(r.reader_steps, r.reader_rate), reader_batches(r, seed)
    training = Training("reader", model, batches, answer_loss, plan, reader_parts(model))
    curve = training.carry_out(folder, lambda done, _: progress(r.siglip_steps + done, total), compute)
    command = command or f"python -m oryx.train shared --scale {r.scale} --seed {seed} --folder FOLDER"
    files = [folder / f"{file}.safetensors" for file in ("siglip", *training.saved)]
    write_manifest(folder / "manifest.json", command, seed, r, files, {"siglip": first, "reader": curve}, CORPORA)
    return model


def run(options: Options) -> None:
    """The stage as the command line asks for it."""
    r = recipe(options.scale, **options.changes)
    train_shared(r, options.seed, options.folder, options.progress, options.compute, options.command("shared"))
