"""The models of the shared parts, with random weights and as they were trained; the files that hold them."""

from collections.abc import Mapping
from math import log
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import Qwen2Config, SiglipConfig, SiglipModel

from oryx.errors import MissingResource
from oryx.model.config import OryxConfig, OryxVisionConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.siglip import vit_config_from_siglip
from oryx.train.checkpoints import load_weights
from oryx.train.inputs import END, VOCABULARY
from workbook.stages.recipes import CAPTION_LENGTH, Recipe, recipe
from workbook.stages.shipped import WEIGHTS

INITIAL_SPREAD = 0.06
"""Standard deviation of the small reader's first weights; the usual 0.02 is made for widths of a thousand."""

TOKENS = {"bos_token_id": None, "eos_token_id": END, "pad_token_id": END}

LANGUAGE_MODEL = "language_model"
"""The file of the language model that all arms of the encoder study start from."""


def sincos_table(side: int, width: int, amplitude: float = 0.5) -> Tensor:
    """(side², width) sine-cosine positions, half the channels for columns, half for rows.

    The learned table starts here: from a small random table models of this size stayed at chance in every trial.
    """
    quarter = width // 4
    angles = (torch.arange(side) * (32 / side))[:, None] / 10000 ** (torch.arange(quarter) / quarter)
    encoding = torch.cat([angles.sin(), angles.cos()], 1)
    columns, rows = encoding[None].expand(side, -1, -1), encoding[:, None].expand(-1, side, -1)
    return amplitude * torch.cat([columns, rows], 2).reshape(side * side, width)


def build_siglip(r: Recipe) -> SiglipModel:
    """transformers' SigLIP in the recipe's shape, with exact GELU so that OryxViT can start from it."""
    vision = {**r.vision, "image_size": r.side, "patch_size": r.patch, "hidden_act": "gelu"}
    width, heads = r.vision["hidden_size"], r.vision["num_attention_heads"]
    widths = {"hidden_size": width, "projection_size": width, "intermediate_size": 2 * width}
    text = {**widths, **TOKENS, "num_hidden_layers": 2, "num_attention_heads": heads, "hidden_act": "gelu"}
    text |= {"vocab_size": VOCABULARY, "max_position_embeddings": CAPTION_LENGTH}
    model = SiglipModel(SiglipConfig(vision_config=vision, text_config=text))
    with torch.no_grad():
        table = model.vision_model.embeddings.position_embedding.weight
        table.copy_(sincos_table(r.side // r.patch, width))
        model.logit_scale.fill_(log(10))
        model.logit_bias.fill_(-10.0)
    return model


def build_reader(r: Recipe, vision: OryxVisionConfig | None = None) -> OryxForConditionalGeneration:
    """The whole model in the recipe's shape with random weights; by default OryxViT has the shape of its SigLIP."""
    vision = vision or vit_config_from_siglip(build_siglip(r).config.vision_config, r.position_grid)
    text = {**r.text, **TOKENS, "vocab_size": VOCABULARY, "max_position_embeddings": 4096, "tie_word_embeddings": True}
    text |= {"num_key_value_heads": r.text["num_attention_heads"], "initializer_range": INITIAL_SPREAD}
    config = OryxConfig(vision_config=vision, text_config=Qwen2Config(**text), compressor_dim=r.compressor_dim)
    return OryxForConditionalGeneration(config)


def without_tower(model: OryxForConditionalGeneration) -> nn.ModuleDict:
    """Everything of a model but its tower, under the same names."""
    return nn.ModuleDict({name: getattr(model, name) for name in ("compressor", "projector", "language_model")})


def reader_parts(model: OryxForConditionalGeneration) -> dict[str, nn.Module]:
    """File -> part of a model: OryxViT, and the reader behind it."""
    return {"oryxvit": model.vision_tower, "reader": without_tower(model)}


def load_siglip(r: Recipe, folder: Path | None = None) -> SiglipModel:
    """SigLIP of a scale from ``folder`` (default: as shipped); raises CheckpointError if the file is damaged."""
    siglip = build_siglip(r)
    load_weights((folder or WEIGHTS / r.scale) / "siglip.safetensors", siglip)
    return siglip


def loaded(
    model: OryxForConditionalGeneration, parts: Mapping[str, nn.Module], folder: Path, stage: str
) -> OryxForConditionalGeneration:
    """``model`` in evaluation mode, its ``parts`` (file -> part) filled from ``folder``.

    Raises MissingResource if none is there, naming the ``stage`` that trains it, CheckpointError if a file is damaged.
    """
    files = {folder / f"{name}.safetensors": part for name, part in parts.items()}
    if not any(file.is_file() for file in files):
        raise MissingResource(f"no {next(iter(files))}; train it: python -m oryx.train {stage}")
    for file, part in files.items():
        load_weights(file, part)
    return model.eval()


def load_shared(scale: str, folder: Path | None = None) -> OryxForConditionalGeneration:
    """OryxViT and reader of a scale from ``folder`` (default: nano's, which ship), in float32; see :func:`loaded`."""
    model = build_reader(recipe(scale if folder else "nano"))
    return loaded(model, reader_parts(model), folder or WEIGHTS / "nano", f"shared --scale {scale}")


def warm_reader(
    r: Recipe, vision: OryxVisionConfig, seed: int, forms: bool = False, folder: Path | None = None
) -> OryxForConditionalGeneration:
    """A model whose language model has read before, with another tower: that in ``folder``, or the shipped one's.

    ``forms``: the shipped one that has read pictures in every form. Tower, compressor and projector are new; where the
    recipe has another shape the language model is too. A function of ``seed``. Raises CheckpointError if a file is
    missing or damaged.
    """
    torch.manual_seed(seed)
    model, own = build_reader(r, vision), recipe("nano" if folder is None else r.scale)
    if r.text != own.text:
        return model
    if forms:
        load_weights(WEIGHTS / "nano" / f"{LANGUAGE_MODEL}.safetensors", model.language_model)
    else:
        model.language_model.load_state_dict(load_shared(r.scale, folder).language_model.state_dict())
    return model
