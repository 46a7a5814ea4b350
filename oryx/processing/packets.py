"""What the packets of a video file say before anything is decoded: which frames there are, and what to beware of."""

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageSequence

from oryx.errors import InputError

try:
    import av
    from av.sidedata.sidedata import Type
    from av.stream import Disposition
except ImportError:  # pictures are read without it
    av = None

REFUSED = {"tty": "a text file", "nut": "a NUT file, where nobody can tell damage; Matroska holds the same streams"}
"""What FFmpeg opens as videos, by its name for the format -> what it is; it plays text files as ANSI art."""
STRICT = {"err_detect": "crccheck+bitstream+buffer+explode"}
"""What FFmpeg is told: not to pass over damage, neither of a container nor of its frames."""
END_OF_JPEG = b"\xff\xd9"
UNRELIABLE = ("vp8", "rpza", "h261")  # frames that are never shown have packets; every frame is called a keyframe
UNSURE = ("mpegts", "mpeg", "avi", "asf")  # no table of frames to seek by, or damage that is not told


@dataclass(frozen=True)
class Index:
    """What the packets of a video file say.

    Attributes:
        times: when each frame is shown, in the stream's unit, ascending; None if only decoding tells.
        unit: of times, in seconds.
        keys: numbers of the frames at which decoding can begin, ascending.
        stream: number of the picture stream in the file.
        wrong: decoder -> why it would get this file wrong; only those that would.
        aspect: width of a pixel as shown, its height being 1.
        warning: what cannot be known of the file; empty: it is whole.
    """

    times: tuple[int, ...] | None
    unit: Fraction
    keys: tuple[int, ...]
    stream: int
    wrong: dict[str, str]
    aspect: Fraction = Fraction(1)
    warning: str = ""


def examine(path: Path, max_pixels: int) -> Index:
    """Read the packets of a video file.

    Raises InputError naming the file: no video, sound only, a frame of more than ``max_pixels`` pixels, truncated.
    """
    with opened(path) as container:
        stream = picture_stream(container, path)
        if stream.codec_context is None:
            raise InputError(f"{path}: no decoder knows the format of its picture stream; is it damaged?")
        aspect = stream.sample_aspect_ratio or Fraction(1)
        width, height = round(stream.codec_context.width * aspect), stream.codec_context.height
        if width * height > max_pixels:
            raise InputError(f"{path}: frames of {width} x {height} pixels; expected at most {max_pixels} in all")
        packets, corrupt, before, mp4 = [], 0, None, "mp4" in container.format.name
        try:
            for packet in container.demux():
                if packet.size and packet.stream.index == stream.index:
                    # a fragment of MP4 with a damaged time; others may begin anew: streams that were joined
                    goes_back = mp4 and None not in (before, packet.dts) and packet.dts < before
                    corrupt += packet.is_corrupt or goes_back
                    before = packet.dts
                    packets.append((packet.pts, packet.is_keyframe, packet.is_discard))
        except av.error.FFmpegError as error:
            raise InputError(f"{path}: expected a whole video, its data is damaged or truncated ({error})") from None
        if not packets:
            raise InputError(f"{path}: expected a video, its picture stream is empty; is it truncated?")
        whole = is_whole(path, container.format.name)
        if corrupt or whole is False:
            found = f"{corrupt} of {len(packets)} packets are damaged" if corrupt else "parts are missing, or its end"
            raise InputError(f"{path}: expected a whole video, it is damaged or truncated: {found}")
        shown = [(pts, key) for pts, key, cut in packets if not cut]
        codec = stream.codec_context.name
        # AVI knows the order of decoding only
        guessed = codec in UNRELIABLE or (container.format.name == "avi" and stream.codec_context.has_b_frames)
        number, kind, unit = stream.index, container.format.name, stream.time_base
        several = sum(not one.disposition & Disposition.attached_pic for one in container.streams.video) > 1
    ordered = sorted(shown) if all(pts is not None for pts, _ in shown) else []
    reliable = ordered and not guessed and all(a[0] < b[0] for a, b in pairwise(ordered))
    times = tuple(pts for pts, _ in ordered) if reliable else None
    wrong = {"torchcodec": f"it shows wrong frames of such files ({kind}) silently"} if kind in UNSURE else {}
    if "av1" in codec:
        wrong["decord"] = "it is AV1"
    elif times is None:
        wrong["decord"] = wrong["torchcodec"] = "its packets do not say when frames are shown"
    elif len(shown) < len(packets) or times[0] != 0:
        wrong["decord"] = "it does not begin at time 0 or was cut without re-encoding (an edit list)"
    elif _open_groups(shown):
        wrong["decord"] = "it has open groups of pictures"
    elif several:
        wrong["decord"] = "it has several streams of pictures"
    if times is not None:
        a, b, c, d = _first_matrix(path)
        if a * d < b * c:
            wrong["decord"] = wrong["torchcodec"] = "it is shown mirrored"
        elif (a or d) and (b or c):
            wrong["decord"] = "it is turned by no multiple of 90 degrees"
    if "mp4" not in kind:
        wrong["decord"] = f"it is no MP4 ({kind}), where damaged frames would be shown as if they were whole"
    if aspect != 1:
        wrong["decord"] = wrong["torchcodec"] = "its pixels are not square"
    end = f"{kind} does not say where a file ends: more may have been recorded than there is, one frame may be torn"
    warning = "" if whole else end
    return Index(times, unit, tuple(i for i, (_, key) in enumerate(ordered) if key), number, wrong, aspect, warning)


