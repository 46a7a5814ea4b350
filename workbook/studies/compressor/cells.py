"""How the arms of a run are shown their videos, which follows from its settings. No torch."""

from dataclasses import dataclass

from oryx.grids import compressed_grid, video_token_count
from workbook.data.stories import LENGTHS, Story, make_story
from workbook.studies.compressor.arms import ARMS, FRAMES, FULL, PANELS, PATCH, RELEASED, SIDES, region_side
from workbook.studies.compressor.settings import Settings

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


def arms_of(settings: Settings) -> list[str]:
    """The arms of a run, in the order of all tables and figures."""
    chosen = settings.arms or PANELS[settings.panel].arms
    if settings.scale == "paper" and not settings.arms:
        chosen = set(chosen) & set(RELEASED)
    return [arm for arm in ARMS if arm in chosen]


def ratios_of(settings: Settings, arm: str = "") -> tuple[int, ...]:
    """The ratios of a run, or those an arm is trained on and asked at, the uncompressed one first."""
    ratios = settings.ratios or PANELS[settings.panel].ratios
    only = ARMS[arm].only if arm else 0
    return (only,) if only else (FULL, *(ratio for ratio in ratios if ratio != FULL))


def trained_ratios(settings: Settings, arm: str) -> tuple[int, ...]:
    """The ratios at which public videos are shown to an arm that is trained on them: compressed, unless it cannot."""
    return tuple(ratio for ratio in ratios_of(settings, arm) if ratio != FULL) or (FULL,)


def picture_side(settings: Settings) -> int:
    """Side of the square pictures that the encoder gets, in pixels."""
    return settings.side or PANELS[settings.panel].side


def cells(settings: Settings, arm: str) -> list[Cell]:
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
    untrained = PANELS[settings.panel].untrained if arm == "dynamic" else ()
    found += [Cell("visual", n, ratio, usual, LENGTHS[n], region_side(ratio)) for ratio in untrained for n in LENGTHS]
    if spec.varied:
        found += [
            Cell(f"at_{side}px_{frames}f", "long", ratio, side, frames, region_side(ratio))
            for side in SIDES
            for ratio in ratios_of(settings, arm)
            for frames in FRAMES
            if (side, frames) != (usual, LENGTHS["long"])
        ]
    return [cell for cell in found if cell.tokens <= LONGEST]


def short_cells(settings: Settings, arm: str) -> list[Cell]:
    """How an arm is shown its short videos, a cell for each of its ratios."""
    return [cell for cell in cells(settings, arm) if cell.length == "short"]


def sources_of(settings: Settings, arm: str) -> dict[int, list[int]]:
    """Region side of each ratio -> sides of the pictures that an arm learns with."""
    varied = list(SIDES) if ARMS[arm].varied else []
    own = [cell for cell in short_cells(settings, arm) if cell.ratio in ratios_of(settings, arm)]
    return {region_side(cell.ratio): varied or [cell.side] for cell in own}


def story(settings: Settings, length: str, index: int) -> Story:
    """A held-out story of a run, its file written if need be."""
    return make_story(settings.cache_folder / "stories", settings.split, length, index)


def stories(settings: Settings, length: str) -> list[Story]:
    """The held-out stories of a length that are asked about."""
    return [story(settings, length, index) for index in range(getattr(settings, f"{length}_stories"))]
