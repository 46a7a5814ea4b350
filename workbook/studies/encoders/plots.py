"""Figures of the encoder study: direct looks at encoders, and scores by aspect ratio. No torch."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from workbook.report.plots import STYLE, score_by_bin, style_of

ASPECTS = {"1-2": "1 to 2", "2-4": "2 to 4", "4+": "4 and more"}
"""Bin of the aspect ratio (long over short side; the lower edge belongs to it) -> its label."""

INPUTS = ("fixed", "native")
TITLES = {
    "retrieval": "the right caption comes first",
    "retrieval rank": "captions that the right one beats",
    "patch reading": "which digit a patch shows",
    "similarity by area": "same picture, other size",
    "similarity by aspect": "same picture, stretched",
    "attention distance": "how far attention reaches",
}
GREY, DARK = "#999999", "#444444"


def aspect_bin(aspect: pd.Series) -> pd.Series:
    """The bin of each aspect ratio, a key of ASPECTS; missing for a missing one."""
    return pd.cut(aspect.astype(float), [0, 2, 4, np.inf], right=False, labels=list(ASPECTS)).astype(object)


def score_by_aspect(
    rows: pd.DataFrame, arms: Sequence[str], groups: Mapping[str, Sequence[str]], order: Sequence[str] = ()
) -> tuple[Figure, pd.DataFrame]:
    """Score over aspect ratio, a panel per group of tasks; every task weighs the same."""
    rows = rows.assign(aspect_bin=aspect_bin(rows["aspect"]))
    figure, frame = score_by_bin(rows, arms, groups, order, "aspect_bin", ASPECTS)
    for axis in figure.axes:
        axis.set_xlabel("long side over short side")
    return figure, frame


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """One line per look, encoder, reader, input, grid and x: means over seeds, from the lowest bound to the highest."""
    keys = ["look", "encoder", "reader", "input", "grid", "x"]
    frame = frame.reindex(columns=list(dict.fromkeys([*keys, "chance", "floor", "uniform", *frame.columns])))
    # lists cannot be grouped by; a frame read from a file has them as text already
    frame = frame.assign(grid=[str(list(g)) if isinstance(g, list | tuple) else g for g in frame["grid"]])
    named = {name: (name, "mean") for name in ("value", "n", "chance", "floor", "uniform")}
    grouped = frame.groupby(keys, sort=False, dropna=False)
    return grouped.agg(**named, low=("low", "min"), high=("high", "max"), seeds=("seed", "nunique")).reset_index()


def looks_figure(frame: pd.DataFrame, order: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """All direct looks (records of :mod:`.probes`), a panel each; ``order``: the study's encoders.

    Hollow marks: the fixed square; full ones: native size; crosses: SigLIP's own head. Looks that the records lack
    leave their panel empty. The returned frame holds every look, also the match rates, with the seeds put together.
    """
    frame = over_seeds(frame)
    encoders = [name for name in order if name in set(frame["encoder"])]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11.5, 6.8), layout="constrained")
        axes = dict(zip(TITLES, figure.subplots(2, 3).ravel(), strict=True))
        for kind, axis in axes.items():
            axis.set_title(TITLES[kind], loc="left", fontsize=10)
            mine = frame[frame["look"] == kind]
            if mine.empty:
                axis.set_axis_off()
            elif kind.startswith("retrieval"):
                _retrieval(axis, mine, encoders, order)
            elif kind == "patch reading":
                _reading(axis, mine, encoders, order)
            elif kind.startswith("similarity"):
                _similarity(axis, mine, encoders, order)
            else:
                _distance(axis, mine, encoders, order)
        for name in encoders:
            axes["patch reading"].plot([], [], ms=6, label=name, **style_of(name, order))
        handles, labels = axes["patch reading"].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels))
    return figure, frame


def _span(mine: pd.DataFrame, unit: pd.Series | float = 1.0) -> tuple[pd.Series, np.ndarray]:
    value, low, high = (mine[name] / unit for name in ("value", "low", "high"))
    return value, np.array([(value - low).clip(lower=0), (high - value).clip(lower=0)])


def _retrieval(axis: Axes, mine: pd.DataFrame, encoders: Sequence[str], order: Sequence[str]) -> None:
    families = list(dict.fromkeys(mine["x"]))
    places = [(name, size) for name in encoders for size in INPUTS]
    step = 0.8 / (len(places) + 1)
    for i, family in enumerate(families):
        here = mine[mine["x"] == family]
        own = here[here["reader"] == "own head"]
        axis.plot([i - 0.4] * len(own), own["value"], "x", ms=6, color="black", zorder=3)
        for number, (name, size) in enumerate(places, 1):
            one = here[(here["encoder"] == name) & (here["input"] == size) & (here["reader"] == "linear")]
            style = style_of(name, order) | ({"mfc": "white"} if size == "fixed" else {})
            value, errors = _span(one)
            axis.errorbar([i - 0.4 + step * number] * len(one), value, errors, ls="", ms=4.5, lw=0.9, **style)
        chance = here["chance"].mean()
        axis.plot([i - 0.45, i + 0.45], [chance] * 2, "--", lw=1, color=DARK)
    axis.set_xticks(range(len(families)), [family.replace(" ", "\n") for family in families])
    axis.set_ylabel("share of pictures" if mine["look"].iloc[0] == "retrieval" else "mean share of captions")
    axis.set_ylim(bottom=0 if mine["look"].iloc[0] == "retrieval" else None)


def _reading(axis: Axes, mine: pd.DataFrame, encoders: Sequence[str], order: Sequence[str]) -> None:
    shown = [size for size in INPUTS if size in set(mine["x"])]
    for i, size in enumerate(shown):
        for number, name in enumerate(encoders):
            one = mine[(mine["x"] == size) & (mine["encoder"] == name)]
            style = style_of(name, order) | ({"mfc": "white"} if size == "fixed" else {})
            value, errors = _span(one)
            x = i + 0.6 * ((number + 0.5) / len(encoders) - 0.5)
            axis.errorbar([x] * len(one), value, errors, ls="", ms=6, lw=1.2, **style)
        chance = mine.loc[mine["x"] == size, "chance"].mean()
        axis.plot([i - 0.4, i + 0.4], [chance] * 2, "--", lw=1, color=DARK, label="chance" if i == 0 else None)
    axis.plot([], [], "x", ms=6, color="black", label="SigLIP's own head")
    axis.plot([], [], "o", ms=6, color=GREY, mfc="white", label="fixed square")
    axis.plot([], [], "o", ms=6, color=GREY, label="native size")
    axis.set_xticks(range(len(shown)), [{"fixed": "fixed square", "native": "native size"}[size] for size in shown])
    axis.set_xlim(-0.5, len(shown) - 0.5)
    axis.set_ylim(0, 1.03)
    axis.set_ylabel("share of right patches")


def _similarity(axis: Axes, mine: pd.DataFrame, encoders: Sequence[str], order: Sequence[str]) -> None:
    mine = mine.assign(x=mine["x"].astype(float)).sort_values("x")
    ticks = sorted(set(mine["x"].round(2)))
    for name in encoders:
        one = mine[mine["encoder"] == name]
        value, errors = _span(one)
        axis.errorbar(one["x"], value, errors, ms=4.5, lw=1.2, **style_of(name, order))
        axis.plot(one["x"], one["floor"], ":", lw=1.2, color=style_of(name, order)["color"])
    axis.annotate("different pictures", (ticks[0], 0.03), fontsize=8, color=DARK)
    axis.set_xscale("log", base=2)
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.set_ylim(-0.1, 1.05)
    by_area = mine["look"].iloc[0] == "similarity by area"
    axis.set_xlabel("area over S²" if by_area else "aspect ratio after stretching")
    axis.set_ylabel("cosine with features at S x S,\nmean feature taken off")


def _distance(axis: Axes, mine: pd.DataFrame, encoders: Sequence[str], order: Sequence[str]) -> None:
    mine = mine.assign(x=mine["x"].astype(int)).sort_values("x")
    sizes = mine.groupby("grid")["uniform"].mean().sort_values()
    lines = dict(zip(sizes.index, (":", "-", "--", "-."), strict=False))
    for name in encoders:
        for grid, line in lines.items():
            one = mine[(mine["encoder"] == name) & (mine["grid"] == grid)]
            value, errors = _span(one, one["uniform"])
            axis.errorbar(one["x"], value, errors, ms=4, lw=1.2, **(style_of(name, order) | {"ls": line}))
    axis.axhline(1, color=DARK, ls="--", lw=1)
    for grid, line in lines.items():
        rows, columns = (part.strip("[]() ") for part in grid.split(","))
        axis.plot([], [], line, color=GREY, label=f"{rows}x{columns} patches, all alike: {sizes[grid]:.1f}")
    axis.set_xticks(sorted(mine["x"].unique()))
    axis.set_xlabel("layer")
    axis.set_ylabel("mean distance, share of that\nof attending to all alike")
    bottom, top = axis.get_ylim()
    axis.set_ylim(bottom - 0.28 * (top - bottom), top)  # room for the legend under the lines
    axis.legend(fontsize=7.5, loc="lower right")
