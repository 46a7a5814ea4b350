"""Numbers drawn with a record of which digit's ink lies where, for reading what single patches hold. No torch."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from workbook.data.pictures import PictureSizes, font_face, paper, place, text_extent

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
        most = np.argmax(shares, axis=0)
        found = np.array(self.digits)[most]
        return np.where(np.max(shares, axis=0) >= LEAST_INK, found, NO_DIGIT)


def draw_digits(rng: np.random.Generator, sizes: PictureSizes, fonts: Sequence[str]) -> DigitMap:
    """One to four digits somewhere on a page, as the number task draws them; sizes are drawn until they fit."""
    while True:
        height, width = sizes.draw(rng)
        face = font_face(fonts[int(rng.integers(len(fonts)))], int(rng.integers(13, 21)))
        digits = tuple(int(d) for d in rng.integers(0, 10, int(rng.integers(1, 5))))
        text = "".join(map(str, digits))
        _, _, wide, high = text_extent(face, text)
        if wide + 2 > width or high + 2 > height:
            continue
        page, colour = paper(rng, (height, width))
        x, y = place(rng, (height, width), (high, wide))
        layers = [Image.new("L", page.size) for _ in digits]
        left, top, _, _ = text_extent(face, text)
        for i, layer in enumerate(layers):
            pen = (x - left + face.getlength(text[:i]), y - top)
            ImageDraw.Draw(layer).text(pen, text[i], font=face, fill=255)
        ink = layers[0]
        for layer in layers[1:]:
            ink = ImageChops.lighter(ink, layer)
        page.paste(colour, mask=ink)
        return DigitMap(page, digits, tuple(layers))
