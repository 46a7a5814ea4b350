"""What a question can be about, and the frames of a ``Video``: chosen first, then read one after the other.

A bare list would not say which of these it is, so ``ask`` refuses it.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from numbers import Integral
from os import PathLike
from os.path import expanduser, isdir
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers import BatchFeature

from oryx.errors import InputError, check_known
from oryx.grids import bounded_indices, check_whole, timed_indices, uniform_indices
from oryx.layout import SIDES, Layout
from oryx.processing.decoders import VideoInfo, check_decoder
from oryx.processing.images import Prepared, VisualProcessor, frame_rule, frame_view, open_image, visual_inputs
from oryx.processing.options import PreprocessOptions
from oryx.processing.sizes import Resolution
from oryx.processing.video import VideoFile

SAMPLINGS = ("number", "time")


@dataclass(frozen=True)
class Pictures:
    """Some pictures; what they are together its kinds say."""

    items: Sequence[Any]

    def __post_init__(self):
        _some(self.items, type(self).__name__)


class Images(Pictures):
    """Several separate images, each a visual of its own in the prompt."""


class Views(Pictures):
    """One scene from several poses, in order; laid out like the frames of a video, all at the size of the first."""


@dataclass(frozen=True)
class Video:
    """A video: a file; a folder of frame files, ordered by name (numbers by value); a list of pictures of one size; or
    an array or a tensor (T, H, W, 3), each frame as :func:`oryx.processing.images.open_image` takes it.

    ``frames``: how many frames to read; None: as many as the options say. They are spread uniformly; a video with fewer
    frames is read whole, without repeats, unless ``repeat`` asks for the released inference rule, which repeats frames.

    ``decoder``: who decodes a file, one of :data:`oryx.processing.decoders.DECODERS`; ``threads``: with how many.
    ``indices``: the very frames to read, in this order, whatever ``frames`` says.
    ``sampling``: by what frames are spread, one of :data:`SAMPLINGS`: their numbers, as released models have it, or the
    ``time`` they are shown; where the frame rate varies the two differ. By time, a frame shown long is read once.
    """

    source: str | PathLike | Sequence[Any] | np.ndarray
    frames: int | None = None
    repeat: bool = False
    decoder: str = "auto"
    threads: int = 1
    indices: Sequence[int] | None = None
    sampling: str = "number"

    def __post_init__(self):
        check_decoder(self.decoder)
        check_known([self.sampling], SAMPLINGS, "sampling")
        check_whole("Video: threads", self.threads)
        if self.frames is not None:
            check_whole("Video: frames", self.frames)
        if wrong := [one for one in self.indices or () if isinstance(one, bool) or not isinstance(one, Integral)]:
            raise InputError(f"Video: indices: expected numbers of frames, got {wrong[0]!r}")
        if hasattr(self.source, "ndim"):  # a tensor is one too
            if self.source.ndim != 4 or not len(self.source):
                raise InputError(f"Video: expected an array of shape (T, H, W, 3), got {tuple(self.source.shape)}")
        elif not isinstance(self.source, (str, PathLike)):
            _some(self.source, "Video")


@dataclass(frozen=True)
class ChosenFrames:
    """How many frames will come, and the frames as RGB pictures of one size, each decoded when it is asked for.

    ``file``: what is known of the video file; None: there is none.
    """

    count: int
    pictures: Iterator[Image.Image]
    file: VideoInfo | None = None


def choose_frames(video: Video | Views, options: PreprocessOptions) -> ChosenFrames:
    """Select frames of ``video``, or all views of a scene, and open them.

    Raises InputError naming the file or frame: nothing there, not readable, or frames of different sizes.
    """
    if isinstance(video, Views):
        return ChosenFrames(len(video.items), (open_image(item, options.max_pixels) for item in video.items))
    is_path = isinstance(video.source, (str, PathLike))
    source = expanduser(video.source) if is_path else video.source
    if is_path and not isdir(source):
        file = VideoFile(source, options.max_pixels, video.decoder, video.threads)
        indices = _indices(video, file.info.frames, options.frames, file.times)
        return ChosenFrames(len(indices), _decoded(file, indices), file.info)
    items = frame_files(Path(source)) if is_path else source
    indices = _indices(video, len(items), options.frames)
    return ChosenFrames(len(indices), _opened(items, indices, options.max_pixels))


class OryxVideoProcessor(VisualProcessor):
    """Videos, their frames chosen and compressed by the options."""

    def __call__(self, videos: Any, num_frames: int | None = None, return_tensors: str = "pt") -> BatchFeature:
        """The visual inputs of a video or a list of videos; as tensors, whatever is asked for."""
        items = as_videos([videos] if is_video(videos) else videos, num_frames)
        return BatchFeature(visual_inputs([self.prepare(one) for one in items], self.patch))

    def prepare(self, video: Video | Views, fixed: Resolution | None = None, side: int | None = None) -> Prepared:
        """The frames of one video, or the views of one scene."""
        frames = choose_frames(video, self.options)
        long = frames.count > self.options.short_video_frames
        side, first = side or SIDES["video_long" if long else "video"], next(frames.pictures)
        size, long, stride = (first.height, first.width), side > SIDES["video"], self.patch * side
        target = frame_rule(self.options, long).target(size) if fixed is None else fixed.target(size, stride)

        def views() -> Iterator[Image.Image]:
            for picture in chain([first], frames.pictures):  # one at a time: a long video never lies unscaled in memory
                view = fixed.apply(picture, stride) if fixed else frame_view(picture, self.options, long)
                if view.size != target[::-1]:  # views of a scene may differ, their maps share one size
                    view = picture.resize(target[::-1], Image.Resampling.BICUBIC)
                yield view

        return self.planned(Layout.VIDEO, side, [target] * frames.count, size, views, frames.file)


def is_video(item: Any) -> bool:
    """Whether this is one video: no list, or a list of decoded pictures."""
    if isinstance(item, (list, tuple)):
        return bool(item) and all(isinstance(one, Image.Image) or getattr(one, "ndim", 0) in (2, 3) for one in item)
    return True


def as_videos(videos: Sequence[Any], num_frames: int | None = None) -> list[Video]:
    """Videos as ``Video``: a list of paths is one video's frames; ``num_frames``: at most so many of each."""
    return [one if isinstance(one, Video) else Video(one, num_frames) for one in videos]


