"""What the shared parts of a scale are trained on: pictures with captions, pictures with questions."""

from collections.abc import Callable
from math import exp, log
from typing import NamedTuple

import numpy as np
from PIL import Image

from oryx.grids import Grid
from oryx.processing.patches import cut
from workbook.data.items import draw_item, generator
from workbook.stages.recipes import CAPTION_LENGTH, Phase, Recipe


class Sample(NamedTuple):
    """A picture at the size at which it reaches the encoder, with a question and its answer.

    ``patches`` (h * w, 3 * patch * patch), 0 to 255, and ``grid`` (h, w) are those of
    :func:`oryx.processing.patches.cut`.
    """

    patches: np.ndarray
    grid: Grid
    question: str
    answer: str


def fit_training_picture(rng, picture: Image.Image, phase: Phase, r: Recipe) -> Image.Image:
    """A picture as the reader's training sees it: squeezed to a square, or in its own shape, area changed a little."""
    if rng.random() < phase.square:
        side = int(rng.choice([r.side // 2, r.side, r.side, 2 * r.side]))
        return picture.resize((side, side), Image.Resampling.BICUBIC)
    width, height = picture.size
    scale = exp(rng.uniform(log(0.5), log(2.0))) ** 0.5 if rng.random() < 1 / 3 else 1.0
    size = [max(r.patch, int(side * scale / r.patch) * r.patch) for side in (width, height)]
    while size[0] * size[1] > phase.sizes.max_tokens * r.patch**2:
        size = [max(r.patch, side - r.patch) for side in size]
    return picture if tuple(size) == picture.size else picture.resize(tuple(size), Image.Resampling.BICUBIC)


def siglip_pair(rng, r: Recipe, done: float) -> tuple[Image.Image, str]:
    """A square picture and its caption: rendered text (easy sizes first), an icon, a clip art or a flag."""
    kind = rng.random()
    if kind < 0.6:
        task = "number" if rng.random() < max(0.4, 1 - 2 * done) else "word"
        item = draw_item(rng, task, "train", r.phases[0].sizes, "pair")
        return item.picture.resize((r.side, r.side), Image.Resampling.BICUBIC), item.answer
    task = "icon-title" if kind < 0.85 else "clipart-title"
    item = draw_item(rng, task, "train", r.phases[0].sizes, "pair")
    return item.picture.resize((r.side, r.side), Image.Resampling.BICUBIC), item.answer


def draw_siglip_batch(r: Recipe, seed: int, step: int) -> list[tuple[np.ndarray, bytes]]:
    """The pairs of a step, pixels (side, side, 3) of 0 to 255 and caption, no two with one caption."""
    rng, pairs = generator("siglip", seed, step), {}
    while len(pairs) < r.siglip_batch:
        picture, caption = siglip_pair(rng, r, step / r.siglip_steps)
        pairs.setdefault(caption.encode()[:CAPTION_LENGTH], picture)
    return [(np.asarray(picture), caption) for caption, picture in pairs.items()]


def draw_reader_batch(
    r: Recipe, seed: int, step: int, fit: Callable[..., Image.Image] = fit_training_picture
) -> list[Sample]:
    """The training items of a step, in the phase of ``step``.

    The items do not depend on ``fit``, which gives each picture its size.
    """
    phase = next(p for p in r.phases if step < p.until * r.reader_steps or p is r.phases[-1])
    rng = generator("reader", seed, step)
    tasks, weights = list(phase.mixture), list(phase.mixture.values())
    items = [
        draw_item(rng, tasks[i], "train", phase.sizes, f"reader/{step}")
        for i in rng.choice(len(tasks), phase.batch, p=weights)
    ]
    fitted = [fit(rng, item.picture, phase, r) for item in items]
    return [
        Sample(*cut(np.asarray(picture), r.patch), item.question, item.answer)
        for picture, item in zip(fitted, items, strict=True)
    ]
