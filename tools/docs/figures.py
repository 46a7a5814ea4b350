"""The figures of docs/architecture.md, drawn from what the code computes: name -> matplotlib Figure.

PNG with few colours, so that all of them together stay small.
"""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from oryx.files import atomic_write_bytes
from oryx.grids import Grid, compressed_grid, cumulative_lengths, patch_grid, token_count, video_token_count
from oryx.layout import FIRST_TOKEN, Layout, arrange
from oryx.model.compressor import DynamicCompressor, region_means, regions
from oryx.model.config import OryxConfig, OryxVisionConfig
from oryx.model.vit import OryxViT
from oryx.processing.options import PreprocessOptions
from workbook.report.plots import COLOURS

PATCH = 16
DPI = 100
ROUNDING = 24
"""Levels by which a pixel may differ before the figure counts as another: rounding, not content."""

STYLE = {
    "font.size": 8,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
}
BLUE, ORANGE, GREEN, RED, PINK, SKY = COLOURS[:6]
GREY = "#bbbbbb"
SOURCES = {"16:9": (1080, 1920), "4:3": (480, 640), "1:1": (480, 480), "9:16": (1920, 1080), "21:9": (1080, 2520)}
"""Shape -> (height, width) in pixels of a usual video of that shape."""

WIDTHS = (4, 12, 24, 64, 160)
"""Pictures so many patches wide, for the figure of positions."""


def compressor() -> Figure:
    """One map of 4 x 4 tokens of one channel through the dynamic compressor at side 2, every step in numbers."""
    torch.manual_seed(3)
    grid, side = (4, 4), 2
    features = torch.tensor([0, 1, 2, 2, 1, 4, 2, 2, 3, 3, 0, 0, 3, 1, 0, 2.0]).reshape(1, 16, 1)
    module = tiny_compressor()
    with torch.no_grad():
        values, _ = regions(features, grid, side)
        means = region_means(features, grid, side)
        weights = module.weights(means, values, None)
        taken = module.attend(means, values, None)
        out, new_grid = module(features, grid, side)
    figure = Figure(figsize=(9.6, 2.5), layout="constrained")
    axes = figure.subplots(1, 5)
    unfolded = weights.reshape(2, 2, 2, 2).transpose(1, 2).reshape(4, 4)
    panels = [
        ("features  v", features.reshape(4, 4), 4.5, "{:.0f}"),
        ("mean of each region  p", means.reshape(new_grid), 4.5, "{:.2f}"),
        ("softmax(q·k/√d)  a", unfolded, 1.0, "{:.2f}"),
        ("Σ a v", taken.reshape(new_grid), 4.5, "{:.2f}"),
        ("output  p + Σ a v", out.reshape(new_grid), 9.0, "{:.2f}"),
    ]
    for axis, (title, cells, most, form) in zip(axes, panels, strict=True):
        numbers(axis, cells.tolist(), most, form, 4 / len(cells))
        axis.set_title(title)
        for edge in (0, 2, 4):
            axis.plot([edge, edge], [0, 4], color=BLUE, lw=1.5)
            axis.plot([0, 4], [edge, edge], color=BLUE, lw=1.5)
    return figure


def doubling() -> Figure:
    """The same map at side 1 under two different compressors: twice the input both times."""
    features = torch.tensor([0, 1, 2, 2, 1, 4, 2, 2.0]).reshape(1, 8, 1)
    figure = Figure(figsize=(7.2, 1.9), layout="constrained")
    axes = figure.subplots(1, 3)
    numbers(axes[0], features.reshape(2, 4).tolist(), 9.0, "{:.0f}", 1)
    axes[0].set_title("features  v")
    for axis, seed in zip(axes[1:], (1, 2), strict=True):
        torch.manual_seed(seed)
        with torch.no_grad():
            out, grid = tiny_compressor()(features, (2, 4), 1)
        numbers(axis, out.reshape(grid).tolist(), 9.0, "{:.0f}", 1)
        axis.set_title(f"output, random weights {seed}")
    return figure


