"""One door to video files: which frames there are, and these frames, please. Selection is separate from decoding.

The decoders are imported when a file is opened: pictures are read without PyAV and decord.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from os.path import getsize, isdir, isfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oryx.errors import InputError, MissingResource
from oryx.grids import Size
from oryx.processing.options import PreprocessOptions

BACKENDS = ("auto", "decord", "pyav")


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: frames, (height, width) in pixels as displayed, frames a second, and who reads it."""

    frames: int
    size: tuple[int, int]
    rate: float
    backend: str


class VideoFile:
    """An open video file: ``info``, and :meth:`frames`. Close it, or use ``contextlib.closing``.

    ``backend``: "decord", "pyav", or "auto": decord where it is installed and reads the file right, else PyAV.

    Raises:
        InputError: missing, empty, a folder, no video, sound only, truncated, frames of more than ``max_pixels``
            pixels; or decord was demanded and gets this file wrong. The message names the file.
        MissingResource: PyAV is not installed, or decord was demanded and is not.
    """

    def __init__(self, path: str | Path, backend: str = "auto", max_pixels: int = PreprocessOptions.max_pixels):
        if backend not in BACKENDS:
            raise InputError(f"backend {backend!r}: expected one of {', '.join(BACKENDS)}")
        self.path = Path(path)
        _check_file(self.path)
        self.reader = _reader(self.path, backend, max_pixels)
        self.info = VideoInfo(self.reader.frames, tuple(self.reader.size), self.reader.rate, self.reader.backend)

    def frames(self, indices: Sequence[int], chunk: int = 16, size: Size | None = None) -> Iterator[np.ndarray]:
        """Frames (n, H, W, 3) uint8 RGB at ``indices`` in that order, repeats included, at most ``chunk`` at a time.

        ``size``: (height, width) to scale to. All frames have one size, the first frame's, unless ``size`` says
        otherwise. Raises InputError for an index that the video does not have or a frame that cannot be decoded.
        """
        total = self.info.frames
        wrong = [i for i in indices if not 0 <= i < total]
        if wrong or not len(indices):
            raise InputError(f"{self.path}: expected frame indices from 0 to {total - 1}, got {wrong[:3] or 'none'}")
        for start in range(0, len(indices), chunk):
            numbers = [int(i) for i in indices[start : start + chunk]]
            yield np.stack([scaled(frame, size or self.info.size) for frame in self.reader.read(numbers)])

    def close(self) -> None:
        """Let go of the file."""
        self.reader.close()


def probe(path: str | Path, backend: str = "auto") -> VideoInfo:
    """Examine a video file; errors as for :class:`VideoFile`."""
    with closing(VideoFile(path, backend)) as video:
        return video.info


def read_frames(
    path: str | Path, indices: Sequence[int], size: tuple[int, int] | None = None, backend: str = "auto"
) -> np.ndarray:
    """Frames (n, H, W, 3) uint8 RGB at ``indices``; see :meth:`VideoFile.frames`."""
    return np.concatenate(list(iter_frames(path, indices, max(1, len(indices)), size, backend)))


def iter_frames(
    path: str | Path,
    indices: Sequence[int],
    chunk: int = 16,
    size: tuple[int, int] | None = None,
    backend: str = "auto",
) -> Iterator[np.ndarray]:
    """As :func:`read_frames`, at most ``chunk`` frames at a time, so that a long video is never held in memory."""
    with closing(VideoFile(path, backend)) as video:
        yield from video.frames(indices, chunk, size)


def _check_file(path: Path) -> None:
    if isdir(path):  # os.path: pathlib raises OSError for names that no file can have
        raise InputError(f"{path}: expected a video file, got a folder")
    if not isfile(path):
        raise InputError(f"{path}: expected a video file, there is none")
    if getsize(path) == 0:
        raise InputError(f"{path}: expected a video, got an empty file")


def scaled(frame: np.ndarray, size: Size) -> np.ndarray:
    """A frame at (height, width); itself if it has that size."""
    if frame.shape[:2] == tuple(size):
        return frame
    return np.asarray(Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _reader(path: Path, backend: str, max_pixels: int) -> Any:
    """The ``DecordReader`` or ``PyAVReader`` of :mod:`oryx.processing.decoders` that reads this file right."""
    try:
        from oryx.processing import decoders
    except ImportError as error:
        raise MissingResource(f"{path}: reading videos needs PyAV (the package 'av'): {error}") from None
    index = decoders.examine(path, max_pixels)
    if backend == "pyav":
        return decoders.PyAVReader(path, index)
    try:
        return decoders.DecordReader(path, index)
    except (ImportError, OSError) as error:  # no wheel for this platform, or a broken one
        if backend == "decord":
            raise MissingResource(f"decord cannot be imported ({error}); use backend 'pyav'") from None
    except decoders.NotForDecord as error:
        if backend == "decord":
            raise InputError(f"{path}: decord cannot read this file right ({error}); use backend 'pyav'") from None
    return decoders.PyAVReader(path, index)
