"""Text-rich pictures with one right answer: a line, a value in a list, a marked word on a page, a chart's highest bar.

The text is drawn at a size that is legible in the picture itself; ``scale`` multiplies it (the "legible after
reduction" control draws the text larger in larger pictures). Every task is a function of a generator, the picture's
(height, width) and the split; it gives None if nothing fits. Nothing here knows about arms or models.
"""

from dataclasses import dataclass
from functools import cache, reduce

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFont

from workbook.data import corpora, splits
from workbook.data.pictures import PictureSizes, draw_text, font_face, paper, place, text_extent

LETTERS = "ACEFHKLTXY"
"""Keys of lists and bars: letters that look like neither digits nor each other at small size."""

MAX_KEYS = 8
WORDS = 100
MOST_BARS = 6
LEAD = 0.12
"""The highest bar exceeds the next by at least this share of the highest."""


@dataclass(frozen=True)
class Drawn:
    """A picture with its question: ``chance`` is the score of the best guess that has not looked (or not looked up).

    ``concept``: what an object picture shows; empty where every picture is its own.
    """

    picture: Image.Image
    question: str
    answer: str
    chance: float
    concept: str = ""


@cache
def split_fonts(split: str) -> tuple[str, ...]:
    """Files of the faces of a split: no family is in two splits. Script faces are left out: too hard at this size."""
    faces = [f for f in corpora.fonts() if f.style not in ("script", "hand")]
    return tuple(f.id for f in splits.choose("font", split, faces, key=lambda f: f.family))


@cache
def known_words() -> tuple[str, ...]:
    """The words of the word task: the most common of 3 to 5 letters.

    They are the same in every split (fonts, sizes and places are not): reading words that were never seen is out of
    reach of models of this size, numbers that were never seen are not.
    """
    return tuple(w.word for w in corpora.words() if 3 <= len(w.word) <= 5 and w.word.isalpha())[:WORDS]


def draw_face(rng, split: str, low: int, high: int, scale: float = 1.0) -> ImageFont.FreeTypeFont:
    """A face of the split at ``low`` to ``high`` pixels per em, times ``scale``."""
    fonts = split_fonts(split)
    return font_face(fonts[int(rng.integers(len(fonts)))], max(6, round(int(rng.integers(low, high + 1)) * scale)))


def _line(rng, size, split: str, text: str, scale: float) -> Drawn | None:
    face = draw_face(rng, split, 13, 20, scale)
    _, _, width, height = text_extent(face, text)
    if width + 2 > size[1] or height + 2 > size[0]:
        return None
    page, ink = paper(rng, size)
    draw_text(ImageDraw.Draw(page), place(rng, size, (height, width)), text, face, ink)
    return Drawn(page, "read", text, 0.0)


def digit(rng, size, split: str, scale: float = 1.0) -> Drawn | None:
    """One digit somewhere on a blank page: the first thing a reader learns."""
    return _line(rng, size, split, str(int(rng.integers(10))), scale)


def number(rng, size, split: str, scale: float = 1.0) -> Drawn | None:
    """A number of one to four digits somewhere on a blank page; the question is to read it."""
    digits = int(rng.integers(1, 5))
    return _line(rng, size, split, "".join(str(int(d)) for d in rng.integers(0, 10, digits)), scale)


def word(rng, size, split: str, scale: float = 1.0) -> Drawn | None:
    """One word somewhere on a blank page; the question is to read it."""
    words = known_words()
    return _line(rng, size, split, words[int(rng.integers(len(words)))], scale)


def key_value_list(rng, size, split: str, scale: float = 1.0) -> Drawn | None:
    """Letters with two-digit numbers in rows and columns; the question is the number beside one letter.

    Chance is one over the number of pairs: what reading without looking up would score.
    """
    face = draw_face(rng, split, 11, 15, scale)
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
        draw.text((x - cell_left, y - cell_above), f"{key} {value}", font=face, fill=ink)
    asked = int(rng.integers(count))
    return Drawn(page, keys[asked], values[asked], 1.0 / count)


