"""``oryx.load``: a model by name or path, in our format or the authors'.

What the public loader does differently, and why: see the table in ``docs/deviations.md`` (items 18, 19).
"""

import hashlib
import importlib.resources
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import torch
from torch import Tensor
from transformers import GenerationConfig
from transformers.utils import logging

from oryx.errors import CheckpointError, MissingResource
from oryx.files import read_json, reading, sha256_file
from oryx.hub import from_hub
from oryx.model import checkpoint_files as stored
from oryx.model import reference
from oryx.model.config import OryxConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.positions import extend_context
from oryx.model.vit import OryxViT
from oryx.processing.fit import GIGA, memory, picture
from oryx.processing.processor import OryxProcessor, load_tokenizer
from oryx.processing.shapes import Shape
from oryx.processing.tokenizers import byte_tokenizer

logger = logging.get_logger(__name__)

OWN = {one.config_class.model_type: one for one in (OryxForConditionalGeneration, OryxViT)}
NANO = "nano"
MANIFEST = "manifest.json"
TOWER_REPOSITORY, TOWER_FILE = "THUdyh/Oryx-ViT", "oryx_vit.pth"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "tokenizer.model", "vocab.json")
HUB_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", TOWER_FILE)


def load(
    name_or_path: str | Path,
    *,
    dtype: torch.dtype | None = None,
    device: str | torch.device = "cpu",
    vision_config: dict | None = None,
    context: int | None = None,
    rope_scaling: str = "yarn",
) -> OryxForConditionalGeneration | OryxViT:
    """Load a model in eval mode, strictly, with its ``processor`` attached if the folder has a tokenizer.

    Args:
        name_or_path: "nano" for the small model in the package, or a folder made as it was (``python -m oryx.train
            all``); a folder in our format (``save_pretrained``); a folder or Hugging Face repository in the authors'
            format (``THUdyh/Oryx-7B``, ``-34B``, ``-1.5-7B``, ``-1.5-32B``); or the encoder alone
            (``THUdyh/Oryx-ViT``, a folder with ``oryx_vit.pth``, or that file), which gives an :class:`OryxViT`.
        dtype: of all weights; None keeps the stored one (the language model's, where parts differ).
        vision_config: fields of :class:`OryxVisionConfig` that an authors' checkpoint cannot tell, such as
            ``num_attention_heads`` of a tower whose heads are not 72 wide.
        context: tokens that the whole model is to read at least; beyond the positions of its language model these are
            scaled, as ``rope_scaling`` says: "yarn" or "dynamic". See :func:`oryx.processing.context.context_of`.

    Raises:
        CheckpointError: a missing, truncated or unfitting file, key or field, named with what was expected.
        MissingResource: a repository or file that is neither here nor can be fetched, or a GPU without the memory.
    """
    folder = resolve(name_or_path)
    if _beside_tower(folder):
        model = load_shipped(folder, dtype)
        return (model if context is None else extend_context(model, context, rope_scaling)).to(device)
    tower = folder if folder.is_file() else folder / TOWER_FILE
    if tower.is_file() and not (folder / "config.json").is_file():
        tensors = stored.read_safetensors(tower) if tower.suffix == ".safetensors" else stored.read_pickle(tower)
        return reference.tower_from_reference(cast(tensors, dtype), str(tower), **(vision_config or {})).to(device)
    config, kind = _config(folder, [*OWN, *reference.TEXT_CONFIGS])
    check_free(folder, dtype, [device])
    if kind in OWN:
        model = _load_own(folder, OWN[kind], config, dtype)
    else:
        model = _load_authors(folder, config, dtype, vision_config)
    if isinstance(model, OryxViT):
        return model.to(device)
    if context is not None:
        extend_context(model, context, rope_scaling)
    if (stated := folder / "generation_config.json").is_file():
        with reading(stated, "json of how to generate", TypeError, AttributeError):
            model.generation_config = GenerationConfig.from_pretrained(folder)
    if kind == "oryx_llama":
        model.generation_config.eos_token_id = reference.LLAMA_STOP_ID
    model.processor = _processor(folder, model)
    return model.to(device)


