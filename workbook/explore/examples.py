"""What can be shown at once, held-out pictures, videos and scenes with their true answers; and the case studies.

The article describes and summarises videos, reasons about them and learns from them. In small: the model answers seven
one-word questions about synthetic videos (coloured cards, one of them a sign with a number, a moving icon,
photographs). It writes no sentences; that is left to released weights, asked in the words of the article's cases.
"""

import re
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, ImageDraw

from oryx.errors import InputError
from oryx.evidence.stats import score_of
from oryx.processing.images import open_image
from oryx.processing.options import PreprocessOptions
from oryx.processing.visuals import Video, Views, choose_frames, frame_files
from workbook.data import corpora
from workbook.data.items import evaluation_items, generator
from workbook.data.own_data import is_video_file
from workbook.data.pictures import PictureSizes, draw_text, font_face, paper, text_extent
from workbook.data.stories import QUESTIONS, VIEWS, Story, make_scene, make_story
from workbook.data.text_tasks import known_words, split_fonts
from workbook.explore.asking import Asked, ask
from workbook.explore.models import Opened
from workbook.report.tables import interval_text
from workbook.studies.one_model import comparison

SPLIT = "dev"
"""Examples to play with come from the split that designs are tuned on; ``report`` is for reported numbers."""

CHOSEN = {"page": 18, "number": 38, "word": 4, "icon": 25, "photo": 33, "clipart": 25, "list": 7}
"""Task -> number of its example, chosen by ``python -m tools.examples`` among those that the shipped model answers."""

WORDS = tomllib.loads(Path(__file__).with_name("words.toml").read_text("utf-8"))
PICTURES = "pictures"
ABOUT = 1.4
"""Pictures with at most this many times more or fewer tokens are of about the same size."""

KIND_OF = {words: kind for kind, words in QUESTIONS.items()}


@dataclass(frozen=True)
class Example:
    """Something to ask about.

    ``truths``: question -> true answer; empty where nobody knows it. ``group``: how the groups of published rows on its
    like begin; ``kinds``: question -> the kind it has there.
    """

    visual: Any
    truths: Mapping[str, str] = field(default_factory=dict)
    group: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """The first question."""
        return next(iter(self.truths), "read")

    @property
    def pixels(self) -> Image.Image:
        """The picture, the first frame or the first view; errors as of opening it."""
        if isinstance(self.visual, Video | Views):
            return next(choose_frames(self.visual, PreprocessOptions()).pictures)
        return open_image(self.visual)


def held_out(example: Example, question: str, asked: Asked) -> str:
    """How often the shipped model is right about held-out items of this kind, ratio and length in tokens.

    Pictures: of about this size, and asked at their own, so of a reduced one nothing is published.
    """
    rows, kind, tokens = _published(), example.kinds.get(question), asked.answer.visual_tokens
    about = ABOUT if example.group == PICTURES else 1
    rows = rows[rows["group"].str.startswith(example.group) & (rows["kind"] == kind) & (rows["ratio"] == asked.side**2)]
    rows = rows[rows["visual_tokens"].between(tokens / about, tokens * about)]
    reduced = example.group == PICTURES and example.pixels.size[::-1] != asked.views[0].shape[:2]
    if reduced or rows.empty:
        return "not published"
    score = score_of(rows)
    shown = interval_text(*(score[name] for name in ("score", "low", "high")))
    return f"{shown} of {score['n']}, chance {rows['chance'].mean():.2f}"


@cache
def _published() -> pd.DataFrame:
    return comparison.rows().query("condition == 'visual'")


@cache
def pictures() -> dict[str, Example]:
    """A held-out picture of each task."""
    found = {}
    for task, number in CHOSEN.items():
        *_, item = evaluation_items(task, SPLIT, number + 1, PictureSizes())
        found[task] = Example(item.picture, {item.question: item.answer}, PICTURES, {item.question: task})
    return found


