"""The shared parts of a scale: SigLIP, OryxViT and reader, trained from nothing or loaded as shipped.

    python -m workbook.stages.shared --scale nano --folder results/runs/shared/nano

trains them and writes fp16 safetensors, the training curves and a manifest with the sha256 of every file. What ships
with the package lies in ``oryx/weights/<scale>/`` and was made by that command.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from math import log
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.distributed.nn.functional import all_gather
from transformers import Qwen2Config, SiglipConfig, SiglipModel

from oryx.errors import MissingResource, SettingsError
from oryx.grids import image_token_count
from oryx.layout import Layout
from oryx.model.config import OryxConfig, OryxVisionConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.siglip import vit_config_from_siglip, vit_from_siglip
from oryx.train.checkpoints import load_weights, save_weights
from oryx.train.data import StepBatches
from oryx.train.device import compute, process
from oryx.train.inputs import normalised
from oryx.train.loop import TrainPlan, train
from oryx.train.losses import answer_loss
from oryx.train.text import END, VOCABULARY, answer_targets, text_batch
from workbook.data import corpora
from workbook.stages.drawing import (
    CAPTION_LENGTH,
    Sample,
    draw_reader_batch,
    draw_siglip_batch,
    fit_training_picture,
)
from workbook.stages.recipes import RECIPES, Recipe, recipe
from workbook.stages.shipped import WEIGHTS

INITIAL_SPREAD = 0.06
"""Standard deviation of the small reader's first weights; the usual 0.02 is made for widths of a thousand."""

PARTS = ("siglip", "oryxvit", "reader")


def sincos_table(side: int, width: int, amplitude: float = 0.5) -> Tensor:
    """(side², width) sine-cosine positions, half the channels for columns, half for rows.

    The learned table starts here: from a small random table models of this size stayed at chance in every trial.
    """
    quarter = width // 4
    angles = (torch.arange(side) * (32 / side))[:, None] / 10000 ** (torch.arange(quarter) / quarter)
    waves = torch.cat([angles.sin(), angles.cos()], 1)
    columns, rows = waves[None].expand(side, -1, -1), waves[:, None].expand(-1, side, -1)
    return amplitude * torch.cat([columns, rows], 2).reshape(side * side, width)


