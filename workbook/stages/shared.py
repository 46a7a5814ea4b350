"""The part ``shared``: SigLIP, then OryxViT with the reader behind it, trained from nothing.

SigLIP is trained by its own contrastive loss and stands where the paper has a public one, so it is no stage of the
paper. OryxViT starts from it and learns through the reader, a light language model: stage ``pretrain``.

    python -m oryx.train shared --scale nano --folder results/runs/shared/nano

writes fp16 safetensors and a manifest with command, recipe, training curves and the sha256 of every file. What ships
with the package lies in ``oryx/weights/<scale>/``.
"""

from collections.abc import Callable, Sequence
from functools import partial
from math import exp, log
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.distributed.nn.functional import all_gather
from transformers import SiglipModel

from oryx.errors import SettingsError
from oryx.grids import Grid, image_token_count
from oryx.layout import Layout
from oryx.model.siglip import vit_from_siglip
from oryx.processing.images import cut, normalised
from oryx.train import device
from oryx.train.device import process
from oryx.train.inputs import END, answer_targets, text_batch
from oryx.train.loop import StepBatches, TrainPlan, answer_loss
from oryx.train.stages import STAGES, Training
from workbook.data.items import draw_item, generator
from workbook.stages.models import build_reader, build_siglip, reader_parts
from workbook.stages.recipes import CAPTION_LENGTH, Phase, Recipe, recipe
from workbook.stages.stage import Options, write_manifest

CORPORA = ("fonts", "words", "icons", "clipart", "photos")


class Sample(NamedTuple):
    """A picture at the size at which it reaches the encoder, with a question and its answer.

    ``patches`` (h * w, 3 * patch * patch), 0 to 255, and ``grid`` (h, w) are those of
    :func:`oryx.processing.images.cut`.
    """

    patches: np.ndarray
    grid: Grid
    question: str
    answer: str


def fit_training_picture(rng, picture: Image.Image, phase: Phase, r: Recipe) -> Image.Image:
    """A picture as the reader's training sees it: squeezed to a square, or in its own shape, area changed a little."""
    if rng.random() < phase.square:
        side = int(rng.choice([r.side // 2, r.side, r.side, 2 * r.side]))
        return picture.resize((side, side), Image.Resampling.BICUBIC)
    width, height = picture.size
    scale = exp(rng.uniform(log(0.5), log(2.0))) ** 0.5 if rng.random() < 1 / 3 else 1.0
    size = [max(r.patch, int(side * scale / r.patch) * r.patch) for side in (width, height)]
    while size[0] * size[1] > phase.sizes.max_tokens * r.patch**2:
        size = [max(r.patch, side - r.patch) for side in size]
    return picture if tuple(size) == picture.size else picture.resize(tuple(size), Image.Resampling.BICUBIC)


def draw_siglip_batch(r: Recipe, seed: int, step: int) -> list[tuple[np.ndarray, bytes]]:
    """The pairs of a step, pixels (side, side, 3) of 0 to 255 and caption, no two with one caption.

    Squares with rendered text (easy sizes first), an icon or a clip art.
    """
    rng, pairs = generator("siglip", seed, step), {}
    while len(pairs) < r.siglip_batch:
        kind = rng.random()
        if kind < 0.6:
            task = "number" if rng.random() < max(0.4, 1 - 2 * step / r.siglip_steps) else "word"
        else:
            task = "icon-title" if kind < 0.85 else "clipart-title"
        item = draw_item(rng, task, "train", r.phases[0].sizes, "pair")
        square = item.picture.resize((r.side, r.side), Image.Resampling.BICUBIC)
        pairs.setdefault(item.answer.encode()[:CAPTION_LENGTH], square)
    return [(np.asarray(picture), caption) for caption, picture in pairs.items()]


def draw_reader_batch(
    r: Recipe, seed: int, step: int, fit: Callable[..., Image.Image] = fit_training_picture
) -> list[Sample]:
    """The training items of a step, in the phase of ``step``.

    The items do not depend on ``fit``, which gives each picture its size.
    """
    phase = next(p for p in r.phases if step < p.until * r.reader_steps or p is r.phases[-1])
    rng = generator("reader", seed, step)
    tasks, weights = list(phase.mixture), list(phase.mixture.values())
    items = [
        draw_item(rng, tasks[i], "train", phase.sizes, f"reader/{step}")
        for i in rng.choice(len(tasks), phase.batch, p=weights)
    ]
    return [
        Sample(*cut(np.asarray(fit(rng, item.picture, phase, r)), r.patch), item.question, item.answer)
        for item in items
    ]


def caption_ids(captions: Sequence[bytes]) -> Tensor:
    """Token ids (n, CAPTION_LENGTH) of captions of at most that many bytes, padded as SigLIP's text tower is taught."""
    return torch.tensor([[*caption, *[END] * (CAPTION_LENGTH - len(caption))] for caption in captions])


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

    def length(sample: Sample) -> tuple[int, int]:
        tokens = image_token_count(None, sample.grid) + len(sample.question) + len(sample.answer)
        return len(sample.patches), tokens

    return sorted(draw_reader_batch(r, seed, step, fit), key=length)


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


def train_siglip(r: Recipe, options: Options) -> tuple[SiglipModel, list[dict]]:
    """SigLIP of the recipe, trained from nothing, and its curve; writes ``siglip.safetensors``.

    Raises SettingsError for a batch that the processes cannot share evenly.
    """
    if r.siglip_batch % (processes := process().num_processes):
        raise SettingsError(f"siglip_batch: expected a multiple of {processes} processes, got {r.siglip_batch}")
    torch.manual_seed(options.seed)
    siglip, draw = build_siglip(r), partial(draw_siglip_batch, r, options.seed)
    batches = StepBatches(draw, siglip_inputs, r.siglip_steps, workers=device.compute().workers)
    plan = TrainPlan(r.siglip_steps, r.siglip_rate)
    return siglip, Training("siglip", siglip, batches, siglip_loss, plan, {"siglip": siglip}).carry_out(*options.how)


def run(options: Options) -> None:
    """Train SigLIP, then OryxViT with the reader, from nothing; resumes from checkpoints in the folder.

    Writes ``siglip.safetensors``, ``oryxvit.safetensors``, ``reader.safetensors`` (everything but the tower) and
    ``manifest.json``.
    """
    r, folder, seed = recipe(options.scale, **options.changes), options.folder, options.seed
    siglip, first = train_siglip(r, options)
    torch.manual_seed(seed + 1)
    model = build_reader(r)
    model.vision_tower = vit_from_siglip(siglip.vision_model, r.position_grid)
    plan, batches = TrainPlan(r.reader_steps, r.reader_rate), reader_batches(r, seed)
    training = Training("reader", model, batches, answer_loss, plan, reader_parts(model), stage=STAGES["pretrain"])
    curves = {"siglip": first, "reader": training.carry_out(*options.how)}
    files = [folder / f"{file}.safetensors" for file in ("siglip", *training.saved)]
    write_manifest(folder / "manifest.json", "shared", training.stage, options, r, files, curves, CORPORA)
