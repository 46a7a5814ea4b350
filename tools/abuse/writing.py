"""Video files whose frames say their numbers, written by PyAV: one function for all codecs, containers and times."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.stream import Disposition

from tools.abuse.marks import draw

TICK = Fraction(1, 1000)  # seconds
RATE = 10  # frames a second
OPTIONS = {
    "libx264": {"crf": "16", "preset": "veryfast", "g": "8"},
    "libx265": {"crf": "16", "preset": "ultrafast", "x265-params": "log-level=none:keyint=8"},
    "libsvtav1": {"crf": "8", "preset": "8", "g": "8", "svtav1-params": "logical-processors=1"},
    "libvpx": {"crf": "8", "b:v": "2M", "g": "8", "cpu-used": "8"},
    "libvpx-vp9": {"crf": "12", "b:v": "0", "g": "8", "cpu-used": "8"},
    "dnxhd": {"profile": "dnxhr_hq"},
    "snow": {"strict": "-2"},
}
MORE = {("libvpx", "yuva420p"): {"auto-alt-ref": "0"}}
RATES = {"mpeg4": 2_000_000, "mpeg2video": 4_000_000, "mpeg1video": 4_000_000}
for _name in ("msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "flv", "h263", "h261", "roqvideo", "speedhq", "amv", "svq1"):
    RATES[_name] = 2_000_000


@dataclass(frozen=True)
class Truth:
    """What is presented: the numbers of the frames in order, (height, width) as displayed, and the orientation.

    Attributes:
        path: the file.
        numbers: what each frame says.
        size: (height, width) as displayed; only its shape counts.
        turns, mirrored: see :func:`tools.abuse.marks.read`.
        damaged: whether something is missing or changed, so that a refusal is right as well.
        prefix: whether the first frames alone are right as well: nothing in the file says that there are more.
    """

    path: Path
    numbers: tuple[int, ...]
    size: tuple[int, int]
    turns: int = 0
    mirrored: bool = False
    damaged: bool = False
    prefix: bool = False


def write(
    path: Path,
    codec: str = "libx264",
    frames: int = 24,
    size: tuple[int, int] = (96, 128),
    first: int = 1,
    pixels: str | None = None,
    times: Sequence[float] | None = None,
    container: str | None = None,
    muxing: dict[str, str] | None = None,
    ratio: Fraction | None = None,
    matrix: Any = None,
    colours: dict[str, int] | None = None,
    sound: bool = False,
    cover: str = "",
    second: tuple[int, int] | None = None,
    rate: int = RATE,
    audio: str = "aac",
    **options: str,
) -> Truth:
    """Write a video whose frames say ``first``, ``first`` + 1 and so on.

    Args:
        size: (height, width) as stored.
        pixels: pixel format; None: the codec's first.
        times: seconds at which each frame is shown; None: ``rate`` a second from 0.
        container, muxing: format by name, and its options.
        ratio: width of a pixel by its height.
        matrix: an angle in degrees, or a display matrix as PyAV takes it.
        colours: attributes of the codec's context, such as ``color_trc``.
        sound: whether there is a sound; ``cover``: "first" or "last" for a cover picture before or after the frames.
        second: (height, width) of a second stream of pictures, whose frames say 255, 254 and so on.
        options: of the encoder.
    """
    with av.open(str(path), "w", format=container, options=muxing or {}) as file:
        if cover == "first":
            _cover(file, size)
        stream = file.add_stream(codec, rate=rate)
        context = stream.codec_context
        formats = [one.name for one in av.Codec(codec, "w").video_formats or []]
        stream.height, stream.width, stream.pix_fmt = *size, pixels or (formats or ["yuv420p"])[0]
        stream.options = {**OPTIONS.get(codec, {}), **MORE.get((codec, stream.pix_fmt), {}), **options}
        if codec in RATES:
            stream.bit_rate = RATES[codec]
        if times is not None:
            context.time_base = TICK
        if ratio:
            context.sample_aspect_ratio = ratio
        for name, value in (colours or {}).items():
            setattr(context, name, value)
        if isinstance(matrix, (int, float)):
            stream.set_display_rotation(matrix)
        elif matrix is not None:
            stream.set_display_matrix(matrix)
        other = None
        if second:
            other = file.add_stream("libx264", rate=rate, options=OPTIONS["libx264"])
            other.height, other.width, other.pix_fmt = *second, "yuv420p"
        heard = file.add_stream(audio, rate=48000) if sound else None
        if cover == "last":
            _cover(file, size)
        for i in range(frames):
            file.mux(
                stream.encode(_frame(first + i, size, i if times is None else round(times[i] / TICK), times, rate))
            )
            if other:
                file.mux(other.encode(_frame(255 - i, second, i, None, rate)))
            if heard:
                _hear(file, heard, i, rate)
        for one in filter(None, (stream, other, heard)):
            file.mux(one.encode())
        if cover:
            _fill_covers(file, size)
    shown = (size[0], round(size[1] * ratio)) if ratio else size
    return Truth(path, tuple(first + i for i in range(frames)), shown)


def _frame(number: int, size: tuple[int, int], pts: int, times: Any, rate: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(draw(number % 256, size), format="rgb24")
    frame.pts, frame.time_base = pts, Fraction(1, rate) if times is None else TICK
    return frame


def _hear(file: Any, stream: Any, i: int, rate: int) -> None:
    count = 48000 // rate
    noise = (np.random.default_rng(i).standard_normal((1, count)) / 50).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(noise, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = 48000, i * count, Fraction(1, 48000)
    file.mux(stream.encode(frame))


def _cover(file: Any, size: tuple[int, int]) -> None:
    stream = file.add_stream("mjpeg", rate=1)
    stream.height, stream.width, stream.pix_fmt = *size, "yuvj420p"
    stream.disposition = Disposition.attached_pic


def _fill_covers(file: Any, size: tuple[int, int]) -> None:
    for stream in file.streams.video:
        if stream.disposition & Disposition.attached_pic:
            file.mux(stream.encode(_frame(200, size, 0, None, 1)))
            file.mux(stream.encode())


def copied(truth: Truth, path: Path, shift: float = 0.0, container: str | None = None, **muxing: str) -> Truth:
    """The packets in another file, ``shift`` seconds later; the same frames."""
    with av.open(str(truth.path)) as given, av.open(str(path), "w", format=container, options=muxing) as out:
        stream = given.streams.video[0]
        copy = out.add_stream_from_template(stream)
        late = round(shift / stream.time_base)
        for packet in given.demux(stream):
            if packet.dts is not None:
                packet.stream, packet.pts, packet.dts = copy, packet.pts + late, packet.dts + late
                out.mux(packet)
    return replace(truth, path=path)


def cut_at(truth: Truth, path: Path, seconds: float, rate: int = RATE) -> Truth:
    """What ``ffmpeg -ss seconds -c copy`` does: packets are copied, an edit list hides those before the cut."""
    return replace(copied(truth, path, -seconds), numbers=truth.numbers[round(seconds * rate) :])


def changed(truth: Truth, path: Path, data: bytes, **what: Any) -> Truth:
    """Other bytes in a file of its own; damaged, unless ``what`` says otherwise."""
    path.write_bytes(data)
    return replace(truth, path=path, **{"damaged": True, **what})


def joined(parts: Iterable[Truth], path: Path) -> Truth:
    """Files put one after the other."""
    parts = list(parts)
    path.write_bytes(b"".join(part.path.read_bytes() for part in parts))
    return replace(parts[0], path=path, numbers=sum((part.numbers for part in parts), ()))


def box(data: bytes, *names: bytes) -> tuple[int, int]:
    """(offset, bytes) of the first box found along the path ``names`` in an MP4 file; a sample table is a leaf."""
    start, end = 0, len(data)
    for depth, name in enumerate(names):
        while True:
            size, kind = struct.unpack_from(">I4s", data, start)
            if size == 1:
                size = struct.unpack_from(">Q", data, start + 8)[0]
            if kind == name:
                break
            start += size
            if start >= end or size < 8:
                raise LookupError(names[: depth + 1])
        if depth == len(names) - 1:
            return start, size
        start, end = start + 8, start + size
    raise LookupError(names)


TRACK = (b"moov", b"trak")
TABLES = (*TRACK, b"mdia", b"minf", b"stbl")


def with_edits(truth: Truth, path: Path, edits: Sequence[tuple[float, float]], rate: int = RATE) -> Truth:
    """The MP4 file, its ``moov`` last, with an edit list of (start, duration) in seconds; start -1: a pause."""
    data = bytearray(truth.path.read_bytes())
    scale = struct.unpack_from(">I", data, box(data, b"moov", b"mvhd")[0] + 20)[0]
    media = struct.unpack_from(">I", data, box(data, *TRACK, b"mdia", b"mdhd")[0] + 20)[0]
    try:
        old = struct.unpack_from(">i", data, box(data, *TRACK, b"edts", b"elst")[0] + 20)[0]
    except LookupError:
        old = 0
    entries = b"".join(
        struct.pack(">iiI", round(long * scale), -1 if begin < 0 else round(begin * media) + old, 1 << 16)
        for begin, long in edits
    )
    new = struct.pack(">I4sII", 16 + len(entries), b"elst", 0, len(edits)) + entries
    new = struct.pack(">I4s", 8 + len(new), b"edts") + new
    try:
        place, size = box(data, *TRACK, b"edts")
        data[place : place + size] = b""
    except LookupError:
        place, size = box(data, *TRACK, b"mdia")[0], 0
    data[place:place] = new
    for names in (TRACK[:1], TRACK):
        start, length = box(data, *names)
        struct.pack_into(">I", data, start, length + len(new) - size)
    path.write_bytes(data)
    shown = [truth.numbers[round((a + i / rate) * rate)] for a, n in edits if a >= 0 for i in range(round(n * rate))]
    return replace(truth, path=path, numbers=tuple(shown))
