"""The gallery of the template notebook: items of one's own table, questions and expected answers, before a run."""

from collections.abc import Sequence
from textwrap import shorten

from matplotlib.figure import Figure

from oryx.processing.images import open_image
from oryx.processing.options import PreprocessOptions
from oryx.processing.visuals import choose_frames
from workbook.data.own_data import OwnItem
from workbook.report import plots

STRIP = 4
"""Frames shown of a video."""


def gallery(items: Sequence[OwnItem], most: int = 12) -> Figure:
    """Up to ``most`` items, evenly chosen from the whole table: the picture, or frames of the video.

    A file that cannot be opened is named in its place: the run will give its rows the same error.
    """
    shown = []
    for item in items[:: -(-len(items) // most)]:
        title = f"{shorten(item.question, 200)}\n“{shorten(item.answer, 200)}”  ({item.task})"
        try:
            seen = item.visual(frames=STRIP)
            frames = choose_frames(seen, PreprocessOptions()).pictures if item.is_video else [open_image(seen)]
            shown.append((title, list(frames)))
        except Exception as error:  # of any kind, as in the run
            shown.append((f"{title}\n{shorten(str(error), 120)}", []))
    return plots.strips(shown, 10, 2.2, columns=4)
