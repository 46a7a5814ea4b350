"""What can be shown at once, held-out pictures, videos and scenes with their true answers; and the case studies.

The article describes and summarises videos, reasons about them and learns from them. In small: the model answers seven
one-word questions about synthetic videos (coloured cards, one of them a sign with a number, a moving icon,
photographs). It writes no sentences: a summary is put together here from its answers, and says so. What it cannot do
is left to released weights, asked in the words of the article's cases.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from oryx.processing.visuals import Video, Views
from workbook.data import corpora
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.data.stories import KINDS, QUESTIONS, Story, make_scene, make_story
from workbook.explore.models import Opened

SPLIT = "dev"
"""Examples to play with come from the split that designs are tuned on; ``report`` is for reported numbers."""

TASKS = ("page", "word", "number", "icon", "clipart", "photo", "list")

RELEASED = {
    "describe": "Describe this video in detail.",
    "summarise": "Summarise this video in one sentence.",
    "reason": "What happens first, what happens next, and why?",
    "learn": "What can be learned from this video? List the steps or facts that it shows.",
}
"""Our wording: the article shows such cases, its exact prompts were not found."""


@dataclass(frozen=True)
class Example:
    """Something to ask about. ``truths``: question -> true answer; empty where nobody knows it."""

    visual: Any
    truths: Mapping[str, str] = field(default_factory=dict)

    @property
    def question(self) -> str:
        """The first question."""
        return next(iter(self.truths), "read")


@cache
def pictures() -> dict[str, Example]:
    """One large held-out picture of each task, and a photograph as it is."""
    found = {}
    for task in TASKS:
        items = evaluation_items(task, SPLIT, 30, PictureSizes())
        item = max(items, key=lambda one: (one.picture.width > one.picture.height, one.area_ratio))
        found[task] = Example(item.picture, {item.question: item.answer})
    return found


@cache
def folder() -> tempfile.TemporaryDirectory:
    """Where example videos and uploads are written; one a process, removed with it."""
    return tempfile.TemporaryDirectory(prefix="oryx-films-")


def story(length: str, index: int) -> Story:
    """A held-out video, its file written if it is not there."""
    return make_story(Path(folder().name), SPLIT, length, index)


@cache
def films() -> dict[str, Example]:
    """Held-out videos with the truth about them, and the two real clips, of which the small model knows nothing."""
    found = {}
    for length, index in (("short", 1), ("short", 4), ("long", 0)):
        one = story(length, index)
        truths = {QUESTIONS[kind]: answer for kind, answer in one.facts.items()}
        found[f"{length} film {index}"] = Example(Video(str(one.path)), truths)
    return found | {f"clip: {clip.id}": Example(Video(clip.path)) for clip in corpora.clips()}


@cache
def scenes() -> dict[str, Example]:
    """Views of held-out scenes."""
    made = {f"scene {index}": make_scene(SPLIT, index) for index in range(3)}
    return {name: Example(Views(list(scene.views)), dict(scene.turns)) for name, scene in made.items()}


def questions() -> list[str]:
    """Every question that the small model was taught."""
    words = ["read", "marked", "name", "kind", *QUESTIONS.values(), *(QUESTIONS[kind] for kind in KINDS)]
    return list(dict.fromkeys(words))


def summary(found: Mapping[str, str]) -> str:
    """A sentence put together from one-word answers; the words around them are ours."""
    order = f", first {found['order'].replace(' ', ', then ')}" if "order" in found else ""
    cards = "one card" if found["count"] == "1" else f"{found['count']} cards"
    return (
        f"The film shows {cards}{order}. The sign in the {found['colour']} frame, {found['when']} in the film, reads "
        f"{found['sign']}. Something called “{found['what']}” moves {found['move']}."
    )


def described(model: Any, count: int) -> pd.DataFrame:
    """A line per question about the first short held-out videos: answer, probability, truth, and if it is right."""
    lines = []
    for film in (story("short", index) for index in range(count)):
        for kind, truth in film.facts.items():
            answer = model.ask(Video(str(film.path)), QUESTIONS[kind], compression=4)
            lines.append([film.id, kind, answer.text, round(answer.probability, 2), truth, answer.text == truth])
    return pd.DataFrame(lines, columns=["film", "question", "answer", "probability", "truth", "right"])


def summaries(frame: pd.DataFrame) -> pd.DataFrame:
    """The sentence from the model's answers beside that from the truth."""
    lines = {}
    for film, part in frame.set_index("question").groupby("film", sort=False):
        wrong = ", ".join(part.index[~part["right"]]) or "nothing"
        lines[film] = [summary(part["answer"]), summary(part["truth"]), wrong]
    return pd.DataFrame.from_dict(lines, "index", columns=["from its answers", "from the truth", "wrong in it"])


def reasoned(frame: pd.DataFrame) -> pd.DataFrame:
    """Questions whose answer stands on no single frame, and a sum of two signs: how many are right.

    ``order``, ``when``, ``move`` and ``count`` need several frames together: the model's own reasoning over time. The
    sum of the signs of two videos is what can be learned from them and used: the model reads, Python adds.
    """
    found = frame.groupby("question")["right"].agg(right="sum", of="count")
    signs = frame[frame["question"] == "sign"]
    numbers = signs[["answer", "truth"]].apply(pd.to_numeric, errors="coerce")
    sums = numbers.groupby(pd.RangeIndex(len(numbers)) // 2).sum(min_count=2).dropna(subset="truth")
    found.loc["sum of two films' signs"] = [(sums["answer"] == sums["truth"]).sum(), len(sums)]
    return found.reindex(["order", "when", "move", "count", "sum of two films' signs"], fill_value=0)


def asked_in_words(opened: Opened | None, reason: str, video: str, frames: int = 64) -> pd.DataFrame:
    """What released weights say about a video; with none, the reason is printed and the table is empty."""
    if opened is None:
        print(f"Not asked: {reason}.")
    lines = []
    for case, prompt in RELEASED.items() if opened else ():
        answer = opened.model.ask(Video(video, frames=frames), prompt, max_new_tokens=256)
        lines.append([case, prompt, answer.text, answer.visual_tokens, round(answer.seconds, 1)])
    return pd.DataFrame(lines, columns=["case", "prompt", "answer", "visual tokens", "seconds"])