def page(rng, size, split: str, scale: float = 1.0) -> Drawn | None:
    """A page of numbers with one of them marked by colour; the question is to read the marked one.

    Chance is one over how many there are: what reading any of them would score.
    """
    face = draw_face(rng, split, 11, 15, scale)
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
        draw.text((x - text_extent(face, word)[0], top - above), word, font=face, fill=ink)
    return Drawn(picture, "marked", placed[asked][0], 1.0 / len(placed))


@cache
def numeric_columns(split: str) -> tuple[tuple[float, ...], ...]:
    """The columns of a split's tables that hold nothing but numbers above zero, with at least two different ones."""
    tables = splits.choose("table", split, corpora.tables(), key=lambda t: t.id)
    columns = (column for table in tables for column in table.numbers())
    return tuple(column for column in columns if min(column) > 0 and len(set(column)) > 1)


def chart(rng, size, split: str) -> Drawn | None:
    """Bars of real numbers over letters; the question is the letter under the highest.

    The values are neighbours in one column of a shipped table. Unlike text, the bars can be read at a size at which no
    digit would be; their letters cannot. Chance is one over the number of bars.
    """
    height, width = size
    face = draw_face(rng, split, 11, 14)
    _, _, letter, line = text_extent(face, "K")
    step = letter + max(3, letter // 2)
    count = min(MOST_BARS, (width - 4) // step)
    most_high = height - line - 5
    if count < 2 or most_high < 8:
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
        top = height - line - 4 - round(value / values.max() * most_high)
        draw.rectangle((x, top, x + step - 3, height - line - 4), fill=colour)
        draw_text(draw, (x + (step - 3 - letter) // 2, height - line - 2), key, face, ink)
    return Drawn(page, "highest", keys[int(values.argmax())], 1.0 / count)


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


TEXT_TASKS = {"number": number, "word": word, "list": key_value_list, "page": page}

LEAST_INK = 0.1
"""A patch shows a digit if at least this share of it is that digit's ink."""

NO_DIGIT = -1


@dataclass(frozen=True)
class DigitMap:
    """A picture, its digits from left to right, and each digit's ink (an "L" picture of the same size)."""

    picture: Image.Image
    digits: tuple[int, ...]
    ink: tuple[Image.Image, ...]

    def labels(self, size: tuple[int, int], patch: int) -> np.ndarray:
        """The digit of every patch once the picture is resized to ``size`` (height, width), (rows, columns) int.

        The digit with the most ink in the patch; NO_DIGIT where none covers LEAST_INK of it. ``size`` is a multiple of
        ``patch``.
        """
        rows, columns = size[0] // patch, size[1] // patch
        shares = [
            np.asarray(ink.resize((columns * patch, rows * patch), Image.Resampling.BOX), dtype=float)
            .reshape(rows, patch, columns, patch)
            .mean((1, 3))
            / 255
            for ink in self.ink
        ]
        found = np.array(self.digits)[np.argmax(shares, axis=0)]
        return np.where(np.max(shares, axis=0) >= LEAST_INK, found, NO_DIGIT)


def draw_digits(rng: np.random.Generator, sizes: PictureSizes, split: str) -> DigitMap:
    """One to four digits somewhere on a page, as the number task draws them; sizes are drawn until they fit."""
    while True:
        size = sizes.draw(rng)
        face = draw_face(rng, split, 13, 20)
        text = "".join(map(str, rng.integers(0, 10, int(rng.integers(1, 5)))))
        left, top, width, height = text_extent(face, text)
        if width + 2 > size[1] or height + 2 > size[0]:
            continue
        page, colour = paper(rng, size)
        x, y = place(rng, size, (height, width))
        layers = [Image.new("L", page.size) for _ in text]
        for i, layer in enumerate(layers):
            pen = (x - left + face.getlength(text[:i]), y - top)
            ImageDraw.Draw(layer).text(pen, text[i], font=face, fill=255)
        page.paste(colour, mask=reduce(ImageChops.lighter, layers))
        return DigitMap(page, tuple(map(int, text)), tuple(layers))
