"""Arms of the needle study, which cells of the grid each is asked, and what follows from the settings. No torch.

``settings`` are those of :mod:`workbook.studies.needle.study`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from workbook.data.needles import VARIANTS

HEADLINE = ("retrieval", "short_tokens")
"""The two arms that are asked the full grid."""

EASY = 16
"""Frames of the easiest videos, within the training lengths of every arm: who fails here has not learned."""


@dataclass(frozen=True)
class Arm:
    """What one language model is trained on, on top of the shared reader of frames.

    ``data``: ``retrieval`` clips of up to ``longest`` frames; ``short_steps`` clips of at most 16, for as many steps;
    ``short_tokens`` the same until as many video tokens were seen as in retrieval; ``none``: the shared reader as it
    is, trained on clips of up to 8 frames; ``released``: released weights as they are. ``positions``: see
    :mod:`oryx.model.positions`. ``side``: region side of the compressor, 4 for 16x. ``oracle``: needles are given as
    perfect codes instead of read.
    """

    data: Literal["retrieval", "short_steps", "short_tokens", "none", "released"] = "retrieval"
    positions: str = "half_1e6"
    side: int = 4
    oracle: bool = False


ARMS = {
    "retrieval": Arm(),
    "short_tokens": Arm("short_tokens"),
    "short_steps": Arm("short_steps"),
    "retrieval_full_1e4": Arm(positions="full_1e4"),
    "retrieval_full_1e6": Arm(positions="full_1e6"),
    "short_full_1e4": Arm("short_tokens", "full_1e4"),
    "oracle": Arm(oracle=True),
    "retrieval_4x": Arm(side=2),
    "retrieval_1x": Arm(side=1),
    "reader": Arm("none", "full_1e4"),
    "released": Arm("released", "own"),
    "released_4x": Arm("released", "own", side=2),
}
TRAINED = tuple(name for name, arm in ARMS.items() if arm.data != "released")
RELEASED = tuple(name for name in ARMS if name not in TRAINED)
OTHER_QUESTION_ARMS = (*HEADLINE, "reader", *RELEASED)
"""Arms that are also asked another question about the same videos."""

MOST_FRAMES = {4: None, 2: 800, 1: 200}
"""Region side -> longest video an arm of that side is asked about (what two cores can do)."""


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


def arm_cells(settings: Any, arm: str) -> list[Cell]:
    """The cells an arm is asked, the easy ones first.

    Headline arms and released weights: every length and depth. Others: three lengths, the longest among them, by three
    depths. The main arm (or ``released``) also: lengths ``beyond`` the grid, and every other variant, three by three.
    """
    most = None if arm in RELEASED else MOST_FRAMES[ARMS[arm].side]
    own = sorted(n for n in settings.lengths if most is None or n <= most)
    three, whole = few(settings.depths), arm in (*HEADLINE, *RELEASED)
    asked = [("number", EASY, d) for d in three]
    asked += [("number", n, d) for n in (own if whole else few(own)) for d in (settings.depths if whole else three)]
    if arm in (HEADLINE[0], RELEASED[0]):
        asked += [("number", n, d) for n in settings.beyond for d in three]
        asked += [(v, n, d) for v in VARIANTS if v != "number" for n in few(own) for d in three]
    return [Cell(*where, settings.trials) for where in asked]


def audit_cells(settings: Any, arm: str) -> list[Cell]:
    """The cells of which some trials are asked again as complete files: three lengths by three depths, main arm.

    Writing a file takes longer than all else, so lengths above 400 are left out.
    """
    if arm not in (HEADLINE[0], RELEASED[0]) or settings.video or not settings.audit:
        return []
    lengths = few(sorted(n for n in settings.lengths if n <= 400))
    return [Cell("number", n, d, settings.audit) for n in lengths for d in few(settings.depths)]


def at_16x(arms: Sequence[str]) -> list[str]:
    """The arms that compress 16x."""
    return [arm for arm in arms if ARMS[arm].side == 4]


def ratio_arms(arms: Sequence[str]) -> list[str]:
    """The first arm and those that differ from it in the tokens of a frame alone."""
    return [arm for arm in arms if replace(ARMS[arm], side=4) == replace(ARMS[arms[0]], side=4)]


def whole_grid(arms: Sequence[str]) -> list[str]:
    """The arms that are asked every cell, or else the first."""
    return [arm for arm in arms if arm in (*HEADLINE, *RELEASED)] or list(arms[:1])
