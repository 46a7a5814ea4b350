"""Bar charts of real numbers: which bar is the highest?

The values are neighbours in one column of a shipped table (tables of the splits are disjoint), the bars stand over
letters. Unlike text, a bar chart can be read at a size at which no digit would be; its letters cannot.
"""

from collections.abc import Sequence
from functools import cache

import numpy as np
from PIL import ImageDraw

from workbook.data import corpora, splits
from workbook.data.pictures import draw_text, font_face, paper, text_extent
from workbook.data.text_tasks import LETTERS, Drawn

MOST_BARS = 6
LEAD = 0.12
"""The highest bar exceeds the next by at least this share of the highest."""


@cache
def numeric_columns(split: str) -> tuple[tuple[float, ...], ...]:
    """The columns of a split's tables that hold nothing but numbers above zero, with at least two different ones."""
    found = []
    for table in splits.choose("table", split, corpora.tables(), key=lambda t: t.id):
        for column in zip(*table.rows, strict=True):
            try:
                values = tuple(float(value) for value in column)
            except ValueError:
                continue
            if min(values) > 0 and len(set(values)) > 1:
                found.append(values)
    return tuple(found)


def chart(rng: np.random.Generator, size: tuple[int, int], fonts: Sequence[str], split: str) -> Drawn | None:
    """A bar chart on a page of ``size`` (height, width), at most MOST_BARS bars; None if not even two fit.

    The answer is the letter under the highest bar; chance is one over the number of bars.
    """
    height, width = size
    face = font_face(fonts[int(rng.integers(len(fonts)))], int(rng.integers(11, 15)))
    _, _, letter, line = text_extent(face, "K")
    step = letter + max(3, letter // 2)
    count = min(MOST_BARS, (width - 4) // step)
    room = height - line - 5
    if count < 2 or room < 8:
        return None
    count = int(rng.integers(2, count + 1))
    values = _values(rng, split, count)
    keys = [LETTERS[i] for i in rng.choice(len(LETTERS), count, replace=False)]
    page, ink = paper(rng, size)
    draw = ImageDraw.Draw(page)
    colour = tuple(int(v) for v in rng.integers(30, 170, 3))
    left = int(rng.integers(2, width - count * step)) if width > count * step + 2 else 2
    for i, (key, value) in enumerate(zip(keys, values, strict=True)):
        x = left + i * step
        top = height - line - 4 - round(value / values.max() * room)
        draw.rectangle((x, top, x + step - 3, height - line - 4), fill=colour)
        draw_text(draw, (x + (step - 3 - letter) // 2, height - line - 2), key, face, ink)
    document = " ".join(f"{key}{value:g}" for key, value in zip(keys, values, strict=True))
    return Drawn(page, "highest", keys[int(values.argmax())], 1.0 / count, document)


def _values(rng: np.random.Generator, split: str, count: int) -> np.ndarray:
    """``count`` neighbours of one column in random order, with a clear highest; drawn again until there is one."""
    columns = numeric_columns(split)
    while True:
        column = columns[int(rng.integers(len(columns)))]
        if len(column) < count:
            continue
        start = int(rng.integers(len(column) - count + 1))
        values = rng.permutation(np.array(column[start : start + count]))
        second, first = np.sort(values)[-2:]
        if second <= (1 - LEAD) * first:
            return values


CHART_TASKS = {"chart": chart}
