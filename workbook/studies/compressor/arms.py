"""Arms and panels of the connector study, and what follows from the settings. No torch.

``settings`` are those of :mod:`workbook.studies.compressor.study`.
"""

from dataclasses import dataclass
from math import isqrt
from typing import Any

from oryx.errors import InputError
from oryx.grids import compressed_grid, video_token_count
from workbook.data.stories import LENGTHS, Story, make_story

PATCH = 8
"""Side of a patch of the small encoders in pixels."""

FULL = 1
"""The ratio at which every arm learned first; no arm compresses there."""

CLIP_FRAMES = 8
"""Frames of a real clip that are shown, evenly chosen and squeezed to the study's square."""

STORY = 1
"""Which short story the attention maps show."""


@dataclass(frozen=True)
class Arm:
    """One connector and how it is trained, from the start that all arms share.

    ``connector``: its name in :data:`oryx.model.connectors.COMPRESSORS`. ``factor``: what it multiplies tokens by where
    it does not compress. ``only``: the one ratio it trains on and is asked at; 0: all of the run. ``cold``: its
    downsampler starts from random weights, all others start as an average or hold none. ``smaller``: it compresses
    nothing and gets a smaller picture instead, of as many tokens. ``varied``: it also trains on several picture sizes
    and numbers of frames. ``blind``:
    it is trained and asked with nothing to see: every token of its frames is zero.
    """

    connector: str
    factor: int = 2
    only: int = 0
    cold: bool = False
    smaller: bool = False
    varied: bool = False
    blind: bool = False


ARMS = {
    "average": Arm("average", factor=1),
    "average_x2": Arm("average_x2"),
    "dynamic": Arm("dynamic"),
    "dynamic_dwconv": Arm("dynamic_dwconv"),
    "dynamic_dwconv_cold": Arm("dynamic_dwconv_cold", cold=True),
    "dynamic_convmlp": Arm("dynamic_convmlp", cold=True),
    "dynamic_bilinear": Arm("dynamic_bilinear"),
    "dynamic_max": Arm("dynamic_max"),
    "dynamic_value_output": Arm("dynamic_value_output"),
    "mlp": Arm("mlp", factor=1, only=FULL),
    "mlp_smaller": Arm("mlp", factor=1, smaller=True),
    "average_only_4x": Arm("average", factor=1, only=4),
    "average_only_16x": Arm("average", factor=1, only=16),
    "dynamic_only_4x": Arm("dynamic", only=4),
    "dynamic_only_16x": Arm("dynamic", only=16),
    "blind": Arm("average", factor=1, blind=True),
    "on_demand": Arm("dynamic", varied=True),
}

DEFAULT = ("average", "average_x2", "dynamic", "dynamic_dwconv")
EVERY = tuple(name for name in ARMS if name != "on_demand")


@dataclass(frozen=True)
class Panel:
    """The arms of a run, the ratios they train on and are asked at, and the side of their pictures in pixels."""

    arms: tuple[str, ...]
    ratios: tuple[int, ...] = (4, 16)
    side: int = 32


PANELS = {
    "default": Panel(DEFAULT),
    "arms": Panel(EVERY),
    "ratios": Panel(DEFAULT, (4, 9, 16, 25), side=80),
    "on_demand": Panel(("on_demand",), (4, 9, 16, 25)),
}
"""``ratios`` shows larger pictures: on a map of 10 x 10 tokens every side from 1 to 5 leaves another number of them,
on 4 x 4 the sides 2 and 3 leave the same, and 4 and 5."""

SIDES = (32, 48, 64, 96)
"""Sides of the pictures that the ``varied`` arm learns with, in pixels."""

FRAMES = (4, 8, 24)
"""Frames of a long story that the ``varied`` arm is shown, evenly chosen; short ones are shown whole."""


def region_side(ratio: int) -> int:
    """k of the ratio k²; raises InputError for a number that is no square."""
    side = isqrt(ratio)
    if side * side != ratio:
        raise InputError(f"ratios: expected squares (1, 4, 9, 16, 25), got {ratio}")
    return side


LONGEST = 2048
"""Visual tokens of the longest video that is asked about on demand; twice what is trained on."""


@dataclass(frozen=True)
class Cell:
    """One way of showing videos: ``condition`` as in the rows, a length, ratio, side of pictures, number of frames.

    ``region``: side of the connector's regions; 1 where smaller pictures stand for the ratio.
    """

    condition: str
    length: str
    ratio: int
    side: int
    frames: int
    region: int

    @property
    def tokens(self) -> int:
        """Visual tokens of a video."""
        grid = self.side // PATCH, self.side // PATCH
        return video_token_count(self.frames, compressed_grid(grid, self.region))


def arms_of(settings: Any) -> list[str]:
    """The arms of a run, in the order of all tables and figures."""
    chosen = settings.arms or PANELS[settings.panel].arms
    return [arm for arm in ARMS if arm in chosen]


def ratios_of(settings: Any, arm: str = "") -> tuple[int, ...]:
    """The ratios of a run, or those an arm is trained on and asked at, the uncompressed one first."""
    ratios = settings.ratios or PANELS[settings.panel].ratios
    only = ARMS[arm].only if arm else 0
    return (only,) if only else (FULL, *(ratio for ratio in ratios if ratio != FULL))


def picture_side(settings: Any) -> int:
    """Side of the square pictures that the encoder gets, in pixels."""
    return settings.side or PANELS[settings.panel].side


def cells(settings: Any, arm: str) -> list[Cell]:
    """How an arm is shown its videos: every ratio of its own; the varied arm also every size and frame count.

    Uncompressed only short videos are asked about, where compressed ones follow: that is reference enough.
    """
    spec, usual, found = ARMS[arm], picture_side(settings), []
    for ratio in ratios_of(settings, arm):
        side, region = usual, region_side(ratio)
        if spec.smaller:  # smaller pictures stand for compression
            side, region = -(-side // PATCH // region) * PATCH, 1
        short_only = ratio == FULL and spec.only != FULL and not spec.varied
        for length in ("short",) if short_only else LENGTHS:
            found.append(Cell("visual", length, ratio, side, LENGTHS[length], region))
    if spec.varied:
        found += [
            Cell(f"at_{side}px_{frames}f", "long", ratio, side, frames, region_side(ratio))
            for side in SIDES
            for ratio in ratios_of(settings, arm)
            for frames in FRAMES
            if (side, frames) != (usual, LENGTHS["long"])
        ]
    return [cell for cell in found if cell.tokens <= LONGEST]


def short_cells(settings: Any, arm: str) -> list[Cell]:
    """How an arm is shown its short videos, a cell for each of its ratios."""
    return [cell for cell in cells(settings, arm) if cell.length == "short"]


def sources_of(settings: Any, arm: str) -> dict[int, list[int]]:
    """Region side of each ratio -> sides of the pictures that an arm learns with."""
    varied = list(SIDES) if ARMS[arm].varied else []
    return {region_side(cell.ratio): varied or [cell.side] for cell in short_cells(settings, arm)}


def story(settings: Any, length: str, index: int) -> Story:
    """A held-out story of a run, its file written if need be."""
    return make_story(settings.cache_folder / "stories", settings.split, length, index)


def stories(settings: Any, length: str) -> list[Story]:
    """The held-out stories of a length that are asked about."""
    return [story(settings, length, index) for index in range(getattr(settings, f"{length}_stories"))]
