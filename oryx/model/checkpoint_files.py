"""Reading checkpoints from disk: json, sharded safetensors with an index, and the tower's ``.pth``; nothing executed.

Every problem is a CheckpointError that names the file and, where there is one, the key.
"""

import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from oryx.errors import CheckpointError
from oryx.files import read_json

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SCALE = ".scale"
"""Ending of the name under which the rows' scales of an 8-bit matrix are kept."""


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's ``model.safetensors`` or of the shards its index names.

    The index and the shards must agree: every key of the index in its shard, every tensor of a shard in the index.
    """
    if not (folder / INDEX).is_file():
        if (folder / SINGLE).is_file():
            return read_safetensors(folder / SINGLE)
        present = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise CheckpointError(f"{folder}: expected {INDEX} or {SINGLE}, the folder has {present}")
    index = read_json(folder / INDEX)
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{folder / INDEX}: expected a 'weight_map' from tensor names to files, got {places!r}")
    tensors: dict[str, Tensor] = {}
    for name in sorted(set(places.values())):
        # a shard is a plain file name: an index must not reach outside its folder
        if not isinstance(name, str) or Path(name).name != name:
            raise CheckpointError(f"{folder / INDEX}: expected file names in this folder, got {name!r}")
        shard = read_safetensors(folder / name)
        named = {key for key, place in places.items() if place == name}
        for key in sorted(named - set(shard)):
            raise CheckpointError(f"{folder / name}: {key!r} missing; {INDEX} expects it here")
        for key in sorted(set(shard) - named):
            raise CheckpointError(f"{folder / INDEX}: {key!r} missing; {name} has a tensor of this name")
        tensors |= shard
    return tensors


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of one safetensors file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not readable as safetensors, {path.stat().st_size} bytes (truncated or corrupt?): {error}"
        ) from error


def from_8_bits(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as they are used: matrices kept as whole numbers times their rows' scale (``NAME.scale``) multiplied out.

    Others are left alone. Raises CheckpointError for a scale without its matrix, or of another number of rows.
    """
    found = {name: tensor for name, tensor in tensors.items() if not name.endswith(SCALE)}
    for name in (name.removesuffix(SCALE) for name in tensors if name.endswith(SCALE)):
        scale, matrix = tensors[f"{name}{SCALE}"], found.get(name)
        if matrix is None or scale.ndim != 1 or matrix.numel() % max(1, len(scale)):
            got = "nothing" if matrix is None else f"shape {tuple(matrix.shape)}"
            raise CheckpointError(f"{name}: expected a matrix of {tuple(scale.shape)} rows for its scale, got {got}")
        found[name] = (matrix.view(len(scale), -1).float() * scale.float()[:, None]).view(matrix.shape)
    return found


def read_pickle(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` file, read with ``weights_only=True``: a file with anything else in it is refused."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a .pth file of tensors")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's message goes on to say how to load such a file all the same: not passed on
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        found = f", got {named[1]}" if named else ""
        raise CheckpointError(f"{path}: refused, expected a file of tensors and nothing else{found}") from error
    except (EOFError, RuntimeError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not readable as .pth, {path.stat().st_size} bytes (truncated or corrupt?): {error}"
        ) from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, got {type(content).__name__} of other things")
    return dict(content)
