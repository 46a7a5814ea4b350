"""What tests of the model and goldens share: patches of normalised pixels (3, H, W), positions the slow way."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oryx.grids import Grid
from oryx.model import OryxViT
from oryx.processing.images import cut, normalised


def to_pixels(picture) -> Tensor:
    """(3, H, W) of an RGB picture."""
    return normalised(np.asarray(picture)).permute(2, 0, 1)


def patchify(image: Tensor, patch: int) -> tuple[Tensor, Grid]:
    """Patches (h * w, 3 * patch * patch) and grid of one picture (3, H, W)."""
    patches, grid = cut(image.permute(1, 2, 0).numpy(), patch)
    return torch.from_numpy(patches), grid


def pack_images(images: Sequence[Tensor], patch: int) -> tuple[Tensor, list[Grid]]:
    """Patches of several pictures (3, H, W) one after the other, and their grids."""
    parts = [patchify(image, patch) for image in images]
    return torch.cat([patches for patches, _ in parts]), [grid for _, grid in parts]


def resampled_table(tower: OryxViT, grid: Grid) -> Tensor:
    """The position table resampled to one grid by torch's own interpolation, (h * w, C)."""
    side = tower.config.position_grid
    if tuple(grid) == (side, side):
        return tower.pos_embed[0]
    table = tower.pos_embed.transpose(1, 2).reshape(1, -1, side, side)
    table = F.interpolate(table, size=tuple(grid), mode="bilinear", align_corners=False, antialias=False)
    return table[0].flatten(1).T
