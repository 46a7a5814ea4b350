"""Pictures of what a model sees, with a text alternative each. Colours: those of the report."""

import base64
import html
import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from workbook.explore.asking import Asked
from workbook.report.notebook import as_html
from workbook.report.plots import COLOURS, MAP, panels

GRID, REGION = COLOURS[5], COLOURS[1]
WIDEST = 9.4
"""Inches of a figure, whose letters can be read where a window of 1280 pixels shrinks it to the notebook's width."""

MOST_FRAMES = 24
"""Frames of a strip; of more, these many are shown, evenly chosen."""

LEAST, GAP = 100, 8
"""Least width of a way in pixels of the pictures, as its title needs it where there are three; the space of tiles."""


@dataclass(frozen=True, repr=False)
class Shown:
    """A figure for a notebook: PNG, and the same with its text alternative and a table of numbers as HTML."""

    figure: Figure
    alt: str
    numbers: pd.DataFrame | None = None

    @cached_property
    def png(self) -> bytes:
        """With a white page around it, so that its text can be read in a dark theme too."""
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=130, facecolor="white")
        return buffer.getvalue()

    def _repr_png_(self) -> bytes:
        return self.png

    def _repr_html_(self) -> str:
        """The numbers, and below them an <img> with its alternative; neither wider than its place."""
        data, alt = base64.b64encode(self.png).decode(), html.escape(self.alt)
        image = f'<img alt="{alt}" style="max-width:100%;height:auto" src="data:image/png;base64,{data}">'
        if self.numbers is None:
            return image
        return f'<div style="overflow-x:auto">{as_html(self.numbers)}</div>{image}'

    def __repr__(self) -> str:
        return self.alt


def view(axis: Axes, picture: np.ndarray, title: str, patch: int = 0, side: int = 1, left: int = 0) -> None:
    """A picture with its top left corner at ``left``; ``patch``: side of the patches, drawn in blue, in orange regions
    of ``side`` x ``side`` of them; 0: none are drawn."""
    height, width = picture.shape[:2]
    axis.imshow(picture, extent=(left, left + width, height, 0), interpolation="nearest")
    axis.set_title(title, fontsize=8, loc="left", pad=2)
    axis.set_axis_off()
    axis.set_anchor("NW")
    steps = [(patch, GRID, 0.7 if width < 64 * patch else 0.3), (patch * side, REGION, 1.4)]
    for step, colour, thick in steps[: min(side, 2) if patch else 0]:
        axis.vlines(range(left, left + width + 1, step), 0, height, color=colour, lw=thick, alpha=0.9)
        axis.hlines(range(0, height + 1, step), left, left + width, color=colour, lw=thick, alpha=0.9)


def _answer(asked: Asked) -> str:
    tokens = f"{asked.answer.visual_tokens} visual tokens"
    return f"{tokens}; the model answers with probability {asked.answer.probability:.2f} {asked.marked}"


def strip(asked: Asked, numbers: pd.DataFrame | None = None) -> Shown:
    """The frames or views really seen, in order, as encoded."""
    count, (height, width) = len(asked.views), asked.views[0].shape[:2]
    chosen = np.linspace(0, count - 1, min(count, MOST_FRAMES)).round().astype(int)
    columns = min(8, len(chosen))
    rows = -(-len(chosen) // columns)
    figure, axes = panels(rows, columns, WIDEST, rows * (0.22 + height / width * WIDEST / columns))
    for axis in axes[len(chosen) :]:
        axis.set_axis_off()
    for axis, number in zip(axes, chosen, strict=False):
        view(axis, asked.views[number], f"{number + 1} of {count}", asked.model.processor.patch, asked.side)
    what = f"{count} frames or views seen" + (f", {len(chosen)} of them shown" if len(chosen) < count else "")
    return Shown(figure, f"A strip: {what}, each {width} x {height} pixels; {_answer(asked)}.", numbers)


def ways(asked: Mapping[str, Asked], numbers: pd.DataFrame | None = None) -> Shown:
    """One picture as every way shows it to the encoder, all to one scale; tiles apart, the thumbnail first."""
    tallest = max(seen.shape[0] for one in asked.values() for seen in one.views)
    least = 3 * LEAST / min(3, len(asked))
    widths = [max(least, sum(seen.shape[1] + GAP for seen in one.views)) for one in asked.values()]
    figure, axes = panels(1, len(asked), WIDEST, 0.6 + tallest * WIDEST / sum(widths), width_ratios=widths)
    for axis, (name, one), width in zip(axes, asked.items(), widths, strict=True):
        left, title = 0, f"{name}: {one.answer.visual_tokens} tokens\n{one.marked}"
        for seen in one.views:
            view(axis, seen, title, one.model.processor.patch, one.side, left)
            left += seen.shape[1] + GAP
        axis.set(xlim=(-1, width), ylim=(tallest + 1, -1))
    answers = "; ".join(f"{name}: {_answer(one)}" for name, one in asked.items())
    return Shown(figure, f"One picture shown in {len(asked)} ways. {answers}.", numbers)


def overlays(seen: np.ndarray, maps: Mapping[str, np.ndarray]) -> Shown:
    """Maps over a picture, each on its own scale; an orange frame around the patch in the middle, where it attends."""
    count, parts = len(maps) + 1, []
    tall = min(3.4, 0.75 + seen.shape[0] / seen.shape[1] * WIDEST / count)
    figure, axes = panels(1, count, WIDEST, tall)
    view(axes[0], seen, "as encoded")
    for axis, (name, weights) in zip(axes[1:], maps.items(), strict=True):
        rows, columns = weights.shape
        place = {"extent": (0, columns, rows, 0), "interpolation": "nearest"}
        axis.imshow(seen.mean(-1), cmap="gray", **place)
        image = axis.imshow(weights, cmap=MAP, alpha=0.72, **place)
        if name.startswith("encoder"):
            axis.add_patch(Rectangle((columns // 2, rows // 2), 1, 1, fill=False, ec=REGION, lw=1.6))
        axis.set_title(name, fontsize=8, loc="left")
        axis.set_axis_off()
        figure.colorbar(image, ax=axis, orientation="horizontal", shrink=0.8, pad=0.02)
        row, column = np.unravel_index(weights.argmax(), weights.shape)
        spread = f"from {weights.min():.3g} to {weights.max():.3g}"
        parts.append(f"{name}: {spread}, highest at row {row + 1}, column {column + 1}")
    return Shown(figure, f"Attention maps over a picture. {'; '.join(parts)}.")
