"""The picture gallery of notebook 01: one item of each task as every arm sees it."""

from matplotlib.figure import Figure

from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.studies.native_resolution.study import BLIND, CONTROL, OBJECT_TASKS, TEXT_TASKS, Settings, arm_resolution


def gallery(settings: Settings, tasks: tuple[str, ...] = (*TEXT_TASKS, *OBJECT_TASKS)) -> Figure:
    """A row per task, a column per arm: the picture at the arm's size, drawn to one scale, its patches counted."""
    sizes = PictureSizes(side=settings.side)
    arms = [arm for arm in settings.arms if arm not in (CONTROL, BLIND)]
    figure = Figure(figsize=(1.9 * len(arms), 1.5 * len(tasks)), layout="constrained")
    axes = figure.subplots(len(tasks), len(arms), squeeze=False)
    longest = settings.side * 4
    for row, task in zip(axes, tasks, strict=True):
        items = evaluation_items(task, "dev", 12, sizes)
        item = max(items, key=lambda i: i.area_ratio)
        for axis, arm in zip(row, arms, strict=True):
            seen = arm_resolution(arm, settings.side).apply(item.picture, sizes.patch)
            axis.imshow(seen, extent=(0, seen.width, seen.height, 0), interpolation="nearest")
            axis.set_xlim(-2, max(longest, seen.width))
            axis.set_ylim(max(longest * 0.6, seen.height), -2)
            axis.set_axis_off()
            patches = (seen.width // sizes.patch) * (seen.height // sizes.patch)
            title = f"{arm}\n" if task == tasks[0] else ""
            axis.set_title(f"{title}{seen.width}x{seen.height}, {patches} patches", fontsize=7, loc="left")
        row[0].text(
            -0.02, 0.5, f"{task}\n“{item.answer}”", transform=row[0].transAxes, ha="right", va="center", fontsize=7
        )
    return figure
