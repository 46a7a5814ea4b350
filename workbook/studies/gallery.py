"""Pictures as an encoder sees them, for the notebooks of the studies on pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from oryx.processing.sizes import Partition, Resolution
from workbook.data.items import evaluation_items
from workbook.report import plots
from workbook.report.names import name_of
from workbook.runs.settings import StudySettings
from workbook.studies.base import Study


def gallery(study: Study, settings: StudySettings, tasks: Sequence[str], most: str) -> Figure:
    """A row per task, a column per resolution of the arms, all to one scale; a thumbnail stands before its tiles.

    ``most``: of the first items of a task the one is shown with the most of this field. The patches counted are those
    that are encoded; the grey padding of a canvas is cut off before the language model.
    """
    names, views = study.arms(settings), {}
    arms = [study.picture_arm(settings, arm) for arm in names]
    for name, arm in zip(names, arms, strict=True):
        if arm.resolution and arm.resolution not in views.values():
            views[name] = arm.resolution
    sizes = arms[0].sizes
    items = [max(evaluation_items(task, "dev", 12, sizes), key=lambda item: item.fields[most]) for task in tasks]
    return drawn(items, views, sizes.patch)


def drawn(
    items: Sequence[Any], views: Mapping[str, Resolution | Partition], patch: int, stride: int | None = None
) -> Figure:
    """The figure of :func:`gallery`; an item has ``picture``, ``task`` and ``answer``.

    ``stride``: of the sides of pictures, in pixels; the patch's unless given.
    """
    stride = stride or patch
    seen = [(item, name, *_seen(item.picture, view, patch, stride)) for item in items for name, view in views.items()]
    size = [max(picture.size[side] for *_, picture, _ in seen) for side in (0, 1)]
    shown = []
    for item, name, picture, patches in seen:
        scaled = Image.new("RGB", size, "white")
        scaled.paste(picture)
        shown.append((f"{item.task} “{item.answer}”\n{name_of(name)}, {patches} patches", [scaled]))
    return plots.strips(shown, 1.9 * len(views), 1.9 * size[1] / size[0] + 0.6, len(views))


def _seen(picture: Image.Image, view: Resolution | Partition, patch: int, stride: int) -> tuple[Image.Image, int]:
    """What an encoder gets of a picture, and its patches."""
    if isinstance(view, Resolution):
        seen = view.apply(picture, stride)
        return seen, seen.width * seen.height // patch**2
    squares, (rows, columns), step = view.squares(picture), view.canvas((picture.height, picture.width)), view.side + 2
    seen = Image.new("RGB", ((columns + 1) * step, rows * step), "white")
    places = [(0, 0), *((column * step, row * step) for row in range(rows) for column in range(1, columns + 1))]
    for square, place in zip(squares, places, strict=True):
        seen.paste(square, place)
    return seen, len(squares) * (view.side // patch) ** 2
