"""Pictures of what a model sees, with a text alternative each. Colours: those of the report."""

import base64
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from workbook.explore.looks import Look
from workbook.report.plots import COLOURS, STYLE

GRID, REGION = COLOURS[5], COLOURS[1]
MAP = "cividis"
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


def _axis(axis, view: np.ndarray, patch: int, side: int = 1, lines: bool = True) -> None:
    height, width = view.shape[:2]
    axis.imshow(view, extent=(0, width, height, 0), interpolation="nearest")
    if lines:
        regions = [(patch * side, REGION, 1.4)] if side > 1 else []
        for step, colour, thick in [(patch, GRID, 0.7), *regions]:
            for x in range(0, width + 1, step):
                axis.plot([x, x], [0, height], color=colour, lw=thick, alpha=0.9)
            for y in range(0, height + 1, step):
                axis.plot([0, width], [y, y], color=colour, lw=thick, alpha=0.9)
    axis.set_xlim(-1, width + 1)
    axis.set_ylim(height + 1, -1)
    axis.set_axis_off()


def _said(look: Look) -> str:
    return f"the model answers “{look.answer}” with probability {look.probability:.2f}"


def patches(original: np.ndarray, look: Look, patch: int) -> Shown:
    """The picture as it came, and as it is encoded: patches in blue, the compressor's regions in orange."""
    view = look.views[-1]
    with mpl.rc_context(STYLE):
        shapes = [original.shape[1] / original.shape[0], view.shape[1] / view.shape[0]]
        height = min(3.6, (WIDEST - 0.6) / sum(shapes))
        figure = Figure(figsize=(WIDEST, height + 0.5), layout="constrained")
        wide = [max(shape, 0.45 * max(shapes)) for shape in shapes]  # room for a title above a narrow one
        left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": wide})
        for axis in (left, right):
            axis.set_anchor("NW")
        left.imshow(original, interpolation="nearest")
        left.set_axis_off()
        left.set_title(f"the picture:\n{original.shape[1]} x {original.shape[0]} px", fontsize=9, loc="left")
        _axis(right, view, patch, look.side)
        rows, columns = look.grids[-1]
        regions = f", {look.side}x{look.side} to one token" if look.side > 1 else ""
        right.set_title(
            f"as encoded: {view.shape[1]} x {view.shape[0]} px,\n{columns} x {rows} patches{regions}",
            fontsize=9,
            loc="left",
        )
    alt = (
        f"Left the picture, right the same at {view.shape[1]} x {view.shape[0]} pixels under a grid of {columns} x "
        f"{rows} patches{regions}; {look.tokens} visual tokens; {_said(look)}."
    )
    return Shown.of(figure, alt, look.numbers)


def strip(look: Look, patch: int, title: str = "") -> Shown:
    """The frames or views really seen, in order, as encoded."""
    count = len(look.views)
    chosen = np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int)
    columns = min(8, len(chosen))
    rows = -(-len(chosen) // columns)
    with mpl.rc_context(STYLE):
        shape = look.views[0].shape[0] / look.views[0].shape[1]
        figure = Figure(figsize=(WIDEST, 0.35 + rows * (0.22 + shape * WIDEST / columns)), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, number in zip(axes, chosen, strict=False):
            _axis(axis, look.views[number], patch, look.side)
            axis.set_title(f"{number + 1}", fontsize=7, pad=1)
        what = f"{len(chosen)} of {count} frames seen" if len(chosen) < count else f"{count} frames seen"
        figure.suptitle(title or what, fontsize=9, x=0.01, ha="left")
    height, width = look.views[0].shape[:2]
    alt = f"A strip of {what}, each {width} x {height} pixels; {look.tokens} visual tokens; {_said(look)}."
    return Shown.of(figure, alt, look.numbers)


def ways(looks: Mapping[str, Look], patch: int) -> Shown:
    """One picture as every way shows it to the encoder, all to one scale; tiles apart, the thumbnail first."""
    tallest = max(view.shape[0] for look in looks.values() for view in look.views)
    with mpl.rc_context(STYLE):
        widths = [max(ROOM, _width(look)) for look in looks.values()]
        figure = Figure(figsize=(WIDEST, 0.6 + tallest * WIDEST / sum(widths)), layout="constrained")
        axes = figure.subplots(1, len(looks), gridspec_kw={"width_ratios": widths}, squeeze=False)[0]
        for axis, (name, look), width in zip(axes, looks.items(), widths, strict=True):
            left = 0
            for view in look.views:
                height, own = view.shape[:2]
                axis.imshow(view, extent=(left, left + own, height, 0), interpolation="nearest")
                for x in range(0, own + 1, patch):
                    axis.plot([left + x] * 2, [0, height], color=GRID, lw=0.4)
                for y in range(0, height + 1, patch):
                    axis.plot([left, left + own], [y, y], color=GRID, lw=0.4)
                left += own + patch
            axis.set_xlim(-1, width)
            axis.set_ylim(tallest + 1, -1)
            axis.set_aspect("equal", anchor="NW")
            axis.set_axis_off()
            axis.set_title(f"{name}\n{look.tokens} tokens, “{look.answer}”", fontsize=8, loc="left")
    said = "; ".join(f"{name}: {look.tokens} tokens, {_said(look)}" for name, look in looks.items())
    return Shown.of(figure, f"One picture shown in {len(looks)} ways. {said}.")


ROOM = 100
"""Least width of a way in pixels of the pictures: its title needs it."""


def _width(look: Look) -> int:
    return sum(view.shape[1] for view in look.views) + 8 * len(look.views)


def overlays(view: np.ndarray, maps: Mapping[str, np.ndarray], marks: Sequence[tuple[int, int] | None]) -> Shown:
    """Maps over a picture, each on its own scale; a mark (row, column in patches) is drawn as an orange frame."""
    with mpl.rc_context(STYLE):
        shape = view.shape[0] / view.shape[1]
        count = len(maps) + 1
        figure = Figure(figsize=(WIDEST, min(3.4, 0.75 + shape * WIDEST / count)), layout="constrained")
        axes = figure.subplots(1, count, squeeze=False)[0]
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
                x = [left, left + cell[1], left + cell[1], left, left]
                axis.plot(x, [top, top, top + cell[0], top + cell[0], top], color=REGION, lw=1.6)
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
