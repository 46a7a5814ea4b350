"""Every limit of the preprocessing as a typed option. Defaults are the values of all released scripts.

The public code reads them from environment variables at import (reference file ``mm_utils.py``); nothing here does.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from oryx.errors import SettingsError
from oryx.grids import SizeRule


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
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise SettingsError(f"{name}: expected a positive whole number, got {value!r}")
        for name in ("low", "high", "video", "video_long"):
            value = getattr(self, name)
            if not isinstance(value, SizeRule) and (value is not None or name == "high"):
                expected = "a SizeRule" if name == "high" else "a SizeRule or None"
                raise SettingsError(f"{name}: expected {expected}, got {value!r}")

    def to_dict(self) -> dict:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping) -> "PreprocessOptions":
        """From :meth:`to_dict`'s result; raises SettingsError for unknown names."""
        values = dict(values)
        try:
            for name in ("low", "high", "video", "video_long"):
                if isinstance(values.get(name), Mapping):
                    rule = dict(values[name])
                    rule["exact"] = tuple(rule["exact"]) if rule.get("exact") else None
                    values[name] = SizeRule(**rule)
            return cls(**values)
        except TypeError as error:
            raise SettingsError(f"preprocessing options: {error}") from error