def check_free(folder: Path, dtype: torch.dtype | None, devices: Sequence[str | torch.device]) -> None:
    """Raises MissingResource if the GPUs among ``devices`` lack the memory for the weights and one small picture.

    Nothing is said of a CPU, nor of a model whose shape :class:`oryx.processing.shapes.Shape` does not know.
    """
    memories = [torch.cuda.mem_get_info(one) for one in map(torch.device, devices) if one.type == "cuda"]
    if not memories:
        return
    config = read_json(folder / "config.json")
    stored = config.get("dtype") or config.get("torch_dtype")
    numbers = "fp32" if dtype == torch.float32 or (dtype is None and stored == "float32") else "bf16"
    try:
        least = memory(Shape.of(config, str(folder)), picture((384, 384)), numbers).peak / GIGA
    except CheckpointError:  # loading says what is wrong with a configuration
        return
    free, whole = (sum(values) / GIGA for values in zip(*memories, strict=True))
    if least > free:
        raise MissingResource(
            f"{folder}: its weights in {numbers} and one small picture need {least:.1f} GB; of the device's "
            f"{whole:.1f} GB {free:.1f} are free. What would fit: python -m oryx plan --fit {folder} --gpu {whole:.0f}"
        )


def load_shipped(folder: Path, dtype: torch.dtype | None = None) -> OryxForConditionalGeneration:
    """A small model as it ships with the package, in ``folder``: strict in names, shapes and bytes, in eval mode.

    The folder holds everything but the vision tower, in 8 bits, and a manifest with the sha256 of that file and of the
    tower's, which lies beside the folder because the studies use it too.

    ``dtype``: of all weights; None: float32.

    Raises:
        CheckpointError: a file that is missing, damaged or not the one that the manifest names.
    """
    manifest, encoder = read_json(folder / MANIFEST), folder.parent
    tensors = stored.from_8_bits(_whole(folder / stored.SINGLE, manifest.get("sha256")))
    tower = manifest.get("encoder")
    if not isinstance(tower, dict) or Path(str(tower.get("file"))).name != tower.get("file"):
        raise CheckpointError(f"{folder / MANIFEST}: expected encoder: {{file, sha256}}, got {tower!r}")
    for name, tensor in _whole(encoder / tower["file"], tower.get("sha256")).items():
        tensors[f"vision_tower.{name}"] = tensor
    config = OryxConfig.from_dict(read_json(folder / "config.json"))
    model = stored.build(OryxForConditionalGeneration, config, cast(tensors, dtype or torch.float32), str(folder))
    model.processor = OryxProcessor.from_pretrained(folder, byte_tokenizer())
    return model


def resolve(name_or_path: str | Path, files: Sequence[str] = HUB_FILES) -> Path:
    """The folder (or encoder file) that a name stands for; a repository is fetched, or taken from the local cache.

    ``files``: patterns of those of a repository that are wanted.
    """
    path = Path(name_or_path)
    if path.exists():
        return path
    if str(name_or_path) == NANO:
        folder = _shipped()
        if not (folder / "config.json").is_file():
            raise MissingResource(f"'{NANO}': expected the shipped model in {folder}; reinstall the package")
        return folder
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", str(name_or_path)):
        raise CheckpointError(
            f"{name_or_path}: expected '{NANO}', an existing folder or a repository like 'THUdyh/Oryx-7B'; "
            "there is no such folder"
        )
    return from_hub(str(name_or_path), files)


def checkpoint_hash(checkpoint: str | Path) -> str:
    """One sha256 over the files of a whole model that can be asked, 16 hex digits; nothing is loaded.

    Raises CheckpointError for a folder that holds none: no configuration of a known kind, a file of weights or every
    file of a tokenizer missing.
    """
    folder = resolve(checkpoint)
    if folder.is_file():
        raise CheckpointError(f"{checkpoint}: expected the folder of a whole model, got a single file")
    _config(folder, [OryxConfig.model_type, *reference.TEXT_CONFIGS])
    stored.weight_files(folder)
    if not _beside_tower(folder) and not _has_tokenizer(folder):
        raise CheckpointError(f"{folder}: expected a tokenizer beside the weights ({', '.join(TOKENIZER_FILES)})")
    return files_hash(folder)


