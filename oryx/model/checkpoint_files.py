"""Reading checkpoints from disk: json, sharded safetensors with an index, and the tower's ``.pth``; nothing executed.

Every problem is a CheckpointError that names the file and, where there is one, the key.
"""

import json
import pickle
import re
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from oryx.errors import CheckpointError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"


def read_json(path: Path) -> dict:
    """The object in a json file."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; expected a json file of the checkpoint")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path}: not readable as json (truncated or corrupt?): {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path}: expected a json object, got {type(content).__name__}")
    return content


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
