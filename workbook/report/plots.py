"""Figures of all studies: each function takes rows and returns (figure, the DataFrame behind it). No torch.

Colours are seaborn's for colour-blind readers; an arm keeps its colour and marker in every figure of a study because
they follow the study's full, ordered list of arms.
"""

import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from oryx.evidence.stats import score_of
from oryx.files import atomic_write_bytes, atomic_write_text
from workbook.report.tables import trained_blind

_PALETTE = sns.color_palette("colorblind").as_hex()
COLOURS = tuple(_PALETTE[place] for place in (0, 1, 2, 3, 4, 9, 7, 5, 8, 6))
"""The palest last."""
MARKERS = "osD^vPX*hp"
MAP = "cividis"
"""Colours of maps: readable by colour-blind people and in grey."""
BINS = {"smaller": "smaller\nthan S²", "about": "about S²", "larger": "larger\nthan S²"}
"""Bin of a picture's size -> its label."""
GREY, DARK = "#777777", "#444444"
CHANCE = {"ls": "--", "lw": 1, "color": DARK}
CROSS = {"marker": "x", "ls": "", "ms": 4, "color": GREY}
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "oryx",
    "legend.frameon": False,
}

styled = mpl.rc_context(STYLE)
"""Decorator of a function that draws: in this style, and no other figure of the process."""

Groups = Mapping[str, Sequence[str]]
"""Name of a group -> its tasks."""
Drawn = tuple[Figure, pd.DataFrame]
"""A figure, and the numbers in it."""


def style_of(arm: str, order: Sequence[str]) -> dict[str, str]:
    """Colour and marker of an arm, by its place in the study's full list; past the last colour the markers shift."""
    turn, place = divmod(list(order).index(arm), len(COLOURS))
    return {"color": COLOURS[place], "marker": MARKERS[(place + turn) % len(MARKERS)]}


def panels(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of ``width`` x ``height`` inches that belongs to no window, and its panels, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **shared).ravel())