def files_hash(name: str | Path) -> str:
    """As :func:`checkpoint_hash` of any model, which may be a part: over its file, or those of its folder."""
    digest, found = hashlib.sha256(), resolve(name)
    for path in [found] if found.is_file() else sorted(found.iterdir()):
        if path.suffix in (".safetensors", ".pth", ".json"):
            digest.update(bytes.fromhex(sha256_file(path)))
    return digest.hexdigest()[:16]


def _shipped() -> Path:
    return Path(str(importlib.resources.files("oryx"))) / "weights" / NANO / "one"


def _beside_tower(folder: Path) -> bool:
    """Whether a folder is the shipped one or made as it was: its manifest names a tower that lies beside it."""
    manifest = folder / MANIFEST
    return folder == _shipped() or (manifest.is_file() and "encoder" in read_json(manifest))


def cast(tensors: dict[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """The tensors in ``dtype``; None: that of the token embeddings, or each its own without any."""
    if dtype is None:
        embeddings = (value for name, value in tensors.items() if name.endswith("embed_tokens.weight"))
        dtype = next((value.dtype for value in embeddings), None)
    return tensors if dtype is None else {name: value.to(dtype) for name, value in tensors.items()}


def _config(folder: Path, known: Collection[str]) -> tuple[dict, str]:
    """A folder's configuration and its model type, which is one of ``known``."""
    config = read_json(folder / "config.json")
    if (kind := config.get("model_type")) not in known:
        raise CheckpointError(f"{folder / 'config.json'}: model_type: expected one of {list(known)}, got {kind!r}")
    return config, kind


def _has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in TOKENIZER_FILES)


def _load_own(folder: Path, model_class: type, config: dict, dtype: torch.dtype | None):
    try:
        config = model_class.config_class.from_dict(config)
    except Exception as error:  # of many types: its values reach transformers as they are
        raise CheckpointError(f"{folder / 'config.json'}: {error}") from error
    # from_pretrained would fill missing tensors with random numbers and only warn
    return stored.build(model_class, config, cast(stored.read_weights(folder), dtype), str(folder))


def _load_authors(
    folder: Path, config: dict, dtype: torch.dtype | None, vision_config: dict | None
) -> OryxForConditionalGeneration:
    tensors = stored.read_weights(folder)
    if not any(name.startswith(prefix := reference.TOWER_PREFIX) for name in tensors):
        tower = stored.read_pickle(_tower_file(folder, config))
        tensors |= {prefix + name.removeprefix(prefix): value for name, value in tower.items()}
    return reference.from_reference(config, cast(tensors, dtype), vision_config=vision_config, source=str(folder))


def _tower_file(folder: Path, config: dict) -> Path:
    """Where a checkpoint without tower weights has them: the path in ``mm_vision_tower``, beside it, or the hub."""
    stated = str(config.get("mm_vision_tower") or "").partition(":")[2]
    # relative to the checkpoint, then to the working directory as the public loader has it; "/" keeps absolute paths
    bases = [folder / stated, Path(stated)] if stated else []
    places = [*(place for base in bases for place in (base, base / TOWER_FILE)), folder / TOWER_FILE]
    for place in places:
        if place.is_file():
            return place
    try:
        return from_hub(TOWER_REPOSITORY, TOWER_FILE)
    except MissingResource as error:
        looked = ", ".join(map(str, dict.fromkeys(places)))
        raise MissingResource(f"{folder}: no vision tower in the shards and no file at {looked}; {error}") from error


def _processor(folder: Path, model: OryxForConditionalGeneration):
    if not _has_tokenizer(folder):
        logger.warning(f"{folder}: no tokenizer files, so the model has no processor")
        return None
    if (folder / "processor_config.json").is_file():
        return OryxProcessor.from_pretrained(folder)
    # the language model's configuration: an authors' config.json names a model type that transformers does not know
    return OryxProcessor(load_tokenizer(folder, config=model.config.text_config))


def _whole(path: Path, sha256: str | None) -> dict[str, Tensor]:
    tensors = stored.read_safetensors(path)
    if (found := sha256_file(path)) != sha256:
        raise CheckpointError(f"{path}: expected sha256 {sha256}, got {found} (truncated or changed?)")
    return tensors
