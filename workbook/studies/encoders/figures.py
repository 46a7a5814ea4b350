"""Figures of the encoder study: scores, the crossed design, and probes of the encoders themselves. No torch."""

from collections.abc import Sequence
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from workbook.report import plots
from workbook.report.plots import Drawn, Groups
from workbook.studies.encoders.arms import ARMS, ENCODERS, INPUTS

ASPECTS = {"1-2": "1 to 2", "2-4": "2 to 4", "4+": "4 and more"}
"""Bin of the aspect ratio (long over short side; the lower edge belongs to it) -> its label."""
INPUT_MARKS = {"fixed": {"mfc": "white"}, "native": {}, "own head": {"marker": "x"}}
"""Input of a probe -> how its mark differs: SigLIP's square, native size, and SigLIP's own head on its square."""
PANELS = {
    "retrieval": ("the right caption comes first", "share of pictures"),
    "retrieval rank": ("captions that the right one beats", "mean share of captions"),
    "patch reading": ("which digit a patch shows", "share of right patches"),
    "similarity by area": ("same picture, other size (area over S²)", "cosine with features at S x S"),
    "similarity by aspect": ("same picture, stretched (aspect ratio)", "cosine with features at S x S"),
    "attention distance": ("how far attention reaches, by layer", "share of attending to all alike"),
}
"""Probe -> title and what is measured."""


def aspect_bin(aspect: pd.Series) -> pd.Series:
    """The bin of each aspect ratio, a key of ASPECTS; missing for a missing one."""
    return pd.cut(aspect.astype(float), [0, 2, 4, np.inf], right=False, labels=list(ASPECTS)).astype(object)


@plots.styled
def score_by_aspect(rows: pd.DataFrame, arms: Sequence[str], groups: Groups, order: Sequence[str] = ()) -> Drawn:
    """Score over aspect ratio, a panel per group of tasks; every task weighs the same."""
    rows = rows.assign(aspect_bin=aspect_bin(rows["aspect"]))
    figure, frame = plots.score_by_bin(rows, arms, groups, order, "aspect_bin", ASPECTS)
    for axis in figure.axes:
        axis.set_xlabel("long side over short side")
    return figure, frame


@plots.styled
def crossed_scores(rows: pd.DataFrame, groups: Groups) -> Drawn:
    """A panel per group of tasks: mean score with its 95 % interval, and visual tokens, of every encoder and input.

    A cell whose arm was not run is hatched, never shown as zero.
    """
    crossed = {arm: pair for arm, pair in ARMS.items() if pair[1] in INPUTS}
    frame = plots.group_scores(rows, list(crossed), groups).drop(columns="condition")
    frame[["encoder", "input"]] = [crossed[arm] for arm in frame["arm"]]
    text = "{score:.2f}\n[{low:.2f}, {high:.2f}]\n{visual_tokens:.0f} tokens"
    texts = frame.assign(text=[text.format(**line) for line in frame.to_dict("records")])
    figure, axes = plots.panels(1, len(groups), 4.4 * len(groups) + 0.6, 2.9)
    for axis, (group, mine) in zip(axes, texts.groupby("group", sort=False), strict=True):
        wide = mine.pivot(index="encoder", columns="input", values=["score", "text"])
        cells = (wide[name].reindex(index=ENCODERS, columns=INPUTS) for name in ("score", "text"))
        plots.heat_map(axis, *cells)
        axis.set(xlabel="", ylabel="")
        axis.set_title(plots.title_of(f"{group} tasks", mine), loc="left", fontsize=10)
    plots.colour_bar(figure, axes, "share of right answers", shrink=0.9)
    return figure, frame


def over_seeds(frame: pd.DataFrame) -> pd.DataFrame:
    """One line per probe, encoder, reader, input, grid and x: means over seeds, lowest and highest bound."""
    keys = ["probe", "encoder", "reader", "input", "grid", "x"]
    frame = frame.reindex(columns=list(dict.fromkeys([*keys, "chance", "floor", "uniform", *frame.columns])))
    # lists cannot be grouped by; a frame read from a file has them as text already
    frame["grid"] = frame["grid"].map(str, na_action="ignore")
    named = {name: (name, "mean") for name in ("value", "n", "chance", "floor", "uniform")}
    grouped = frame.groupby(keys, sort=False, dropna=False)
    return grouped.agg(**named, low=("low", "min"), high=("high", "max"), seeds=("seed", "nunique")).reset_index()


@plots.styled
def probes_figure(frame: pd.DataFrame, order: Sequence[str]) -> Drawn:
    """All probes (records of :func:`.jobs.probe`), a panel each; ``order``: the study's encoders.

    Probes that the records lack leave their panel empty. The returned frame holds every probe, also the match rates,
    with the seeds put together.
    """
    frame = over_seeds(frame)
    figure, axes = plots.panels(2, 3, 11.5, 6.8)
    for (probe, (title, measured)), axis in zip(PANELS.items(), axes, strict=True):
        mine = frame[frame["probe"] == probe]
        if mine.empty:
            axis.set_axis_off()
        elif mine["grid"].isna().all():
            _readings(axis, mine, order)
        else:
            _changes(axis, mine, order)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set(xlabel="", ylabel=measured)
    marks = {name: {"marker": "o", "ls": "", "color": plots.GREY} | mark for name, mark in INPUT_MARKS.items()}
    encoders = [name for name in order if name in set(frame["encoder"])]
    plots.legend(figure, encoders, order, **marks, chance_or_other_pictures=plots.CHANCE)
    return figure, frame


def _readings(axis: Axes, mine: pd.DataFrame, order: Sequence[str]) -> None:
    """Values over categories: each encoder at the fixed square and at native size, side by side."""
    view = mine["input"].where(mine["reader"] != "own head", "own head").fillna(mine["x"])
    places, series = list(dict.fromkeys(mine["x"])), list(mine.groupby(["encoder", view], sort=False))
    for number, ((name, way), own) in enumerate(series):
        at = np.arange(len(places)) + 0.8 * ((number + 0.5) / len(series) - 0.5)
        style = plots.style_of(name, order) | {"ls": ""} | INPUT_MARKS[way]
        plots.marks(axis, at, own.set_index("x").reindex(places), "value", **style)
    axis.set_xticks(range(len(places)), [place.replace(" ", "\n") for place in places])
    for place, chance in enumerate(mine.groupby("x", sort=False)["chance"].mean()):
        axis.hlines(chance, place - 0.45, place + 0.45, **plots.CHANCE)


def _changes(axis: Axes, mine: pd.DataFrame, order: Sequence[str]) -> None:
    """Values over numbers: a line per encoder; of attention's distance one per size of the pictures."""
    mine = mine.assign(x=mine["x"].astype(float))
    distance = mine["probe"].eq("attention distance").all()
    if distance:
        mine[["value", "low", "high"]] = mine[["value", "low", "high"]].div(mine["uniform"], axis=0)
    for (grid, own), dash in zip(mine.groupby("grid") if distance else [("", mine)], cycle(("-", "--", ":"))):
        plots.lines(axis, own, "x", order, y="value", hue="encoder", ls=dash)
        axis.plot([], [], dash, color=plots.GREY, label=f"{grid} patches")
    axis.axhline(1 if distance else mine["floor"].mean(), **plots.CHANCE)
    if distance:
        axis.legend(fontsize=7.5, loc="lower right")
        axis.set_xticks(sorted(mine["x"].unique()))
    else:
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
