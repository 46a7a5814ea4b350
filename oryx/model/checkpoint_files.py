"""Checkpoints on disk and in models, strictly: json, sharded safetensors with an index, and the tower's ``.pth``.

Nothing in a file is executed. Every problem is a CheckpointError that names the file and, where there is one, the key.
"""

import pickle
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from oryx.errors import CheckpointError, shortened
from oryx.files import read_json, reading

Tensors = Mapping[str, Tensor]
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
SCALE = ".scale"
"""Ending of the name under which the rows' scales of an 8-bit matrix are kept."""


def weight_files(folder: Path) -> dict[str, set[str] | None]:
    """The files of a folder's weights and the tensors that its index names in each; None: there is no index.

    Raises CheckpointError for a folder without weights, an index that cannot be used, or a file that is not there.
    """
    if not (folder / INDEX).is_file():
        if (folder / SINGLE).is_file():
            return {SINGLE: None}
        present = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise CheckpointError(f"{folder}: expected {INDEX} or {SINGLE}, the folder has {present}")
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{folder / INDEX}: expected a 'weight_map' from tensor names to files, got {places!r}")
    files: dict[str, set[str] | None] = {}
    for key, name in places.items():
        # a shard is a plain file name: an index must not reach outside its folder
        if not isinstance(name, str) or Path(name).name != name or len(name) > 99:
            raise CheckpointError(f"{folder / INDEX}: expected file names in this folder, got {name!r}")
        files.setdefault(name, set()).add(key)
    if missing := sorted(name for name in files if not (folder / name).is_file()):
        raise CheckpointError(f"{folder / missing[0]}: no such file; {INDEX} names it")
    return dict(sorted(files.items()))


def read_weights(folder: Path) -> dict[str, Tensor]:
    """All tensors of a folder's ``model.safetensors`` or of the shards its index names.

    The index and the shards must agree: every key of the index in its shard, every tensor of a shard in the index.
    """
    tensors: dict[str, Tensor] = {}
    for name, named in weight_files(folder).items():
        shard = read_safetensors(folder / name)
        for key in sorted((set(shard) if named is None else named) ^ set(shard)):
            has, lacks = (INDEX, name) if key in named else (name, INDEX)
            raise CheckpointError(f"{folder / lacks}: {key!r} missing; {has} has it")
        tensors |= shard
    return tensors


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of one safetensors file."""
    with reading(path, "safetensors", SafetensorError):
        return load_file(path)


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
    try:
        with reading(path, ".pth", EOFError, RuntimeError):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's message goes on to say how to load such a file all the same: not passed on
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        found = f", got {named[1]}" if named else ""
        raise CheckpointError(f"{path}: refused, expected a file of tensors and nothing else{found}") from error
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise CheckpointError(f"{path}: expected a dictionary of tensors, got {type(content).__name__} of other things")
    return dict(content)


def check_tensors(tensors: Tensors, expected: Tensors, source: str, optional: Collection[str] = (), names=str) -> None:
    """Raises CheckpointError unless ``tensors`` have the names and shapes of ``expected``.

    Args:
        optional: names that may be missing.
        names: from our parameter name to the name the checkpoint's user knows, for messages.
    """
    if unexpected := sorted(set(tensors) - set(expected)):
        raise CheckpointError(
            f"{source}: {len(unexpected)} unexpected tensor(s), first {names(unexpected[0])!r} of shape "
            f"{tuple(tensors[unexpected[0]].shape)}; expected none"
        )
    if missing := sorted(set(expected) - set(tensors) - set(optional)):
        raise CheckpointError(
            f"{source}: {len(missing)} tensor(s) missing, first {names(missing[0])!r}: expected shape "
            f"{tuple(expected[missing[0]].shape)}, got nothing"
        )
    for name, value in tensors.items():
        if value.shape != expected[name].shape:
            raise CheckpointError(
                f"{source}: {names(name)!r}: expected shape {tuple(expected[name].shape)}, got {tuple(value.shape)}"
            )


def build(make: Callable[[Any], PreTrainedModel], config: Any, tensors: Tensors, source: str, names=str) -> Any:
    """The model of a configuration with ``tensors`` as its weights, in eval mode; see :func:`fill`."""
    for part in (config, getattr(config, "vision_config", None), getattr(config, "text_config", None)):
        if (layers := getattr(part, "num_hidden_layers", 0)) > len(tensors):
            raise CheckpointError(f"{source}: {layers} layers are configured, the files hold {len(tensors)} tensors")
    try:
        with init_empty_weights(include_buffers=False):
            model = make(config)
    except Exception as error:  # of many types: the configuration's values reach torch and transformers as they are
        said = f"no model can be made as its configuration says ({type(error).__name__}: {shortened(error)})"
        raise CheckpointError(f"{source}: {said}") from error
    fill(model, tensors, source, names)
    return model.eval()


def fill(model: nn.Module, tensors: Tensors, source: str, names=str) -> None:
    """Make ``tensors`` the weights of ``model``, all of them and nothing else; errors as :func:`check_tensors`."""
    text, tied = getattr(model, "language_model", None), set()
    if text is not None and text.config.tie_word_embeddings:
        tied = {"language_model." + name for name in text._tied_weights_keys or ()}
    check_tensors(tensors, model.state_dict(), source, tied, names)
    model.load_state_dict(tensors, strict=not tied, assign=True)
    if text is not None:
        model.tie_weights()
