"""Pictures of what a model sees, with a text alternative each. Colours: those of the report."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from workbook.explore.asking import Asked
from workbook.report.plots import COLOURS, MAP, STYLE, panels

GRID, REGION = COLOURS[5], COLOURS[1]
WIDEST = 9.4
"""Inches at 100 dots: fits a notebook in a window of 1280 pixels beside its margins."""

MOST_FRAMES = 24
"""Frames of a film strip; of more, these many are shown, evenly chosen."""


@dataclass(frozen=True)
class Shown:
    """A figure for a notebook: PNG, and the same with its text alternative and a table of numbers as HTML."""

    png: bytes
    alt: str
    numbers: Mapping[str, str] | None = None

    @classmethod
    def of(cls, figure: Figure, alt: str, numbers: Mapping[str, str] | None = None) -> "Shown":
        """From a figure; a white page around it, so that its text can be read in a dark theme too."""
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100, facecolor="white")
        return cls(buffer.getvalue(), alt, numbers)

    @property
    def html(self) -> str:
        """An <img> with its alternative, no wider than its place, and the numbers below it."""
        data, alt = base64.b64encode(self.png).decode(), html.escape(self.alt, quote=True)
        image = f'<img alt="{alt}" style="max-width:100%;height:auto" src="data:image/png;base64,{data}">'
        if self.numbers is None:
            return image
        heads = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in self.numbers)
        cells = "".join(f"<td>{html.escape(value)}</td>" for value in self.numbers.values())
        return f"{image}<table><thead><tr>{heads}</tr></thead><tbody><tr>{cells}</tr></tbody></table>"

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {
            "text/html": self.html,
            "image/png": base64.b64encode(self.png).decode(),
            "text/plain": self.alt,
        }


def _view(axis: Axes, view: np.ndarray, patch: int, side: int = 1, left: int = 0) -> None:
    """A picture with its top left corner at ``left``, patches outlined in blue, regions of more than one in orange."""
    height, width = view.shape[:2]
    axis.imshow(view, extent=(left, left + width, height, 0), interpolation="nearest")
    for step, colour, thick in [(patch, GRID, 0.7), *([(patch * side, REGION, 1.4)] if side > 1 else [])]:
        axis.vlines(range(left, left + width + 1, step), 0, height, color=colour, lw=thick, alpha=0.9)
        axis.hlines(range(0, height + 1, step), left, left + width, color=colour, lw=thick, alpha=0.9)
    axis.set(xlim=(-1, left + width + 1), ylim=(height + 1, -1))
    axis.set_axis_off()


def _answer(asked: Asked) -> str:
    return f"the model answers “{asked.answer}” with probability {asked.probability:.2f}"


def patches(original: np.ndarray, asked: Asked, patch: int) -> Shown:
    """The picture as it came, and as it is encoded: patches in blue, the compressor's regions in orange."""
    view, (rows, columns) = asked.views[-1], asked.grids[-1]
    regions = f", {asked.side}x{asked.side} to one token" if asked.side > 1 else ""
    shapes = [one.shape[1] / one.shape[0] for one in (original, view)]
    wide = [max(shape, 0.45 * max(shapes)) for shape in shapes]  # space for a title above a narrow one
    with mpl.rc_context(STYLE):
        tall = min(3.6, (WIDEST - 0.6) / sum(shapes)) + 0.5
        figure, (left, right) = panels(1, 2, WIDEST, tall, gridspec_kw={"width_ratios": wide})
        left.imshow(original, interpolation="nearest")
        left.set_axis_off()
        _view(right, view, patch, asked.side)
        size = f"{view.shape[1]} x {view.shape[0]} px"
        titles = (
            f"the picture:\n{original.shape[1]} x {original.shape[0]} px",
            f"as encoded: {size},\n{columns} x {rows} patches{regions}",
        )
        for axis, title in zip((left, right), titles, strict=True):
            axis.set_anchor("NW")
            axis.set_title(title, fontsize=9, loc="left")
    alt = (
        f"Left the picture, right the same at {size} under a grid of {columns} x {rows} patches{regions}; "
        f"{asked.tokens} visual tokens; {_answer(asked)}."
    )
    return Shown.of(figure, alt, asked.numbers)


