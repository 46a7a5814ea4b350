"""Object pictures: a named icon, the kind of a clip art, the kind of a photograph, each on a plain page.

The object fills most of the picture's short side, so it stays visible when the picture is reduced: on these tasks an
equivalence between native and fixed resolution is expected and tested.
"""

import hashlib
from collections import Counter
from functools import cache

import numpy as np

from oryx.errors import InputError
from workbook.data import corpora, splits
from workbook.data.pictures import paste_object
from workbook.data.text_tasks import Drawn

OBJECT_TASKS = ("icon", "clipart", "photo")
TITLE_TASKS = ("icon-title", "clipart-title", "icon-restyled")
"""Captions for encoders: the title itself. The first two train them; in a held-out split their titles are new too.
``icon-restyled``: titles of the training part in the drawing style that training does not see."""

CORPORA = {
    "icon": "icons",
    "clipart": "clipart",
    "photo": "photos",
    "icon-title": "icons",
    "clipart-title": "clipart",
    "icon-restyled": "icons",
}

ENOUGH = {"clipart": 45, "photo": 25}

ICON_NAMES = 24
"""How many icon names the naming task knows."""


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


@cache
def icon_names() -> tuple[str, ...]:
    """The names of the naming task: one-word titles of at most 8 letters, chosen by the sha256 of the name."""
    titles = {i.title for i in corpora.load("icons").items if i.title.isalpha() and len(i.title) <= 8}
    return tuple(sorted(sorted(titles, key=_digest)[:ICON_NAMES]))


@cache
def kinds(task: str) -> tuple[str, ...]:
    """The kinds that the clip art and photograph tasks ask for: those with enough pictures to learn from."""
    counts = Counter(i.category for i in corpora.load(CORPORA[task]).items)
    return tuple(sorted(kind for kind, n in counts.items() if n >= ENOUGH[task] and kind != "other"))


@cache
def _pool(task: str, split: str) -> tuple[tuple[corpora.Item, str], ...]:
    """The (corpus item, answer) pairs of a task in a split.

    Icons: training sees two drawing styles, the held-out splits the third, each with its own half of the names.
    Clip art and photographs: the pictures themselves are split. Raises InputError for restyled icons to train on.
    """
    if task == "icon-restyled":
        if split == "train":
            raise InputError("task 'icon-restyled' is for held-out splits: training does not see its style")
        half = ("dev", "report").index(split)
        taught = {answer for _, answer in _pool("icon-title", "train")}
        icons = [
            (i, i.title.lower()) for i in corpora.load("icons").items if splits.split_of("style", i.style) != "train"
        ]
        return tuple((i, title) for i, title in icons if title in taught and int(_digest(title), 16) % 2 == half)
    if task == "icon":
        names = set(icon_names())
        icons = [i for i in corpora.load("icons").items if i.title in names]
        seen = [i for i in icons if splits.split_of("style", i.style) == "train"]
        unseen = [i for i in icons if splits.split_of("style", i.style) != "train"]
        half = ("dev", "report").index(split) if split != "train" else 0
        chosen = seen if split == "train" else [i for i in unseen if int(_digest(i.title), 16) % 2 == half]
        return tuple((i, i.title) for i in chosen)
    chosen = [i for i in corpora.load(CORPORA[task]).items if splits.split_of("concept", i.title) == split]
    if task in TITLE_TASKS:
        return tuple(
            (i, i.title.lower()) for i in chosen if not i.style or splits.split_of("style", i.style) == "train"
        )
    return tuple((i, i.category) for i in chosen if i.category in kinds(task))


@cache
def _by_answer(task: str, split: str) -> dict[str, list[corpora.Item]]:
    groups: dict[str, list[corpora.Item]] = {}
    for item, answer in _pool(task, split):
        groups.setdefault(answer, []).append(item)
    return dict(sorted(groups.items()))


def pick_object(rng: np.random.Generator, task: str, split: str) -> tuple[corpora.Item, str, int]:
    """A picture of the task's corpus, the answer it stands for, and how many answers the split has; evenly drawn."""
    groups = _by_answer(task, split)
    answers = list(groups)
    answer = answers[int(rng.integers(len(answers)))]
    return groups[answer][int(rng.integers(len(groups[answer])))], answer, len(answers)


def draw_object(rng: np.random.Generator, task: str, size: tuple[int, int], split: str) -> tuple[Drawn, str]:
    """One picture of an object, and the concept it shows; answers are evenly drawn: chance is one over their number."""
    item, answer, answers = pick_object(rng, task, split)
    picture = paste_object(rng, size, corpora.load(CORPORA[task]).image(item), rng.uniform(0.75, 1.0))
    question = "name" if task == "icon" else "kind"
    return Drawn(picture, question, answer, 1.0 / answers, item.title), f"{task}/{item.title}"
