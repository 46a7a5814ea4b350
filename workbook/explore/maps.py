"""What a model attends to: the compressor inside regions, and the encoder between patches."""

from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from oryx.errors import InputError
from oryx.grids import Grid, patch_grid
from oryx.model.compressor import DynamicCompressor
from oryx.model.inspect import compressor_attention, encoder_attention
from oryx.processing.patches import to_patches


def _packed(model: Any, view: np.ndarray) -> tuple[Tensor, Grid]:
    patch = model.processor.patch
    weight = next(model.vision_tower.parameters())
    patches, grid = to_patches(view, patch)
    return patches.to(weight.device, weight.dtype), grid


@torch.inference_mode()
def regional(model: Any, view: np.ndarray, side: int) -> np.ndarray:
    """Each token's weight in its region over the uniform one, (h, w); 1: as much as pooling gives.

    ``view``: (H, W, 3) uint8 as encoded. Raises InputError at side 1, where a region is one token and its weight 1
    whatever is in the picture, and for a model without a dynamic compressor.
    """
    if not isinstance(model.compressor, DynamicCompressor):
        raise InputError(f"regional attention: expected a dynamic compressor, got {type(model.compressor).__name__}")
    if side < 2:
        raise InputError("regional attention: at 1x a region holds one token, so there is nothing to choose from")
    patches, grid = _packed(model, view)
    tokens = model.vision_tower(patches, [grid]).tokens
    return compressor_attention(model.compressor, tokens[None], grid, side)[0].numpy()


def encoder(model: Any, view: np.ndarray, place: tuple[int, int], layer: int = -1) -> np.ndarray:
    """What the patch at ``place`` (row, column) attends to in a layer, mean over heads, (h, w), adding up to 1.

    Raises InputError for a place outside the grid.
    """
    patches, grid = _packed(model, view)
    if not (0 <= place[0] < grid[0] and 0 <= place[1] < grid[1]):
        raise InputError(f"encoder attention: expected a patch inside {grid[0]} x {grid[1]}, got {place}")
    number = layer % len(model.vision_tower.blocks)
    ((weights,),) = islice(encoder_attention(model.vision_tower, patches, [grid]), number, number + 1)
    return weights.mean(0)[place[0] * grid[1] + place[1]].view(grid).float().cpu().numpy()


def overview(model: Any, view: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray], list[tuple[int, int] | None]]:
    """A picture as encoded, four maps of it by name, and the patch that each starts from, for ``pictures.overlays``."""
    rows, columns = patch_grid(view.shape[:2], model.processor.patch)
    middle = (rows // 2, columns // 2)
    found = {
        "encoder, first layer": encoder(model, view, middle, 0),
        "encoder, last layer": encoder(model, view, middle, -1),
        "compressor, 4x": regional(model, view, 2),
        "compressor, 16x": regional(model, view, 4),
    }
    return view, found, [middle, middle, None, None]
