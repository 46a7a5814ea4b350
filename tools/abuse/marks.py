"""A picture that says its number: sixteen grey cells that survive lossy codecs, scaling, palettes and turning.

Four by four cells, dark or light. Of the corners the top left one alone is dark, which tells the orientation. The other
twelve hold the number (8 bits) and a check of it (4 bits).
"""

from functools import cache

import numpy as np
from PIL import Image

SIDE = 4
DARK, LIGHT = 40, 215
MOST_APART = 60
"""How far a cell's mean may lie from what was drawn, in levels: colour spaces and high dynamic range move it."""
MOST_UNEVEN = 45
"""Standard deviation of the levels inside a cell from which on a picture counts as torn."""
CORNERS = ((0, 0), (0, SIDE - 1), (SIDE - 1, 0), (SIDE - 1, SIDE - 1))
CELLS = [(y, x) for y in range(SIDE) for x in range(SIDE) if (y, x) not in CORNERS]
NUMBERS = 256


@cache
def cells(number: int) -> np.ndarray:
    """(4, 4) of bool, True where the cell of ``number`` (0 to 255) is light."""
    light = np.ones((SIDE, SIDE), bool)
    light[0, 0] = False
    check = (number * 7 + (number >> 4) * 5 + 3) % 16
    for bit, cell in enumerate(CELLS):
        light[cell] = ((number | check << 8) >> bit) & 1
    return light


def draw(number: int, size: tuple[int, int]) -> np.ndarray:
    """The picture (H, W, 3) uint8 of a number at (height, width)."""
    levels = np.where(cells(number), LIGHT, DARK).astype(np.uint8)
    picture = Image.fromarray(levels).resize(size[::-1], Image.Resampling.NEAREST)
    return np.repeat(np.asarray(picture)[..., None], 3, axis=2)


def read(picture: np.ndarray, turns: int = 0, mirrored: bool = False) -> int | None:
    """The number that a picture (H, W, 3) shows; None: torn, none of ours, or not in this orientation.

    ``turns``: quarter turns counterclockwise by which the upright picture, first ``mirrored`` left to right where that
    is asked for, is expected to be turned.
    """
    means, uneven = _cells_of(picture)
    if uneven > MOST_UNEVEN or means.max() - means.min() < LIGHT - DARK - 2 * MOST_APART:
        return None
    light = np.rot90(means > (means.max() + means.min()) / 2, -turns)
    light = light[:, ::-1] if mirrored else light
    number = sum(int(light[cell]) << bit for bit, cell in enumerate(CELLS)) & 0xFF
    return number if np.array_equal(light, cells(number)) else None


def _cells_of(picture: np.ndarray) -> tuple[np.ndarray, float]:
    grey = picture.mean(axis=2)
    height, width = grey.shape
    inner = np.array(
        [
            [
                _middle(
                    grey[y * height // SIDE : (y + 1) * height // SIDE, x * width // SIDE : (x + 1) * width // SIDE]
                )
                for x in range(SIDE)
            ]
            for y in range(SIDE)
        ]
    )
    return inner[..., 0], inner[..., 1].max()


def _middle(cell: np.ndarray) -> tuple[float, float]:
    down, across = (max(0, (side - 1) // 4) for side in cell.shape)
    part = cell[down : cell.shape[0] - down, across : cell.shape[1] - across]
    return part.mean(), part.std()
