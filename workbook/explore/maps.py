"""What a model attends to: the compressor inside regions, and the encoder between patches."""

from typing import Any, NamedTuple

import numpy as np
import torch

from oryx.model.inspect import compressor_attention, encoder_attention
from oryx.processing.images import to_patches


class Map(NamedTuple):
    """Weights (h, w) over the patches of a picture; ``start``: the patch (row, column) that attends, if one does."""

    name: str
    weights: np.ndarray
    start: tuple[int, int] | None = None


@torch.inference_mode()
def overview(model: Any, view: np.ndarray) -> list[Map]:
    """Four maps of a picture as encoded, (H, W, 3) uint8.

    What the patch in the middle attends to in the encoder's first and last layer, mean over heads, adding up to 1; and
    each token's weight in its region over the uniform one (1: as much as pooling gives) at 4x and 16x.
    """
    weight = next(model.vision_tower.parameters())
    patches, grid = to_patches(view, model.processor.patch)
    patches, (rows, columns) = patches.to(weight.device, weight.dtype), grid
    first, *_, last = (weights for (weights,) in encoder_attention(model.vision_tower, patches, [grid]))
    middle, found = (rows // 2, columns // 2), []
    for name, layer in (("first", first), ("last", last)):
        own = layer.mean(0)[middle[0] * columns + middle[1]].view(grid).float().cpu().numpy()
        found.append(Map(f"encoder, {name} layer", own, middle))
    tokens = model.vision_tower(patches, [grid]).tokens
    for side in (2, 4):
        own = compressor_attention(model.compressor, tokens[None], grid, side)[0].float().numpy()
        found.append(Map(f"compressor, {side**2}x", own))
    return found
