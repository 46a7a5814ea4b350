"""A model put together from public parts: a SigLIP, or an OryxViT, and any causal language model of transformers.

The connector between them, compressor and projector, starts from random weights. OryxViT itself is made so (the
maintainers' answer in the public repository: from SigLIP, a small language model as interface, cross-entropy on text).
"""

from contextlib import suppress

import torch
from accelerate import init_empty_weights
from accelerate.utils import set_seed
from safetensors import SafetensorError
from tokenizers import AddedToken
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedTokenizerBase
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.models.siglip import SiglipVisionConfig, SiglipVisionModel

from oryx.errors import CheckpointError, MissingResource, SettingsError
from oryx.files import read_json
from oryx.model.attention import allow_packing
from oryx.model.compressor import Projector
from oryx.model.config import OryxConfig, OryxVisionConfig
from oryx.model.connectors import build_compressor
from oryx.model.loading import TOWER_FILE, load, resolve
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.rotary import without_memory
from oryx.model.siglip import vit_from_siglip
from oryx.model.vit import OryxViT
from oryx.processing.options import PreprocessOptions
from oryx.processing.processor import OryxProcessor, load_tokenizer
from oryx.processing.tokenizers import TURN_END, TURN_START

SIGLIP_KINDS = ("siglip", "siglip_vision_model")
NAFLEX = " (SigLIP 2 NaFlex, whose patches are cut beforehand and whose positions are resampled by another rule)"
OURS = (OryxConfig.model_type, OryxVisionConfig.model_type)


def siglip_config(name: str) -> SiglipVisionConfig:
    """The shape of public SigLIP weights, or of SigLIP 2's of one fixed size; the weights are not read.

    ``name``: a folder in transformers' format, or a repository, fetched or in the local cache. Raises MissingResource
    for no such folder or weights, CheckpointError for those of another model, naming it.
    """
    try:
        folder = resolve(name)
        kind = read_json(folder / "config.json").get("model_type")
    except (CheckpointError, MissingResource) as error:
        raise MissingResource(f"siglip={name!r}: no SigLIP weights in transformers' format there ({error})") from error
    if kind not in SIGLIP_KINDS:
        expected = f"a SigLIP, or a SigLIP 2 of one fixed size (model_type {' or '.join(SIGLIP_KINDS)})"
        naflex = NAFLEX if str(kind).startswith("siglip2") else ""
        raise CheckpointError(f"siglip={name!r}: expected {expected}, found model_type {kind!r}{naflex}")
    if not any(folder.glob("*.safetensors")):
        raise MissingResource(f"siglip={name!r}: no SigLIP weights there: {folder} lacks *.safetensors")
    return SiglipVisionConfig.from_pretrained(folder)


def public_siglip(name: str) -> SiglipVisionModel:
    """The vision tower of public SigLIP weights by transformers, in float32; errors as of :func:`siglip_config`.

    Raises CheckpointError too for weights that lack a tensor or have another shape than their configuration says.
    """
    how = {"config": siglip_config(name), "dtype": torch.float32, "output_loading_info": True}
    try:
        model, report = SiglipVisionModel.from_pretrained(resolve(name), **how)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"siglip={name!r}: its weights cannot be read ({error})") from error
    if lacking := sorted(report["missing_keys"]):
        raise CheckpointError(f"siglip={name!r}: its weights lack {len(lacking)} tensors, first {lacking[0]}")
    return model


def language_model_config(name: str) -> PretrainedConfig:
    """The shape of a causal language model by folder or repository; no weights are read or fetched.

    Raises MissingResource for no such folder, CheckpointError for a model that is no causal language model.
    """
    try:
        config = AutoConfig.from_pretrained(resolve(name, ("config.json",)))
    except MissingResource as error:
        raise MissingResource(f"language_model={name!r}: {error}") from error
    except (CheckpointError, OSError, ValueError) as error:
        raise CheckpointError(f"language_model={name!r}: {error}") from error
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise CheckpointError(f"language_model={name!r}: expected a causal language model, found {config.model_type!r}")
    return config


