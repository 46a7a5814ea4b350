"""Figures of the encoder study: scores, the crossed design, and probes of the encoders themselves. No torch."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from workbook.report import plots, seen
from workbook.report.names import name_of
from workbook.report.plots import Drawn, Groups
from workbook.studies.encoders.arms import ARMS, INPUTS, encoders_of

ASPECTS = {"1-2": "aspect 1 to 2", "2-4": "aspect 2 to 4", "4+": "aspect 4 and more"}
"""Bin of the aspect ratio (long over short side; the lower edge belongs to it) -> its label."""
INPUT_MARKS = {"fixed": {"mfc": "white"}, "native": {}, "own head": {"marker": "x"}}
"""Input of a probe -> how its mark differs: SigLIP's square, native size, and SigLIP's own head on its square."""
READINGS = {
    "retrieval": ("the right caption comes first", "share of pictures", ""),
    "retrieval rank": ("rank of the right caption", "mean share of captions behind it", ""),
    "patch reading": ("which digit a patch shows", "share of right patches", ""),
}
"""Probe of what features tell -> title, what is measured, and along what: nothing that has an order."""
CHANGES = {
    "similarity by area": ("same picture, other size", "cosine with features at S x S", "area over S²"),
    "similarity by aspect": ("same picture, stretched", "cosine with features at S x S", "long side over short side"),
    "attention distance": ("how far attention reaches", "over attending to all alike", "layer"),
}
"""Probe of what changes with the picture or the layer -> title, what is measured, and along what."""


def aspect_bin(aspect: pd.Series) -> pd.Series:
    """The bin of each aspect ratio, a key of ASPECTS; missing for a missing one."""
    return pd.cut(aspect.astype(float), [0, 2, 4, np.inf], right=False, labels=list(ASPECTS)).astype(object)


@plots.styled
def score_by_aspect(rows: pd.DataFrame, arms: Sequence[str], groups: Groups, order: Sequence[str] = ()) -> Drawn:
    """Score over aspect ratio, a panel per group of tasks; every task weighs the same."""
    rows = rows.assign(aspect_bin=aspect_bin(rows["aspect"]))
    return plots.score_by_bin(rows, arms, groups, order, "aspect_bin", ASPECTS)


def crossed_scores(rows: pd.DataFrame, groups: Groups) -> Drawn:
    """The crossed design: an encoder a row, a panel for each input, groups of tasks one above the other. A cell whose
    arm was not run is empty."""
    crossed = {arm: pair for arm, pair in ARMS.items() if pair[1] in INPUTS}
    frame = plots.group_scores(rows, list(crossed), groups).drop(columns="condition")
    frame[["encoder", "input"]] = [crossed[arm] for arm in frame["arm"]]
    shown = frame.assign(group=frame["group"] + ", " + frame["input"], arm=frame["encoder"])
    return replace(plots.dot_panels(shown, encoders_of(ARMS), "at input", len(INPUTS)), frame=frame)


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
def probes_figure(frame: pd.DataFrame, order: Sequence[str], probes: Mapping[str, tuple] = READINGS) -> Drawn:
    """What features tell, or how they change (records of :func:`.jobs.probe`), a panel for each of ``probes``;
    ``order``: the study's encoders.

    Probes that the records lack leave their panel empty. The returned frame holds every probe, also the match rates,
    with the seeds put together.
    """
    frame = over_seeds(frame)
    figure, axes = plots.panels(1, len(probes), 12.5, 4 if probes is CHANGES else 5.5)
    for (probe, (title, measured, along)), axis in zip(probes.items(), axes, strict=True):
        mine = frame[frame["probe"] == probe]
        if mine.empty:
            axis.set_axis_off()
        else:
            (_changes if along else _readings)(axis, mine, order)
        axis.set_title(title, loc="left", fontsize=10)
        axis.set(xlabel=along or measured, ylabel=along and measured)
    encoders = [name for name in order if name in set(frame["encoder"])]
    plots.legend(figure, encoders, order, chance_or_all_alike=plots.CHANCE)
    named = frame[frame["probe"].isin({*probes} - {"attention distance"}) & (frame["reader"] != "own head")]
    place = [" ".join(line.dropna().astype(str)) for _, line in named[["probe", "x", "input"]].iterrows()]
    named = named.rename(columns={"value": "score", "encoder": "arm"}).assign(place=place)
    return plots.titled(figure, frame, seen.best(named, "place", "in condition"))


def _readings(axis: Axes, mine: pd.DataFrame, order: Sequence[str]) -> None:
    """Values in each condition, an encoder at the fixed square (hollow) or at native size a row; stroke: chance."""
    mine = mine.sort_values("x", kind="stable")
    view = mine["input"].where(mine["reader"] != "own head", "own head").fillna(mine["x"])
    named = list(zip(mine["x"], mine["encoder"], view, strict=True))
    styles = [plots.style_of(encoder, order) | INPUT_MARKS[way] for _, encoder, way in named]
    labels = [f"{x}, {name_of(encoder)}{f' ({way})' * (way != x)}" for x, encoder, way in named]
    plots.forest(axis, mine, labels, styles, "value")
    axis.plot(mine["chance"], range(len(mine)), "|", color=plots.DARK)


def _changes(axis: Axes, mine: pd.DataFrame, order: Sequence[str]) -> None:
    """Values over numbers: a line per encoder; of attention's distance one per size of the pictures."""
    mine = mine.assign(x=mine["x"].astype(float))
    distance = mine["probe"].eq("attention distance").all()
    if distance:
        mine[["value", "low", "high"]] = mine[["value", "low", "high"]].div(mine["uniform"], axis=0)
    for (grid, own), dash in zip(mine.groupby("grid") if distance else [("", mine)], cycle(("-", "--", ":"))):
        plots.lines(axis, own, "x", order, y="value", hue="encoder", ls=dash)
        axis.plot([], [], dash, color=plots.GREY, label=f"{grid.strip('[]').replace(', ', ' x ')} patches")
    axis.axhline(1 if distance else mine["floor"].mean(), **plots.CHANCE)
    if distance:
        axis.legend(fontsize=8, loc="lower right")
        axis.set_xticks(sorted(mine["x"].unique()))
    else:
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