def is_whole(path: Path, kind: str) -> bool | None:
    """Whether a file goes on to the end that its container states; None if this ``kind`` states none, or not here."""
    rules = next((rules for name, rules in SIZES.items() if name in kind.split(",")), ())
    boxes = set()
    with open(path, "rb") as file:
        end = file.seek(0, 2)
        if kind == "gif":
            return _fills_its_pictures(path)
        if kind in ("mjpeg", "jpeg_pipe") and not path.read_bytes().rstrip(b"\0").endswith(END_OF_JPEG):
            return False  # cut within a picture; cut between two, nobody knows
        for size_of in rules:
            place = 0
            while place < end:
                file.seek(place)
                head = file.read(16).ljust(16, b"\0")
                if not (size := size_of(head)):
                    return None
                place += size
                boxes.add(head[4:8])
            if place != end:
                return False
    if {b"moof", b"mfra"} & boxes == {b"moof"}:
        return None  # fragments of an MP4 without the list of them that may stand at its end
    return True if rules else None


def _fills_its_pictures(gif: Path) -> bool:
    """Whether a GIF has its end mark, and data for every pixel: FFmpeg shows what is missing as it was before."""
    if not gif.read_bytes().rstrip(b"\0").endswith(b"\0;"):  # the end of its last block, and its own
        return False
    try:
        with Image.open(gif) as pictures:
            for picture in ImageSequence.Iterator(pictures):
                picture.load()
    except Exception:  # of several types of Pillow's own
        return False
    return True


def _box(head: bytes) -> int | None:
    size = int.from_bytes(head[:4], "big")
    return (int.from_bytes(head[8:16], "big") if size == 1 else size) if head[4:8].isalnum() else None


HEADER, SEGMENT, CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
"""Elements of Matroska: a segment holds all but the header, its clusters hold the frames."""
BEYOND = 1 << 64


def _element(head: bytes) -> int | None:
    """Of the header and of a segment, None where it is open."""
    return sum(_sizes(head)) if head[:4] in (HEADER, SEGMENT) and _sizes(head)[1] < BEYOND else None


def _inner(head: bytes) -> int:
    """Of an element that holds none of its own that count; FFmpeg goes on behind one that is damaged."""
    own, content = _sizes(head)
    return own if head[:4] in (SEGMENT, CLUSTER) else own + content


def _sizes(head: bytes) -> tuple[int, int]:
    """Bytes of an element's name and size, and of its content; BEYOND: open, or no element at all."""
    name = 9 - head[0].bit_length()  # a number begins with one zero bit for every further byte
    length = 9 - head[name].bit_length()
    size = int.from_bytes(head[name : name + length], "big") & ((1 << 7 * length) - 1)
    return name + length, BEYOND if name > 4 or size == (1 << 7 * length) - 1 else size


def _chunk(head: bytes) -> int | None:
    size = int.from_bytes(head[4:8], "little")
    return 8 + size if head[:4] == b"RIFF" and size else None


SIZES = {"mp4": (_box,), "matroska": (_element, _inner), "avi": (_chunk,)}
"""Container, as FFmpeg names it -> rules for the size of a part by its first bytes (None: unknown), each for a walk
from part to part that must end with the file."""


def opened(path: Path) -> Any:
    """The container at ``path``; InputError if FFmpeg knows it for no video file."""
    try:
        container = av.open(str(path), options=STRICT)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise InputError(f"{path}: expected a video file; it is damaged or something else ({error})") from None
    if (name := container.format.name) in REFUSED:
        container.close()
        raise InputError(f"{path}: expected a video file, got {REFUSED[name]}")
    return container


def picture_stream(container: Any, path: Path) -> Any:
    """The first stream of moving pictures; a sound file's cover is none."""
    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            return stream
    raise InputError(f"{path}: expected a video, the file has no picture stream (sound only?)")


def display_matrix(frame: Any) -> tuple[int, int, int, int]:
    """(a, b, c, d) of a frame's display matrix: what lies at (x, y) is shown towards (a x + c y, b x + d y)."""
    data = frame.side_data.get(Type.DISPLAYMATRIX)
    a, b, _, c, d = (1, 0, 0, 0, 1) if data is None else np.frombuffer(data, np.int32)[:5].tolist()
    return a, b, c, d


def _first_matrix(path: Path) -> tuple[int, int, int, int]:
    with opened(path) as container:
        try:
            return display_matrix(next(container.decode(picture_stream(container, path))))
        except (av.error.FFmpegError, StopIteration):  # the reader will say that the first frame is damaged
            return 1, 0, 0, 1


def _open_groups(packets: list[tuple[int, bool]]) -> bool:
    """Whether a frame that is decoded after a keyframe is shown before it; (time, is keyframe) in decoding order."""
    newest_key = packets[0][0]
    for time, key in packets:
        if key:
            newest_key = time
        elif time < newest_key:
            return True
    return False
