"""Haystacks: real MP4 files of any length from the shipped material, one shot a second, in which needles are hidden.

A haystack is a function of (split, number, frames, size) alone. Its recipe, one line per shot, is written beside the
file, so that a row can say what surrounded its needle. Photographs, pages and charts are those of the split; the two
clips serve every split, for only the needle is asked about. Nothing in a haystack is a number that could be read:
pages hold words, charts bars. No torch.
"""

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from oryx.errors import InputError
from oryx.files import atomic_write_text, sha256_file
from oryx.processing.video import read_frames
from workbook.data import corpora, splits
from workbook.data.items import choose, generator
from workbook.data.pictures import paper
from workbook.data.text_tasks import draw_face

CORPORA = ("clips", "fonts", "glosses", "photos", "tables")
"""What haystacks are made of."""

KINDS = {"photo": 0.4, "clip": 0.2, "page": 0.2, "chart": 0.2}
"""Kind of shot -> share of a haystack."""

CHARTED = 24
"""Rows of a table that a chart shows."""

# libx264's options: nothing that looks ahead. Looking ahead works on a half-size copy of each frame, and of frames of
# 32 pixels about one file in a hundred came out differently, by chance, even with one thread (the pictures differed by
# a fraction of a level).
ENCODER = {
    "crf": "18",
    "preset": "veryfast",
    "x264-params": "threads=1:bframes=0:weightp=0:rc-lookahead=0:mbtree=0:scenecut=0",
}


@dataclass(frozen=True)
class Shot:
    """One frame of a haystack.

    ``source`` is a photo's, a clip's or a table's id; ``number`` the clip's frame, the page's first gloss or the
    table's column; ``box`` what of the picture is seen, (left, top, right, bottom) as shares.
    """

    kind: str
    source: str
    number: int
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Haystack:
    """A haystack on disk; ``sha256`` is that of the video file."""

    path: Path
    shots: tuple[Shot, ...]
    sha256: str


def haystack_shots(split: str, number: int, frames: int) -> tuple[Shot, ...]:
    """The shots of haystack ``number`` of a split; a longer one begins with the shots of a shorter one."""
    rng, shots = generator("haystack", split, number), []
    for _ in range(frames):
        kind = choose(rng, KINDS)
        sources = _sources(kind, split)
        source, numbers = sources[int(rng.integers(len(sources)))]
        chosen = int(rng.integers(numbers))
        share = float(rng.uniform(0.4, 1.0))
        left, top = (float(rng.uniform(0, 1 - share)) for _ in range(2))
        box = tuple(round(edge, 4) for edge in (left, top, left + share, top + share))
        shots.append(Shot(kind, source, chosen, box))
    return tuple(shots)


def draw_shot(shot: Shot, split: str, size: tuple[int, int]) -> Image.Image:
    """The frame of a shot, (height, width) = ``size``."""
    if shot.kind == "photo":
        picture = corpora.load("photos").image(shot.source).convert("RGB")
    elif shot.kind == "clip":
        picture = _clip(shot.source)[shot.number]
    else:
        picture = (_page if shot.kind == "page" else _chart)(shot, split, size)
    left, top, right, bottom = shot.box
    box = (left * picture.width, top * picture.height, right * picture.width, bottom * picture.height)
    return picture.resize((size[1], size[0]), Image.Resampling.BICUBIC, box=box)


def make_haystack(
    folder: Path, split: str, number: int, frames: int, size: tuple[int, int], inserted: Mapping[int, Image.Image] = {}
) -> Haystack:
    """The haystack file, written unless it lies whole in ``folder`` already, with its recipe beside it.

    Args:
        inserted: place -> frame that is put there, before sampling: the file then has ``frames`` + inserted frames, and
            each is found at its own place. Such a file is written anew at every call.

    Raises:
        InputError: no frames, an odd side (H.264 stores colour at half size), or a place outside the file.
    """
    total = frames + len(inserted)
    if frames < 1 or any(not 0 <= place < total for place in inserted):
        raise InputError(f"a haystack needs frames and places inside it; got {frames} frames, places {list(inserted)}")
    name = f"{split}-{number}-{frames}x{size[1]}x{size[0]}"
    if inserted:
        name += f"-with-{'-'.join(map(str, sorted(inserted)))}"
    path, shots = Path(folder) / f"{name}.mp4", haystack_shots(split, number, frames)
    described = {
        "split": split, "number": number, "frames": frames, "size": list(size), "rate": 1, "encoder": ENCODER,
        "data": corpora.data_hash(CORPORA),
        "inserted": sorted(inserted), "shots": [asdict(shot) for shot in shots],
    }  # fmt: skip
    plain = (draw_shot(shot, split, size) for shot in shots)
    images = (inserted[i] if i in inserted else next(plain) for i in range(total))
    sha256 = write_once(path, described, images, size, anew=bool(inserted))
    return Haystack(path, shots, sha256)


