"""The small model that ships with the package, behind ``oryx.load("nano")``.

Its folder (``oryx/weights/nano/one``) holds everything but the vision tower, in 8 bits, and a manifest with the sha256
of that file and of the tower's, which lies beside the folder because the studies use it too.
"""

from pathlib import Path

import torch
from accelerate import init_empty_weights

from oryx.errors import CheckpointError
from oryx.files import read_json, sha256_file
from oryx.model.checkpoint_files import SINGLE, from_8_bits, read_safetensors
from oryx.model.config import OryxConfig
from oryx.model.modeling import OryxForConditionalGeneration
from oryx.model.reference import fill

MANIFEST = "manifest.json"


def load_shipped(folder: Path, dtype: torch.dtype | None = None) -> OryxForConditionalGeneration:
    """The model in ``folder``, strict in names, shapes and bytes, in eval mode, its processor attached.

    ``dtype``: of all weights; None: float32.

    Raises:
        CheckpointError: a file that is missing, damaged or not the one that the manifest names.
    """
    from oryx.processing.processor import OryxProcessor
    from oryx.processing.tokenizers import byte_tokenizer

    manifest, encoder = read_json(folder / MANIFEST), folder.parent
    tensors = from_8_bits(_read(folder / SINGLE, manifest.get("sha256")))
    tower = manifest.get("encoder")
    if not isinstance(tower, dict) or Path(str(tower.get("file"))).name != tower.get("file"):
        raise CheckpointError(f"{folder / MANIFEST}: expected encoder: {{file, sha256}}, got {tower!r}")
    for name, tensor in _read(encoder / tower["file"], tower.get("sha256")).items():
        tensors[f"vision_tower.{name}"] = tensor
    config = OryxConfig.from_dict(read_json(folder / "config.json"))
    with init_empty_weights(include_buffers=False):
        model = OryxForConditionalGeneration(config)
    fill(model, {name: tensor.to(dtype or torch.float32) for name, tensor in tensors.items()}, str(folder), copy=False)
    model.processor = OryxProcessor.from_config(folder, byte_tokenizer())
    return model.eval()


def _read(path: Path, sha256: str | None) -> dict[str, torch.Tensor]:
    tensors = read_safetensors(path)
    if (found := sha256_file(path)) != sha256:
        raise CheckpointError(f"{path}: expected sha256 {sha256}, got {found} (truncated or changed?)")
    return tensors