def packing() -> Figure:
    """Three pictures of different shape in one sequence, and who attends to whom."""
    sizes, colours = [(48, 80), (96, 32), (32, 64)], (BLUE, ORANGE, GREEN)
    grids = [patch_grid(size, PATCH) for size in sizes]
    bounds, total = cumulative_lengths(rows * columns for rows, columns in grids), token_count(grids)
    figure = Figure(figsize=(8.6, 3.2), layout="constrained")
    axes = figure.subplot_mosaic("pa\nsa", width_ratios=(3, 1.3), height_ratios=(2.4, 1))
    left = 0
    for size, grid, colour in zip(sizes, grids, colours, strict=True):
        cells(axes["p"], grid, colour, left, 0)
        axes["p"].text(left, grid[0] + 0.8, f"{size[1]} x {size[0]} px: {grid[0]} x {grid[1]}", fontsize=7)
        left += grid[1] + 4
    axes["p"].set(xlim=(-0.5, left), ylim=(7.6, -0.5), aspect="equal", title="patches of three pictures")
    for start, end, colour in zip(bounds, bounds[1:], colours, strict=False):
        cells(axes["s"], (1, end - start), colour, start, 0)
        axes["a"].add_patch(Rectangle((start, start), end - start, end - start, fc=colour, ec="none"))
    padded = len(grids) * max(rows * columns for rows, columns in grids)
    axes["s"].set_xticks(bounds)
    axes["s"].set_yticks([])
    axes["s"].set(
        xlim=(-0.5, total + 0.5), ylim=(1.2, -0.2), aspect="equal",
        title=f"one sequence of {total} tokens, cu_seqlens {bounds}\n(padded to the largest: {padded})",
    )  # fmt: skip
    axes["a"].set(xlim=(0, total), ylim=(total, 0), aspect="equal", title="who attends to whom")
    axes["a"].set_xticks(bounds)
    axes["a"].set_yticks(bounds)
    axes["p"].set_axis_off()
    for name in ("s", "a"):
        axes[name].spines[:].set_visible(name == "a")
    return figure


def positions() -> Figure:
    """Which columns of the position table pictures of different width read, and with what weight."""
    side = OryxVisionConfig().position_grid
    tower = OryxViT(OryxVisionConfig(hidden_size=side, num_attention_heads=1, num_hidden_layers=0))
    with torch.no_grad():  # a table whose every column is its own direction: what comes out are the weights
        tower.pos_embed.copy_(torch.eye(side).repeat(side, 1)[None])
        read = [tower.positions([(1, width)]).sum(0) for width in WIDTHS]
    figure = Figure(figsize=(8.6, 2.4), layout="constrained")
    axis = figure.subplots()
    for line, weights in enumerate(read):
        at = torch.nonzero(weights)[:, 0]
        height = (weights[at] / weights.max() * 0.8).tolist()
        axis.bar(at.tolist(), height, 0.8, [line - 0.4] * len(at), color=COLOURS[line])
    labels = [f"{width} patches ({width * PATCH} px)" for width in WIDTHS]
    axis.set_yticks(range(len(WIDTHS)), labels)
    axis.set(xlim=(-1, side), xlabel="column of the position table", ylim=(-0.6, len(WIDTHS) - 0.4))
    return figure


def layouts() -> Figure:
    """The sequences of one view, two views and a video of three frames, as the projector lays them out."""
    examples = [
        ("one view, 2 x 3", Layout.ONE_VIEW, [(2, 3)]),
        ("two views, 2 x 2 and 2 x 4", Layout.TWO_VIEW, [(2, 2), (2, 4)]),
        ("video, three frames of 2 x 3", Layout.VIDEO, [(2, 3)] * 3),
    ]
    names = {0: ("newline", "white"), 1: ("begin", "#333333"), 2: ("end", "#777777"), 3: ("separator", PINK)}
    figure = Figure(figsize=(9.6, 1.9), layout="constrained")
    axis = figure.subplots()
    for line, (_, layout, grids) in enumerate(examples):
        bounds = FIRST_TOKEN + np.array(cumulative_lengths(rows * columns for rows, columns in grids))
        for place, entry in enumerate(arrange(layout, tuple(grids)).tolist()):
            number = int(np.searchsorted(bounds, entry, "right")) - 1
            fill = names[entry][1] if entry < FIRST_TOKEN else COLOURS[number]
            axis.add_patch(Rectangle((place, line + 0.15), 0.9, 0.7, fc=fill, ec="#333333", lw=0.5))
    axis.set_yticks([line + 0.5 for line in range(len(examples))], [name for name, _, _ in examples])
    axis.set(xlim=(-0.3, 31), ylim=(3, 0), xlabel="place in the sequence")
    for name, fill in names.values():
        axis.bar(0, 0, 0, color=fill, edgecolor="#333333", lw=0.5, label=name)
    axis.bar(0, 0, 0, color=BLUE, edgecolor="#333333", lw=0.5, label="tokens (a colour a map)")
    figure.legend(loc="outside right center")
    return figure


