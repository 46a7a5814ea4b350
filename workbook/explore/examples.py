"""What can be shown at once: held-out pictures, videos and scenes of the shipped data, with their true answers."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from oryx.processing.visuals import Video, Views
from workbook.data import corpora
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.data.stories import KINDS, QUESTIONS, Story, make_scene, make_story

SPLIT = "dev"
"""Examples to play with come from the split that designs are tuned on; ``report`` is for reported numbers."""

TASKS = ("page", "word", "number", "icon", "clipart", "photo", "list")


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
