"""Checkpoints of a training in progress, and weights that are shipped.

A checkpoint is written to a temporary name and renamed, so a kill leaves the earlier one whole. Shipped weights are
half-precision safetensors with the sha256 in the manifest beside them.
"""

import hashlib
import os
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from oryx.errors import CheckpointError
from oryx.files import sha256_file
from oryx.model.checkpoint_files import SCALE, from_8_bits


def save_checkpoint(path: Path, model: nn.Module, optimizer, step: int, curve: list[dict]) -> None:
    """Write model, optimizer, step and curve to ``path`` in one piece."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "curve": curve}
    torch.save(state, temporary)
    temporary.replace(path)


def load_checkpoint(path: Path, model: nn.Module, optimizer) -> tuple[int, list[dict]]:
    """Fill model and optimizer from ``path``; returns (steps done, curve).

    Raises CheckpointError, naming the file, if it cannot be read or belongs to another model.
    """
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    except Exception as error:
        raise CheckpointError(
            f"{path} is no checkpoint of this training ({type(error).__name__}: {error}); delete it to start again"
        ) from error
    return int(state["step"]), list(state["curve"])


def save_weights(path: Path, model: nn.Module, dtype: torch.dtype = torch.float16) -> str:
    """Write ``model``'s parameters as safetensors in ``dtype``; returns the file's sha256.

    With ``torch.int8`` matrices are kept as whole numbers of a 127th of each row's largest value (half the size of
    half precision, rounding at about 1 % of a weight's usual size); vectors stay in half precision.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    unique: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        tensor = parameter.detach().cpu()
        if dtype != torch.int8:
            unique[name] = tensor.to(dtype).contiguous()
        elif tensor.ndim < 2:
            unique[name] = tensor.half().contiguous()
        else:
            rows = tensor.flatten(0, -2) if tensor.shape[0] == 1 else tensor.flatten(1)
            scale = (rows.abs().amax(1).clamp(min=1e-8) / 127).half().clamp(min=6e-8)
            unique[name] = (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8).view(tensor.shape)
            unique[f"{name}{SCALE}"] = scale
    save_file(unique, str(temporary), metadata={"format": "pt"})
    temporary.replace(path)
    return sha256_file(path)


def load_weights(path: Path, model: nn.Module) -> None:
    """Fill every parameter of ``model`` from a file of ``save_weights``; strict in names and shapes.

    Raises CheckpointError naming the file and the first keys that are missing, unexpected or of another shape.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is missing; expected the shared weights there (train them with --from-scratch)")
    try:
        tensors = load_file(str(path))
    except Exception as error:
        raise CheckpointError(f"{path} is not a readable safetensors file: {error}") from error
    tensors, own = from_8_bits(tensors), dict(model.named_parameters())
    missing, extra = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if missing or extra:
        raise CheckpointError(
            f"{path}: missing {missing[:4]} and unexpected {extra[:4]} of {len(own)} expected tensors"
        )
    for name, parameter in own.items():
        tensor = tensors[name]
        if parameter.shape != tensor.shape:
            raise CheckpointError(
                f"{path}: {name} should have shape {tuple(parameter.shape)}, the file has {tuple(tensor.shape)}"
            )
        parameter.data.copy_(tensor)


def module_sha256(model: nn.Module) -> str:
    """sha256 over the names and values of ``model``'s parameters, in hex."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode() + parameter.detach().cpu().float().numpy().tobytes())
    return digest.hexdigest()