@styled
def strips(shown: Sequence[tuple[str, Sequence]], width: float, height: float, columns: int = 1, **look: Any) -> Figure:
    """A panel of ``height`` inches for each title and its pictures of one height, which stand side by side, if any.

    Pictures are arrays of colours, or of numbers, which ``look`` tells how to draw as for ``imshow``.
    """
    rows = -(-len(shown) // columns)
    figure, axes = panels(rows, columns, width, height * rows)
    for axis in axes:
        axis.set_axis_off()
    for axis, (title, pictures) in zip(axes, shown, strict=False):
        axis.set_title(title, loc="left", fontsize=8)
        if len(pictures):
            spaced = np.concatenate([_spaced(np.asarray(picture)) for picture in pictures], 1)
            axis.imshow(spaced, interpolation="none", **look)
    return figure


def _spaced(picture: np.ndarray) -> np.ndarray:
    """The picture with a white edge on its right: colours, or numbers."""
    white = 255 if picture.ndim == 3 else np.nan
    gap = [(0, 0), (0, max(1, picture.shape[1] // 16)), (0, 0)][: picture.ndim]
    return np.pad(picture, gap, constant_values=white)


def legend(figure: Figure, arms: Iterable[str], order: Sequence[str], **others: Mapping) -> None:
    """Name the arms right of the panels, below them ``others``: name (underscores are spaces) -> style of a line."""
    handles = [Line2D([], [], label=arm, ls="", **style_of(arm, order)) for arm in arms]
    handles += [Line2D([], [], label=name.replace("_", " "), **style) for name, style in others.items()]
    figure.legend(handles=handles, loc="outside right upper", fontsize=8)


def points(
    axis: Axes, frame: pd.DataFrame, x: str, places: Sequence, order: Sequence[str], hue: str = "arm", ls: str = ""
) -> None:
    """Scores with their intervals over the categories ``places`` of ``x``, the arms side by side.

    A dash marks each category's chance, a grey cross the same arm with nothing to see (columns ``chance``, ``blind``).
    """
    shown = [arm for arm in order if arm in set(frame[hue])]
    for number, arm in enumerate(shown):
        own = frame[frame[hue] == arm].set_index(x).reindex(places)
        at = np.arange(len(places)) + 0.7 * ((number + 0.5) / len(shown) - 0.5)
        marks(axis, at, own, "score", ls=ls, **style_of(arm, order))
        axis.plot(at, own["blind"], **CROSS)
    for place, value in enumerate(places):
        chance = frame.loc[frame[x] == value, "chance"].mean()
        axis.hlines(chance, place - 0.42, place + 0.42, ls="--", lw=1, color=DARK)
    axis.set_xticks(range(len(places)), places)
    axis.set(ylim=(-0.03, 1.03), xlim=(-0.5, len(places) - 0.5))


def lines(
    axis: Axes, frame: pd.DataFrame, x: str, order: Sequence[str], y: str = "score", hue: str = "arm", ls: str = "-"
) -> None:
    """``y`` over the numbers ``x``, an arm a line, with intervals as bars where the frame has ``low`` and ``high``."""
    for arm, own in frame.sort_values(x).groupby(hue):
        marks(axis, own[x], own, y, ls=ls, **style_of(arm, order))


def marks(axis: Axes, at: Any, frame: pd.DataFrame, value: str, **style: Any) -> None:
    """Values at places on the x axis, with bars from ``low`` to ``high`` where the frame has them."""
    bars = frame[["low", "high"]].astype(float).sub(frame[value], axis=0).abs().T if "low" in frame else None
    axis.errorbar(at, frame[value], bars, lw=1.1, ms=5, **style)


def heat_map(axis: Axes, wide: pd.DataFrame, texts: pd.DataFrame | None = None) -> None:
    """Scores of 0 to 1 as colours with their number (or ``texts``); a missing cell is hatched, never zero."""
    texts = wide.map("{:.2f}".format) if texts is None else texts
    axis.patch.set(facecolor="#eeeeee", hatch="////", edgecolor="#bbbbbb")
    sns.heatmap(wide.astype(float), annot=texts, fmt="", vmin=0, vmax=1, cmap=MAP, cbar=False, ax=axis,
                annot_kws={"fontsize": 7.5})  # fmt: skip
    axis.tick_params(length=0, labelrotation=0)


def colour_bar(
    figure: Figure, axes: Sequence[Axes], label: str, limits: tuple[float, float] = (0, 1), **more: Any
) -> Any:
    """One bar of the map's colours for all ``axes``."""
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(*limits), MAP)
    return figure.colorbar(scale, ax=list(axes), label=label, **more)


def forest(axis: Axes, frame: pd.DataFrame, y: str, value: str = "estimate", hue: str | None = None) -> None:
    """``value`` with its interval from ``low`` to ``high``, a line for each ``y``, in the order of the frame."""
    axis.axvline(0, color="#888888", lw=0.8, zorder=0)
    frame = frame.astype({name: float for name in (value, "low", "high")}).reset_index(drop=True)
    groups = frame.groupby(hue, sort=False) if hue else [("", frame)]
    for number, (name, own) in enumerate(groups):
        bars = own[["low", "high"]].sub(own[value], axis=0).abs().T
        style = {"color": COLOURS[number], "marker": MARKERS[number], "ls": "", "lw": 1.2, "ms": 5}
        axis.errorbar(own[value], own.index, xerr=bars, label=name, **style)
    axis.set_yticks(range(len(frame)), frame[y])
    axis.set_ylim(max(1, len(frame)) - 0.5, -0.5)


def group_scores(
    rows: pd.DataFrame,
    arms: Sequence[str],
    groups: Groups,
    column: str = "condition",
    values: Iterable = ("visual",),
    tasks_in: str = "task",
) -> pd.DataFrame:
    """:func:`score_of` every arm, group of tasks and value of ``column``; chance, the blind control and tokens too.

    Tasks, found in the column ``tasks_in``, weigh the same. What was not asked has no line.
    """
    found = []
    by_arm = dict(list(rows.groupby("arm")))
    for group, arm, value in product(groups, [arm for arm in arms if arm in by_arm], values):
        own = by_arm[arm][by_arm[arm][tasks_in].isin(list(groups[group]))]
        own = own if column == "condition" else own[own[column] == value]
        seen, hidden = own[own["condition"] == "visual"], own[own["condition"] == "no_visual"]
        if len(seen):
            line = {"group": group, "arm": arm, column: value, **score_of(seen)}
            line["chance"] = seen.groupby(tasks_in)["chance"].mean().mean()
            line["blind"] = hidden.groupby(tasks_in)["score"].mean().mean()
            found.append(line | {"visual_tokens": seen["visual_tokens"].mean()})
    columns = ["group", "arm", column, "score", "low", "high", "n", "chance", "blind", "visual_tokens"]
    return pd.DataFrame(found, columns=columns)


def title_of(name: str, frame: pd.DataFrame) -> str:
    """A panel's title: its name and the largest number of items behind a point."""
    return f"{name} (n = {frame['n'].max():,.0f})" if len(frame) else name


@styled
def score_by_task(rows: pd.DataFrame, arms: Sequence[str], order: Sequence[str] = ()) -> Drawn:
    """A panel of tasks: each arm's mean score with its 95 % interval, chance (dash), and two controls.

    Cross: the same model without the visual; plus: the best arm that was trained without any.
    """
    order, unseeing = order or arms, trained_blind(rows)
    frame = group_scores(rows, arms, {task: [task] for task in dict.fromkeys(rows["task"])})
    tasks, others = list(dict.fromkeys(frame["group"])), {"no_picture": CROSS, "chance": CHANCE}
    figure, (axis,) = panels(1, 1, 9.5, 3.9)
    points(axis, frame, "group", tasks, order)
    if len(unseeing):
        others["trained_blind"] = {"marker": "P", "ms": 6, "mfc": "white", "mec": "#222222", "ls": ""}
        axis.plot(range(len(tasks)), unseeing.reindex(tasks), label="trained blind", **others["trained_blind"])
    axis.set_xticks(range(len(tasks)), [task.replace("_", "\n") for task in tasks])
    axis.set_ylabel("share of right answers")
    axis.set_title(title_of("", frame).strip(), loc="right", fontsize=8)
    legend(figure, [arm for arm in arms if arm in set(frame["arm"])], order, **others)
    return figure, frame


def score_by_size(rows: pd.DataFrame, arms: Sequence[str], groups: Groups, order: Sequence[str] = ()) -> Drawn:
    """Score over picture size relative to S², a panel per group of tasks; every task weighs the same."""
    return score_by_bin(rows, arms, groups, order, "size_bin", BINS)


@styled
def score_by_bin(
    rows: pd.DataFrame,
    arms: Sequence[str],
    groups: Groups,
    order: Sequence[str],
    column: str,
    bins: Mapping[Any, str],
    title: str = "{} tasks",
    tasks_in: str = "task",
) -> Drawn:
    """Score over the values of ``column`` (value -> its label), a panel per group of tasks; tasks weigh the same."""
    order, frame = order or arms, group_scores(rows, arms, groups, column, bins, tasks_in)

    def draw(axis: Axes, own: pd.DataFrame) -> None:
        points(axis, own, column, list(bins), order, ls="-")
        axis.set_xticks(range(len(bins)), bins.values())

    return _by_group(frame, groups, title, draw, order, chance=CHANCE, nothing_to_see=CROSS), frame


@styled
def score_against_tokens(rows: pd.DataFrame, arms: Sequence[str], groups: Groups, order: Sequence[str] = ()) -> Drawn:
    """Score over visual tokens (log 2) with intervals, a panel per group of tasks, and the step frontier."""
    order, frame = order or arms, group_scores(rows, arms, groups)

    def draw(axis: Axes, own: pd.DataFrame) -> None:
        own = own.sort_values("visual_tokens")
        axis.step(own["visual_tokens"], own["score"].cummax(), where="post", color="#bbbbbb", lw=1, zorder=0)
        lines(axis, own, "visual_tokens", order, ls="")
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter("{x:g}")
        axis.set(xlabel="visual tokens an item (mean)", ylim=(-0.03, 1.03))

    return _by_group(frame, groups, "{} tasks", draw, order), frame


def _by_group(
    frame: pd.DataFrame, groups: Groups, title: str, draw: Callable, order: Sequence[str], **others: Mapping
) -> Figure:
    """A panel for each group of tasks, its title saying how many items there are, and the legend."""
    figure, axes = panels(1, len(groups), 4.3 * len(groups) + 1.4, 3.7, sharey=True)
    for axis, group in zip(axes, groups, strict=True):
        own = frame[frame["group"] == group]
        draw(axis, own)
        axis.set_title(title_of(title.format(group), own), loc="left", fontsize=9)
    axes[0].set_ylabel("share of right answers")
    legend(figure, [arm for arm in order if arm in set(frame["arm"])], order, **others)
    return figure


@styled
def training_curves(curves: pd.DataFrame, order: Sequence[str] = ()) -> Drawn:
    """Training loss over steps, a line per arm and seed."""
    arms = [arm for arm in order or dict.fromkeys(curves["arm"]) if arm in set(curves["arm"])]
    palette = {arm: style_of(arm, order or arms)["color"] for arm in arms}
    figure, (axis,) = panels(1, 1, 7.5, 3.4)
    if arms:
        style = {"hue": "arm", "palette": palette, "units": "seed", "estimator": None, "lw": 1}
        sns.lineplot(curves, x="step", y="loss", ax=axis, **style)
        sns.move_legend(axis, "upper left", bbox_to_anchor=(1, 1), title="", fontsize=8)
    axis.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    return figure, curves


@styled
def difference_forest(verdicts: Sequence[Mapping], margin: float = 0.05) -> Drawn:
    """Estimate and corrected interval of every hypothesis, with the band of differences that do not matter."""
    frame = pd.DataFrame(verdicts).drop(columns="by_seed", errors="ignore")
    figure, (axis,) = panels(1, 1, 8.5, 0.8 + 0.3 * len(frame))
    axis.axvspan(-margin, margin, color="#eeeeee", zorder=0)
    if not verdicts:
        axis.set_xlabel("no hypothesis is stated for this scale")
        return figure, frame
    forest(axis, frame, "id")
    axis.secondary_yaxis("right").set_yticks(range(len(frame)), frame["verdict"])
    axis.set_xlabel("estimate with its corrected interval (grey: within the margin)")
    return figure, frame


@styled
def save_figure(figure: Figure, frame: pd.DataFrame, folder: Path, name: str) -> None:
    """Write ``name``.png, .svg and .csv into ``folder``, each in one piece and the same for the same data."""
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=130, metadata=metadata, facecolor="white")
        figure.set_layout_engine("none")  # it is laid out: half of the time of drawing need not be spent again
        if kind == "png":  # nothing shows through: without transparency a file is an eighth smaller
            drawn, buffer = Image.open(buffer).convert("RGB"), io.BytesIO()
            drawn.save(buffer, "png", optimize=True)
        atomic_write_bytes(folder / f"{name}.{kind}", buffer.getvalue())
    atomic_write_text(folder / f"{name}.csv", frame.to_csv(index=False))
