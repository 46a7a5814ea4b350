"""One door to video files: which frames there are, and these frames, please. Selection is separate from decoding.

decord decodes where it can be trusted, PyAV elsewhere. A file's packets are read first, without decoding (PyAV's
demuxer). They say which frames there are and whether the file is whole, and they decide for the reader. Measured with
decord 0.6.0: it has no AV1 decoder; in files that were cut without re-encoding (edit lists) and in streams that do not
begin at time 0 (MPEG-TS) it returns wrong frames without an error. All of these go to PyAV.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from oryx.errors import InputError, MissingResource
from oryx.files import check_file
from oryx.grids import Size
from oryx.processing.options import PreprocessOptions

try:
    import av
    from av.stream import Disposition
except ImportError:  # pictures are read without it
    av = None

NO_VIDEO_FORMATS = ("tty",)  # FFmpeg plays text files as ANSI art
HIDDEN_FRAMES = ("vp8",)  # some packets of these codecs hold a frame that is never shown


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds: frames, (height, width) in pixels as displayed, and who reads it, decord or pyav."""

    frames: int
    size: tuple[int, int]
    backend: str


class VideoFile:
    """An open video file: ``info``, and :meth:`frames`. Close it, or use ``contextlib.closing``.

    Raises:
        InputError: missing, empty, a folder, no video, sound only, truncated, frames of more than ``max_pixels``
            pixels. The message names the file.
        MissingResource: PyAV is not installed.
    """

    def __init__(self, path: str | Path, max_pixels: int = PreprocessOptions.max_pixels):
        if av is None:
            raise MissingResource(f"{path}: reading videos needs PyAV (the package 'av')")
        self.path = check_file(path, "video")
        index = examine(self.path, max_pixels)
        try:
            self.reader: DecordReader | PyAVReader = DecordReader(self.path, index)
        except (NotForDecord, ImportError, OSError):  # also where it is not installed, or broken
            self.reader = PyAVReader(self.path, index)
        self.info = self.reader.info

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


def probe(path: str | Path) -> VideoInfo:
    """Examine a video file; errors as for :class:`VideoFile`."""
    with closing(VideoFile(path)) as video:
        return video.info


def read_frames(path: str | Path, indices: Sequence[int], size: Size | None = None) -> np.ndarray:
    """Frames (n, H, W, 3) uint8 RGB at ``indices``; see :meth:`VideoFile.frames`."""
    return np.concatenate(list(iter_frames(path, indices, max(1, len(indices)), size)))


def iter_frames(
    path: str | Path, indices: Sequence[int], chunk: int = 16, size: Size | None = None
) -> Iterator[np.ndarray]:
    """As :func:`read_frames`, at most ``chunk`` frames at a time, so that a long video is never held in memory."""
    with closing(VideoFile(path)) as video:
        yield from video.frames(indices, chunk, size)


def scaled(frame: np.ndarray, size: Size) -> np.ndarray:
    """A frame at (height, width); itself if it has that size."""
    if frame.shape[:2] == tuple(size):
        return frame
    return np.asarray(Image.fromarray(frame).resize((size[1], size[0]), Image.Resampling.BICUBIC))


@dataclass(frozen=True)
class Index:
    """What the packets of a video file say.

    Attributes:
        times: when each frame is shown, in the stream's unit, ascending; None if only decoding tells.
        keys: numbers of the frames at which decoding can begin, ascending.
        not_for_decord: why decord would get this file wrong; empty if it would not.
    """

    times: tuple[int, ...] | None
    keys: tuple[int, ...]
    not_for_decord: str


def examine(path: Path, max_pixels: int) -> Index:
    """Read the packets of a video file.

    Raises InputError naming the file: no video, sound only, a frame of more than ``max_pixels`` pixels, truncated.
    """
    with opened(path) as container:
        stream = picture_stream(container, path)
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > max_pixels:
            raise InputError(f"{path}: frames of {width} x {height} pixels; expected at most {max_pixels} in all")
        packets, last, end = [], None, 0.0
        try:
            for packet in container.demux():
                if packet.size and packet.pts is not None and packet.time_base:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.size and packet.stream.index == stream.index:
                    last = packet
                    packets.append((packet.pts, packet.is_keyframe, packet.is_discard))
        except av.error.FFmpegError as error:
            raise InputError(f"{path}: expected a whole video, its data is damaged or truncated ({error})") from None
        if not packets:
            raise InputError(f"{path}: expected a video, its picture stream is empty; is it truncated?")
        missing = _missing(container, stream, len(packets), end)
        if last.is_corrupt or missing:
            raise InputError(f"{path}: the video is truncated{missing and ': ' + missing}")
        shown = [(pts, key) for pts, key, cut in packets if not cut]
        codec = stream.codec_context.name
        # AVI knows the order of decoding only
        guessed = codec in HIDDEN_FRAMES or (container.format.name == "avi" and stream.codec_context.has_b_frames)
    ordered = sorted(shown) if all(pts is not None for pts, _ in shown) else []
    reliable = ordered and not guessed and all(a[0] < b[0] for a, b in pairwise(ordered))
    times = tuple(pts for pts, _ in ordered) if reliable else None
    if "av1" in codec:
        reason = "it is AV1"
    elif times is None:
        reason = "its packets do not say when frames are shown"
    elif len(shown) < len(packets) or times[0] != 0:
        reason = "it does not begin at time 0 or was cut without re-encoding (an edit list)"
    elif _open_groups(shown):
        reason = "it has open groups of pictures"
    else:
        reason = ""
    return Index(times, tuple(i for i, (_, key) in enumerate(ordered) if key), reason)


