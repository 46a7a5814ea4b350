"""Figures of all studies: each function takes rows and returns (figure, the DataFrame behind it). No torch.

Colours are seaborn's for colour-blind readers; an arm keeps its colour and marker in every figure of a study because
they follow the study's full, ordered list of arms.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from oryx.errors import InputError
from oryx.evidence.stats import mean_score, summary
from oryx.files import atomic_write_bytes, atomic_write_text
from workbook.report.tables import trained_blind

_PALETTE = sns.color_palette("colorblind").as_hex()
COLOURS = tuple(_PALETTE[place] for place in (0, 1, 2, 3, 4, 9, 7, 5, 8, 6))
"""The palest last."""
MARKERS = "osD^vPX*hp"
MAP = "cividis"
"""Colours of maps: readable by colour-blind people and in grey."""
BINS = ("smaller", "about", "larger")
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


def style_of(arm: str, order: Sequence[str]) -> dict[str, str]:
    """Colour and marker of an arm, by its place in the study's full list; past the last colour the markers shift."""
    turn, place = divmod(list(order).index(arm), len(COLOURS))
    return {"color": COLOURS[place], "marker": MARKERS[(place + turn) % len(MARKERS)]}


def panels(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of ``width`` x ``height`` inches that belongs to no window, and its panels, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **shared).ravel())