def public_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of a causal language model with the tokens of ChatML; no weights are read.

    Errors as of :func:`language_model_config`; CheckpointError too for a folder without a tokenizer.
    """
    tokenizer = load_tokenizer(resolve(name), config=language_model_config(name))
    tokenizer.add_tokens([AddedToken(token, special=True) for token in (TURN_START, TURN_END)], special_tokens=True)
    return tokenizer


def public_language_model(name: str):
    """A causal language model in float32 and its tokenizer, which has the tokens of ChatML.

    Where the tokenizer lacks them they are added, and embeddings for them where the model has no rows left. Errors as
    of :func:`language_model_config`.
    """
    config, folder = language_model_config(name), resolve(name)
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"language_model={name!r}: its weights cannot be read ({error})") from error
    tokenizer = public_tokenizer(name)
    if (rows := max(tokenizer.get_vocab().values()) + 1) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(rows)
    return model, tokenizer


def is_oryxvit(name: str) -> bool:
    """Whether a name stands for an OryxViT: the authors', one of ours, or a whole model around one."""
    with suppress(CheckpointError, MissingResource):  # of anything else siglip_config says what is wrong
        path = resolve(name)
        stands_alone = path.is_file() or (path / TOWER_FILE).is_file()
        return stands_alone or read_json(path / "config.json").get("model_type") in OURS
    return False


def check_parts(siglip: str, language_model: str, patch: int = 16) -> None:
    """Raise, without reading weights, what :func:`assemble` would; also SettingsError for a patch below SigLIP's."""
    language_model_config(language_model)
    if not is_oryxvit(siglip) and patch < (own := siglip_config(siglip).patch_size):
        raise SettingsError(f"patch: expected at least the {own} pixels of {siglip}, got {patch}")


def vision_tower(name: str, patch: int = 16, position_grid: int = 128) -> OryxViT:
    """A SigLIP as an OryxViT with patches of ``patch`` pixels and a table of ``position_grid``² positions.

    Or an OryxViT as it is: the authors', a folder of ours that holds one, or a whole model around it. Errors as of
    :func:`siglip_config`.
    """
    if not is_oryxvit(name):
        return vit_from_siglip(public_siglip(name), position_grid, patch)
    found = load(name, dtype=torch.float32)
    return getattr(found, "vision_tower", found)


def assemble(
    siglip: str,
    language_model: str,
    *,
    patch: int = 16,
    position_grid: int = 128,
    compressor: str = "dynamic",
    options: PreprocessOptions | None = None,
    seed: int = 0,
) -> OryxForConditionalGeneration:
    """A whole model in float32 with its processor (prompt form "qwen"), the connector random from ``seed``.

    Args:
        siglip: what :func:`vision_tower` takes, with ``patch`` and ``position_grid``.
        language_model: folder or repository of any causal language model of transformers with its tokenizer.
        compressor: see :func:`oryx.model.connectors.build_compressor`.
        options: of the preprocessing; default: those of the released models.

    Raises MissingResource and CheckpointError, naming the part, for parts that are not there or of another kind.
    """
    set_seed(seed)
    tower, (reader, tokenizer) = vision_tower(siglip, patch, position_grid), public_language_model(language_model)
    longest = getattr(reader.config, "max_position_embeddings", None)
    shapes = {"vision_config": tower.config, "text_config": reader.config, "compressor": compressor}
    config = OryxConfig(**shapes, tokenizer_model_max_length=longest)
    with init_empty_weights():
        model = OryxForConditionalGeneration(config)
    model.vision_tower, model.language_model = tower, without_memory(reader)
    set_seed(seed)
    model.compressor, model.projector = build_compressor(config), Projector(config)
    for part in (model.compressor, model.projector):
        model._init_weights(part)
    allow_packing(reader)
    model.processor = OryxProcessor(tokenizer, options, "qwen", tower.config.patch_size)
    return model
