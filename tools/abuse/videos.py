"""The files of the truth table of decoders: what video files are in the wild, and what becomes of them."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tools.abuse.spoiling import cut, damaged
from tools.abuse.writing import (
    TABLES,
    TRACK,
    Truth,
    box,
    changed,
    copied,
    cut_at,
    joined,
    with_edits,
    write,
)

B_FRAMES = {"bf": "2", "g": "8"}
CODECS = {
    "libx264": "mp4 mkv mov avi flv ts m2ts nut 3gp m4v asf h264",
    "libx265": "mp4 mkv ts hevc",
    "libvpx": "webm mkv ivf avi",
    "libvpx-vp9": "webm mp4 mkv ivf",
    "libsvtav1": "mp4 mkv webm ivf obu",
    "mpeg4": "mp4 avi mkv mov",
    "mpeg2video": "mpg ts mkv vob m2v mxf",
    "mpeg1video": "mpg m1v",
    "msmpeg4v3": "avi",
    "msmpeg4v2": "avi",
    "wmv1": "wmv",
    "wmv2": "wmv",
    "flv": "flv",
    "mjpeg": "avi mov mkv mjpeg",
    "ffv1": "mkv avi nut",
    "huffyuv": "avi",
    "ffvhuff": "avi",
    "utvideo": "avi",
    "prores_ks": "mov mkv",
    "dnxhd": "mov mxf",
    "qtrle": "mov",
    "rawvideo": "avi y4m nut",
    "png": "mov",
    "gif": "gif",
    "apng": "apng",
    "cinepak": "avi mov",
    "svq1": "mov",
    "snow": "avi",
    "zmbv": "avi",
    "flashsv": "flv",
    "jpeg2000": "mkv",
    "cfhd": "mov",
    "magicyuv": "avi",
    "v210": "mov",
    "rpza": "mov",
    "msvideo1": "avi",
}
"""Encoder -> suffixes of containers."""
FORMATS = {
    "m2ts": "mpegts",
    "m4v": "mp4",
    "vob": "vob",
    "m2v": "mpeg2video",
    "m1v": "mpeg1video",
    "y4m": "yuv4mpegpipe",
}
FIXED = {"h263": ((144, 176), "3gp"), "h261": ((144, 176), "h261"), "dvvideo": ((576, 720), "avi")}
SIZES = {"cfhd": (96, 160), "dnxhd": (144, 256)}
PIXELS = {"gif": "rgb8", "zmbv": "bgr0", "rawvideo": "yuv420p", "snow": "yuv420p"}

Make = Callable[[Path], Truth]


def codecs() -> Iterator[tuple[str, Make]]:
    """Every codec in the containers that hold it."""
    for codec, suffixes in CODECS.items():
        for suffix in suffixes.split():
            what = {"size": SIZES.get(codec, (96, 128)), "container": FORMATS.get(suffix)}
            if codec in PIXELS:
                what["pixels"] = PIXELS[codec]
            if suffix in ("mxf", "vob", "mpg") or codec in ("mpeg1video", "mpeg2video"):
                what["rate"] = 25
            yield f"{codec} in {suffix}", lambda folder, c=codec, s=suffix, w=what: write(folder / f"v.{s}", c, **w)
    for codec, (size, suffix) in FIXED.items():
        rate = 25 if codec == "dvvideo" else 30
        ratio = {"dvvideo": Fraction(16, 15), "h263": Fraction(12, 11)}.get(codec, Fraction(1))  # H.261 states none
        yield (
            f"{codec} in {suffix}",
            lambda f, c=codec, z=size, s=suffix, r=rate, q=ratio: write(f / f"v.{s}", c, size=z, rate=r, ratio=q),
        )


def edit_lists() -> Iterator[tuple[str, Make]]:
    """Files cut without encoding anew, and lists that show parts."""
    for seconds in (0.3, 0.6, 1.1):
        yield (
            f"cut at {seconds} s, B-frames",
            lambda f, s=seconds: cut_at(write(f / "w.mp4", frames=27, **B_FRAMES), f / "v.mp4", s),
        )
    yield "cut at 0.5 s, no B-frames", lambda f: cut_at(write(f / "w.mp4", bf="0"), f / "v.mp4", 0.5)
    yield "cut at 0.6 s, MOV", lambda f: cut_at(write(f / "w.mov", **B_FRAMES), f / "v.mov", 0.6)
    yield "cut at 0.6 s, HEVC", lambda f: cut_at(write(f / "w.mp4", "libx265"), f / "v.mp4", 0.6)
    for name, edits in {
        "the first half": [(0, 1.2)],
        "from a keyframe on": [(0.8, 1.6)],
        "from between keyframes on": [(1.0, 1.4)],
        "an empty edit first": [(-1, 1.0), (0, 2.4)],
        "two parts": [(0, 0.8), (1.6, 0.8)],
    }.items():
        yield (
            f"edit list: {name}",
            lambda f, e=edits: with_edits(write(f / "w.mp4", bf="0"), f / "v.mp4", e),
        )
    yield (
        "edit list: B-frames from between keyframes on",
        lambda f: with_edits(write(f / "w.mp4", **B_FRAMES), f / "v.mp4", [(1.0, 1.4)]),
    )


def groups() -> Iterator[tuple[str, Make]]:
    """Open groups of pictures, frames that are never shown, and keyframes that are rare."""
    opened = {"x264-params": "open-gop=1:keyint=8:bframes=3"}
    for suffix in ("mp4", "mkv", "ts", "mov"):
        yield f"H.264, open groups in {suffix}", lambda f, s=suffix: write(f / f"v.{s}", **opened)
    closed = {"x265-params": "log-level=none:keyint=8:bframes=3:open-gop=1"}
    for suffix in ("mp4", "mkv", "ts"):
        yield f"HEVC, open groups in {suffix}", lambda f, s=suffix: write(f / f"v.{s}", "libx265", **closed)
    yield "MPEG-2, B-frames in open groups", lambda f: write(f / "v.mkv", "mpeg2video", rate=25, bf="2", g="8")
    yield "MPEG-4, B-frames in AVI", lambda f: write(f / "v.avi", "mpeg4", bf="2", g="8")
    yield "H.264, B-frames in AVI", lambda f: write(f / "v.avi", **B_FRAMES)
    yield "one keyframe", lambda f: write(f / "v.mp4", frames=60, g="600", **{"x264-params": "scenecut=0"})
    yield "keyframes alone", lambda f: write(f / "v.mp4", g="1")
    yield "pyramid of B-frames", lambda f: write(f / "v.mp4", frames=40, bf="8", g="20", **{"b-pyramid": "normal"})
    yield "periodic intra refresh", lambda f: write(f / "v.mp4", **{"x264-params": "intra-refresh=1:keyint=8"})
    vp9 = {"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"}
    yield "VP9, hidden reference frames", lambda f: write(f / "v.webm", "libvpx-vp9", frames=40, **vp9)
    yield "VP8, hidden reference frames", lambda f: write(f / "v.webm", "libvpx", frames=40, **vp9)


def times() -> Iterator[tuple[str, Make]]:
    """Variable frame rates, and streams that do not begin at time 0."""
    uneven = np.cumsum(np.random.default_rng(100).choice([0.02, 0.1, 0.5], 24))
    uneven = (uneven - uneven[0]).tolist()
    gap = [i * 0.1 + (30 if i > 11 else 0) for i in range(24)]
    for suffix in ("mp4", "mkv", "webm", "flv", "mov", "ts"):
        codec = "libvpx-vp9" if suffix == "webm" else "libx264"
        yield f"uneven times in {suffix}", lambda f, s=suffix, c=codec: write(f / f"v.{s}", c, times=uneven)
    yield "uneven times, B-frames", lambda f: write(f / "v.mp4", times=uneven, **B_FRAMES)
    yield "a gap of 30 s in mp4", lambda f: write(f / "v.mp4", times=gap)
    yield "a gap of 30 s in mkv", lambda f: write(f / "v.mkv", times=gap)
    yield "120 frames a second", lambda f: write(f / "v.mp4", rate=120)
    yield "30000/1001 frames a second", lambda f: write(f / "v.mp4", rate=Fraction(30000, 1001))
    for shift in (5.0, -0.4, -5.0, 0.05):
        for suffix in ("mp4", "mkv", "mov", "ts", "flv"):
            if shift < 0 and suffix == "ts":
                continue
            keep = {} if shift > 0 else {"avoid_negative_ts": "disabled"}
            numbers = shift if shift > 0 or suffix in ("mkv", "flv") else None
            name = f"{'late' if shift > 0 else 'negative'} start, {shift:+} s in {suffix}"
            if numbers is None and shift < -1:
                continue  # an edit list would hide every frame
            yield name, lambda f, s=suffix, by=shift, k=keep: _shifted(f, s, by, k)


def _shifted(folder: Path, suffix: str, shift: float, muxing: dict[str, str]) -> Truth:
    whole = write(folder / f"w.{suffix}", bf="0")
    moved = copied(whole, folder / f"v.{suffix}", shift, **muxing)
    hides = shift < 0 and suffix in ("mp4", "mov")
    return replace(moved, numbers=whole.numbers[round(-shift * 10) :]) if hides else moved


def streams() -> Iterator[tuple[str, Make]]:
    """Transport and program streams, also spliced ones, and raw streams without a container."""
    yield "TS, B-frames", lambda f: write(f / "v.ts", **B_FRAMES)
    yield "TS with sound", lambda f: write(f / "v.ts", sound=True)
    yield "TS, MPEG-2, B-frames", lambda f: write(f / "v.ts", "mpeg2video", rate=25, bf="2", g="8")
    yield "TS, HEVC", lambda f: write(f / "v.ts", "libx265")
    yield "M2TS", lambda f: write(f / "v.m2ts", container="mpegts", muxing={"mpegts_m2ts_mode": "1"}, **B_FRAMES)
    yield "program stream, B-frames", lambda f: write(f / "v.mpg", "mpeg2video", rate=25, bf="2", g="8")
    yield "program stream with sound", lambda f: write(f / "v.mpg", "mpeg2video", rate=25, sound=True, audio="mp2")
    for suffix in ("ts", "mpg", "h264", "m2v", "mjpeg"):
        codec = {"ts": "libx264", "h264": "libx264", "mjpeg": "mjpeg"}.get(suffix, "mpeg2video")
        what = {"rate": 25 if codec == "mpeg2video" else 10, "container": FORMATS.get(suffix)}
        yield (
            f"two {suffix} files joined",
            lambda f, s=suffix, c=codec, w=what: joined(
                [write(f / f"{i}.{s}", c, frames=12, first=1 + 12 * i, **w) for i in (0, 1)], f / f"v.{s}"
            ),
        )
    for codec, suffix in (("libx264", "h264"), ("libx265", "hevc")):
        yield f"raw {suffix}, B-frames", lambda f, c=codec, s=suffix: write(f / f"v.{s}", c, bf="3", g="8")
    yield "raw MPEG-4", lambda f: write(f / "v.m4v", "mpeg4", container="m4v")
    yield "raw H.264 named mp4", lambda f: _named(write(f / "v.h264"), "n.mp4")
    yield "Matroska named mp4", lambda f: _named(write(f / "v.mkv"), "n.mp4")
    yield "MP4 without a suffix", lambda f: _named(write(f / "v.mp4"), "film")


def _named(truth: Truth, name: str) -> Truth:
    return replace(truth, path=truth.path.rename(truth.path.with_name(name)))


def shapes() -> Iterator[tuple[str, Make]]:
    """Turned recordings, non-square pixels, odd and extreme sizes, a size that changes."""
    for angle in (90, 180, 270, -90, 1, 17, 40, 50, 100, 175, 200, 300, 359):
        yield f"turned by {angle} degrees", lambda f, a=angle: _turned(f, a, "mp4")
    yield "turned by 90 degrees in mov", lambda f: _turned(f, 90, "mov")
    yield "turned by 90 degrees in mkv", lambda f: _turned(f, 90, "mkv")
    yield "turned by 270 degrees, HEVC", lambda f: _turned(f, 270, "mp4", "libx265")
    one = 1 << 16
    flips = {
        "left to right": ((-one, 0, 0, 0, one, 0, 0, 0, 1 << 30), 0),
        "upside down": ((one, 0, 0, 0, -one, 0, 0, 0, 1 << 30), 2),
    }
    for name, (matrix, turns) in flips.items():
        yield (
            f"mirrored {name}",
            lambda f, m=matrix, t=turns: replace(write(f / "v.mp4", matrix=m), mirrored=True, turns=t),
        )
    for ratio in (Fraction(4, 3), Fraction(1, 2), Fraction(16, 11), Fraction(64, 45), Fraction(2)):
        for suffix in ("mp4", "mkv"):
            yield f"pixels of {ratio} in {suffix}", lambda f, r=ratio, s=suffix: write(f / f"v.{s}", ratio=r)
    shape = {"size": (96, 120), "ratio": Fraction(16, 15)}  # 4:3 in all: MPEG-2 states no other shapes than a few
    yield "pixels of 16/15, MPEG-2", lambda f: write(f / "v.mpg", "mpeg2video", rate=25, **shape)
    yield "pixels of 4/3, turned", lambda f: _turned_wide(f)
    for size in ((18, 34), (96, 66), (130, 50), (38, 200), (16, 16), (1024, 64)):
        yield f"{size[1]} x {size[0]} pixels", lambda f, z=size: write(f / "v.mp4", size=z, frames=12)
    yield "odd sides", lambda f: write(f / "v.mkv", "ffv1", size=(97, 129))
    yield "odd sides, H.264", lambda f: write(f / "v.mp4", size=(97, 129), pixels="yuv444p")
    yield "1920 x 1080 pixels", lambda f: write(f / "v.mp4", size=(1080, 1920), frames=10, preset="ultrafast")
    yield (
        "a size that changes",
        lambda f: joined(
            [write(f / "a.h264", frames=12), write(f / "b.h264", frames=12, first=13, size=(64, 128))], f / "v.h264"
        ),
    )


def _turned(folder: Path, angle: float, suffix: str, codec: str = "libx264") -> Truth:
    truth = write(folder / f"v.{suffix}", codec, matrix=angle)
    turns = round(angle / 90) % 4
    return replace(truth, turns=turns, size=truth.size[::-1] if turns % 2 else truth.size)


def _turned_wide(folder: Path) -> Truth:
    truth = write(folder / "v.mp4", ratio=Fraction(4, 3), matrix=90)
    return replace(truth, turns=1, size=truth.size[::-1])


def pixels() -> Iterator[tuple[str, Make]]:
    """Interlaced, 10 bit, high dynamic range, alpha, subsampling, full range."""
    yield "interlaced H.264", lambda f: write(f / "v.mp4", **{"x264-params": "interlaced=1"})
    yield "interlaced H.264 in TS", lambda f: write(f / "v.ts", **{"x264-params": "interlaced=1"})
    yield "interlaced MPEG-2", lambda f: write(f / "v.mpg", "mpeg2video", rate=25, flags="+ilme+ildct")
    ten = "yuv420p10le"
    for codec, suffix in (("libx264", "mp4"), ("libx265", "mkv"), ("libsvtav1", "mp4"), ("ffv1", "mkv")):
        yield f"10 bit, {codec}", lambda f, c=codec, s=suffix: write(f / f"v.{s}", c, pixels=ten)
    wide = {"color_primaries": 9, "colorspace": 9, "color_range": 1}
    for name, curve in (("PQ", 16), ("HLG", 18)):
        yield (
            f"high dynamic range, {name}",
            lambda f, t=curve: write(f / "v.mp4", "libx265", pixels=ten, colours={**wide, "color_trc": t}),
        )
    yield "full range", lambda f: write(f / "v.mp4", pixels="yuvj420p")
    yield "BT.709", lambda f: write(f / "v.mp4", colours={"colorspace": 1, "color_primaries": 1, "color_trc": 1})
    for form in ("yuv422p", "yuv444p", "gray"):
        yield f"H.264, {form}", lambda f, p=form: write(f / "v.mp4", pixels=p)
    for codec, form, suffix in (
        ("libvpx", "yuva420p", "webm"),
        ("libvpx-vp9", "yuva420p", "webm"),
        ("prores_ks", "yuva444p10le", "mov"),
        ("qtrle", "argb", "mov"),
        ("png", "rgba", "mov"),
        ("ffv1", "yuva420p", "mkv"),
        ("utvideo", "gbrap", "avi"),
    ):
        yield f"alpha, {codec}", lambda f, c=codec, p=form, s=suffix: write(f / f"v.{s}", c, pixels=p)
    yield "12 bit, ffv1", lambda f: write(f / "v.mkv", "ffv1", pixels="yuv420p12le")


def several() -> Iterator[tuple[str, Make]]:
    """One frame, several streams of pictures, sound, covers."""
    for suffix, codec in (
        ("mp4", "libx264"),
        ("mkv", "libx264"),
        ("avi", "mpeg4"),
        ("gif", "gif"),
        ("webm", "libvpx-vp9"),
    ):
        form = {"pixels": "rgb8"} if codec == "gif" else {}
        yield f"one frame, {suffix}", lambda f, s=suffix, c=codec, w=form: write(f / f"v.{s}", c, frames=1, **w)
    yield "one frame, TS", lambda f: write(f / "v.ts", frames=1)
    for suffix in ("mp4", "mkv", "avi", "mov"):
        yield f"with sound, {suffix}", lambda f, s=suffix: write(f / f"v.{s}", sound=True)
    for suffix, size in (("mp4", (96, 128)), ("mkv", (64, 64)), ("ts", (64, 64)), ("mov", (192, 256))):
        yield f"two streams of pictures, {suffix}", lambda f, s=suffix, z=size: write(f / f"v.{s}", second=z)
    for where in ("first", "last"):
        for suffix in ("mp4", "mov"):
            yield f"cover picture {where}, {suffix}", lambda f, s=suffix, w=where: write(f / f"v.{s}", cover=w)
    yield "sound with a cover", _sound_with_cover


def _sound_with_cover(folder: Path) -> Truth:
    truth = write(folder / "w.mp4", cover="last", sound=True)
    with av.open(str(truth.path)) as given, av.open(str(folder / "v.m4a"), "w", format="mp4") as out:
        kept = [one for one in given.streams if one.type == "audio" or one.disposition]
        kept = [one for one in kept if one.type == "audio" or "attached_pic" in str(one.disposition)]
        copies = {one.index: out.add_stream_from_template(one) for one in kept}
        for one in kept:
            copies[one.index].disposition = one.disposition
        for packet in given.demux(kept):
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                out.mux(packet)
    return replace(truth, path=folder / "v.m4a", numbers=(), damaged=True)


def indices() -> Iterator[tuple[str, Make]]:
    """Indices that are missing, doubled, or promise more than there is."""
    fragments = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
    yield "fragmented MP4", lambda f: write(f / "v.mp4", muxing=fragments)
    yield "fragmented MP4, B-frames", lambda f: write(f / "v.mp4", muxing=fragments, **B_FRAMES)
    yield (
        "fragmented MP4, a fragment a frame",
        lambda f: write(f / "v.mp4", muxing={"movflags": "frag_every_frame+empty_moov"}),
    )
    yield "index first", lambda f: write(f / "v.mp4", muxing={"movflags": "faststart"})
    yield "Matroska without cues", lambda f: write(f / "v.mkv", muxing={"live": "1"})
    yield "Matroska, cues first", lambda f: write(f / "v.mkv", muxing={"reserve_index_space": "2000"})
    yield "FLV without durations", lambda f: write(f / "v.flv", muxing={"flvflags": "no_duration_filesize"})
    yield "AVI without an index", lambda f: _avi(f, _without_index)
    yield "AVI with its index twice", lambda f: _avi(f, _index_twice)
    yield "AVI whose header promises more", lambda f: _avi(f, _promises)
    yield "AVI whose header says 0 frames", lambda f: _avi(f, lambda data: _promises(data, 0))
    yield "MP4 with an index twice", _moov_twice
    for count in (1, 7, 100):
        yield f"MP4 that promises {count} frames more", lambda f, n=count: _promising(f, n)
    for count in (1, 8):
        yield f"MP4 whose last {count} frames are empty", lambda f, n=count: _hollow(f, n, 0)
        yield f"MP4 whose last {count} frames are noise", lambda f, n=count: _hollow(f, n, 1)
    yield "MP4 whose duration is tenfold", lambda f: _long(f, "mp4")
    yield "Matroska whose duration is tenfold", lambda f: _long(f, "mkv")


def _avi(folder: Path, change: Callable[[bytes], bytes]) -> Truth:
    truth = write(folder / "w.avi", "mpeg4", bf="0", g="8")
    return changed(truth, folder / "v.avi", change(truth.path.read_bytes()), damaged=False)


def _without_index(data: bytes) -> bytes:
    return data[: data.rindex(b"idx1")]


def _index_twice(data: bytes) -> bytes:
    return data + data[data.rindex(b"idx1") :]


def _promises(data: bytes, frames: int = 500) -> bytes:
    data = bytearray(data)
    struct.pack_into("<I", data, data.index(b"avih") + 8 + 16, frames)
    struct.pack_into("<I", data, data.index(b"strh") + 8 + 32, frames)
    return bytes(data)


def _moov_twice(folder: Path) -> Truth:
    truth = write(folder / "w.mp4")
    data = truth.path.read_bytes()
    start, size = box(data, b"moov")
    return changed(truth, folder / "v.mp4", data + data[start : start + size], damaged=False)


def _promising(folder: Path, count: int) -> Truth:
    """Every table of the index says ``count`` samples more, which would lie behind the end of the file."""
    truth = write(folder / "w.mp4", bf="0")
    data = bytearray(truth.path.read_bytes())
    for name, place in ((b"stts", 16), (b"stsz", 16)):
        start, size = box(data, *TABLES, name)
        old = struct.unpack_from(">I", data, start + place)[0]
        if name == b"stts":
            struct.pack_into(">I", data, start + place, old + count)
            continue
        struct.pack_into(">I", data, start + place, old + count)
        extra = struct.pack(">I", 900) * count
        data[start + size : start + size] = extra
        for names in (TRACK[:1], TRACK, TABLES[:3], TABLES[:4], TABLES, (*TABLES, name)):
            at, length = box(data, *names)
            struct.pack_into(">I", data, at, length + len(extra))
        first = box(data, *TABLES, b"stsc")[0]
        struct.pack_into(">I", data, first + 20, struct.unpack_from(">I", data, first + 20)[0] + count)
    for names, place in (((b"moov", b"mvhd"), 24), ((*TRACK, b"mdia", b"mdhd"), 24)):
        at = box(data, *names)[0]
        old = struct.unpack_from(">I", data, at + place)[0]
        struct.pack_into(">I", data, at + place, old * (24 + count) // 24)
    try:
        place = box(data, *TRACK, b"edts")[0]
        data[place + 4 : place + 8] = b"free"
    except LookupError:
        pass
    return changed(truth, folder / "v.mp4", bytes(data), prefix=False)


def _hollow(folder: Path, count: int, noise: int) -> Truth:
    """The data of the last ``count`` frames are zeros or noise."""
    truth = write(folder / "w.mp4", bf="0")
    data = bytearray(truth.path.read_bytes())
    sizes = box(data, *TABLES, b"stsz")[0]
    table = struct.unpack_from(">24I", data, sizes + 20)
    start, size = box(data, b"mdat")
    end, length = start + size, sum(table[-count:])
    data[end - length : end] = np.random.default_rng(100).bytes(length) if noise else bytes(length)
    return changed(truth, folder / "v.mp4", bytes(data))


def _long(folder: Path, suffix: str) -> Truth:
    truth = write(folder / f"w.{suffix}", bf="0")
    data = bytearray(truth.path.read_bytes())
    if suffix == "mp4":
        for names in ((b"moov", b"mvhd"), (*TRACK, b"mdia", b"mdhd")):
            at = box(data, *names)[0] + 24
            struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] * 10)
    else:
        at = data.index(b"\x44\x89\x88") + 3
        struct.pack_into(">d", data, at, struct.unpack_from(">d", data, at)[0] * 10)
    return changed(truth, folder / f"v.{suffix}", bytes(data), damaged=True)


KINDS: dict[str, Callable[[], Iterator[tuple[str, Make]]]] = {
    "codecs and containers": codecs,
    "edit lists": edit_lists,
    "groups of pictures": groups,
    "times": times,
    "streams and raw streams": streams,
    "turned, shaped": shapes,
    "depth, range, alpha": pixels,
    "one frame, several streams": several,
    "indices and counts": indices,
    "cut tails": cut,
    "damaged middles": damaged,
}