def strips(shown: Sequence[tuple[str, Sequence]], width: float, height: float, columns: int = 1, **look: Any) -> Figure:
    """A panel of ``height`` inches for each title and its pictures of one height, which stand side by side, if any.

    Pictures are arrays of colours, or of numbers, which ``look`` tells how to draw as for ``imshow``.
    """
    rows = -(-len(shown) // columns)
    with mpl.rc_context(STYLE):
        figure, axes = panels(rows, columns, width, height * rows)
        for axis in axes:
            axis.set_axis_off()
        for axis, (title, pictures) in zip(axes, shown, strict=False):
            axis.set_title(title, loc="left", fontsize=8)
            if len(pictures):
                axis.imshow(np.concatenate([_spaced(np.asarray(picture)) for picture in pictures], 1), **look,
                            interpolation="none")  # fmt: skip
    return figure


def _spaced(picture: np.ndarray) -> np.ndarray:
    """The picture with a white edge on its right: colours, or numbers."""
    white = 255 if picture.ndim == 3 else np.nan
    gap = [(0, 0), (0, max(1, picture.shape[1] // 16)), (0, 0)][: picture.ndim]
    return np.pad(picture, gap, constant_values=white)


def legend(figure: Figure, arms: Iterable[str], order: Sequence[str], **others: Mapping) -> None:
    """Name the arms right of the panels, below them ``others``: name (underscores are spaces) -> style of a line."""
    entries = {arm: style_of(arm, order) | {"ls": ""} for arm in arms} | others
    handles = [Line2D([], [], **style) for style in entries.values()]
    labels = [name if name in order else name.replace("_", " ") for name in entries]
    figure.legend(handles, labels, loc="outside right upper", fontsize=8)


def points(
    axis: Axes,
    frame: pd.DataFrame,
    x: str,
    places: Sequence,
    order: Sequence[str],
    *,
    hue: str = "arm",
    joined: bool = False,
    chance: bool = True,
    shown: Sequence[str] = (),
) -> None:
    """Scores with their intervals over the categories ``places`` of ``x``, the arms side by side.

    A dash marks each category's chance, a grey cross the same arm with nothing to see (columns ``chance``, ``blind``).
    ``shown``: the arms to leave room for, those of the frame unless given.
    """
    shown = shown or [arm for arm in order if arm in set(frame[hue])]
    styles = [style_of(arm, order) for arm in shown]
    common = {"x": x, "hue": hue, "order": places, "hue_order": shown, "legend": False, "ax": axis}
    common["dodge"] = (0.5 if joined else 0.8) * (1 - 1 / len(shown)) if len(shown) > 1 else False
    colours = [style["color"] for style in styles]
    marks = {"palette": colours, "markers": [style["marker"] for style in styles], "errorbar": ("pi", 100)}
    width = {"linewidth": 1.1, "markersize": 5, "err_kws": {"linewidth": 1.1}}
    line = {"linestyle": "-" if joined else "none"}
    sns.pointplot(with_ends(frame), y="score", estimator="median", **common, **marks, **width, **line)
    if "blind" in frame and frame["blind"].notna().any():
        crosses = {"palette": [GREY] * len(shown), "markers": "x", "errorbar": None, "markersize": 3.5, "mew": 0.8}
        sns.pointplot(frame, y="blind", linestyle="none", **common, **crosses)
    for place, value in enumerate(places if chance else ()):
        axis.hlines(
            frame.loc[frame[x] == value, "chance"].mean(), place - 0.42, place + 0.42, ls="--", lw=1, color=DARK
        )
    axis.set(xlabel="", ylabel="", ylim=(-0.03, 1.03), xlim=(-0.5, len(places) - 0.5))
    for edge in range(1, 0 if joined else len(places)):
        axis.axvline(edge - 0.5, color="#dddddd", lw=0.8, zorder=0)


def with_ends(frame: pd.DataFrame, value: str = "score") -> pd.DataFrame:
    """Three lines for each of ``frame``, ``value`` being itself and its bounds ``low`` and ``high``.

    seaborn's median of the three is the value, its interval of 100 % the bounds; a missing bound is left out.
    """
    ends = [frame.assign(**{value: frame[end].astype(float)}) for end in (value, "low", "high")]
    return pd.concat(ends, ignore_index=True).dropna(subset=[value])


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
    names = list(dict.fromkeys(frame[hue])) if hue else []
    marks = {"markers": list(MARKERS[: len(names)]), "palette": list(COLOURS[: len(names)])} if hue else {}
    marks = marks or {"color": COLOURS[0]}
    axis.axvline(0, color="#888888", lw=0.8, zorder=0)
    sns.pointplot(with_ends(frame, value), x=value, y=y, order=list(frame[y]), orient="y", hue=hue, estimator="median",
                  errorbar=("pi", 100), linestyle="none", markersize=5, err_kws={"linewidth": 1.2}, ax=axis,
                  hue_order=names or None, **marks)  # fmt: skip
    axis.set(ylabel="", ylim=(max(1, len(frame)) - 0.5, -0.5))


def score_of(part: pd.DataFrame, arm: str | None = None) -> dict[str, float]:
    """Mean score with its 95 % interval and number of items; no interval where there are too few items for one."""
    try:
        found = mean_score(part, arm)
    except InputError:
        answered = part[part["error"].isna()]
        mean = answered.groupby("task")["score"].mean().mean()
        return {"score": mean, "low": np.nan, "high": np.nan, "n": answered["item"].nunique()}
    return {"score": found.value, "low": found.low, "high": found.high, "n": found.n_items}


def group_scores(
    rows: pd.DataFrame,
    arms: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    column: str = "condition",
    values: Sequence = ("visual",),
    tasks_in: str = "task",
) -> pd.DataFrame:
    """:func:`score_of` every arm, group of tasks and value of ``column``; chance, the blind control and tokens too.

    Tasks, found in the column ``tasks_in``, weigh the same. What was not asked has no line.
    """
    found, arms_of = [], dict(tuple(rows.groupby("arm")))
    for group, tasks in groups.items():
        for arm in [arm for arm in arms if arm in arms_of]:
            asked = arms_of[arm][arms_of[arm][tasks_in].isin(list(tasks))]
            blind = asked[asked["condition"] == "no_visual"]
            seen = asked[asked["condition"] == "visual"]
            for value in values:
                part = seen[seen[column] == value]
                if part.empty:
                    continue
                hidden = blind if column == "condition" else blind[blind[column] == value]
                line = {"group": group, "arm": arm, column: value, **score_of(part, arm)}
                line["chance"] = part.groupby(tasks_in)["chance"].mean().mean() if "chance" in part else np.nan
                line["blind"] = hidden.groupby(tasks_in)["score"].mean().mean()
                tokens = part["visual_tokens"].mean() if "visual_tokens" in part else np.nan
                found.append(line | {"visual_tokens": tokens})
    columns = ["group", "arm", column, "score", "low", "high", "n", "chance", "blind", "visual_tokens"]
    return pd.DataFrame(found, columns=list(dict.fromkeys(columns)))


def title_of(name: str, frame: pd.DataFrame) -> str:
    """A panel's title: its name and the largest number of items behind a point."""
    return f"{name} (n = {frame['n'].max():,.0f})" if len(frame) else name


def score_by_task(rows: pd.DataFrame, arms: Sequence[str], order: Sequence[str] = ()) -> tuple[Figure, pd.DataFrame]:
    """A panel of tasks: each arm's mean score with its 95 % interval, chance (dash), and two controls.

    Cross: the same model without the visual; plus: the best arm that was trained without any.
    """
    order, frame = order or arms, summary(rows)
    unseeing = trained_blind(frame)
    frame = frame[frame["condition"].isin(["visual", "no_visual"]) & frame["arm"].isin(list(arms))]
    blind = frame[frame["condition"] == "no_visual"].set_index(["arm", "task"])["score"].rename("blind")
    seen = frame[frame["condition"] == "visual"].join(blind, on=["arm", "task"])
    tasks, others = list(dict.fromkeys(seen["task"])), {"no_picture": CROSS, "chance": CHANCE}
    with mpl.rc_context(STYLE):
        figure, (axis,) = panels(1, 1, 9.5, 3.9)
        points(axis, seen, "task", tasks, order)
        if len(unseeing):
            others["trained_blind"] = {"marker": "P", "ms": 6, "mfc": "white", "mec": "#222222", "ls": ""}
            axis.plot(range(len(tasks)), unseeing.reindex(tasks), label="trained blind", **others["trained_blind"])
        axis.set_xticks(range(len(tasks)), [task.replace("_", "\n") for task in tasks])
        axis.set_ylabel("share of right answers")
        axis.set_title(title_of("", seen.assign(n=seen["n_items"])).strip(), loc="right", fontsize=8)
        legend(figure, [arm for arm in arms if arm in set(seen["arm"])], order, **others)
    return figure, frame


def score_by_size(
    rows: pd.DataFrame, arms: Sequence[str], groups: Mapping[str, Sequence[str]], order: Sequence[str] = ()
) -> tuple[Figure, pd.DataFrame]:
    """Score over picture size relative to S², a panel per group of tasks; every task weighs the same."""
    labels = ("smaller\nthan S²", "about S²", "larger\nthan S²")
    return score_by_bin(rows, arms, groups, order, "size_bin", dict(zip(BINS, labels, strict=True)))


def score_by_bin(
    rows: pd.DataFrame,
    arms: Sequence[str],
    groups: Mapping[str, Sequence[str]],
    order: Sequence[str],
    column: str,
    bins: Mapping[Any, str],
    title: str = "{} tasks",
    tasks_in: str = "task",
) -> tuple[Figure, pd.DataFrame]:
    """Score over the values of ``column`` (value -> its label), a panel per group of tasks; tasks weigh the same."""
    order, frame = order or arms, group_scores(rows, arms, groups, column, list(bins), tasks_in)
    shown = [arm for arm in order if arm in set(frame["arm"])]
    with mpl.rc_context(STYLE):
        figure, axes = panels(1, len(groups), 4.3 * len(groups) + 1.4, 3.7, sharey=True)
        for axis, group in zip(axes, groups, strict=True):
            own = frame[frame["group"] == group]
            points(axis, own, column, list(bins), order, joined=True, shown=shown)
            axis.set_xticks(range(len(bins)), list(bins.values()))
            axis.set_title(title_of(title.format(group), own), loc="left", fontsize=9)
        axes[0].set_ylabel("share of right answers")
        legend(figure, shown, order, chance=CHANCE, nothing_to_see=CROSS)
    return figure, frame


def score_against_tokens(
    rows: pd.DataFrame, arms: Sequence[str], groups: Mapping[str, Sequence[str]], order: Sequence[str] = ()
) -> tuple[Figure, pd.DataFrame]:
    """Score over visual tokens (log 2) with intervals, a panel per group of tasks, and the step frontier."""
    order, frame = order or arms, group_scores(rows, arms, groups)
    with mpl.rc_context(STYLE):
        figure, axes = panels(1, len(groups), 4.3 * len(groups) + 1.4, 3.6, sharey=True)
        for axis, group in zip(axes, groups, strict=True):
            own = frame[frame["group"] == group].sort_values("visual_tokens")
            axis.step(own["visual_tokens"], own["score"].cummax(), where="post", color="#bbbbbb", lw=1, zorder=0)
            lines(axis, own, "visual_tokens", order, joined=False)
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axis.set(xlabel="visual tokens an item (mean)", ylim=(-0.03, 1.03))
            axis.set_title(title_of(f"{group} tasks", own), loc="left", fontsize=9)
        axes[0].set_ylabel("share of right answers")
        legend(figure, [arm for arm in arms if arm in set(frame["arm"])], order)
    return figure, frame


def lines(
    axis: Axes, frame: pd.DataFrame, x: str, order: Sequence[str], *, y: str = "score", hue: str = "arm",
    joined: bool = True, **more: Any,
) -> None:  # fmt: skip
    """``y`` over the numbers ``x``, an arm a line, with intervals as bars where the frame has ``low`` and ``high``."""
    shown = [arm for arm in order if arm in set(frame[hue])]
    spread = with_ends(frame, y) if "low" in frame else frame
    markers = {arm: style_of(arm, order)["marker"] for arm in shown}
    palette = {arm: style_of(arm, order)["color"] for arm in shown}
    sns.lineplot(spread, x=x, y=y, hue=hue, style=hue, hue_order=shown, style_order=shown, palette=palette,
                 markers=markers, dashes=False, estimator="median", errorbar=("pi", 100), err_style="bars",
                 markersize=6, lw=1.2 if joined else 0, err_kws={"lw": 1.2}, mew=0, legend=False, ax=axis,
                 **more)  # fmt: skip
    axis.set(xlabel="", ylabel="")


def training_curves(curves: pd.DataFrame, order: Sequence[str] = ()) -> tuple[Figure, pd.DataFrame]:
    """Training loss over steps, a line per arm and seed."""
    order = order or tuple(dict.fromkeys(curves["arm"]))
    arms = [arm for arm in order if arm in set(curves["arm"])]
    with mpl.rc_context(STYLE):
        figure, (axis,) = panels(1, 1, 7.5, 3.4)
        if arms:
            sns.lineplot(curves, x="step", y="loss", hue="arm", units="seed", estimator=None, hue_order=arms, lw=1.1,
                         palette=[style_of(arm, order)["color"] for arm in arms], alpha=0.85, ax=axis)  # fmt: skip
            axis.get_legend().remove()
            figure.legend(*axis.get_legend_handles_labels(), loc="outside right upper", fontsize=8)
        axis.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    return figure, curves


def difference_forest(verdicts: Sequence[Mapping], margin: float = 0.05) -> tuple[Figure, pd.DataFrame]:
    """Estimate and corrected interval of every hypothesis, with the band of differences that do not matter."""
    frame = pd.DataFrame(verdicts)
    with mpl.rc_context(STYLE):
        figure, (axis,) = panels(1, 1, 8.5, 0.8 + 0.3 * len(frame))
        axis.axvspan(-margin, margin, color="#eeeeee", zorder=0)
        forest(axis, frame.astype({"estimate": float, "low": float, "high": float}), "id")
        for y, verdict in enumerate(frame["verdict"]):
            place = {"xycoords": ("axes fraction", "data"), "va": "center", "annotation_clip": False}
            axis.annotate(verdict, (1.01, y), fontsize=8, **place)
        axis.set_xlabel("estimate with its corrected interval (grey: within the margin)")
    return figure, frame


def save_figure(figure: Figure, frame: pd.DataFrame, folder: Path, name: str) -> None:
    """Write ``name``.png, .svg and .csv into ``folder``, each in one piece and the same for the same data."""
    for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": None})):
        buffer = io.BytesIO()
        with mpl.rc_context(STYLE):
            figure.savefig(buffer, format=kind, dpi=130, metadata=metadata, facecolor="white")
        figure.set_layout_engine("none")  # it is laid out: half of the time of drawing need not be spent again
        atomic_write_bytes(folder / f"{name}.{kind}", buffer.getvalue())
    atomic_write_text(folder / f"{name}.csv", frame.to_csv(index=False))
