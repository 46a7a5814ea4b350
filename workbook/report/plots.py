"""Figures of all studies: each function takes rows and returns what it has drawn (:class:`Drawn`). No torch.

Colours are seaborn's for colour-blind readers; an arm keeps its colour and marker in every figure of a study because
they follow the study's full, ordered list of arms. Arms go by the names of ``names.toml``.
"""

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product, zip_longest
from pathlib import Path
from textwrap import fill
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
from workbook.report import seen
from workbook.report.names import name_of
from workbook.report.published import NOT_TESTED, direction
from workbook.report.tables import estimate_text, trained_blind

_PALETTE = sns.color_palette("colorblind").as_hex()
COLOURS = (*(_PALETTE[place] for place in (0, 1, 2, 3, 4, 9, 5, 6)), "#222222")
"""Without grey, which is for what is no arm, and yellow, which is too pale on white."""
MARKERS, DASHES = "osD^vPX*hp", ("-", "--", ":")
MAP = "cividis"
"""Colours of maps: readable by colour-blind people and in grey."""
BINS = {"smaller": "smaller than S²", "about": "about S²", "larger": "larger than S²"}
"""Bin of a picture's size -> its label."""
GREY, DARK, PALE = "#777777", "#444444", "#eeeeee"
CHANCE = {"ls": "--", "lw": 1, "color": DARK}
CROSS = {"marker": "x", "ls": "", "ms": 4, "color": GREY}
LINE = {"ls": ":", "lw": 1.2, "color": COLOURS[3]}
FOR, AGAINST = {"color": COLOURS[2], "marker": "o"}, {"color": COLOURS[3], "marker": "X"}
OPEN, ALIKE = {"color": GREY, "marker": "o", "mfc": "white"}, {"color": COLOURS[0], "marker": "s"}
JUDGED = {"supported": FOR, "as claimed": FOR, "contradicted": AGAINST, "against the claim": AGAINST}
JUDGED |= {"no difference that matters": ALIKE}
"""Verdict, or what one seed or one model says instead -> its mark; of all others OPEN."""
UNITS = {"score": "difference of scores, or level", "logprob": "difference of log-likelihoods of the true answer"}
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
STYLE |= {"svg.hashsalt": "oryx", "svg.fonttype": "none", "legend.frameon": False}

styled = mpl.rc_context(STYLE)
"""Decorator of a function that draws: in this style, and no other figure of the process."""

Groups = Mapping[str, Sequence[str]]
"""Name of a group -> its tasks."""


@dataclass(frozen=True)
class Drawn:
    """A figure, the numbers in it, and what is seen in it; unpacks into the first two. A notebook shows words too."""

    figure: Figure
    frame: pd.DataFrame
    seen: str = ""

    def __iter__(self) -> Iterator:
        return iter((self.figure, self.frame))

    def _ipython_display_(self) -> None:
        from IPython import display

        display.display(display.Image(png(self.figure, 100)), display.Markdown(self.seen))


def titled(figure: Figure, frame: pd.DataFrame, words: str) -> Drawn:
    """The figure under the first sentence of what is seen in it."""
    width = int(11.5 * figure.get_figwidth())
    figure.suptitle(fill(words.partition(". ")[0].rstrip("."), width), x=0.01, ha="left", fontsize=10, weight="bold")
    return Drawn(figure, frame, words)


def style_of(arm: str, order: Sequence[str]) -> dict[str, str]:
    """Colour, marker and line of an arm, by its place in the study's full list; past the last colour they begin anew
    with dashes and shifted markers."""
    turn, place = divmod(list(order).index(arm), len(COLOURS))
    return {"color": COLOURS[place], "marker": MARKERS[(place + turn) % len(MARKERS)], "ls": DASHES[turn]}


def panels(rows: int, columns: int, width: float, height: float, **shared: Any) -> tuple[Figure, list[Axes]]:
    """A figure of ``width`` x ``height`` inches that belongs to no window, and its panels, row by row."""
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, list(figure.subplots(rows, columns, squeeze=False, **shared).ravel())