def write_once(
    path: Path, described: dict, frames: Iterable[Image.Image], size: tuple[int, int], anew: bool = False
) -> str:
    """Write a video with ``described`` (JSON data) beside it, unless it lies there whole and so described.

    Returns the file's sha256; ``anew`` writes it in any case.
    """
    recipe, described = path.with_suffix(".json"), json.loads(json.dumps(described))
    with suppress(FileNotFoundError, json.JSONDecodeError):
        stated = json.loads(recipe.read_text())
        if not anew and path.is_file() and stated == {**described, "sha256": sha256_file(path)}:
            return stated["sha256"]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, size)
    found = sha256_file(path)
    atomic_write_text(recipe, json.dumps({**described, "sha256": found}) + "\n")
    return found


def write_video(path: Path, frames: Iterable[Image.Image], size: tuple[int, int], rate: int = 1) -> None:
    """An H.264 MP4 file of these frames, each (height, width) = ``size``; in place only once it is whole.

    Raises InputError for an odd side or a frame of another size.
    """
    import av  # here alone: a haystack that lies on disk is read without it

    if any(side < 2 or side % 2 for side in size):
        raise InputError(f"a video's sides must be even (H.264 stores colour at half size); got {tuple(size)}")
    temporary = path.with_suffix(f".{os.getpid()}.mp4")
    with av.open(str(temporary), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options=ENCODER)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for number, picture in enumerate(frames):
            if (picture.height, picture.width) != tuple(size):
                raise InputError(f"frame {number}: expected (height, width) {tuple(size)}, got {picture.size[::-1]}")
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(picture.convert("RGB")), "rgb24")))
        container.mux(stream.encode())
    temporary.replace(path)


@cache
def photos(split: str) -> list[corpora.Item]:
    """The photographs of a split."""
    return splits.choose("photo", split, corpora.load("photos").items, key=lambda item: item.id)


@cache
def _sources(kind: str, split: str) -> list[tuple[str, int]]:
    """What a shot of ``kind`` can show in a split: (source, how many numbers it has)."""
    if kind == "photo":
        return [(item.id, 1) for item in photos(split)]
    if kind == "clip":
        return [(clip.id, clip.frames) for clip in corpora.clips()]
    if kind == "page":
        return [("glosses", len(_glosses(split)))]
    tables = splits.choose("table", split, corpora.tables(), key=lambda table: table.id)
    return [(table.id, len(columns)) for table in tables if (columns := table.numbers(CHARTED))]


@lru_cache(maxsize=2)
def _clip(identifier: str) -> list[Image.Image]:
    clip = next(clip for clip in corpora.clips() if clip.id == identifier)
    frames = read_frames(clip.path, range(clip.frames), (clip.size[0] // 3, clip.size[1] // 3))
    return [Image.fromarray(frame) for frame in frames]


@cache
def _glosses(split: str) -> list[str]:
    """Definitions without digits, as text of pages; every twentieth, which is plenty."""
    found = [f"{entry.word}: {entry.gloss}" for entry in corpora.glosses()[::20]]
    return [text for text in splits.choose("document", split, found) if not any(c.isdigit() for c in text)]


def _page(shot: Shot, split: str, size: tuple[int, int]) -> Image.Image:
    rng = generator("haystack page", split, shot.number)
    height, width = (4 * side for side in size)
    page, ink = paper(rng, (height, width))
    face, texts = draw_face(rng, split, 9, 15), _glosses(split)
    words = " ".join(texts[(shot.number + i) % len(texts)] for i in range(12)).split()
    draw, step, y = ImageDraw.Draw(page), sum(face.getmetrics()), 2
    while y + step < height and words:
        line = words.pop(0)
        while words and face.getlength(f"{line} {words[0]}") < width - 4:
            line += " " + words.pop(0)
        draw.text((2, y), line, font=face, fill=ink)
        y += step
    return page


def _chart(shot: Shot, split: str, size: tuple[int, int]) -> Image.Image:
    rng = generator("haystack chart", split, shot.source, shot.number)
    table = next(table for table in corpora.tables() if table.id == shot.source)
    values = np.array(table.numbers(CHARTED)[shot.number])
    height, width = (4 * side for side in size)
    page, ink = paper(rng, (height, width))
    low, high = min(values.min(), 0.0), values.max()
    shares = (values - low) / max(high - low, 1e-9)
    colour, draw = tuple(int(v) for v in rng.integers(30, 200, 3)), ImageDraw.Draw(page)
    step = (width - 12) / len(shares)
    for i, share in enumerate(shares):
        top = height - 8 - share * (height - 16)
        draw.rectangle((8 + i * step, top, 8 + (i + 0.7) * step, height - 8), fill=colour)
    draw.line((6, 6, 6, height - 7, width - 4, height - 7), fill=ink)
    return page
