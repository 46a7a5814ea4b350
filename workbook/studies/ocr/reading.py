"""PP-OCRv4, a pipeline for reading scanned text, as a reader of the pictures that study 1 draws. No torch.

Its two networks, as the package ``rapidocr-onnxruntime`` ships them: a detector that finds lines of text, and a
recogniser that gets each line at a height of 48 pixels and reads it. The package would first enlarge every picture
until its shorter side has 736 pixels. Here it does not: the detector sees a picture in the pixels it has, so that an
arm's size is the size at which text is looked for. Pictures of a few dozen pixels are set on a white canvas first,
with the same margin in every arm; its sides are multiples of the detector's stride, which would resample others.

A line that was found is always resized to those 48 pixels: what a small picture loses is the finding of lines, and the
detail in them, never the recogniser's own size.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from PIL import Image

from oryx.errors import MissingResource
from oryx.files import sha256_file
from oryx.processing.sizes import GREY, centred
from workbook.data.items import Item

PACKAGE, EXTRA = "rapidocr_onnxruntime", 'pip install -e ".[ocr]"'
MARGIN = 8
"""Least white around a picture in pixels. Of 8, 16 and 32 the one with the best mean score on split dev over three
arms, native and the smallest and largest area."""
STRIDE = 32
WHITE = (255, 255, 255)


def weights_hash() -> str:
    """One sha256 over the package's networks; raises MissingResource without the package."""
    if (spec := find_spec(PACKAGE)) is None:
        raise MissingResource(f"{PACKAGE} is not installed: {EXTRA}")
    networks = sorted(Path(spec.origin).parent.glob("models/*.onnx"))
    return hashlib.sha256(" ".join(map(sha256_file, networks)).encode()).hexdigest()[:16]


def on_canvas(picture: Image.Image) -> Image.Image:
    """The picture (RGB) in the middle of a white canvas, pixel for pixel."""
    width, height = (-(-(side + 2 * MARGIN) // STRIDE) * STRIDE for side in picture.size)
    return centred(picture, (height, width), WHITE)


class Reader:
    """The pipeline, on one CPU thread."""

    def __init__(self):
        import cv2
        from rapidocr_onnxruntime import RapidOCR

        cv2.setNumThreads(1)
        threads = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}
        # limit type "max" only reduces, and only beyond 960 pixels; use_cls would turn lines that seem upside down
        self._pipeline = RapidOCR(det_limit_type="max", use_cls=False, **threads)
        self.blank = lru_cache(maxsize=None)(lambda size: self.lines(Image.new("RGB", size, GREY)))

    def lines(self, picture: Image.Image) -> tuple[str, ...]:
        """The lines read in a picture (RGB), from top to bottom; ``blank``: in a grey one of this (width, height)."""
        found, _ = self._pipeline(on_canvas(picture))
        return tuple(text for _, text, _ in found or ())


def wanted(item: Item) -> str:
    """The text that must be read; in a list the letter that is asked about and its number, which belong together."""
    return item.question + item.answer if item.task == "list" else item.answer


def score(item: Item, lines: Sequence[str]) -> float:
    """1 if what was asked was read, else 0; blanks and case do not matter.

    A number or word: nothing else was read. Of a list or page, on which there is more to read: it stands in one of the
    lines, as OCRBench scores (some truth stands in the answer). The recogniser drops blanks between numbers, so a
    number of a page may also be found across two others: the condition ``other_truth`` counts how often that is.
    """
    text = wanted(item).casefold()
    read = ["".join(line.split()).casefold() for line in lines]
    return float("".join(read) == text if item.task in ("number", "word") else any(text in line for line in read))
