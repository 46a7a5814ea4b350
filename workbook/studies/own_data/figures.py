"""The gallery of the template notebook: items of one's own table, questions and expected answers, before a run."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from oryx import Video
from oryx.processing.frames import choose_frames
from oryx.processing.images import open_image
from oryx.processing.options import PreprocessOptions
from workbook.data.own_data import OwnItem

COLUMNS = 4
STRIP = 4
"""Frames shown of a video."""


def gallery(items: Sequence[OwnItem], most: int = 12) -> Figure:
    """Up to ``most`` items, evenly chosen from the whole table: the picture, or frames of the video.

    A file that cannot be opened is named in its place: the run will give its rows the same error.
    """
    step = max(1, -(-len(items) // most))
    shown = list(items)[::step]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(2.6 * COLUMNS, 2.2 * rows), layout="constrained")
    for axis, item in zip(
        figure.subplots(rows, COLUMNS, squeeze=False).flat, [*shown, *[None] * COLUMNS], strict=False
    ):
        axis.set_axis_off()
        if item is None:
            continue
        axis.set_title(f"{_short(item.question)}\n“{_short(item.answer)}”  ({item.task})", fontsize=7, loc="left")
        try:
            axis.imshow(_strip(item.path) if item.is_video else open_image(item.path), interpolation="nearest")
        except Exception as error:  # of any kind, as in the run
            axis.text(0, 0.5, "\n".join(_short(str(error), 40 * 3).split(": ")), fontsize=6, transform=axis.transAxes)
    return figure


def _strip(path: Path) -> Image.Image:
    frames = list(choose_frames(Video(path, STRIP), PreprocessOptions()).pictures)
    strip = Image.new("RGB", (sum(frame.width for frame in frames), frames[0].height), "white")
    left = 0
    for frame in frames:
        strip.paste(frame, (left, 0))
        left += frame.width
    return strip


def _short(text: str, most: int = 40) -> str:
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1] + "…"
