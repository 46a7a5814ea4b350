"""Every limit of the preprocessing as a typed option. Defaults are the values of all released scripts.

The public code reads them from environment variables at import (reference file ``mm_utils.py``); nothing here does.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from oryx.errors import SettingsError
from oryx.grids import SizeRule, check_whole

RULES = ("low", "high", "video", "video_long")


@dataclass(frozen=True)
class PreprocessOptions:
    """How pictures and videos become pixels, and how the prompt is tokenised.

    Attributes:
        low: size rule of an image's second, low-resolution view; None switches that view off.
        high: size rule of an image itself.
        video, video_long: size rules of frames at 4x and at 16x compression; None: not configured.
        frames: how many frames of a video are read.
        short_video_frames: up to this many frames "auto" compresses 4x, beyond it 16x.
        newlines: newline tokens between a visual and the question: 2 as in training, 1 as in the published evaluation.
        max_pixels: a picture with more pixels is refused before it is decoded.
    """

    low: SizeRule | None = SizeRule(stride=32, base=384)
    high: SizeRule = SizeRule(stride=32)
    video: SizeRule | None = SizeRule(stride=64, max_side=480, min_side=288)
    video_long: SizeRule | None = SizeRule(stride=128, max_side=480, min_side=288)
    frames: int = 64
    short_video_frames: int = 64
    newlines: int = 2
    max_pixels: int = 128_000_000

    def __post_init__(self):
        if self.newlines not in (1, 2):
            raise SettingsError(f"newlines: expected 1 (evaluation form) or 2 (training form), got {self.newlines!r}")
        for name in ("frames", "short_video_frames", "max_pixels"):
            check_whole(name, getattr(self, name))
        for name in RULES:
            if not isinstance(rule := getattr(self, name), SizeRule if name == "high" else SizeRule | None):
                raise SettingsError(f"{name}: expected a size rule{' or None' * (name != 'high')}, got {rule!r}")

    @classmethod
    def from_dict(cls, values: Mapping) -> "PreprocessOptions":
        """From plain data, as ``dataclasses.asdict`` has it; raises SettingsError for unknown names."""
        if not isinstance(values, Mapping):
            raise SettingsError(f"preprocessing options: expected names with values, got {values!r}")
        try:
            rules = {name: SizeRule(**values[name]) for name in RULES if isinstance(values.get(name), Mapping)}
            return cls(**{**values, **rules})
        except TypeError as error:
            raise SettingsError(f"preprocessing options: {error}") from error