def opened(path: Path) -> Any:
    """The container at ``path``; InputError if FFmpeg knows it for no video file."""
    try:
        container = av.open(str(path))
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: expected a video file; it is damaged or something else ({error})") from None
    if container.format.name in NO_VIDEO_FORMATS:
        container.close()
        raise InputError(f"{path}: expected a video file, got a text file")
    return container


def picture_stream(container: Any, path: Path) -> Any:
    """The first stream of moving pictures; a sound file's cover is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise InputError(f"{path}: expected a video, the file has no picture stream (sound only?)")


def _open_groups(packets: list[tuple[int, bool]]) -> bool:
    """Whether a frame that is decoded after a keyframe is shown before it; (time, is keyframe) in decoding order."""
    newest_key = packets[0][0]
    for time, key in packets:
        if key:
            newest_key = time
        elif time < newest_key:
            return True
    return False


def _missing(container: Any, stream: Any, packets: int, end: float) -> str:
    """What the header promises and the file does not hold, where the header can be believed; else an empty text."""
    kind = container.format.name
    if "mp4" in kind and stream.duration:
        # an edit list may leave frames out: then the stated duration shrinks as well
        stated, promised = float(stream.duration * stream.time_base), stream.frames
        if packets < promised and end < stated - max(1.0, 0.05 * stated):
            return f"{packets} of {promised} frames are there"
    if "matroska" in kind and container.duration:
        stated = container.duration / av.time_base
        if end < stated - max(1.0, 0.05 * stated):
            return f"it ends after {end:.1f} of {stated:.1f} s"
    return ""


class NotForDecord(Exception):
    """decord cannot open this file, or would miscount it."""


class DecordReader:
    """Frames by decord. Raises NotForDecord if decord fails to open the file or finds another number of frames."""

    def __init__(self, path: Path, index: Index):
        if index.not_for_decord:
            raise NotForDecord(index.not_for_decord)
        import decord

        decord.logging.set_level(decord.logging.ERROR)
        self.path = path
        try:
            # one thread: with the default of 0 decord starts four more
            self.reader = decord.VideoReader(str(path), ctx=decord.cpu(0), num_threads=1)
            shape = self.reader[0].shape
        except Exception as error:  # decord raises several types of its own
            raise NotForDecord(_first_line(error)) from error
        if shape[2] != 3:  # widths under 64 pixels that are no multiple of 32: it counts the padding as channels
            raise NotForDecord(f"it reads frames of shape {tuple(shape)}, expected three channels")
        if len(self.reader) != len(index.times):
            raise NotForDecord(f"it counts {len(self.reader)} frames where {len(index.times)} exist")
        self.info = VideoInfo(len(self.reader), tuple(shape[:2]), "decord")

    def read(self, numbers: list[int]) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 RGB in the order asked for."""
        try:
            yield from self.reader.get_batch(numbers).asnumpy()
        except Exception as error:
            raise InputError(
                f"{self.path}: frames {numbers[0]} to {numbers[-1]} cannot be decoded, the file is damaged "
                f"({_first_line(error)})"
            ) from None

    def close(self) -> None:
        """Let go of the file."""
        self.reader = None


class PyAVReader:
    """Frames by PyAV, found by the time they are shown; sparse requests jump to the keyframe before each."""

    def __init__(self, path: Path, index: Index):
        self.path, self.times, self.keys, self.container = path, index.times, index.keys, None
        self._restart()
        self.total = self._count() if self.times is None else len(self.times)
        self.info = VideoInfo(self.total, self._turned(self._frame(0)).shape[:2], "pyav")

    def read(self, numbers: list[int]) -> Iterator[np.ndarray]:
        """Frames (H, W, 3) uint8 RGB in the order asked for."""
        found = {number: self._turned(self._frame(number)) for number in sorted(set(numbers))}
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
        self.stream.thread_type = "NONE"
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
        if found is None:
            raise InputError(f"{self.path}: frame {number} of {self.total} cannot be decoded, the file is damaged")
        return found

    def _by_time(self, number: int) -> Any:
        times, before = self.times, bisect_right(self.keys, number)
        key = self.keys[before - 1] if before else 0
        if not self.next <= number or key > self.next:
            self.container.seek(times[key], stream=self.stream, backward=True)
            self.decoder = self.container.decode(self.stream)
        for from_start in (False, True):
            if from_start:  # the jump missed: some containers seek inexactly
                self._restart()
            for frame in self.decoder:
                if frame.pts == times[number]:
                    self.next = number + 1
                    return frame
                if frame.pts is not None and frame.pts > times[number]:
                    break
        return None

    def _by_counting(self, number: int) -> Any:
        if number < self.next:
            self._restart()
        for frame in self.decoder:
            self.next += 1
            if self.next == number + 1:
                return frame
        return None

    @staticmethod
    def _turned(frame: Any) -> np.ndarray:
        """As RGB, turned as the file's display matrix says; decord does that by itself."""
        picture = frame.to_ndarray(format="rgb24")
        quarter_turns = round(frame.rotation / 90) % 4
        return np.ascontiguousarray(np.rot90(picture, quarter_turns)) if quarter_turns else picture


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
