"""The picture gallery of notebook 02: one long and one small picture as every input shows them to an encoder."""

from typing import Any

from matplotlib.figure import Figure

from oryx.processing.partition import Partition
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.stages.recipes import MATCHED_PICTURES
from workbook.studies.encoders.arms import arm_view

SHOWN = {
    "fixed": "oryxvit_fixed",
    "native": "oryxvit_native",
    "budget": "oryxvit_budget",
    "partition": "oryxvit_partition",
    "partition_matched": "oryxvit_partition_matched",
}


def gallery(settings: Any, tasks: tuple[str, ...] = ("page", "chart", "icon")) -> Figure:
    """A row per task, a column per input, all to one scale; a partition's thumbnail stands before its tiles.

    Patches are those that are encoded; the grey padding of a canvas is cut off before the language model.
    """
    sizes: PictureSizes = MATCHED_PICTURES
    items = [max(evaluation_items(task, "dev", 12, sizes), key=lambda i: i.fields["aspect"]) for task in tasks]
    heights = [max(1.1 * sizes.side, item.picture.height) + 6 for item in items]
    figure = Figure(figsize=(11, 0.6 * len(tasks) + sum(heights) / 100), layout="constrained")
    grid = {"height_ratios": [height + 30 for height in heights]}
    axes = figure.subplots(len(tasks), len(SHOWN), squeeze=False, gridspec_kw=grid)
    for row, task, item, height in zip(axes, tasks, items, heights, strict=True):
        for axis, (name, arm) in zip(row, SHOWN.items(), strict=True):
            view = arm_view(arm, sizes.side)
            if isinstance(view, Partition):
                squares, (rows, columns) = view.squares(item.picture), view.canvas(item.size)
                places = [(0, 0)] + [(c + 1.25, r) for r in range(rows) for c in range(columns)]
                shown = [
                    (square, (x * view.side, y * view.side)) for square, (x, y) in zip(squares, places, strict=True)
                ]
            else:
                shown = [(view.apply(item.picture, sizes.patch), (0, 0))]
            patches = sum((s.width // sizes.patch) * (s.height // sizes.patch) for s, _ in shown)
            for square, (x, y) in shown:
                axis.imshow(square, extent=(x, x + square.width, y + square.height, y), interpolation="nearest")
                axis.plot(
                    [x, x + square.width, x + square.width, x, x],
                    [y, y, y + square.height, y + square.height, y],
                    lw=0.6,
                    color="#888888",
                )
            axis.set_xlim(-4, 4.4 * sizes.side)
            axis.set_ylim(height, -4)
            axis.set_aspect("equal", anchor="NW")
            axis.set_axis_off()
            axis.set_title(
                f"{name}\n{patches} patches" if task == tasks[0] else f"{patches} patches", fontsize=8, loc="left"
            )
        row[0].text(
            -0.02, 0.6, f"{task}\n“{item.answer}”", transform=row[0].transAxes, ha="right", va="center", fontsize=8
        )
    return figure
