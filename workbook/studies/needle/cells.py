"""Which cells of the grid each arm of a run is asked, which follows from its settings. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from workbook.studies.needle.arms import ARMS, EASY, HEADLINE, RELEASED, WHOLE
from workbook.studies.needle.settings import Settings

FURTHER_VARIANTS = ("picture", "change", "near", "far")
"""What the main arm is asked beside ``number``."""
SMALL_VARIANTS = FURTHER_VARIANTS[1:]
"""The same without pictures, which the small readers do not learn to name."""


@dataclass(frozen=True)
class Cell:
    """A cell of the grid: ``trials`` questions of a variant about videos of ``frames`` frames, needle at ``depth``."""

    variant: str
    frames: int
    depth: float
    trials: int

    @property
    def task(self) -> str:
        """Name of the row field ``task``: cells of one variant and length differ in depth only."""
        return f"{self.variant}_{self.frames}"


def few(values: Sequence, count: int = 3) -> list:
    """``count`` of the values, evenly chosen, first and last included; all if there are no more."""
    if len(values) <= count:
        return list(values)
    return [values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)]


def arm_cells(settings: Settings, arm: str) -> list[Cell]:
    """The cells an arm is asked, the easy ones first.

    The arms of WHOLE: every length and depth. Others: three lengths, the longest among them, by three depths. The main
    arm (or ``released``) also: lengths ``beyond`` the grid, and every other variant, three by three.
    """
    most = None if arm in RELEASED else ARMS[arm].most_frames
    own = sorted(n for n in settings.lengths if most is None or n <= most)
    three, whole = few(settings.depths), arm in WHOLE
    asked = [("number", EASY, d) for d in three]
    asked += [("number", n, d) for n in (own if whole else few(own)) for d in (settings.depths if whole else three)]
    if arm in (HEADLINE[0], RELEASED[0]):
        asked += [("number", n, d) for n in settings.beyond for d in three]
        further = FURTHER_VARIANTS if arm in RELEASED else SMALL_VARIANTS
        asked += [(v, n, d) for v in further for n in few(own) for d in three]
    return [Cell(*where, _trials(settings, where[1])) for where in dict.fromkeys(asked)]


def _trials(settings: Settings, frames: int) -> int:
    most = settings.beyond_frames // frames if frames in settings.beyond else settings.trials
    return max(1, min(settings.trials, most))


def audit_cells(settings: Settings, arm: str) -> list[Cell]:
    """The cells of which some trials are asked again as complete files: three lengths by three depths, main arm."""
    if arm not in (HEADLINE[0], RELEASED[0]) or settings.video or not settings.audit:
        return []
    where = product(few(sorted(settings.lengths)), few(settings.depths))
    return [Cell("number", frames, depth, settings.audit) for frames, depth in where]
