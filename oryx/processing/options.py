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


def from_reference_variables(variables: Mapping[str, str | int]) -> PreprocessOptions:
    """The options that the public code's environment variables stand for (docs: ``deviations.md``).

    Without ``LOWRES_RESIZE`` the low view is 384 x 384. Without ``VIDEO_RESIZE``, or without ``VIDEO_MINRES`` where
    frames have no fixed area, video is not configured (the public code crashes there); without ``VIDEO_MINRES``, as
    there, ``MINRES`` does not count. Sizes that the public code refuses are refused. Other variables are ignored.
    Raises SettingsError for a ``BASExSTRIDE`` value or a limit that is none.
    """
    values = {name: str(value) for name, value in variables.items()}
    pad = "PAD2STRIDE" in values

    def limit(name: str, default: int) -> int:
        if not values.get(name, "0").isdigit():
            raise SettingsError(f"{name}: expected a number of pixels, got {values[name]!r}")
        return int(values.get(name, default))

    def rule(name: str, most: int | None, least: int | None, factor: int = 1) -> SizeRule:
        base, times, stride = values[name].partition("x")
        if not (times and base.isdigit() and stride.isdigit()):
            raise SettingsError(f"{name}: expected BASExSTRIDE such as 0x32, got {values[name]!r}")
        return SizeRule(int(stride) * factor, int(base), most, least, pad_to_stride=pad, clamp=False)

    most, least = limit("MAXRES", 1536), limit("MINRES", 0) if "VIDEO_MINRES" in values else 0
    low = rule("LOWRES_RESIZE", most, least) if "LOWRES_RESIZE" in values else SizeRule(32, exact=(384, 384))
    if "HIGHRES_BASE" in values:
        high = rule("HIGHRES_BASE", most, least)
    else:
        high = SizeRule(1, max_side=None, min_side=None, clamp=False)  # the size is left as it is, whatever the limits
    video = video_long = None
    if "VIDEO_RESIZE" in values:
        limits = limit("VIDEO_MAXRES", 1536), limit("VIDEO_MINRES", 0)
        video, video_long = rule("VIDEO_RESIZE", *limits), rule("VIDEO_RESIZE", *limits, factor=2)
        if not video.base and "VIDEO_MINRES" not in values:
            video = video_long = None
    return PreprocessOptions(low, high, video, video_long)
