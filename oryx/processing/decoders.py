"""Who decodes a video file: decord, PyAV or torchcodec, each by the same few words.

``auto`` is PyAV, which reads every file and says which frames are damaged. Where the others can be trusted they show
the same pixels. Measured on files made for it (``tests/unit/processing``):

decord 0.6.0
    shows damaged frames as if they were whole; has no AV1 decoder; in files that were cut without re-encoding (edit
    lists), in open groups of pictures and in streams that do not begin at time 0 (MPEG-TS) it returns wrong frames
    without an error. Of several streams of pictures it takes the largest. It knows quarter turns in MP4 alone.
torchcodec 0.13.0
    agrees with PyAV to the pixel, also in AV1, edit lists, open groups and turned recordings. In AVI with B-frames and
    in MPEG program streams it returns wrong frames without an error; in MPEG-TS with B-frames the last ones fail.
    It does not mirror.

A decoder asked for by name refuses files that it is known to get wrong.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from oryx.errors import InputError, MissingResource, check_known
from oryx.processing.packets import STRICT, Index, av, display_matrix, opened, picture_stream

DECODERS = {"auto": "", "decord": "decord", "pyav": "av", "torchcodec": "torchcodec.decoders"}
"""Name -> the module that it needs."""


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: frames, (height, width) in pixels as displayed, the decoder that reads it, and a warning
    where it is not known whether the file is whole."""

    frames: int
    size: tuple[int, int]
    decoder: str
    warning: str = ""


def check_decoder(name: str) -> None:
    """Raises SettingsError for a name that is none of DECODERS, MissingResource if its package does not work here."""
    check_known([name], DECODERS, "decoder")
    if name == "auto":
        return
    try:
        import_module(DECODERS[name])
    except (ImportError, OSError, RuntimeError) as error:  # torchcodec without FFmpeg's libraries: RuntimeError
        needs = {"torchcodec": '-e ".[torchcodec]", and FFmpeg'}.get(name, DECODERS[name])
        said = f"decoder {name!r} does not work here ({_first_line(error)}); it needs: pip install {needs}"
        raise MissingResource(said) from error


def open_reader(path: Path, index: Index, decoder: str, threads: int) -> "WholeFileReader | PyAVReader":
    """The reader of a file; a decoder asked for by name reads it or InputError says why it does not."""
    reader = {"decord": DecordReader, "torchcodec": TorchcodecReader}.get(decoder, PyAVReader)
    try:
        return reader(path, index, threads)
    except CannotRead as error:
        said = f"{path}: expected a file that decoder {decoder!r} reads rightly, but {error}; use 'auto' or 'pyav'"
        raise InputError(said) from None


class CannotRead(Exception):
    """A decoder cannot open this file, or would return wrong frames."""


