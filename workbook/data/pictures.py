"""Sizes of study pictures, and drawing text and objects into them.

Sizes are (height, width) in pixels, multiples of the patch side, so that a native-resolution input is not resampled
at all. Everything random comes from the generator that is passed in: the same generator state draws the same picture.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log, sqrt

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from oryx.errors import SettingsError
from workbook.data import corpora


@dataclass(frozen=True)
class PictureSizes:
    """The distribution of picture sizes of a study, fixed before any training.

    The area is log-uniform in ``area_range`` times ``side``²; the aspect ratio (long over short side) is log-uniform
    from 1 up to ``max_aspect`` or to whatever keeps the short side at ``min_side`` pixels; wide and tall are equally
    likely.

    Raises SettingsError if no size can satisfy all of these.
    """

    side: int = 48
    patch: int = 8
    area_range: tuple[float, float] = (0.25, 4.0)
    max_aspect: float = 12.0
    min_side: int = 16
    max_tokens: int = 150

    def __post_init__(self):
        low, high = (share * self.side**2 for share in self.area_range)
        if low > self.max_tokens * self.patch**2 or high < self.min_side**2:
            raise SettingsError(
                f"side {self.side}: no picture of {low:g} to {high:g} pixels has at most {self.max_tokens} patches of "
                f"{self.patch} x {self.patch} pixels and sides of at least {self.min_side}"
            )

    @property
    def largest_side(self) -> int:
        """The largest ``side`` whose pictures all stay within ``max_tokens``."""
        return int(self.patch * sqrt(self.max_tokens / self.area_range[1]))

    def draw(self, rng: np.random.Generator) -> tuple[int, int]:
        """One (height, width), both multiples of ``patch``."""
        low, high = self.area_range
        while True:
            area = self.side**2 * exp(rng.uniform(log(low), log(high)))
            longest = min(self.max_aspect, area / self.min_side**2)
            aspect = exp(rng.uniform(0.0, log(max(longest, 1.0))))
            short, long_ = sqrt(area / aspect), sqrt(area * aspect)
            sides = [max(self.patch, round(s / self.patch) * self.patch) for s in (short, long_)]
            if rng.random() < 0.5:
                sides.reverse()
            height, width = sides
            ratio = height * width / self.side**2
            tokens = (height // self.patch) * (width // self.patch)
            if low <= ratio <= high and tokens <= self.max_tokens and min(sides) >= self.min_side:
                return height, width


def size_bin(area_ratio: float) -> str:
    """Where a picture lies relative to S²: ``smaller`` (under 1/2), ``about`` (1/2 to 2) or ``larger`` (over 2)."""
    return "smaller" if area_ratio < 0.5 else "about" if area_ratio <= 2.0 else "larger"


@lru_cache(maxsize=512)
def font_face(file: str, pixels: int) -> ImageFont.FreeTypeFont:
    """The shipped face ``file`` (:class:`workbook.data.corpora.Font`) at ``pixels`` per em."""
    return ImageFont.truetype(io.BytesIO(corpora.read(file)), pixels)


def text_extent(face: ImageFont.FreeTypeFont, text: str) -> tuple[int, int, int, int]:
    """(left, top, width, height) of the ink of ``text`` drawn at the origin."""
    left, top, right, bottom = face.getbbox(text)
    return left, top, right - left, bottom - top


def draw_text(draw: ImageDraw.ImageDraw, xy: tuple[int, int], text: str, face, colour) -> None:
    """Draw ``text`` with the top left corner of its ink at ``xy`` = (x, y)."""
    left, top, _, _ = face.getbbox(text)
    draw.text((xy[0] - left, xy[1] - top), text, font=face, fill=colour)


def paper(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Image.Image, tuple[int, int, int]]:
    """A blank page of ``size`` (height, width) in a near-white colour and a dark ink.

    Strong colours and white-on-black were tried and kept small models from leaving chance within any affordable
    training.
    """
    colour = int(rng.integers(225, 250)) + rng.integers(-6, 6, 3)
    ink = int(rng.integers(0, 60)) + rng.integers(0, 12, 3)
    height, width = size
    return Image.new("RGB", (width, height), tuple(int(v) for v in colour)), tuple(int(v) for v in ink)


def place(rng: np.random.Generator, outer: tuple[int, int], inner: tuple[int, int]) -> tuple[int, int]:
    """A random (x, y) that keeps a box ``inner`` = (height, width) inside ``outer``, one pixel to spare if possible."""
    spare = [max(o - i - 2, 0) for o, i in zip(outer, inner, strict=True)]
    y, x = (int(rng.integers(0, r + 1)) + (o - i > 2) for r, o, i in zip(spare, outer, inner, strict=True))
    return x, y


def scaled(thing: Image.Image, scale: float) -> Image.Image:
    """``thing`` at ``scale`` times its sides, with transparency."""
    sides = tuple(max(1, round(side * scale)) for side in thing.size)
    return thing.convert("RGBA").resize(sides, Image.Resampling.BICUBIC)


def paste_object(rng: np.random.Generator, size: tuple[int, int], thing: Image.Image, fill: float) -> Image.Image:
    """``thing`` on a plain page of ``size``, scaled to ``fill`` of the space it has, at a random place."""
    page, _ = paper(rng, size)
    drawn = scaled(thing, fill * min(size[0] / thing.height, size[1] / thing.width))
    page.paste(drawn, place(rng, size, (drawn.height, drawn.width)), drawn)
    return page
