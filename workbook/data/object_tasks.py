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

OBJECT_TASKS = {"icon": "icons", "clipart": "clipart", "photo": "photos"}
"""Task -> corpus."""

TITLE_TASKS = {"icon-title": "icons", "clipart-title": "clipart", "icon-restyled": "icons"}
"""Captions for encoders: the title itself. The first two train them; in a held-out split their titles are new too.
``icon-restyled``: titles of the training part in the drawing style that training does not see."""

CORPORA = {**OBJECT_TASKS, **TITLE_TASKS}

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
    if task == "icon-restyled" and split == "train":
        raise InputError("task 'icon-restyled' is for held-out splits: training does not see its style")
    items = corpora.load(CORPORA[task]).items
    new_style = {i for i in items if i.style and splits.split_of("style", i.style) != "train"}

    def half(title: str) -> bool:
        """Whether a held-out split draws a name in the new style."""
        return int(_digest(title), 16) % 2 == ("dev", "report").index(split)

    if task == "icon-restyled":
        taught = {answer for _, answer in _pool("icon-title", "train")}
        titles = ((i, i.title.lower()) for i in items if i in new_style)
        return tuple((i, title) for i, title in titles if title in taught and half(title))
    if task == "icon":
        named = [i for i in items if i.title in icon_names()]
        chosen = (i for i in named if (i not in new_style if split == "train" else i in new_style and half(i.title)))
        return tuple((i, i.title) for i in chosen)
    chosen = [i for i in items if splits.split_of("concept", i.title) == split]
    if task in TITLE_TASKS:
        return tuple((i, i.title.lower()) for i in chosen if i not in new_style)
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


def draw_object(rng: np.random.Generator, task: str, size: tuple[int, int], split: str) -> Drawn:
    """One picture of an object; answers are evenly drawn: chance is one over their number."""
    item, answer, answers = pick_object(rng, task, split)
    picture = paste_object(rng, size, corpora.load(CORPORA[task]).image(item), rng.uniform(0.75, 1.0))
    return Drawn(picture, "name" if task == "icon" else "kind", answer, 1.0 / answers, f"{task}/{item.title}")
