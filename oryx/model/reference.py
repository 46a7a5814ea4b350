"""From the authors' configuration and tensors to our model, strictly: each key is used, named and ignored, or an error.

Key names and numbers: reference files ``oryx/model/multimodal_encoder/oryx_vit.py``, ``oryx/model/oryx_arch.py``, and
the released ``config.json`` files. Reading files is :mod:`oryx.model.checkpoint_files`' part.
"""

import math
from collections.abc import Mapping

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor
from transformers import LlamaConfig, PretrainedConfig, Qwen2Config
from transformers.utils import logging

from oryx.errors import CheckpointError
from oryx.model.checkpoint_files import Tensors, build
from oryx.model.config import OryxConfig, OryxVisionConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.vit import OryxViT
from oryx.processing.shapes import NEEDED

logger = logging.get_logger(__name__)

TOWER_PREFIX = "model.vision_tower.vision_tower."
# The authors' prefixes and ours; whatever else begins with "model." or is "lm_head.weight" is the language model's.
PREFIXES = {
    TOWER_PREFIX: "vision_tower.",
    "model.vision_resampler.": "compressor.",
    "model.mm_projector.": "projector.",
}
TEXT_CONFIGS = {"oryx_qwen": Qwen2Config, "oryx_llama": LlamaConfig}
SUPPORTED = {
    "model_type": tuple(TEXT_CONFIGS),
    "mm_projector_type": ("simple_mlp_twoview",),
    "mm_resampler_type": ("dynamic_compressor", None),
}
HEAD_WIDTH = 72  # of every released tower; a configuration may say otherwise
LLAMA_STOP_ID = 7  # <|im_end|> of Yi-1.5, hard-coded in the public Llama class; the model's own end id is not used
# What a pooling head and a final norm may be called. The public code drops them too: OryxViT has neither.
HEAD_KEYS = ("norm.", "fc_norm.", "attn_pool.", "head.")
# Buffers that older versions of transformers wrote into checkpoints.
STALE_BUFFERS = (".rotary_emb.inv_freq",)
# Fields without which a default would be taken that tensors cannot contradict.
NEEDED_FIELDS = (*NEEDED, "num_key_value_heads", "rms_norm_eps", "rope_theta")


def from_reference(
    config: Mapping, state_dict: Tensors, *, vision_config: Mapping | None = None, source: str = "state_dict"
) -> OryxForConditionalGeneration:
    """Build the model that the authors' ``config.json`` and tensors describe.

    Args:
        config: the fields of their ``config.json``. The tower's sizes are read from its tensors; its number of heads
            is width / 72 unless ``vision_config`` (here or in ``config``) gives ``num_attention_heads``.
        state_dict: tensors under the authors' full names; the model shares their memory.
        source: where the tensors come from, for error messages.

    Returns:
        the model in eval mode, in the tensors' dtype.

    Raises:
        CheckpointError: a missing, unexpected or misshapen tensor, or a configuration field that is not supported;
            the message names it, what was expected and what came.
    """
    state_dict = {name: value for name, value in state_dict.items() if not name.endswith(STALE_BUFFERS)}
    tower = _tower_tensors(_tower_part(state_dict), source)
    stated = {**(config.get("vision_config") or {}), **(vision_config or {})}
    own = {"vision_tower." + name: value for name, value in tower.items()}
    for name, value in state_dict.items():
        if name.startswith(TOWER_PREFIX):
            continue
        prefix = next((prefix for prefix in PREFIXES if name.startswith(prefix)), None)
        own[PREFIXES[prefix] + name[len(prefix) :] if prefix else "language_model." + name] = value
    oryx_config = reference_config(config, own, tower_config(tower, stated, source), source)
    model = build(OryxForConditionalGeneration, oryx_config, own, source, authors_name)
    is_llama = oryx_config.text_config.model_type == "llama"
    model.generation_config.eos_token_id = LLAMA_STOP_ID if is_llama else config.get("eos_token_id")
    return model


def tower_from_reference(state_dict: Tensors, source: str = "state_dict", **config_fields) -> OryxViT:
    """The vision tower alone, from the contents of ``oryx_vit.pth`` or the tower's part of a full checkpoint.

    Args:
        state_dict: the tower's tensors, with the full checkpoint's prefix or without; the tower shares their memory.
        config_fields: fields of :class:`OryxVisionConfig` that tensors cannot tell, such as ``num_attention_heads``.

    Raises:
        CheckpointError: see :func:`from_reference`.
    """
    tower = _tower_tensors(_tower_part(state_dict) or state_dict, source)
    return build(OryxViT, tower_config(tower, config_fields, source), tower, source)