class WholeFileReader:
    """Frames by a decoder that opens the file by itself.

    Raises CannotRead for a file that the decoder gets wrong, fails to open or finds another number of frames in.
    """

    name: ClassVar[str]

    def __init__(self, path: Path, index: Index, threads: int = 1):
        if self.name in index.wrong:
            raise CannotRead(index.wrong[self.name])
        self.path = path
        try:
            self.reader = self.opened(path, index, threads)
            shape = self.reader[0].shape
        except Exception as error:  # of several types of their own
            raise CannotRead(_first_line(error)) from error
        if shape[2] != 3:  # decord, widths under 64 pixels that are no multiple of 32: the padding counts as channels
            raise CannotRead(f"it reads frames of shape {tuple(shape)}, expected three channels")
        if len(self.reader) != len(index.times):
            raise CannotRead(f"it counts {len(self.reader)} frames where {len(index.times)} exist")
        self.info = VideoInfo(len(self.reader), tuple(shape[:2]), self.name, index.warning)

    def read(self, numbers: list[int]) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 RGB in the order asked for."""
        try:
            yield from self.decoded(numbers)
        except Exception as error:
            said = f"frames {numbers[0]} to {numbers[-1]} cannot be decoded, the file is damaged"
            raise InputError(f"{self.path}: {said} ({_first_line(error)})") from None

    def close(self) -> None:
        """Let go of the file."""
        self.reader = None


class DecordReader(WholeFileReader):
    """Frames by decord."""

    name = "decord"

    def opened(self, path: Path, index: Index, threads: int) -> Any:
        decord = import_module("decord")  # an import statement would count as a need of the code beside saved weights
        decord.logging.set_level(decord.logging.ERROR)
        # never the default of 0 threads: decord then starts four more
        return decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=threads)

    def decoded(self, numbers: list[int]) -> np.ndarray:
        return self.reader.get_batch(numbers).asnumpy()


class TorchcodecReader(WholeFileReader):
    """Frames by torchcodec."""

    name = "torchcodec"

    def opened(self, path: Path, index: Index, threads: int) -> Any:
        options = {"dimension_order": "NHWC", "num_ffmpeg_threads": threads}
        return import_module(DECODERS["torchcodec"]).VideoDecoder(str(path), stream_index=index.stream, **options)

    def decoded(self, numbers: list[int]) -> np.ndarray:
        return self.reader.get_frames_at(numbers).data.numpy()


class PyAVReader:
    """Frames by PyAV, found by the time they are shown; sparse requests jump to the keyframe before each."""

    def __init__(self, path: Path, index: Index, threads: int = 1):
        self.path, self.times, self.keys, self.container = path, index.times, index.keys, None
        self.threads, self.aspect = threads, index.aspect
        # one for all frames: a new one each costs more than decoding
        self.to_rgb = av.video.reformatter.VideoReformatter()
        self._restart()
        self.total = self._count() if self.times is None else len(self.times)
        self.info = VideoInfo(self.total, self._shown(self._frame(0)).shape[:2], "pyav", index.warning)

    def read(self, numbers: list[int]) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 RGB in the order asked for."""
        found = {number: self._shown(self._frame(number)) for number in sorted(set(numbers))}
        yield from (found[number] for number in numbers)

    def close(self) -> None:
        """Let go of the file."""
        self.decoder = None
        self.container.close()

    def _restart(self) -> None:
        if self.container is not None:
            self.close()
        self.container = opened(self.path)
        self.stream = picture_stream(self.container, self.path)
        self.stream.codec_context.options = STRICT
        self.stream.thread_type = "NONE" if self.threads == 1 else "AUTO"
        self.stream.thread_count = self.threads
        self.decoder, self.next = self.container.decode(self.stream), 0

    def _count(self) -> int:
        try:
            count = sum(1 for _ in self.decoder)
        except av.error.FFmpegError as error:
            raise InputError(f"{self.path}: the video is damaged or truncated ({error})") from None
        if not count:
            raise InputError(f"{self.path}: expected a video, no frame can be decoded")
        self._restart()
        return count

    def _frame(self, number: int) -> Any:
        try:
            found = self._by_counting(number) if self.times is None else self._by_time(number)
        except av.error.FFmpegError as error:
            raise InputError(f"{self.path}: frame {number} cannot be decoded, the file is damaged ({error})") from None
        if found is None or found.is_corrupt:
            raise InputError(f"{self.path}: frame {number} of {self.total} cannot be decoded, the file is damaged")
        return found

    def _by_time(self, number: int) -> Any:
        times, before = self.times, bisect_right(self.keys, number)
        key = self.keys[before - 1] if before else 0
        if not self.next <= number or key > self.next:
            self.container.seek(times[key], stream=self.stream, backward=True)
            self.decoder = self.container.decode(self.stream)
        try:
            found = self._until(times[number])
        except av.error.FFmpegError:  # frames that are shown before a keyframe may need what was jumped over
            found = None
        if found is None:  # or the jump missed: some containers seek inexactly
            self._restart()
            found = self._until(times[number])
        self.next = number + 1
        return found

    def _until(self, time: int) -> Any:
        for frame in self.decoder:
            if frame.pts is not None and frame.pts >= time:
                return frame if frame.pts == time else None
        return None

    def _by_counting(self, number: int) -> Any:
        if number < self.next:
            self._restart()
        for frame in self.decoder:
            self.next += 1
            if self.next == number + 1:
                return frame
        return None

    def _shown(self, frame: Any) -> np.ndarray:
        """As RGB with square pixels, turned and mirrored as the display matrix says, to the nearest quarter turn."""
        wide = None if self.aspect == 1 else max(1, round(frame.width * self.aspect))
        picture = self.to_rgb.reformat(frame, format="rgb24", width=wide, threads=self.threads).to_ndarray()
        a, b, c, d = display_matrix(frame)
        if abs(b) + abs(c) > abs(a) + abs(d):
            picture, a, d = picture.swapaxes(0, 1), c, b
        return np.ascontiguousarray(picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