def build_siglip(r: Recipe) -> SiglipModel:
    """transformers' SigLIP in the recipe's shape, with exact GELU so that OryxViT can start from it."""
    vision = {
        "hidden_size": r.vision_width,
        "intermediate_size": r.vision_hidden,
        "num_hidden_layers": r.vision_layers,
        "num_attention_heads": r.vision_heads,
        "image_size": r.side,
        "patch_size": r.patch,
        "hidden_act": "gelu",
    }
    text = {
        "vocab_size": VOCABULARY,
        "hidden_size": r.vision_width,
        "projection_size": r.vision_width,
        "intermediate_size": 2 * r.vision_width,
        "num_hidden_layers": 2,
        "num_attention_heads": r.vision_heads,
        "max_position_embeddings": CAPTION_LENGTH,
        "hidden_act": "gelu",
        "bos_token_id": None,
        "eos_token_id": END,
        "pad_token_id": END,
    }
    model = SiglipModel(SiglipConfig(vision_config=vision, text_config=text))
    with torch.no_grad():
        table = model.vision_model.embeddings.position_embedding.weight
        table.copy_(sincos_table(r.side // r.patch, r.vision_width))
        model.logit_scale.fill_(log(10))
        model.logit_bias.fill_(-10.0)
    return model


def build_reader(r: Recipe, vision: OryxVisionConfig | None = None) -> OryxForConditionalGeneration:
    """The whole model in the recipe's shape with random weights; by default OryxViT has the shape of its SigLIP."""
    vision = vision or vit_config_from_siglip(build_siglip(r).config.vision_config, r.position_grid)
    text = Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=r.text_width,
        intermediate_size=r.text_hidden,
        num_hidden_layers=r.text_layers,
        num_attention_heads=r.text_heads,
        num_key_value_heads=r.text_heads,
        max_position_embeddings=4096,
        initializer_range=INITIAL_SPREAD,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=END,
        pad_token_id=END,
    )
    return OryxForConditionalGeneration(
        OryxConfig(vision_config=vision, text_config=text, compressor_dim=r.compressor_dim)
    )


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
    return StepBatches(draw, reader_inputs, r.reader_steps, sample_targets, compute().workers)


def train_siglip(
    r: Recipe, seed: int, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None
) -> tuple[SiglipModel, list[dict]]:
    """SigLIP of the recipe, trained from nothing, and its curve; resumes from a checkpoint in ``folder``."""
    torch.manual_seed(seed)
    siglip = build_siglip(r)
    if r.siglip_batch % (processes := process().num_processes):
        raise SettingsError(f"siglip_batch: expected a multiple of {processes} processes, got {r.siglip_batch}")
    plan = TrainPlan(r.siglip_steps, r.siglip_rate)
    batches = StepBatches(partial(draw_siglip_batch, r, seed), siglip_inputs, r.siglip_steps, workers=compute().workers)
    return siglip, train(siglip, batches, siglip_loss, plan, folder / "siglip.pt", progress)


def load_siglip(r: Recipe, folder: Path | None = None) -> SiglipModel:
    """SigLIP of a scale from ``folder`` (default: as shipped); raises CheckpointError if the file is damaged."""
    siglip = build_siglip(r)
    load_weights((folder or WEIGHTS / r.scale) / "siglip.safetensors", siglip)
    return siglip


def train_shared(r: Recipe, seed: int, folder: Path, progress: Callable[[int, int], None] = lambda done, total: None):
    """Train SigLIP, then OryxViT with the reader, from nothing; resumes from checkpoints in ``folder``.

    Several processes (accelerate) share every batch; the first of them writes.

    Writes ``siglip.safetensors``, ``oryxvit.safetensors``, ``reader.safetensors`` (everything but the tower),
    ``curves.json`` and ``manifest.json``; returns the whole model.
    """
    total = r.siglip_steps + r.reader_steps
    siglip, curve = train_siglip(r, seed, folder, lambda done, _: progress(done, total))
    curves = {"siglip": curve}
    torch.manual_seed(seed + 1)
    model = build_reader(r)
    model.vision_tower = vit_from_siglip(siglip.vision_model, r.position_grid)
    plan = TrainPlan(r.reader_steps, r.reader_rate)
    curves["reader"] = train(
        model,
        reader_batches(r, seed),
        answer_loss,
        plan,
        folder / "reader.pt",
        lambda done, _: progress(r.siglip_steps + done, total),
    )
    if not process().is_main_process:
        return model
    hashes = {name: save_weights(folder / f"{name}.safetensors", part) for name, part in _parts(siglip, model).items()}
    (folder / "curves.json").write_text(json.dumps(curves, indent=1) + "\n")
    manifest = {
        "command": f"python -m workbook.stages.shared --scale {r.scale} --seed {seed} --folder FOLDER",
        "seed": seed,
        "recipe": json.loads(json.dumps(r, default=lambda o: o.__dict__)),
        "sha256": hashes,
        "data_sha256": corpora.data_hash(("fonts", "words", "icons", "clipart", "photos")),
        "torch": torch.__version__,
    }
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return model


class _WithoutTower(torch.nn.Module):
    """Everything of a model but its tower, under the same names."""

    def __init__(self, model: OryxForConditionalGeneration):
        super().__init__()
        self.compressor, self.projector, self.language_model = model.compressor, model.projector, model.language_model


def _parts(siglip: SiglipModel | None, model: OryxForConditionalGeneration) -> dict[str, torch.nn.Module]:
    parts = {"oryxvit": model.vision_tower, "reader": _WithoutTower(model)}
    return parts if siglip is None else {"siglip": siglip, **parts}


def load_shared(r: Recipe, folder: Path | None = None) -> OryxForConditionalGeneration:
    """OryxViT and reader of a scale from ``folder`` (default: as shipped), in float32 and evaluation mode.

    Raises MissingResource if none are shipped for that scale, CheckpointError if a file is damaged.
    """
    folder = folder or WEIGHTS / r.scale
    if not (folder / "manifest.json").is_file():
        raise MissingResource(
            f"no shared weights in {folder}; train them: python -m workbook.stages.shared --scale {r.scale}"
        )
    model = build_reader(r)
    for name, part in _parts(None, model).items():
        load_weights(folder / f"{name}.safetensors", part)
    return model.eval()


def warm_reader(r: Recipe, vision: OryxVisionConfig, seed: int) -> OryxForConditionalGeneration:
    """A model whose language model has read before, with another tower: the shipped reader's, if of its shape.

    Tower, compressor and projector are new; at other shapes the language model is too. A function of ``seed``.
    """
    torch.manual_seed(seed)
    model = build_reader(r, vision)
    if same_language_model(r, RECIPES["nano"]):
        model.language_model.load_state_dict(load_shared(RECIPES["nano"]).language_model.state_dict())
    return model


def same_language_model(a: Recipe, b: Recipe) -> bool:
    """Whether the language models of two recipes have one shape."""
    shapes = ("text_width", "text_layers", "text_heads", "text_hidden")
    return all(getattr(a, name) == getattr(b, name) for name in shapes)


def main(arguments: list[str] | None = None) -> None:
    """Command line: train the shared parts of a scale."""
    parser = argparse.ArgumentParser(description="Train the shared SigLIP, OryxViT and reader of a scale from nothing.")
    parser.add_argument("--scale", default="nano")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parsed = parser.parse_args(arguments)
    torch.set_num_threads(parsed.threads)

    def show(done: int, total: int) -> None:
        if done % 100 == 0:
            print(f"step {done} of {total}", flush=True)

    train_shared(recipe(parsed.scale), parsed.seed, parsed.folder, show)


if __name__ == "__main__":
    main()