def typed(text: str) -> Example:
    """A number or word drawn as the tasks of reading draw theirs, in a held-out font; raises InputError if it is empty
    or long."""
    if not 0 < len(text) <= 12:
        raise InputError(f"to be drawn: expected 1 to 12 characters, got {len(text)}")
    face, edge, patch = font_face(split_fonts(SPLIT)[0], 20), 6, PictureSizes().patch
    *_, width, height = text_extent(face, text)
    page, ink = paper(generator("typed", text), [-(-(side + 2 * edge) // patch) * patch for side in (height, width)])
    draw_text(ImageDraw.Draw(page), (edge, edge), text, face, ink)
    kind = "number" if re.fullmatch(r"\d{1,4}", text) else "word" if text in known_words() else ""
    return Example(page, {"read": text}, PICTURES, {"read": kind})


@cache
def folder() -> tempfile.TemporaryDirectory:
    """Where example videos and uploads are written; one a process, removed with it."""
    return tempfile.TemporaryDirectory(prefix="oryx-videos-")


def story(length: str, index: int) -> Story:
    """A held-out video, its file written if it is not there."""
    return make_story(Path(folder().name), SPLIT, length, index)


@cache
def videos() -> dict[str, Example]:
    """Held-out videos with the truth about them, and the two real clips, of which the small model knows nothing."""
    found = {}
    for length, index in (("short", 4), ("short", 1), ("long", 0)):
        one = story(length, index)
        truths = {QUESTIONS[kind]: one.facts[kind] for kind in ("sign", *one.facts)}
        found[f"{length} video {index}"] = Example(Video(str(one.path)), truths, f"{length} films", KIND_OF)
    return found | {f"clip: {clip.id}": Example(Video(clip.path)) for clip in corpora.clips()}


@cache
def scenes() -> dict[str, Example]:
    """Views of held-out scenes."""
    made = {f"scene {index}": make_scene(SPLIT, index) for index in (2, 0, 1)}
    return {name: Example(Views(list(s.views)), dict(s.turns), f"{VIEWS} views", KIND_OF) for name, s in made.items()}


def own_files(paths: Sequence[str], together: bool = False) -> dict[str, Example]:
    """Name -> file or folder of one's own, which is there; ``~`` is the home folder. A folder is a video's frames.

    ``together``: the pictures, or those of a folder, are views of one scene. Raises InputError.
    """
    files = [Path(path).expanduser() for path in paths]
    if missing := [str(file) for file in files if not file.exists()]:
        raise InputError(f"{missing[0]}: expected a file, there is none")
    if together:
        views = frame_files(files[0]) if files[0].is_dir() else files
        return {", ".join(file.name for file in files): Example(Views(list(map(str, views))))}
    moving = {file for file in files if is_video_file(file)}
    return {file.name: Example(Video(str(file)) if file in moving else str(file)) for file in files}


def described(model: Any, count: int) -> pd.DataFrame:
    """A line per short held-out video with the model's marked answer to each question; the last counts right ones.

    ``order``, ``when``, ``move`` and ``count`` stand on no single frame: they need reasoning over time.
    """
    table = pd.DataFrame(dtype=object)
    for video in (story("short", index) for index in range(count)):
        for kind, truth in video.facts.items():
            asked = ask(model, Video(str(video.path)), QUESTIONS[kind], compression=4, truth=truth)
            table.loc[video.id, kind] = asked.marked
    table.loc["right"] = [f"{table[kind].str.count('✓').sum():.0f} of {table[kind].count()}" for kind in table]
    return table.fillna("")


def asked_in_words(opened: Opened | None, reason: str, video: str, frames: int = 64) -> pd.DataFrame | None:
    """What released weights say about a video; with none, the reason is printed and there is no table."""
    if opened is None:
        print(f"Not asked: {reason}.")
        return None
    lines = []
    for case, prompt in WORDS["released"].items():
        answer = opened.model.ask(Video(video, frames=frames), prompt, max_new_tokens=256)
        lines.append([case, prompt, answer.text, answer.visual_tokens, round(answer.seconds, 1)])
    return pd.DataFrame(lines, columns=["case", "prompt", "answer", "visual tokens", "seconds"])