def aspect() -> Figure:
    """Frames of five shapes under the two video rules: size, tokens after compression, drawn to scale."""
    options = PreprocessOptions()
    rules = [("4x", options.video, 2), ("16x", options.video_long, 4)]
    figure = Figure(figsize=(9.6, 3.7), layout="constrained")
    axes = figure.subplots(len(rules), len(SOURCES), sharex=True, sharey=True)
    for row, (name, rule, side) in zip(axes, rules, strict=True):
        for axis, (shape, source) in zip(row, SOURCES.items(), strict=True):
            height, width = rule.target(source)
            grid = compressed_grid(patch_grid((height, width), PATCH), side)
            step = PATCH * side / 32  # drawn in units of 32 pixels
            cells(axis, grid, ORANGE if name == "4x" else SKY, 0, 0, step)
            ideal = (width * height * source[1] / source[0]) ** 0.5 / 32
            axis.add_patch(
                Rectangle((0, 0), ideal, ideal * source[0] / source[1], fc="none", ec="#333333", ls="--", lw=0.8)
            )
            tokens = video_token_count(1, grid) - 2
            axis.set_title(f"{shape} at {name}\n{width} x {height} px, {tokens} tokens", fontsize=7)
            axis.set_axis_off()
    axes[0, 0].set(xlim=(-0.5, 24), ylim=(21, -0.5), aspect="equal")
    for axis in axes.flat:
        axis.set_aspect("equal")
    return figure


FIGURES: dict[str, Callable[[], Figure]] = {
    "compressor": compressor,
    "doubling": doubling,
    "packing": packing,
    "positions": positions,
    "layouts": layouts,
    "aspect": aspect,
}


def tiny_compressor() -> DynamicCompressor:
    """A dynamic compressor for one channel with random weights of the current seed."""
    vision = {"hidden_size": 1, "num_attention_heads": 1}
    return DynamicCompressor(OryxConfig(vision_config=vision, compressor_dim=4))


def numbers(axis: Axes, table: Sequence[Sequence[float]], most: float, form: str, size: float) -> None:
    """A table as shaded squares of ``size`` with their numbers inside."""
    for y, line in enumerate(table):
        for x, value in enumerate(line):
            shade = round(1 - 0.55 * min(1.0, max(0.0, value / most)), 2)
            axis.add_patch(Rectangle((x * size, y * size), size, size, fc=(shade, shade, 1.0), ec=GREY, lw=0.6))
            axis.text((x + 0.5) * size, (y + 0.5) * size, form.format(value), ha="center", va="center")
    axis.set(xlim=(-0.05, len(table[0]) * size + 0.05), ylim=(len(table) * size + 0.05, -0.05), aspect="equal")
    axis.set_axis_off()


def cells(axis: Axes, grid: Grid, colour: str, left: float, top: float, size: float = 1.0) -> None:
    """A grid of squares: one filled rectangle with white lines."""
    rows, columns = grid
    axis.add_patch(Rectangle((left, top), columns * size, rows * size, fc=colour, ec="none"))
    style = {"color": "white", "lw": 0.6, "solid_capstyle": "butt"}
    for x in range(columns + 1):
        axis.plot([left + x * size] * 2, [top, top + rows * size], **style)
    for y in range(rows + 1):
        axis.plot([left, left + columns * size], [top + y * size] * 2, **style)


def drawn(name: str) -> bytes:
    """A figure as PNG with few colours: a few kilobytes, the same for the same code, matplotlib and Pillow."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        FIGURES[name]().savefig(buffer, format="png", dpi=DPI, metadata={"Software": None}, facecolor="white")
    with Image.open(buffer) as image:
        few = image.convert("RGB").quantize(128, dither=Image.Dither.NONE)
    out = io.BytesIO()
    few.save(out, "PNG", optimize=True)
    return out.getvalue()


def differs(kept: Path, now: bytes) -> bool:
    """Whether a figure on the disk shows something else than what is drawn now."""
    if not kept.exists():
        return True
    with Image.open(kept) as one, Image.open(io.BytesIO(now)) as other:
        a, b = (np.asarray(picture.convert("RGB"), dtype=int) for picture in (one, other))
    return a.shape != b.shape or int(np.abs(a - b).max()) > ROUNDING


def renew(folder: Path, check: bool = False) -> list[Path]:
    """The figures that are missing or show something else; unless ``check``, they are drawn anew."""
    changed = []
    for name in FIGURES:
        path, now = folder / f"{name}.png", drawn(name)
        if differs(path, now):
            changed.append(path)
            if not check:
                atomic_write_bytes(path, now)
    return changed
