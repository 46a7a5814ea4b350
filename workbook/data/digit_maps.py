"""Numbers drawn with a record of which digit's ink lies where, for reading what single patches hold. No torch."""

from dataclasses import dataclass
from functools import reduce

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from workbook.data.pictures import PictureSizes, paper, place, text_extent
from workbook.data.text_tasks import draw_face

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
