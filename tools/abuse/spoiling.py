"""Files of the truth table that lack their end or have something else in the middle."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from tools.abuse.writing import Truth, changed, write

Make = Callable[[Path], Truth]
CUT = {
    "mp4": ("libx264", {"muxing": {"movflags": "faststart"}}),
    "mov": ("libx264", {"muxing": {"movflags": "faststart"}}),
    "mkv": ("libx264", {}),
    "webm": ("libvpx-vp9", {}),
    "avi": ("mpeg4", {}),
    "flv": ("libx264", {}),
    "ts": ("libx264", {}),
    "mpg": ("mpeg2video", {"rate": 25}),
    "wmv": ("wmv2", {}),
    "gif": ("gif", {"pixels": "rgb8"}),
    "apng": ("apng", {}),
    "nut": ("ffv1", {}),
    "ivf": ("libvpx-vp9", {}),
    "h264": ("libx264", {}),
    "hevc": ("libx265", {}),
    "m2v": ("mpeg2video", {"rate": 25, "container": "mpeg2video"}),
    "mjpeg": ("mjpeg", {}),
    "y4m": ("rawvideo", {"container": "yuv4mpegpipe", "pixels": "yuv420p"}),
}
UNTOLD = ("ts", "mpg", "h264", "hevc", "m2v", "mjpeg", "ivf", "y4m", "nut")
"""Nothing in these says how many frames there are: cut between two frames they are whole files."""


def cut() -> Iterator[tuple[str, Make]]:
    """Files of which the end is missing."""
    for suffix, (codec, what) in CUT.items():
        for share in (0.5, 0.9):
            yield (
                f"{suffix}, the first {share:.0%}",
                lambda f, s=suffix, c=codec, w=what, p=share: _cut(f, s, c, w, p),
            )
    yield "mp4, index last, the first 50%", lambda f: _cut(f, "mp4", "libx264", {}, 0.5)
    yield (
        "fragmented mp4, the first 50%",
        lambda f: _cut(f, "mp4", "libx264", {"muxing": {"movflags": "frag_keyframe+empty_moov"}}, 0.5),
    )


def _cut(folder: Path, suffix: str, codec: str, what: dict, share: float) -> Truth:
    truth = write(folder / f"w.{suffix}", codec, frames=48, **what)
    data = truth.path.read_bytes()
    return changed(truth, folder / f"v.{suffix}", data[: int(len(data) * share)], prefix=suffix in UNTOLD)


def damaged() -> Iterator[tuple[str, Make]]:
    """Files of which a part in the middle is something else."""
    for suffix, (codec, what) in CUT.items():
        for how in ("zeros", "noise", "a hole"):
            yield (
                f"{suffix}, {how} in the middle",
                lambda f, s=suffix, c=codec, w=what, h=how: _spoiled(f, s, c, w, h),
            )


def _spoiled(folder: Path, suffix: str, codec: str, what: dict, how: str) -> Truth:
    truth = write(folder / f"w.{suffix}", codec, frames=48, **what)
    data = bytearray(truth.path.read_bytes())
    start, length = len(data) * 55 // 100, max(64, len(data) // 20)
    data[start : start + length] = {
        "zeros": bytes(length),
        "noise": np.random.default_rng(100).bytes(length),
        "a hole": b"",
    }[how]
    return changed(truth, folder / f"v.{suffix}", bytes(data))
