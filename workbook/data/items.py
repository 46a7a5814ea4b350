"""Items: a picture, a question and its one right answer, drawn for a split.

An evaluation item depends on (split, task, index) alone, so every arm, seed and machine sees the same one. Training
items come from a stream of the training split, a function of (seed, index). Fonts, words, icon styles and pictures of
the splits are disjoint (``workbook.data.splits``).
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from oryx.errors import InputError
from workbook.data.object_tasks import CORPORA, OBJECT_TASKS, draw_object
from workbook.data.pictures import PictureSizes, size_bin
from workbook.data.text_tasks import TEXT_TASKS, chart, digit

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
        height, width = self.size
        return {
            "task": self.task,
            "split": self.split,
            "cluster": self.cluster,
            "question": self.question,
            "truth": self.answer,
            "chance": self.chance,
            "picture_size": [height, width],
            "area_ratio": self.area_ratio,
            "aspect": max(height, width) / min(height, width),
            "orientation": "wide" if width > height else "tall" if height > width else "square",
            "size_bin": size_bin(self.area_ratio),
        }


def generator(*key: object) -> np.random.Generator:
    """A generator seeded by the sha256 of ``key``: the same on every machine, unlike ``hash``."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def draw_item(rng: np.random.Generator, task: str, split: str, sizes: PictureSizes, name: str) -> Item:
    """One item of ``task``; sizes are drawn again until the task's content fits.

    Raises InputError for an unknown task.
    """
    legible = task.endswith(LEGIBLE_SUFFIX)
    base = task.removesuffix(LEGIBLE_SUFFIX)
    if base not in (*DRAW, *CORPORA) or (legible and base not in TEXT_TASKS):
        raise InputError(
            f"task {task!r} is unknown; known: {', '.join(TASKS)}, text tasks also with {LEGIBLE_SUFFIX!r}"
        )
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
    """The first ``count`` items of a held-out split (``dev`` or ``report``)."""
    return [evaluation_item(task, split, index, sizes) for index in range(count)]


def evaluation_item(task: str, split: str, index: int, sizes: PictureSizes) -> Item:
    """Item ``index`` of a task of a held-out split."""
    return draw_item(generator("evaluation", split, task, index), task, split, sizes, f"{split}/{task}/{index}")


def training_item(seed: int, index: int, mixture: dict[str, float], sizes: PictureSizes) -> Item:
    """Item ``index`` of the training stream of ``seed``; the task is drawn from ``mixture`` (task -> weight)."""
    rng = generator("training", seed, index)
    tasks, weights = list(mixture), np.array(list(mixture.values()), dtype=float)
    task = tasks[int(rng.choice(len(tasks), p=weights / weights.sum()))]
    return draw_item(rng, task, "train", sizes, f"train/{seed}/{index}")
