"""From a picture's 8-bit levels to the packed patches that the model reads: the only way there is."""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from oryx.errors import InputError
from oryx.grids import Grid, patch_grid

LEVELS = ((np.arange(256) * (1 / 255)).astype(np.float32) - np.float32(0.5)) / np.float32(0.5)
"""What each level becomes, in [-1, 1], bit for bit as the CLIP processor with mean = deviation = 0.5 has it.

The product with 1/255 in float64, rounded to float32, the rest in float32 (reference file ``train.py`` and transformers
4.39's CLIP processor). There are 256 levels, so a table is exact.
"""


def normalised(levels: np.ndarray) -> Tensor:
    """Levels of 0 to 255 (uint8, any shape) as float32 in [-1, 1]; see :data:`LEVELS`."""
    return torch.from_numpy(LEVELS.take(levels))


def cut(pixels: np.ndarray, patch: int) -> tuple[np.ndarray, Grid]:
    """Cut one picture (H, W, 3), or several (T, H, W, 3), into patches, rows first, zero-padding bottom and right.

    Zero is mid grey in normalised pixels. The reference pads so on its packed path and refuses such sizes on its dense
    path; here every path pads. Levels can be cut before they are normalised if there is nothing to pad.

    Args:
        patch: patch side in pixels.

    Returns:
        (T * h * w, 3 * patch * patch), each patch in the order of a convolution weight; the grid (h, w) of a picture.

    Raises:
        InputError: another shape, or levels (whole numbers) whose sides are no multiples of the patch.
    """
    if pixels.ndim not in (3, 4) or pixels.shape[-1] != 3 or 0 in pixels.shape:
        raise InputError(f"pixels: expected shape (H, W, 3) or (T, H, W, 3), got {pixels.shape}")
    height, width = pixels.shape[-3:-1]
    rows, columns = patch_grid((height, width), patch)
    below, right = rows * patch - height, columns * patch - width
    if below or right:
        if pixels.dtype.kind != "f":
            raise InputError(f"levels: expected sides that are multiples of {patch}, got {height} x {width}")
        pixels = np.pad(pixels, [(0, 0)] * (pixels.ndim - 3) + [(0, below), (0, right), (0, 0)])
    parts = pixels.reshape(-1, rows, patch, columns, patch, 3).transpose(0, 1, 3, 5, 2, 4)
    return parts.reshape(-1, 3 * patch * patch), (rows, columns)


def to_patches(picture: Image.Image | np.ndarray, patch: int) -> tuple[Tensor, Grid]:
    """Patches (T * h * w, 3 * patch * patch) float32 and grid (h, w) of an RGB picture, or of T frames of one size.

    ``picture``: a PIL picture, or uint8 of shape (H, W, 3) or (T, H, W, 3). Raises InputError for anything else.
    """
    levels = np.asarray(picture)
    if levels.dtype != np.uint8:
        raise InputError(f"picture: expected RGB levels of uint8, got {levels.dtype}")
    patches, grid = cut(LEVELS.take(levels), patch)
    return torch.from_numpy(patches), grid