def grid(
    titles: Sequence[str], columns: int, width: float, height: float, more: tuple[float, float], **shared: Any
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel of ``width`` x ``height`` inches for each title, at most so many ``columns``, and ``more``
    inches around all; one without titles has an empty place."""
    columns = max(1, min(columns, len(titles)))
    down = max(1, -(-len(titles) // columns))
    figure, axes = panels(down, columns, more[0] + width * columns, more[1] + height * down, **shared)
    for axis, title in zip_longest(axes, titles):
        lines = [fill(line, max(12, int(13 * width))) for line in (title or "").split("\n")]
        axis.set_title("\n".join(lines), loc="left", fontsize=8)
        axis.set_axis_off() if title is None else None
    return figure, axes[: len(titles)]


@styled
def strips(shown: Sequence[tuple[str, Sequence]], width: float, height: float, columns: int = 1, **look: Any) -> Figure:
    """A panel of ``height`` inches for each title and its pictures of one height, which stand side by side, if any.

    Pictures are arrays of colours, or of numbers, which ``look`` tells how to draw as for ``imshow``.
    """
    figure, axes = grid([title for title, _ in shown], columns, width / columns, height, (0, 0))
    for axis, (_, pictures) in zip(axes, shown, strict=True):
        axis.set_axis_off()
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
    """Name the arms right of the panels, below them ``others``: name (underscores are blanks) -> style of a line."""
    handles = [Line2D([], [], label=name_of(arm), **style_of(arm, order)) for arm in arms]
    handles += [Line2D([], [], label=name.replace("_", " "), **style) for name, style in others.items()]
    figure.legend(handles=handles, loc="outside right center", fontsize=8)


def lines(
    axis: Axes, frame: pd.DataFrame, x: str, order: Sequence[str], y: str = "score", hue: str = "arm", **look: Any
) -> None:
    """``y`` over the numbers ``x``, an arm a line (``look``: in what it is not drawn as the arm always is), with
    intervals as bars where the frame has ``low`` and ``high``."""
    for arm, own in frame.sort_values(x).groupby(hue):
        marks(axis, own[x], own, y, **style_of(arm, order) | look)


def marks(axis: Axes, at: Any, frame: pd.DataFrame, value: str, **style: Any) -> None:
    """Values at places on the x axis, with bars from ``low`` to ``high`` where the frame has them."""
    bars = frame[["low", "high"]].astype(float).sub(frame[value], axis=0).abs().T if "low" in frame else None
    axis.errorbar(at, frame[value], bars, lw=1.1, ms=5, **style)


def heat_map(axis: Axes, wide: pd.DataFrame) -> None:
    """Scores of 0 to 1 as colours with their number; a missing cell is hatched, never zero."""
    axis.patch.set(facecolor=PALE, hatch="////", edgecolor="#bbbbbb")
    sns.heatmap(wide.astype(float), annot=True, fmt=".2f", vmin=0, vmax=1, cmap=MAP, cbar=False, ax=axis,
                annot_kws={"fontsize": 7.5})  # fmt: skip
    axis.tick_params(length=0, labelrotation=0)


def colour_bar(figure: Figure, axes: Sequence[Axes], label: str, limits: Sequence = (0, 1), **more: Any) -> Any:
    """One bar of the map's colours for all ``axes``."""
    scale = mpl.cm.ScalarMappable(mpl.colors.Normalize(*limits), MAP)
    return figure.colorbar(scale, ax=list(axes), label=label, **more)


def forest(
    axis: Axes, frame: pd.DataFrame, labels: Iterable[str], styles: Sequence[Mapping], value: str = "score"
) -> None:
    """``value`` with its interval from ``low`` to ``high``, a row for each line of the frame, from the top."""
    rows = frame[[value, "low", "high"]].astype(float).to_numpy()
    for at, ((middle, low, high), style) in enumerate(zip(rows, styles, strict=True)):
        axis.errorbar(middle, at, xerr=[[abs(middle - low)], [abs(high - middle)]], lw=1.2, ms=5.5, **style)
    axis.set_yticks(range(len(rows)), labels, fontsize=8)
    axis.set_ylim(max(1, len(rows)) - 0.5, -0.5)


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


def score_by_task(rows: pd.DataFrame, arms: Sequence[str], order: Sequence[str] = ()) -> Drawn:
    """A panel for each task: each arm's mean score with its 95 % interval, chance, and two controls.

    Cross: the same model without the visual; dotted: the best arm that was trained without any. A task that one arm of
    several was asked stands in the numbers alone.
    """
    frame = group_scores(rows, arms, {task: [task] for task in dict.fromkeys(rows["task"])})
    return dot_panels(frame, order or arms, "on task", line=("trained blind", trained_blind(rows)))


def score_by_bin(
    rows: pd.DataFrame,
    arms: Sequence[str],
    groups: Groups,
    order: Sequence[str] = (),
    column: str = "size_bin",
    bins: Mapping[Any, str] = BINS,
    tasks_in: str = "task",
) -> Drawn:
    """Score over the values of ``column`` (value -> its label), by default a picture's size, from left to right.

    A row of panels for each group of tasks, which weigh the same; of one arm a panel for each group.
    """
    frame = group_scores(rows, arms, groups, column, bins, tasks_in)
    if frame["arm"].nunique() < 2:  # its values take the place of arms
        drawn = dot_panels(frame.assign(arm=frame[column].map(bins)), list(bins.values()), "on group")
    else:
        shown = frame.assign(group=frame["group"] + ", " + frame[column].map(bins))
        drawn = dot_panels(shown, order or arms, "at point", len(bins))
    return replace(drawn, frame=frame)


@styled
def dot_panels(
    frame: pd.DataFrame,
    order: Sequence[str],
    what: str,
    columns: int = 4,
    line: tuple[str, pd.Series] | None = None,
    names: Mapping[str, str] | None = None,
) -> Drawn:
    """A panel for each group (what it is: ``what``, as for :func:`seen.best`) of :func:`group_scores`, an arm a row.

    Pale: no better than chance; cross: the arm with nothing to see. ``line``: what is drawn as one, and its place in
    each group. ``names``: the arms in their order, with what they are called, if not in that of ``order``.
    """
    asked = frame.groupby("group")["arm"].transform("nunique")
    shown = frame[(asked > 1) | (frame["arm"].nunique() < 2)]
    (line, levels), names = line or ("", pd.Series()), names or {arm: name_of(arm) for arm in order}
    arms = [arm for arm in names if arm in set(shown["arm"])]
    parts = {name: own.set_index("arm").reindex(arms) for name, own in shown.groupby("group", sort=False)}
    titles = [f"{name} (n\xa0=\xa0{own['n'].max():,.0f})".replace("_", " ") for name, own in parts.items()]
    size = min(2.6, 9 / columns), 0.5 + 0.19 * len(arms), (3.2, 0.9)
    figure, axes = grid(titles, columns, *size, sharex=True, sharey=True)
    for axis, (name, own) in zip(axes, parts.items(), strict=True):
        forest(axis, own, map(names.get, arms), [style_of(arm, order) for arm in arms])
        axis.plot(own["blind"], range(len(arms)), **CROSS)
        axis.barh(range(len(arms)), own["chance"] + 1, 1, -1, color=PALE, zorder=0)
        axis.axvline(levels.get(name, np.nan), label=line, **LINE)
        axis.set_xlim(-0.03, min(1.03, 0.05 + shown[["score", "high", "chance"]].max(axis=None)))
    others = {line: LINE} if len(levels) else {}
    legend(figure, [], order, no_better_than_chance={"color": PALE, "lw": 8}, sees_nothing=CROSS, **others)
    figure.supxlabel("share of right answers", fontsize=9)
    return titled(figure, frame, seen.best(shown, "group", what))


def score_against_tokens(rows: pd.DataFrame, arms: Sequence[str], groups: Groups, order: Sequence[str] = ()) -> Drawn:
    """Score with intervals, a panel per group of tasks, an arm a row, from the fewest visual tokens to the most."""
    frame = group_scores(rows, arms, groups)
    means = frame.groupby("arm")["visual_tokens"].mean().sort_values(kind="stable")
    names = {arm: f"{name_of(arm)}, {count:,.0f} tokens" for arm, count in means.items()}
    drawn = dot_panels(frame, order or arms, "on group", names=names)
    return titled(drawn.figure, frame, seen.cheapest(frame))


@styled
def training_curves(curves: pd.DataFrame, order: Sequence[str] = ()) -> Drawn:
    """A panel an arm: training loss over steps, the mean over seeds with a band from the lowest to the highest; pale:
    the means of the other arms; dotted: where the learning rate is highest."""
    arms = [arm for arm in order or dict.fromkeys(curves["arm"]) if arm in set(curves["arm"])]
    each = curves.groupby(["arm", "step"])["loss"].agg(["mean", "min", "max", "count"])
    # where seeds end at different steps the last ones are no mean over seeds
    wide = each[each["count"] == each.groupby("arm")["count"].transform("max")].unstack("arm")
    figure, axes = grid([*map(name_of, arms)], 5, 2.1, 1.8, (1, 0.9), sharex=True, sharey=True)
    for axis, arm in zip(axes, arms, strict=True):
        look = style_of(arm, order or arms)
        axis.plot(wide["mean"], color="#cccccc", lw=0.7)
        axis.fill_between(wide.index, wide["min", arm], wide["max", arm], color=look["color"], alpha=0.25, lw=0)
        axis.plot(wide["mean", arm], color=look["color"], ls=look["ls"], lw=1.5)
        if "rate" in curves:
            axis.axvline(curves.loc[curves["rate"].idxmax(), "step"], **LINE)
        axis.set_yscale("log", subs=(2, 3, 5))
        axis.yaxis.set(major_formatter="{x:g}", minor_formatter="{x:g}")
    figure.supxlabel("step (dotted: the learning rate is highest)", fontsize=9)
    figure.supylabel("training loss", fontsize=9)
    return titled(figure, curves, seen.trained(curves))


@styled
def difference_forest(verdicts: Sequence[Mapping]) -> Drawn:
    """Estimate and corrected interval of every hypothesis that was tested, in words, beside its verdict; where none
    was, what was stated.

    A difference stands over the band of those that do not matter, and beside the line that decides; a level beside the
    level that is claimed. What is judged by right answers and by log-likelihood stands on scales of its own.
    """
    shown = [v for v in verdicts if v["verdict"] != NOT_TESTED] or verdicts
    units = {what: [v for v in shown if v.get("measure", "score") == unit] for unit, what in UNITS.items()}
    units = {what: own for what, own in units.items() if own}
    heights = [len(own) for own in units.values()] or [1]
    figure, axes = panels(len(heights), 1, 11, 0.4 + sum(0.6 + 0.45 * n for n in heights), height_ratios=heights)
    for axis, (what, own) in zip(axes, units.items(), strict=False):
        styles, frame = [JUDGED.get(direction(v), OPEN) for v in own], pd.DataFrame(own)
        forest(axis, frame, [fill(v["statement"], 62) for v in own], styles, "estimate")
        for at, v in enumerate(own):
            line = {"level": v.get("level"), "retention": -v["margin"]}.get(v["kind"], 0)
            axis.vlines(np.nan if line is None else line, at - 0.45, at + 0.45, color=DARK, lw=1, label="line")
            axis.barh(at, 0 if v["kind"] == "level" else 2 * v["margin"], 0.9, -v["margin"], color=PALE, zorder=0)
        texts = [f"{v['verdict']}\n{estimate_text(v)}" for v in own]
        axis.secondary_yaxis("right").set_yticks(range(len(own)), texts, fontsize=8)
        axis.set_xlabel(f"{what} (line: what decides; grey: differences that do not matter)", fontsize=8)
    return titled(figure, pd.DataFrame(verdicts).drop(columns="by_seed", errors="ignore"), seen.judged(verdicts))


def png(figure: Figure, dpi: int) -> bytes:
    """The figure as png: nothing shows through, and but for pictures and maps of colours 256 of them are enough."""
    figure.savefig(buffer := io.BytesIO(), dpi=dpi, metadata={"Software": None}, facecolor="white")
    pictures = figure.findobj(mpl.image.AxesImage) + figure.findobj(mpl.collections.QuadMesh)
    drawn = Image.open(buffer).convert("RGB")
    drawn = drawn if pictures else drawn.quantize(256, dither=Image.Dither.NONE)
    drawn.save(buffer := io.BytesIO(), "png", optimize=True)
    return buffer.getvalue()


@styled
def save_figure(figure: Figure, frame: pd.DataFrame, folder: Path, name: str) -> None:
    """Write ``name``.png, .svg and .csv into ``folder``, each in one piece and the same for the same data."""
    atomic_write_bytes(folder / f"{name}.png", png(figure, 130))
    figure.set_layout_engine("none")  # it is laid out: half of the time of drawing need not be spent again
    figure.savefig(buffer := io.BytesIO(), format="svg", metadata={"Date": None, "Creator": None}, facecolor="white")
    atomic_write_bytes(folder / f"{name}.svg", buffer.getvalue())
    atomic_write_text(folder / f"{name}.csv", frame.to_csv(index=False))
