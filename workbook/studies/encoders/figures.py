"""Figures of the encoder study: scores, the crossed design, and probes of the encoders themselves. No torch."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from oryx.processing.sizes import Partition
from workbook.data.items import evaluation_items
from workbook.data.pictures import PictureSizes
from workbook.report import plots
from workbook.stages.recipes import MATCHED_PICTURES
from workbook.studies.encoders.arms import ENCODERS, INPUTS, arm_view

ASPECTS = {"1-2": "1 to 2", "2-4": "2 to 4", "4+": "4 and more"}
"""Bin of the aspect ratio (long over short side; the lower edge belongs to it) -> its label."""

SIZES = {"fixed": "fixed square", "native": "native size"}
"""Input of a probe -> its label; hollow marks in the figure are the fixed square."""
TITLES = {
    "retrieval": "the right caption comes first",
    "retrieval rank": "captions that the right one beats",
    "patch reading": "which digit a patch shows",
    "similarity by area": "same picture, other size",
    "similarity by aspect": "same picture, stretched",
    "attention distance": "how far attention reaches",
}
GALLERY = ("fixed", "native", "budget", "partition", "partition_matched")
"""The inputs that the gallery shows."""


def aspect_bin(aspect: pd.Series) -> pd.Series:
    """The bin of each aspect ratio, a key of ASPECTS; missing for a missing one."""
    return pd.cut(aspect.astype(float), [0, 2, 4, np.inf], right=False, labels=list(ASPECTS)).astype(object)


def score_by_aspect(
    rows: pd.DataFrame, arms: Sequence[str], groups: Mapping[str, Sequence[str]], order: Sequence[str] = ()
) -> tuple[Figure, pd.DataFrame]:
    """Score over aspect ratio, a panel per group of tasks; every task weighs the same."""
    rows = rows.assign(aspect_bin=aspect_bin(rows["aspect"]))
    figure, frame = plots.score_by_bin(rows, arms, groups, order, "aspect_bin", ASPECTS)
    for axis in figure.axes:
        axis.set_xlabel("long side over short side")
    return figure, frame


def crossed_scores(rows: pd.DataFrame, groups: Mapping[str, Sequence[str]]) -> tuple[Figure, pd.DataFrame]:
    """A panel per group of tasks: mean score with its 95 % interval, and visual tokens, of every encoder and input.

    A cell whose arm was not run is hatched, never shown as zero.
    """
    crossed = {f"{encoder}_{view}": (encoder, view) for encoder in ENCODERS for view in INPUTS}
    frame = plots.group_scores(rows, list(crossed), groups)
    frame[["encoder", "input"]] = [crossed[arm] for arm in frame["arm"]]
    frame["text"] = [
        f"{line.score:.2f}\n[{line.low:.2f}, {line.high:.2f}]\n{line.visual_tokens:.0f} tokens"
        for line in frame.itertuples()
    ]
    with mpl.rc_context(plots.STYLE):
        figure, axes = plots.panels(1, len(groups), 4.4 * len(groups) + 0.6, 2.9)
        for axis, group in zip(axes, groups, strict=True):
            mine = frame[frame["group"] == group]
            scores, texts = (
                mine.pivot(index="encoder", columns="input", values=name).reindex(index=ENCODERS, columns=INPUTS)
                for name in ("score", "text")
            )
            plots.heat_map(axis, scores, texts)
            axis.set(xlabel="", ylabel="")
            axis.set_title(plots.title_of(f"{group} tasks", mine), loc="left", fontsize=10)
        plots.colour_bar(figure, axes, "share of right answers", shrink=0.9)
    return figure, frame.drop(columns=["text", "condition"])


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """One line per probe, encoder, reader, input, grid and x: means over seeds, lowest and highest bound."""
    keys = ["look", "encoder", "reader", "input", "grid", "x"]
    frame = frame.reindex(columns=list(dict.fromkeys([*keys, "chance", "floor", "uniform", *frame.columns])))
    # lists cannot be grouped by; a frame read from a file has them as text already
    frame = frame.assign(grid=[str(list(g)) if isinstance(g, list | tuple) else g for g in frame["grid"]])
    named = {name: (name, "mean") for name in ("value", "n", "chance", "floor", "uniform")}
    grouped = frame.groupby(keys, sort=False, dropna=False)
    return grouped.agg(**named, low=("low", "min"), high=("high", "max"), seeds=("seed", "nunique")).reset_index()


def probes_figure(frame: pd.DataFrame, order: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """All probes (records of :mod:`.probes`), a panel each; ``order``: the study's encoders.

    Hollow marks: the fixed square; full ones: native size; crosses: SigLIP's own head. Probes that the records lack
    leave their panel empty. The returned frame holds every probe, also the match rates, with the seeds put together.
    """
    frame = over_seeds(frame)
    encoders = [name for name in order if name in set(frame["encoder"])]
    with mpl.rc_context(plots.STYLE):
        figure, axes = plots.panels(2, 3, 11.5, 6.8)
        for (probe, title), axis in zip(TITLES.items(), axes, strict=True):
            axis.set_title(title, loc="left", fontsize=10)
            mine = frame[frame["look"] == probe]
            if mine.empty:
                axis.set_axis_off()
            else:
                _PROBES[probe.split()[0]](axis, mine, encoders, order)
        marks = {"marker": "o", "ls": "", "color": plots.GREY}
        others = {"chance": plots.CHANCE, "own_head_of_SigLIP": plots.CROSS | {"color": "black"}}
        others |= {"fixed_square": marks | {"mfc": "white"}, "native_size": marks}
        plots.legend(figure, encoders, order, **others)
    return figure, frame


def _categories(axis: Axes, mine: pd.DataFrame, x: str, places: list, encoders: list, order: Sequence[str]) -> None:
    """Values over categories: each encoder at the fixed square (hollow) and beside it at native size."""
    own, mine = (mine[(mine["reader"] == "own head") == head] for head in (True, False))
    pairs = [(name, size) for name in encoders for size in SIZES if len(mine[mine["input"].eq(size)])]
    for i, place in enumerate(places):
        here = mine[mine[x] == place]
        for number, (name, size) in enumerate(pairs, 1):
            one = here[(here["encoder"] == name) & (here["input"] == size)]
            if one.empty:
                continue
            spans = np.abs(one[["low", "high"]].sub(one["value"], axis=0)).T
            style = plots.style_of(name, order) | ({"mfc": "white"} if size == "fixed" else {})
            at = [i - 0.4 + 0.8 * number / (len(pairs) + 1)] * len(one)
            axis.errorbar(at, one["value"], spans, ls="", ms=4.5, lw=0.9, **style)
        axis.plot([i - 0.4] * len(own[own[x] == place]), own.loc[own[x] == place, "value"], "x", ms=6, color="black")
        axis.hlines(here["chance"].mean(), i - 0.45, i + 0.45, ls="--", lw=1, color=plots.DARK)
    axis.set_xticks(range(len(places)), [str(SIZES.get(place, place)).replace(" ", "\n") for place in places])


def _retrieval(axis: Axes, mine: pd.DataFrame, encoders: list, order: Sequence[str]) -> None:
    _categories(axis, mine, "x", list(dict.fromkeys(mine["x"])), encoders, order)
    first = mine["look"].iloc[0] == "retrieval"
    axis.set_ylabel("share of pictures" if first else "mean share of captions")
    axis.set_ylim(bottom=0 if first else None)


def _reading(axis: Axes, mine: pd.DataFrame, encoders: list, order: Sequence[str]) -> None:
    mine = mine.assign(input=mine["x"])
    _categories(axis, mine, "x", [size for size in SIZES if size in set(mine["x"])], encoders, order)
    axis.set(ylim=(0, 1.03), ylabel="share of right patches")


def _similarity(axis: Axes, mine: pd.DataFrame, encoders: list, order: Sequence[str]) -> None:
    mine = mine.assign(x=mine["x"].astype(float))
    plots.lines(axis, mine, "x", order, y="value", hue="encoder")
    for name, own in mine.sort_values("x").groupby("encoder"):
        axis.plot(own["x"], own["floor"], ":", lw=1.2, color=plots.style_of(name, order)["color"])
    ticks = sorted(set(mine["x"].round(2)))
    axis.annotate("different pictures", (ticks[0], 0.03), fontsize=8, color=plots.DARK)
    axis.set_xscale("log", base=2)
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    by_area = mine["look"].iloc[0] == "similarity by area"
    axis.set(ylim=(-0.1, 1.05), xlabel="area over S²" if by_area else "aspect ratio after stretching")
    axis.set_ylabel("cosine with features at S x S,\nmean feature taken off")


def _distance(axis: Axes, mine: pd.DataFrame, encoders: list, order: Sequence[str]) -> None:
    shares = mine[["value", "low", "high"]].div(mine["uniform"], axis=0)
    mine = mine.assign(x=mine["x"].astype(int), **shares)
    uniform = mine.groupby("grid")["uniform"].mean().sort_values()
    for (grid, mean), dash in zip(uniform.items(), (":", "-", "--", "-."), strict=False):
        plots.lines(axis, mine[mine["grid"] == grid], "x", order, y="value", hue="encoder", ls=dash)
        rows, columns = (part.strip("[]() ") for part in grid.split(","))
        axis.plot([], [], dash, color=plots.GREY, label=f"{rows}x{columns} patches, all alike: {mean:.1f}")
    axis.axhline(1, **plots.CHANCE)
    axis.set_xticks(sorted(mine["x"].unique()))
    axis.set(xlabel="layer", ylabel="mean distance, share of that\nof attending to all alike")
    bottom, top = axis.get_ylim()
    axis.set_ylim(bottom - 0.28 * (top - bottom), top)  # space for the legend under the lines
    axis.legend(fontsize=7.5, loc="lower right")


_PROBES = {"retrieval": _retrieval, "patch": _reading, "similarity": _similarity, "attention": _distance}


def gallery(settings: Any, tasks: tuple[str, ...] = ("page", "chart", "icon")) -> Figure:
    """A row per task, a column per input, all to one scale; a partition's thumbnail stands before its tiles.

    Patches are those that are encoded; the grey padding of a canvas is cut off before the language model.
    """
    sizes: PictureSizes = MATCHED_PICTURES
    items = [max(evaluation_items(task, "dev", 12, sizes), key=lambda i: i.fields["aspect"]) for task in tasks]
    heights = [max(1.1 * sizes.side, item.picture.height) + 6 for item in items]
    grid = {"height_ratios": [height + 30 for height in heights]}
    tall = 0.6 * len(tasks) + sum(heights) / 100
    figure, axes = plots.panels(len(tasks), len(GALLERY), 11, tall, gridspec_kw=grid)
    rows = np.reshape(axes, (len(tasks), len(GALLERY)))
    for row, task, item, height in zip(rows, tasks, items, heights, strict=True):
        for axis, name in zip(row, GALLERY, strict=True):
            view = arm_view(f"oryxvit_{name}", sizes.side)
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
