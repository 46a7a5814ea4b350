"""Text-rich pictures with one right answer: a line to read, a value to find in a list, a marked word on a page.

The text is drawn at a size that is legible in the picture itself; ``text_scale`` multiplies it (the "legible after
reduction" control draws the text larger in larger pictures). Nothing here knows about arms or models.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw

from workbook.data import corpora, splits
from workbook.data.pictures import draw_text, draw_text_at_origin, font_face, paper, place, text_extent

LETTERS = "ACEFHKLTXY"
"""Keys of the list task: letters that look like neither digits nor each other at small size."""

MAX_KEYS = 8
WORDS = 100


@dataclass(frozen=True)
class Drawn:
    """A picture with its question: ``chance`` is the score of the best guess that has not looked (or not looked up)."""

    picture: Image.Image
    question: str
    answer: str
    chance: float
    document: str


@cache
def split_fonts(split: str) -> tuple[str, ...]:
    """Files of the faces of a split: no family is in two splits. Script faces are left out: too hard at this size."""
    faces = [f for f in corpora.fonts() if f.style not in ("script", "hand")]
    return tuple(f.file for f in splits.choose("font", split, faces, key=lambda f: f.family))


@cache
def known_words() -> tuple[str, ...]:
    """The words of the word task: the most common of 3 to 5 letters.

    They are the same in every split (fonts, sizes and places are not): reading words that were never seen is out of
    reach of models of this size, numbers that were never seen are not.
    """
    return tuple(w.word for w in corpora.words() if 3 <= len(w.word) <= 5 and w.word.isalpha())[:WORDS]


def _pixels(rng: np.random.Generator, low: int, high: int, scale: float) -> int:
    return max(6, round(int(rng.integers(low, high + 1)) * scale))


def _line(rng, size, fonts: Sequence[str], text: str, text_scale: float) -> Drawn | None:
    face = font_face(fonts[int(rng.integers(len(fonts)))], _pixels(rng, 13, 20, text_scale))
    _, _, width, height = text_extent(face, text)
    if width + 2 > size[1] or height + 2 > size[0]:
        return None
    page, ink = paper(rng, size)
    draw_text(ImageDraw.Draw(page), place(rng, size, (height, width)), text, face, ink)
    return Drawn(page, "read", text, 0.0, text)


def digit(rng, size, fonts: Sequence[str], text_scale: float = 1.0) -> Drawn | None:
    """One digit somewhere on a blank page: the first thing a reader learns."""
    return _line(rng, size, fonts, str(int(rng.integers(10))), text_scale)


def number(rng, size, fonts: Sequence[str], text_scale: float = 1.0) -> Drawn | None:
    """A number of one to four digits somewhere on a blank page; the question is to read it."""
    digits = int(rng.integers(1, 5))
    return _line(rng, size, fonts, "".join(str(int(d)) for d in rng.integers(0, 10, digits)), text_scale)


def word(rng, size, fonts: Sequence[str], text_scale: float = 1.0) -> Drawn | None:
    """One word somewhere on a blank page; the question is to read it."""
    words = known_words()
    return _line(rng, size, fonts, words[int(rng.integers(len(words)))], text_scale)


def key_value_list(rng, size, fonts: Sequence[str], text_scale: float = 1.0) -> Drawn | None:
    """Letters with two-digit numbers in rows and columns; the question is the number beside one letter.

    Chance is one over the number of pairs: what reading without looking up would score.
    """
    face = font_face(fonts[int(rng.integers(len(fonts)))], _pixels(rng, 11, 15, text_scale))
    cell_left, cell_above, cell_width, cell_height = text_extent(face, "M 88")
    gap_x, gap_y = max(4, cell_width // 4), max(2, cell_height // 4)
    columns = (size[1] - 2 + gap_x) // (cell_width + gap_x)
    rows = (size[0] - 2 + gap_y) // (cell_height + gap_y)
    if columns < 1 or rows < 1:
        return None
    cells = [(r, c) for r in range(rows) for c in range(columns)]
    count = min(len(cells), MAX_KEYS)
    cells = [cells[i] for i in sorted(rng.choice(len(cells), count, replace=False))]
    keys = [LETTERS[i] for i in rng.choice(len(LETTERS), count, replace=False)]
    values = [str(v) for v in rng.choice(np.arange(10, 100), count, replace=False)]
    page, ink = paper(rng, size)
    draw = ImageDraw.Draw(page)
    left = int(rng.integers(1, size[1] - columns * (cell_width + gap_x) + gap_x))
    top = int(rng.integers(1, size[0] - rows * (cell_height + gap_y) + gap_y))
    for (r, c), key, value in zip(cells, keys, values, strict=True):
        x, y = left + c * (cell_width + gap_x), top + r * (cell_height + gap_y)
        draw_text_at_origin(draw, (x - cell_left, y - cell_above), f"{key} {value}", face, ink)
    asked = int(rng.integers(count))
    document = " ".join(f"{k}{v}" for k, v in zip(keys, values, strict=True))
    return Drawn(page, keys[asked], values[asked], 1.0 / count, document)


def page(rng, size, fonts: Sequence[str], text_scale: float = 1.0) -> Drawn | None:
    """A page of numbers with one of them marked by colour; the question is to read the marked one.

    Chance is one over how many there are: what reading any of them would score.
    """
    face = font_face(fonts[int(rng.integers(len(fonts)))], _pixels(rng, 11, 15, text_scale))
    _, above, space, line_height = text_extent(face, "08")
    space, step = max(3, space // 2), line_height + max(2, line_height // 4)
    placed, y = [], 1
    while y + line_height + 1 <= size[0]:
        x = 1
        while True:
            word = str(int(rng.integers(10, 1000)))
            _, _, width, _ = text_extent(face, word)
            if x + width + 1 > size[1]:
                break
            placed.append((word, x, y, width))
            x += width + space
        y += step
    if not placed:
        return None
    asked = int(rng.integers(len(placed)))
    picture, ink = paper(rng, size)
    draw = ImageDraw.Draw(picture)
    mark = np.array(picture.getpixel((0, 0))) - np.array([0, 10, 150])
    for i, (word, x, top, width) in enumerate(placed):
        if i == asked:
            draw.rectangle((x - 1, top - 1, x + width, top + line_height), fill=tuple(int(v) for v in mark))
        draw_text_at_origin(draw, (x - text_extent(face, word)[0], top - above), word, face, ink)
    return Drawn(picture, "marked", placed[asked][0], 1.0 / len(placed), " ".join(p[0] for p in placed))


TRAINING_TASKS = {"digit": digit}
TEXT_TASKS = {"number": number, "word": word, "list": key_value_list, "page": page}
