"""``python -m oryx.train retrieval-records``: records about single frames of long videos, from videos with captions.

Written are the needle records of the public training code (:mod:`oryx.train.records`): what one frame shows, and what
changes between two. Captions are a csv, or a json list, with

========  ======================================================================================================
video     name of a file, or of a folder of frames, in the folder of videos, with or without its ending
frame     number of the frame, from 0; or ``time``, in seconds, of files
text      what it shows; where ``frame`` or ``time`` are two numbers (``12 250``): what changes between them
========  ======================================================================================================

or MovieNet's annotation (movienet/movienet-tools, docs/wiki/annotation.md), one json a film or a folder of them: each
``story`` is a description of several shots, taken for their middle frame, or in a folder of MovieNet's key frames for
the middle one of their middle shot. The wording of questions and of joined answers is ours: that of the paper's records
is not found.
"""

import argparse
import csv
import json
import os
import random
import sys
from bisect import bisect_right
from contextlib import closing
from functools import cache
from glob import escape
from pathlib import Path
from typing import NamedTuple

from oryx.errors import InputError, OryxError, SettingsError
from oryx.files import atomic_write_json
from oryx.processing.video import VideoFile
from oryx.processing.visuals import frame_files
from workbook.data import corpora
from workbook.data.haystacks import make_haystack

QUESTIONS = {"caption": "What is shown in frame <idx>?", "diff": "What changes between frame <idx1> and frame <idx2>?"}
SHIPPED = "shipped"
HAYSTACKS, SHOTS, SIZE = 4, 300, (96, 96)
"""Videos that are made of the shipped material, frames of each (more than are ever shown at once), and their size."""


class Caption(NamedTuple):
    """What the frame ``idx`` of a video shows, or what changes between two."""

    video: Path
    idx: tuple[int, ...]
    text: str


def read_captions(videos: Path, captions: Path) -> list[Caption]:
    """The captions of a file or a folder, see above.

    Raises SettingsError naming file and row: no such video, no text, or a frame that the video does not have.
    """
    found = []
    for file in sorted(captions.glob("*.json")) if captions.is_dir() else [captions]:
        number = -1
        try:
            for row in _rows(file):
                number += 1
                found.append(_caption(videos, row))
        except (OSError, KeyError, TypeError, ValueError, csv.Error, OryxError) as error:
            raise SettingsError(f"captions: {file}, row {max(0, number)}: {error!r}") from None
    if not found:
        raise SettingsError(f"captions: {captions}: expected at least one, got none")
    return found