def tower_config(tower: Tensors, stated: Mapping, source: str) -> OryxVisionConfig:
    """The tower's configuration: sizes from its tensors, the rest as stated. Raises CheckpointError on a conflict."""
    fields = dict(stated)
    patch = _need(tower, "patch_embed.proj.weight", 4, source)
    table = _need(tower, "pos_embed", 3, source)
    hidden = _need(tower, "blocks.0.mlp.fc1.weight", 2, source)
    blocks = {int(name.split(".")[1]) for name in tower if name.startswith("blocks.")}
    found = {
        "hidden_size": patch[0],
        "num_channels": patch[1],
        "patch_size": patch[2],
        "position_grid": math.isqrt(table[1]),
        "intermediate_size": hidden[0],
        "num_hidden_layers": max(blocks) + 1,
    }
    for name, value in found.items():
        if fields.get(name, value) != value:
            raise CheckpointError(f"{source}: vision tower {name}: expected {fields[name]}, the tensors have {value}")
    if found["position_grid"] ** 2 != table[1]:
        raise CheckpointError(f"{source}: pos_embed: expected a square number of positions, got {table[1]}")
    if "num_attention_heads" not in fields:
        if found["hidden_size"] % HEAD_WIDTH:
            raise CheckpointError(
                f"{source}: vision tower of width {found['hidden_size']}: cannot tell its number of heads (expected a "
                f"width that is a multiple of {HEAD_WIDTH}, or vision_config with num_attention_heads)"
            )
        fields["num_attention_heads"] = found["hidden_size"] // HEAD_WIDTH
    return OryxVisionConfig(**{**fields, **found})


def reference_config(config: Mapping, own: Tensors, vision_config: OryxVisionConfig, source: str) -> OryxConfig:
    """Our configuration from the authors' fields.

    The language model's class is chosen by ``model_type`` (the public loader goes by the path's name and would build
    Oryx-1.5-32B as Llama).

    Raises:
        CheckpointError: an unsupported ``model_type``, projector or compressor.
    """
    # The image-only intermediate models have no compressor: their field is null.
    stated = {"mm_projector_type": "simple_mlp_twoview", "mm_resampler_type": "dynamic_compressor", **config}
    for field, supported in SUPPORTED.items():
        if stated.get(field) not in supported:
            expected = " or ".join(map(repr, supported))
            raise CheckpointError(f"{source}: {field}: expected {expected}, got {stated.get(field)!r}")
    width = config.get("mm_hidden_size", vision_config.hidden_size)
    if width != vision_config.hidden_size:
        raise CheckpointError(f"{source}: mm_hidden_size: expected {width}, the tower has {vision_config.hidden_size}")
    query = own.get("compressor.vlm_query_projector.weight")
    return OryxConfig(
        vision_config=vision_config,
        text_config=_text_config(config, source),
        compressor="none" if stated["mm_resampler_type"] is None else "dynamic",
        compressor_dim=256 if query is None else query.shape[0],
        freeze_vision=True,  # as in the public code; model.freeze_vision(False) lets the tower learn
        tokenizer_model_max_length=config.get("tokenizer_model_max_length"),
        tokenizer_padding_side=config.get("tokenizer_padding_side", "right"),
    )


def _text_config(config: Mapping, source: str) -> PretrainedConfig:
    missing = [name for name in NEEDED_FIELDS if config.get(name) is None]
    if missing:
        raise CheckpointError(f"{source}: config: expected the fields {NEEDED_FIELDS}, missing: {', '.join(missing)}")
    text_class = TEXT_CONFIGS[config["model_type"]]
    known = ({*text_class().to_dict(), "rope_theta", "rope_scaling"}) - {"model_type", "architectures", "dtype"}
    fields = {name: value for name, value in config.items() if name in known}
    if text_class is Qwen2Config:
        fields["rope_scaling"] = None  # the public Qwen class forces it
    try:
        return text_class(**fields)
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise CheckpointError(f"{source}: config: not usable for {text_class.__name__}: {error}") from error


def authors_name(name: str) -> str:
    """The authors' name of one of our parameters."""
    for theirs, ours in PREFIXES.items():
        if name.startswith(ours):
            return theirs + name[len(ours) :]
    return name.removeprefix("language_model.")


def _tower_part(state_dict: Tensors) -> dict[str, Tensor]:
    return {name[len(TOWER_PREFIX) :]: value for name, value in state_dict.items() if name.startswith(TOWER_PREFIX)}


def _tower_tensors(tower: Tensors, source: str) -> dict[str, Tensor]:
    ignored = sorted(name for name in tower if name.startswith(HEAD_KEYS))
    if ignored:
        logger.warning(f"{source}: ignored, OryxViT has no final norm and no pooling head: {', '.join(ignored)}")
    return {name: value for name, value in tower.items() if name not in ignored}


def _need(tower: Tensors, name: str, dimensions: int, source: str) -> torch.Size:
    if name not in tower or tower[name].ndim != dimensions:
        got = f"shape {tuple(tower[name].shape)}" if name in tower else "nothing"
        raise CheckpointError(f"{source}: {name!r}: expected a tensor of {dimensions} dimensions, got {got}")
    return tower[name].shape