def frame_files(folder: Path) -> list[Path]:
    """The files of a folder, hidden ones aside, ordered by name with numbers by their value (frame2 before frame10)."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise InputError(f"{folder}: expected a folder of frames, there are no files in it")
    parts = {path: re.split(r"(\d+)", path.name) for path in files}
    return sorted(files, key=lambda path: [int(p) if i % 2 else p for i, p in enumerate(parts[path])])


def _some(items: Any, name: str) -> None:
    if isinstance(items, (str, bytes, PathLike)) or not isinstance(items, Sequence):
        raise InputError(f"{name}: expected a list of pictures, got {type(items).__name__}")
    if not items:
        raise InputError(f"{name}: expected at least one picture, got an empty list")


def _indices(video: Video, total: int, count: int, times: Sequence[int] | None = None) -> list[int]:
    if video.indices is None and video.sampling == "time":
        if times is None:
            raise InputError("Video: sampling by time: expected a file that says when its frames are shown")
        return timed_indices(times, video.frames or count, video.repeat)
    if video.indices is None:
        return (uniform_indices if video.repeat else bounded_indices)(total, video.frames or count)
    if wrong := [number for number in video.indices if not 0 <= number < total]:
        raise InputError(f"Video: indices: expected frames from 0 to {total - 1}, got {wrong[0]}")
    return list(video.indices)


def _decoded(file: VideoFile, indices: list[int]) -> Iterator[Image.Image]:
    with closing(file):
        for frames in file.frames(indices):
            yield from map(Image.fromarray, frames)


def _opened(items: Sequence[Any], indices: list[int], max_pixels: int) -> Iterator[Image.Image]:
    first = None
    for number in indices:
        picture = open_image(items[number], max_pixels)
        first = first or picture.size
        if picture.size != first:
            name = items[number] if isinstance(items[number], (str, Path)) else f"frame {number}"
            raise InputError(
                f"{name}: the frames of a video share one size; expected {first[0]} x {first[1]} pixels as the first, "
                f"got {picture.width} x {picture.height} (for pictures of one scene use Views)"
            )
        yield picture