def _rows(file: Path) -> list[dict]:
    text = file.read_text(encoding="utf-8-sig")
    read = list(csv.DictReader(text.splitlines(), strict=True)) if file.suffix == ".csv" else json.loads(text)
    if isinstance(read, list):
        return read
    parts = read.get("story") or ()  # MovieNet's
    middles = [{name: sum(part[name]) // 2 for name in ("frame", "shot")} for part in parts]
    return [{"video": read["imdb_id"], "text": p["description"], **m} for p, m in zip(parts, middles, strict=True)]


def _caption(videos: Path, row: dict) -> Caption:
    paths = (videos / row["video"], *sorted(videos.glob(f"{escape(row['video'])}.*")))
    film = next(filter(Path.exists, paths), paths[0])
    names, total, times = _frames(film)
    if (key := f"shot_{row.get('shot', 0):04}_img_1.jpg") in names:  # the middle one of a shot's three key frames
        idx = (names.index(key),)
    else:
        timed = row.get("frame") in (None, "")
        if timed and not times:
            raise InputError(f"{film}: its frames have no times; expected frame in {row}")
        given = [float(word) for word in str(row["time"] if timed else row["frame"]).split()]
        idx = tuple(bisect_right(times, one) - 1 if timed else round(one) for one in given)
    if not row["text"].strip() or len(idx) not in (1, 2) or not all(0 <= number < total for number in idx):
        raise InputError(f"{film}: expected a text and one or two frames from 0 to {total - 1}, got {idx} in {row}")
    return Caption(film, idx, row["text"].strip())


@cache
def _frames(film: Path) -> tuple[list[str], int, list[float]]:
    """Of a folder the names of its frames; how many frames a video has; of a file the seconds at which each is shown
    and at which the last one ends, where it tells."""
    if film.is_dir():
        names = [path.name for path in frame_files(film)]
        return names, len(names), []
    with closing(VideoFile(film)) as video:
        total, shown = video.info.frames, [float((one - video.times[0]) * video.unit) for one in video.times or ()]
    return [], total, [*shown, shown[-1] + shown[-1] / max(1, total - 1)] if shown else []


def shipped_captions(folder: Path) -> list[Caption]:
    """Videos of the shipped clips, photographs, pages and charts, written into ``folder``.

    What a photograph or a clip shows is its title; the cut that a frame shows of it may hold less.
    """
    titles = {item.id: item.title for item in (*corpora.load("photos").items, *corpora.clips())}
    made = [make_haystack(folder, "train", number, SHOTS, SIZE) for number in range(HAYSTACKS)]
    shots = [(one.path, place, shot.source) for one in made for place, shot in enumerate(one.shots)]
    return [Caption(path, (place,), titles[source]) for path, place, source in shots if source in titles]


def build(captions: list[Caption], folder: Path, seed: int = 0, count: int | None = None) -> list[dict]:
    """Records of captions and of differences by turns; differences are those told, then two captions of one video.

    ``folder``: from where videos are named; ``count``: by default twice the captions. What is drawn again has another
    place in its video when it is read.
    """
    draw, films = random.Random(seed), {}
    own, single = ([one for one in captions if len(one.idx) == size] for size in (2, 1))
    for one in single:
        films.setdefault(one.video, {})[one.idx] = one
    pairs = [list(film.values()) for film in films.values() if len({one.text for one in film.values()}) > 1]
    draw.shuffle(single)
    draw.shuffle(own)
    records = []
    for number in range(2 * len(captions) if count is None else count):
        turn, odd = divmod(number, 2) if single and (own or pairs) else (number, not single)
        if not odd:
            made = single[turn % len(single)]
        elif turn < len(own) or not pairs:
            made = own[turn % len(own)]
        else:
            one = draw.choice(film := draw.choice(pairs))
            first, then = sorted((one, draw.choice([other for other in film if other.text != one.text])))
            made = Caption(first.video, first.idx + then.idx, f"First: {first.text} Then: {then.text}")
        kind = "caption" if len(made.idx) == 1 else "diff"
        record = {"id": f"{kind}-{number}", "video_long": os.path.relpath(made.video, folder), "idx": list(made.idx)}
        records.append({**record, "type": kind, "question": QUESTIONS[kind], "answer": made.text})
    return records


def main(arguments: list[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m oryx.train retrieval-records", description=__doc__.split("\n")[0])
    parser.add_argument("--videos", required=True, help=f"folder of videos; {SHIPPED!r}: some are made, with captions")
    parser.add_argument("--captions", type=Path, help="csv, json, or MovieNet's json or folder of them")
    parser.add_argument("--output", type=Path, required=True, help="file of the records, a json list")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=int, help="how many; default: twice the captions")
    given = parser.parse_args(arguments)
    try:
        if (given.videos == SHIPPED) != (given.captions is None):
            raise SettingsError(f"captions: expected a file for a folder of videos, and none for {SHIPPED!r}")
        folder = given.output.parent
        found = (
            read_captions(Path(given.videos), given.captions) if given.captions else shipped_captions(folder / SHIPPED)
        )
        records = build(found, folder, given.seed, given.records)
        atomic_write_json(given.output, records, indent=None)
        films = len({record["video_long"] for record in records})
        print(f"{given.output}: {len(records)} records about frames of {films} videos, from {len(found)} captions")
    except OryxError as error:
        print(f"oryx: {error}", file=sys.stderr)
        return error.exit_code
    return 0
