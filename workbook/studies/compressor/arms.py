"""Arms and panels of the connector study. No torch."""

from dataclasses import dataclass
from math import isqrt

from oryx.errors import InputError

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
    it does not compress. ``only``: the one ratio it trains on and is asked at; 0: all of the run. ``share``: of the
    run's steps, those that it trains for. An arm of the ratios 1, 4 and 16 meets 1x half as often as the others, and
    each of those in 0.4 of its steps. ``cold``: its downsampler starts from random weights, all others start as an
    average or hold none. ``smaller``: it compresses nothing and gets a smaller picture instead, of as many tokens.
    ``varied``: it also trains on several picture sizes and numbers of frames. ``blind``: it is trained and asked with
    nothing to see: every token of its frames is zero.
    """

    connector: str
    factor: int = 2
    only: int = 0
    share: float = 1.0
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
    "dynamic_met_4x": Arm("dynamic", only=4, share=0.4),
    "dynamic_met_16x": Arm("dynamic", only=16, share=0.4),
}

RELEASED = ("average_x2", "dynamic", "on_demand")
"""Arms that need no training: released weights as they are, without attention, and in further ways of showing."""
DEFAULT = ("average", "average_x2", "dynamic", "dynamic_dwconv")
EVERY = tuple(name for name in ARMS if name != "on_demand" and not name.startswith("dynamic_met"))
JUDGED = tuple(set(ARMS) - {"dynamic_max", "dynamic_value_output", "mlp", "average_only_16x", "on_demand"})
"""Arms that judged.toml compares, with the noise floor (bilinear is the average at 4x) and the blind control."""


@dataclass(frozen=True)
class Panel:
    """The arms of a run, the ratios they train on and are asked at, and the side of their pictures in pixels.

    ``untrained``: ratios that the arm ``dynamic`` is asked at beside its own; it has no weights for one ratio alone.
    """

    arms: tuple[str, ...]
    ratios: tuple[int, ...] = (4, 16)
    side: int = 32
    untrained: tuple[int, ...] = ()


# "ratios" shows larger pictures: on a map of 10 x 10 tokens every side from 1 to 5 leaves another number of them, on
# 4 x 4 the sides 2 and 3 leave the same, and 4 and 5.
PANELS = {
    "default": Panel(DEFAULT),
    "arms": Panel(EVERY),
    "ratios": Panel(DEFAULT, (4, 9, 16, 25), side=80),
    "judged": Panel(JUDGED, side=80, untrained=(9,)),
    "on_demand": Panel(("on_demand",), (4, 9, 16, 25)),
}

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
