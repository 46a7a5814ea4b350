"""What a question can be about. A bare list would not say which of these it is, so ``ask`` refuses it."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from os import PathLike
from typing import Any

import numpy as np

from oryx.errors import InputError


@dataclass(frozen=True)
class Images:
    """Several separate images, each a visual of its own in the prompt."""

    items: Sequence[Any]

    def __post_init__(self):
        _some(self.items, "Images")


@dataclass(frozen=True)
class Views:
    """One scene from several poses, in order; laid out like the frames of a video, all at the size of the first."""

    items: Sequence[Any]

    def __post_init__(self):
        _some(self.items, "Views")


@dataclass(frozen=True)
class Video:
    """A video: a file; a folder of frame files, ordered by name (numbers by value); a list of pictures of one size; or
    an array (T, H, W, 3) of uint8.

    ``frames``: how many frames to read; None: as many as the options say. They are spread uniformly; a video with fewer
    frames is read whole, without repeats, unless ``repeat`` asks for the released inference rule, which repeats frames.
    """

    source: str | PathLike | Sequence[Any] | np.ndarray
    frames: int | None = None
    repeat: bool = False

    def __post_init__(self):
        count = self.frames
        if count is not None and (isinstance(count, bool) or not isinstance(count, Integral) or count < 1):
            raise InputError(f"Video: expected frames to be None or a whole number of at least 1, got {count!r}")
        if isinstance(self.source, np.ndarray):
            if self.source.ndim != 4 or not len(self.source):
                raise InputError(f"Video: expected an array of shape (T, H, W, 3), got {self.source.shape}")
        elif not isinstance(self.source, (str, PathLike)):
            _some(self.source, "Video")


def _some(items: Any, name: str) -> None:
    if isinstance(items, (str, bytes, PathLike)) or not isinstance(items, Sequence):
        raise InputError(f"{name}: expected a list of pictures, got {type(items).__name__}")
    if not items:
        raise InputError(f"{name}: expected at least one picture, got an empty list")
