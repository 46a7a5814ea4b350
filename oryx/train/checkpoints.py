"""Checkpoints of a training in progress, and weights that are shipped.

A checkpoint is written to a temporary name and renamed, so a kill leaves the earlier one whole. Shipped weights are
half-precision safetensors with the sha256 in the manifest beside them.

Every process of a training saves and loads: where each holds a shard of every parameter (FSDP2), all of them are needed
to put one together. Files hold whole tensors, and the first process writes them.
"""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor, nn
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_leaves, tree_map_only

from oryx.errors import CheckpointError, RunError
from oryx.files import atomic_file, atomic_write_bytes
from oryx.model.checkpoint_files import SCALE, check_tensors, from_8_bits, read_safetensors
from oryx.train.device import process


def save_checkpoint(
    path: Path, model: nn.Module, optimizer, step: int, curve: list[dict], engine: Any | None = None
) -> None:
    """Write what is trained of ``model``, optimizer, step and curve to ``path`` in one piece.

    Frozen parameters are left out: they are what the training began with. ``engine``: DeepSpeed's, which makes ``path``
    a folder. Raises RunError, with the bytes that are needed, where they cannot be written; the earlier checkpoint is
    whole then, and the training goes on from it when there is room.
    """
    main = process().is_main_process
    if engine is not None:
        engine.save_checkpoint(str(path), f"{step}", {"step": step, "curve": curve}, exclude_frozen_parameters=True)
        for earlier in path.iterdir() if main else ():
            if earlier.is_dir() and earlier.name != f"{step}":
                shutil.rmtree(earlier)
        return
    state = {"model": _trained(model), "optimizer": optimizer.state_dict(), "step": step, "curve": curve}
    state = _whole(state, main)
    if main:
        size = sum(value.nbytes for value in tree_leaves(state) if isinstance(value, Tensor))
        with atomic_file(path, size) as file:
            torch.save(state, file)


def load_checkpoint(path: Path, model: nn.Module, optimizer, engine: Any | None = None) -> tuple[int, list[dict]]:
    """Fill model and optimizer from ``path``; returns (steps done, curve). Frozen parameters stay as they are.

    Raises CheckpointError, naming the file, if it cannot be read or belongs to another model.
    """
    try:
        if engine is not None:
            if path.is_file():
                raise ValueError("expected a folder, which DeepSpeed writes")
            _, state = engine.load_checkpoint(str(path), load_module_strict=False)
            return (state["step"], state["curve"]) if state else (0, [])  # none was finished
        state = torch.load(path, weights_only=True, map_location="cpu")
        own, parameters = model.state_dict(), [p for group in optimizer.param_groups for p in group["params"]]
        missing = sorted(_trained(model).keys() - state["model"].keys())
        held = {name: _as_held(value, own.get(name)) for name, value in state["model"].items()}
        if wrong := [*missing, *model.load_state_dict(held, strict=False).unexpected_keys]:
            raise ValueError(f"{wrong[0]} is {'missing' if missing else 'not of this model'}")
        for number, moments in state["optimizer"]["state"].items():
            moments |= {name: _as_held(value, parameters[number]) for name, value in moments.items()}
        optimizer.load_state_dict(state["optimizer"])
    except Exception as error:
        raise CheckpointError(
            f"{path} is no checkpoint of this training ({type(error).__name__}: {error}); delete it to start again"
        ) from error
    return int(state["step"]), list(state["curve"])


def save_model(folder: Path, model: nn.Module) -> None:
    """Write a whole model with its processor for :func:`oryx.load`; an earlier one is replaced when the new is whole.

    Raises RunError naming the folder where it cannot be written; the earlier one is then as it was.
    """
    main, fresh = process().is_main_process, folder.with_name(f".{folder.name}.new")
    state = _whole(model.state_dict(), main)
    size = sum(value.nbytes for value in state.values())
    try:
        if main:
            shutil.rmtree(fresh, ignore_errors=True)
            model.save_pretrained(fresh, state_dict=state)
            model.processor.save_pretrained(fresh)
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise RunError(f"{folder}: cannot be written ({error}); it takes {size:,} bytes") from error
    process().wait_for_everyone()


def _trained(model: nn.Module) -> dict[str, Tensor]:
    """Everything that a training changes: the state but for frozen parameters."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: value for name, value in model.state_dict().items() if name not in frozen}


def _whole(values: Any, keep: bool = True) -> Any:
    """``values`` with every tensor that lies in shards put together on the CPU; a call of all processes.

    One tensor after the other, so that no device has to hold the whole; ``keep`` False: they are let go at once.
    """

    def whole(shard: DTensor) -> Tensor:
        tensor = shard.full_tensor()
        return tensor.cpu() if keep else tensor.new_zeros(())

    return tree_map_only(DTensor, whole, values)


def _as_held(value: Tensor, held: Tensor | None) -> Tensor:
    """A whole tensor, in shards if ``held``, which it belongs to, is."""
    if not isinstance(held, DTensor) or value.shape != held.shape:
        return value
    return distribute_tensor(value.to(held.device), held.device_mesh, held.placements)


def save_weights(path: Path, model: nn.Module, dtype: torch.dtype = torch.float16) -> None:
    """Write ``model``'s parameters as safetensors in ``dtype``.

    With ``torch.int8`` matrices are kept as whole numbers of a 127th of each row's largest value (half the size of
    half precision, rounding at about 1 % of a weight's usual size); vectors stay in half precision.
    """
    unique: dict[str, torch.Tensor] = {}
    for name, parameter in model.named_parameters():
        tensor = _whole(parameter.detach()).cpu()
        if dtype != torch.int8 or tensor.ndim < 2:
            unique[name] = tensor.to(torch.float16 if dtype == torch.int8 else dtype).contiguous()
        else:
            rows = tensor.flatten(0, -2) if tensor.shape[0] == 1 else tensor.flatten(1)
            scale = (rows.abs().amax(1).clamp(min=1e-8) / 127).half().clamp(min=6e-8)
            unique[name] = (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8).view(tensor.shape)
            unique[f"{name}{SCALE}"] = scale
    if process().is_main_process:
        atomic_write_bytes(path, save(unique, {"format": "pt"}))


def load_weights(path: Path, model: nn.Module) -> None:
    """Fill every parameter of ``model`` from a file of ``save_weights``; strict in names and shapes.

    Raises CheckpointError naming the file and the first key that is missing, unexpected or of another shape.
    """
    tensors, own = from_8_bits(read_safetensors(path)), dict(model.named_parameters())
    check_tensors(tensors, own, str(path))
    for name, parameter in own.items():
        parameter.data.copy_(tensors[name])


def module_sha256(model: nn.Module) -> str:
    """sha256 over the names and values of ``model``'s parameters, in hex."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        digest.update(name.encode() + _whole(parameter.detach()).cpu().float().numpy().tobytes())
    return digest.hexdigest()