def strip(asked: Asked, patch: int, title: str = "") -> Shown:
    """The frames or views really seen, in order, as encoded."""
    count, (height, width) = len(asked.views), asked.views[0].shape[:2]
    chosen = np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int)
    columns = min(8, len(chosen))
    rows = -(-len(chosen) // columns)
    what = f"{len(chosen)} of {count} frames seen" if len(chosen) < count else f"{count} frames seen"
    with mpl.rc_context(STYLE):
        figure, axes = panels(rows, columns, WIDEST, 0.35 + rows * (0.22 + height / width * WIDEST / columns))
        for axis in axes[len(chosen) :]:
            axis.set_axis_off()
        for axis, number in zip(axes, chosen, strict=False):
            _view(axis, asked.views[number], patch, asked.side)
            axis.set_title(f"{number + 1}", fontsize=7, pad=1)
        figure.suptitle(title or what, fontsize=9, x=0.01, ha="left")
    alt = f"A strip of {what}, each {width} x {height} pixels; {asked.tokens} visual tokens; {_answer(asked)}."
    return Shown.of(figure, alt, asked.numbers)


def ways(asked: Mapping[str, Asked], patch: int) -> Shown:
    """One picture as every way shows it to the encoder, all to one scale; tiles apart, the thumbnail first."""
    tallest = max(view.shape[0] for one in asked.values() for view in one.views)
    widths = [max(LEAST, sum(view.shape[1] + patch for view in one.views)) for one in asked.values()]
    with mpl.rc_context(STYLE):
        tall = 0.6 + tallest * WIDEST / sum(widths)
        figure, axes = panels(1, len(asked), WIDEST, tall, gridspec_kw={"width_ratios": widths})
        for axis, (name, one), width in zip(axes, asked.items(), widths, strict=True):
            left = 0
            for view in one.views:
                _view(axis, view, patch, left=left)
                left += view.shape[1] + patch
            axis.set(xlim=(-1, width), ylim=(tallest + 1, -1))
            axis.set_aspect("equal", anchor="NW")
            axis.set_title(f"{name}\n{one.tokens} tokens, “{one.answer}”", fontsize=8, loc="left")
    answers = "; ".join(f"{name}: {one.tokens} tokens, {_answer(one)}" for name, one in asked.items())
    return Shown.of(figure, f"One picture shown in {len(asked)} ways. {answers}.")


LEAST = 100
"""Least width of a way in pixels of the pictures: its title needs it."""


def overlays(view: np.ndarray, maps: Mapping[str, np.ndarray], marks: Sequence[tuple[int, int] | None]) -> Shown:
    """Maps over a picture, each on its own scale; a mark (row, column in patches) is drawn as an orange frame."""
    with mpl.rc_context(STYLE):
        shape = view.shape[0] / view.shape[1]
        count = len(maps) + 1
        figure, axes = panels(1, count, WIDEST, min(3.4, 0.75 + shape * WIDEST / count))
        axes[0].imshow(view, interpolation="nearest")
        axes[0].set_title("as encoded", fontsize=8, loc="left")
        axes[0].set_axis_off()
        for axis, (name, values), mark in zip(axes[1:], maps.items(), marks, strict=True):
            height, width = view.shape[:2]
            axis.imshow(view.mean(-1), cmap="gray", extent=(0, width, height, 0), vmin=0, vmax=255)
            image = axis.imshow(values, cmap=MAP, alpha=0.72, extent=(0, width, height, 0), interpolation="nearest")
            if mark is not None:
                cell = (height / values.shape[0], width / values.shape[1])
                top, left = mark[0] * cell[0], mark[1] * cell[1]
                axis.add_patch(Rectangle((left, top), cell[1], cell[0], fill=False, ec=REGION, lw=1.6))
            axis.set_title(name, fontsize=8, loc="left")
            axis.set_axis_off()
            bar = figure.colorbar(image, ax=axis, orientation="horizontal", shrink=0.8, pad=0.02)
            bar.ax.tick_params(labelsize=7)
    parts = "; ".join(
        f"{name}: from {values.min():.3g} to {values.max():.3g}, highest at row "
        f"{int(values.argmax()) // values.shape[1] + 1}, column {int(values.argmax()) % values.shape[1] + 1}"
        for name, values in maps.items()
    )
    return Shown.of(figure, f"Attention maps over a picture. {parts}.")
