"""The frames of a ``Video`` to be looked at, wherever they come from: chosen first, then read one after the other."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from os.path import isdir
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oryx.errors import InputError
from oryx.grids import bounded_indices, uniform_indices
from oryx.processing.images import open_image
from oryx.processing.options import PreprocessOptions
from oryx.processing.video import VideoFile
from oryx.processing.visuals import Video


@dataclass(frozen=True)
class ChosenFrames:
    """How many frames will come, and the frames as RGB pictures of one size, each decoded when it is asked for."""

    count: int
    pictures: Iterator[Image.Image]


def choose_frames(video: Video, options: PreprocessOptions) -> ChosenFrames:
    """Select frames of ``video`` and open them.

    Raises InputError naming the file or frame: nothing there, not readable, or frames of different sizes.
    """
    rule = uniform_indices if video.repeat else bounded_indices

    def choose(total: int) -> list[int]:
        return rule(total, video.frames or options.frames)

    source = video.source
    if isinstance(source, (Sequence, np.ndarray)) and not isinstance(source, str):
        return _pictures(source, choose, options)
    if isdir(source):
        return _pictures(frame_files(Path(source)), choose, options)
    file = VideoFile(source, max_pixels=options.max_pixels)
    indices = choose(file.info.frames)
    return ChosenFrames(len(indices), _decoded(file, indices))


def frame_files(folder: Path) -> list[Path]:
    """The files of a folder, hidden ones aside, ordered by name with numbers by their value (frame2 before frame10)."""
    files = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    if not files:
        raise InputError(f"{folder}: expected a folder of frames, there are no files in it")
    parts = {path: re.split(r"(\d+)", path.name) for path in files}
    return sorted(files, key=lambda path: [int(p) if i % 2 else p for i, p in enumerate(parts[path])])


def _decoded(file: VideoFile, indices: list[int]) -> Iterator[Image.Image]:
    with closing(file):
        for frames in file.frames(indices):
            yield from map(Image.fromarray, frames)


def _pictures(items: Sequence[Any], choose: Callable[[int], list[int]], options: PreprocessOptions) -> ChosenFrames:
    indices = choose(len(items))

    def read() -> Iterator[Image.Image]:
        first = None
        for number in indices:
            picture = open_image(items[number], options.max_pixels)
            first = first or picture.size
            if picture.size != first:
                name = items[number] if isinstance(items[number], (str, Path)) else f"frame {number}"
                raise InputError(
                    f"{name}: the frames of a video share one size; expected {first[0]} x {first[1]} pixels as the "
                    f"first, got {picture.width} x {picture.height} (for pictures of one scene use Views)"
                )
            yield picture

    return ChosenFrames(len(indices), read())
