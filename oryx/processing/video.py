"""One door to video files: which frames there are, and these frames, please. Selection is separate from decoding.

A file's packets are read first, without decoding (PyAV's demuxer). They say which frames there are and whether the file
is whole, and which decoders can be trusted with it: see :mod:`oryx.processing.decoders`.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oryx.errors import InputError, MissingResource
from oryx.files import check_file
from oryx.grids import Size, check_whole
from oryx.processing.decoders import VideoInfo, check_decoder, open_reader
from oryx.processing.options import PreprocessOptions
from oryx.processing.packets import av, examine


class VideoFile:
    """An open video file: ``info``, and :meth:`frames`. Close it, or use ``contextlib.closing``.

    ``times``: when each frame is shown, in ``unit``, which is a part of a second, ascending; None: only decoding would
    tell.

    ``decoder``: one of :data:`oryx.processing.decoders.DECODERS`; ``threads``: how many it decodes with.

    Raises:
        InputError: missing, empty, a folder, no video, sound only, truncated, frames of more than ``max_pixels``
            pixels, or one that the decoder asked for by name gets wrong. The message names the file.
        MissingResource: PyAV or the decoder asked for is not installed.
    """

    def __init__(
        self, path: str | Path, max_pixels: int = PreprocessOptions.max_pixels, decoder: str = "auto", threads: int = 1
    ):
        if av is None:
            raise MissingResource(f"{path}: reading videos needs PyAV (the package 'av')")
        check_decoder(decoder)
        self.path = check_file(path, "video")
        index = examine(self.path, max_pixels)
        self.reader = open_reader(self.path, index, decoder, check_whole("threads", threads))
        self.info, self.times, self.unit = self.reader.info, index.times, index.unit

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


def probe(path: str | Path, **decoding: Any) -> VideoInfo:
    """Examine a video file; errors and ``decoding`` (``decoder``, ``threads``) as for :class:`VideoFile`."""
    with closing(VideoFile(path, **decoding)) as video:
        return video.info


def read_frames(path: str | Path, indices: Sequence[int], size: Size | None = None, **decoding: Any) -> np.ndarray:
    """Frames (n, H, W, 3) uint8 RGB at ``indices``; see :meth:`VideoFile.frames`."""
    return np.concatenate(list(iter_frames(path, indices, max(1, len(indices)), size, **decoding)))


def iter_frames(
    path: str | Path, indices: Sequence[int], chunk: int = 16, size: Size | None = None, **decoding: Any
) -> Iterator[np.ndarray]:
    """As :func:`read_frames`, at most ``chunk`` frames at a time, so that a long video is never held in memory."""
    with closing(VideoFile(path, **decoding)) as video:
        yield from video.frames(indices, chunk, size)


def scaled(frame: np.ndarray, size: Size) -> np.ndarray:
    """A frame at (height, width); itself if it has that size."""
    if frame.shape[:2] == tuple(size):
        return frame
    return np.asarray(Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BICUBIC))
