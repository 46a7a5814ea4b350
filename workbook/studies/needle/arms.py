"""Arms of the needle study. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

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
    :mod:`oryx.model.positions`. ``longest``: frames of the longest clip at 16x, None: the run's. ``side``: region side
    of the compressor, 4 for 16x. ``oracle``: needles are given as perfect codes instead of read. ``twice``: every video
    is shown twice, one after the other. ``nearest``: no language model looks for the needle: the frame whose tokens are
    most like those of cards in the colour that is asked for is shown alone.
    """

    data: Literal["retrieval", "short_steps", "short_tokens", "none", "released"] = "retrieval"
    positions: str = "half_1e6"
    longest: int | None = None
    side: int = 4
    oracle: bool = False
    twice: bool = False
    nearest: bool = False

    def shown(self, frames: int) -> int:
        """How many frames of a video of ``frames`` frames the language model reads."""
        return 1 if self.nearest else 2 * frames if self.twice else frames

    @property
    def most_frames(self) -> int | None:
        """The longest video that it is asked about, if there is a bound."""
        return 800 if self.twice else MOST_FRAMES[self.side]


ARMS = {
    "retrieval": Arm(),
    "short_tokens": Arm("short_tokens"),
    "short_steps": Arm("short_steps"),
    "retrieval_full_1e4": Arm(positions="full_1e4"),
    "retrieval_full_1e6": Arm(positions="full_1e6"),
    "short_full_1e4": Arm("short_tokens", "full_1e4"),
    "oracle": Arm(oracle=True),
    "retrieval_4x": Arm(side=2),
    "released": Arm("released", "own"),
    "released_4x": Arm("released", "own", side=2),
    "retrieval_to_100": Arm(longest=100),
    "retrieval_twice": Arm(twice=True),
    "nearest_frame": Arm("none", "full_1e4", nearest=True),
}
RELEASED = tuple(name for name, arm in ARMS.items() if arm.data == "released")
SMALL = tuple(name for name in ARMS if name not in RELEASED)
"""Arms of the scales that train."""
WHOLE = (*HEADLINE, *RELEASED, "nearest_frame")
"""Arms that are asked every length at every depth."""
OTHER_QUESTION_ARMS = (*HEADLINE, *RELEASED)
"""Arms that are also asked another question about the same videos."""

MOST_FRAMES = {4: None, 2: 800}
"""Region side -> longest video an arm of that side is asked about (what two cores can do)."""


def at_16x(arms: Sequence[str]) -> list[str]:
    """The arms that compress 16x."""
    return [arm for arm in arms if ARMS[arm].side == 4]


def ratio_arms(arms: Sequence[str]) -> list[str]:
    """The first arm and those that differ from it in the tokens of a frame alone."""
    return [arm for arm in arms if replace(ARMS[arm], side=4) == replace(ARMS[arms[0]], side=4)]


def whole_grid(arms: Sequence[str]) -> list[str]:
    """The arms that are asked every cell, or else the first."""
    return [arm for arm in arms if arm in (*HEADLINE, *RELEASED)] or list(arms[:1])
