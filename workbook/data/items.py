"""Items: a picture, a question and its one right answer, drawn for a split; object pictures.

An evaluation item depends on (split, task, index) alone, so every arm, seed and machine sees the same one. Training
items come from a stream of the training split, a function of (seed, index). Fonts, words, icon styles and pictures of
the splits are disjoint (``workbook.data.splits``).

Object pictures are a named icon, the kind of a clip art or of a photograph, each on a plain page. The object fills most
of the picture's short side, so it stays visible when the picture is reduced: on these tasks an equivalence between
native and fixed resolution is expected and tested.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image

from workbook.data import corpora, splits
from workbook.data.pictures import PictureSizes, paste_object, size_bin
from workbook.data.text_tasks import TEXT_TASKS, Drawn, chart, digit

OBJECT_TASKS = {"icon": "icons", "clipart": "clipart", "photo": "photos"}
"""Task -> corpus."""

TITLE_TASKS = {"icon-title": "icons", "clipart-title": "clipart", "icon-restyled": "icons"}
"""Captions for encoders: the title itself. The first two train them; in a held-out split their titles are new too.
``icon-restyled``: titles of the training part in the drawing style that training does not see."""

CORPORA = {**OBJECT_TASKS, **TITLE_TASKS}

ENOUGH = {"clipart": 45, "photo": 25}

ICON_NAMES = 24
"""How many icon names the naming task knows."""

TASKS = (*TEXT_TASKS, "chart", *OBJECT_TASKS)
DRAW = {**TEXT_TASKS, "chart": chart, "digit": digit}
"""Task -> what draws it; the other tasks are objects."""
LEGIBLE_SUFFIX = "_legible"
"""Task names with this suffix draw text that grows with the picture: the "pixels lost or not learned" control."""


@dataclass(frozen=True)
class Item:
    """One question about one picture.

    ``cluster`` is the unit of resampling (text and charts: the picture itself; objects: the concept). ``chance`` is
    the score of the best guess without looking (objects) or without looking up (lists, pages, charts).
    ``area_ratio`` is height·width / S².
    """

    id: str
    task: str
    split: str
    picture: Image.Image
    question: str
    answer: str
    cluster: str
    chance: float
    area_ratio: float

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture."""
        return self.picture.height, self.picture.width

    @property
    def fields(self) -> dict:
        """What a row says about the item beside its answer."""
        return {
            "task": self.task,
            "split": self.split,
            "cluster": self.cluster,
            "question": self.question,
            "truth": self.answer,
            "chance": self.chance,
            **size_fields(*self.size, self.area_ratio),
        }


def size_fields(height: int, width: int, area_ratio: float) -> dict:
    """What a row says about the size of a picture, whose area is ``area_ratio`` times S²."""
    return {
        "picture_size": [height, width],
        "area_ratio": area_ratio,
        "aspect": max(height, width) / min(height, width),
        "orientation": "wide" if width > height else "tall" if height > width else "square",
        "size_bin": size_bin(area_ratio),
    }


def generator(*key: object) -> np.random.Generator:
    """A generator seeded by the sha256 of ``key``: the same on every machine, unlike ``hash``."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def choose(rng: np.random.Generator, weights: Mapping[str, float]) -> str:
    """One of the names, drawn by their weights."""
    names, shares = list(weights), np.array(list(weights.values()), dtype=float)
    return names[int(rng.choice(len(names), p=shares / shares.sum()))]


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
    Clip art and photographs: the pictures themselves are split. Restyled icons are for held-out splits.
    """
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


def draw_item(rng: np.random.Generator, task: str, split: str, sizes: PictureSizes, name: str) -> Item:
    """One item of ``task``; sizes are drawn again until the task's content fits."""
    legible = task.endswith(LEGIBLE_SUFFIX)
    base = task.removesuffix(LEGIBLE_SUFFIX)
    while True:
        size = sizes.draw(rng)
        ratio = size[0] * size[1] / sizes.side**2
        if base in CORPORA:
            drawn = draw_object(rng, base, size, split)
        else:
            drawn = DRAW[base](rng, size, split, *([max(1.0, ratio**0.5)] if legible else []))
        if drawn is not None:
            cluster = drawn.concept or name
            return Item(name, task, split, drawn.picture, drawn.question, drawn.answer, cluster, drawn.chance, ratio)


def evaluation_items(task: str, split: str, count: int, sizes: PictureSizes) -> list[Item]:
    """The first ``count`` items of a task of a held-out split (``dev`` or ``report``)."""
    keys = [(split, task, index) for index in range(count)]
    return [draw_item(generator("evaluation", *key), task, split, sizes, "/".join(map(str, key))) for key in keys]


def training_item(seed: int, index: int, mixture: dict[str, float], sizes: PictureSizes) -> Item:
    """Item ``index`` of the training stream of ``seed``; the task is drawn from ``mixture`` (task -> weight)."""
    rng = generator("training", seed, index)
    return draw_item(rng, choose(rng, mixture), "train", sizes, f"train/{seed}/{index}")
