"""Figures: each function takes rows (a DataFrame) and returns (figure, the DataFrame behind it). No torch.

Colours are Okabe and Ito's, told apart by colour-blind readers; an arm keeps its colour and marker in every figure of a
study because they follow the study's full, ordered list of arms.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from oryx.errors import InputError
from oryx.evidence.stats import mean_score, summary
from oryx.files import atomic_write_bytes, atomic_write_text
from workbook.report.tables import trained_blind

OKABE_ITO = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000", "#999999", "#F0E442")
MARKERS = "osD^vPX*h"
BINS = ("smaller", "about", "larger")
STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "oryx",
    "legend.frameon": False,
}


def style_of(arm: str, order: Sequence[str]) -> dict:
    """Colour and marker of an arm, by its place in the study's full list; past the last colour markers are hollow."""
    place = list(order).index(arm)
    style = {"color": OKABE_ITO[place % len(OKABE_ITO)], "marker": MARKERS[place % len(MARKERS)]}
    return style if place < len(OKABE_ITO) else {**style, "mfc": "white", "ls": ":"}


def _figure(width: float, height: float) -> Figure:
    return Figure(figsize=(width, height), layout="constrained")


def _errors(frame: pd.DataFrame) -> np.ndarray:
    low, high = frame["low"].fillna(frame["score"]), frame["high"].fillna(frame["score"])
    return np.array([(frame["score"] - low).clip(lower=0), (high - frame["score"]).clip(lower=0)])


def score_by_task(rows: pd.DataFrame, arms: Sequence[str], order: Sequence[str] = ()) -> tuple[Figure, pd.DataFrame]:
    """A panel of tasks: each arm's mean score with its 95 % interval, chance (dash), and two controls.

    Cross: the same model without the visual; plus: the best arm that was trained without any.
    """
    order, frame = order or arms, summary(rows)
    unseeing = trained_blind(frame)
    frame = frame[frame["condition"].isin(["visual", "no_visual"]) & frame["arm"].isin(list(arms))]
    seen = frame[frame["condition"] == "visual"]
    blind = frame[frame["condition"] == "no_visual"].set_index(["arm", "task"])["score"]
    tasks = list(dict.fromkeys(seen["task"]))
    shown = [arm for arm in arms if arm in set(seen["arm"])]
    with mpl.rc_context(STYLE):
        figure = _figure(9.5, 3.9)
        axis = figure.subplots()
        step = 0.8 / max(1, len(shown))
        for i, arm in enumerate(shown):
            mine = seen[seen["arm"] == arm].set_index("task").reindex(tasks).reset_index()
            x = np.arange(len(tasks)) - 0.4 + step * (i + 0.5)
            style = {**style_of(arm, order), "ls": ""}  # arms past the last colour bring a line style of their own
            axis.errorbar(x, mine["score"], _errors(mine), ms=5, lw=1.2, label=arm, **style)
            crosses = [blind.get((arm, task), np.nan) for task in tasks]
            axis.plot(x, crosses, "x", ms=4, color="#777777", label="no picture" if i == 0 else None)
        chance = seen.groupby("task", sort=False)["chance"].mean()
        for i, task in enumerate(tasks):
            label = "chance" if i == 0 else None
            axis.plot([i - 0.42, i + 0.42], [chance[task]] * 2, "--", lw=1, color="#444444", label=label)
        if len(unseeing):
            known = unseeing.reindex(tasks)
            axis.plot(range(len(tasks)), known, "P", ms=6, mfc="white", mec="#222222", ls="", label="trained blind")
        axis.set_xticks(range(len(tasks)), [t.replace("_", "\n") for t in tasks])
        axis.set_ylim(-0.03, 1.03)
        axis.set_ylabel("share of right answers")
        for edge in range(1, len(tasks)):
            axis.axvline(edge - 0.5, color="#dddddd", lw=0.8, zorder=0)
        figure.legend(loc="outside right upper")
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
    bins: Mapping[str, str],
) -> tuple[Figure, pd.DataFrame]:
    """Score over the values of ``column`` (value -> its label), a panel per group of tasks; tasks weigh the same."""
    order, found = order or arms, []
    rows = rows[rows["condition"] == "visual"]
    for group, tasks in groups.items():
        for arm in arms:
            for value in bins:
                part = rows[(rows["arm"] == arm) & rows["task"].isin(list(tasks)) & (rows[column] == value)]
                found.append({"group": group, "arm": arm, column: value, **_score(part, arm)})
    frame = pd.DataFrame(found)
    with mpl.rc_context(STYLE):
        figure = _figure(4.6 * len(groups), 3.6)
        axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axis, group in zip(axes, groups, strict=True):
            for i, arm in enumerate(arms):
                mine = frame[(frame["group"] == group) & (frame["arm"] == arm)]
                if mine["score"].notna().sum() == 0:
                    continue
                x = np.arange(len(bins)) + 0.05 * (i - len(arms) / 2)
                axis.errorbar(x, mine["score"], _errors(mine), lw=1.2, ms=4.5, label=arm, **style_of(arm, order))
            axis.set_xticks(range(len(bins)), list(bins.values()))
            axis.set_title(f"{group} tasks", loc="left", fontsize=10)
            axis.set_ylim(-0.03, 1.03)
        axes[0].set_ylabel("share of right answers")
        _legend_of(figure, axes)
    return figure, frame


def score_against_tokens(
    rows: pd.DataFrame, arms: Sequence[str], groups: Mapping[str, Sequence[str]], order: Sequence[str] = ()
) -> tuple[Figure, pd.DataFrame]:
    """Score against mean visual tokens (log 2) per group of tasks, with the step frontier of what tokens can buy."""
    order, found = order or arms, []
    rows = rows[rows["condition"] == "visual"]
    for group, tasks in groups.items():
        for arm in arms:
            part = rows[(rows["arm"] == arm) & rows["task"].isin(list(tasks))]
            if len(part):
                tokens = float(part["visual_tokens"].mean())
                found.append({"group": group, "arm": arm, "visual_tokens": tokens, **_score(part, arm)})
    frame = pd.DataFrame(found)
    with mpl.rc_context(STYLE):
        figure = _figure(4.6 * len(groups), 3.6)
        axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axis, group in zip(axes, groups, strict=True):
            mine = frame[frame["group"] == group].sort_values("visual_tokens")
            axis.step(mine["visual_tokens"], mine["score"].cummax(), where="post", color="#bbbbbb", lw=1, zorder=0)
            for _, line in mine.iterrows():
                one = line.to_frame().T
                errors = _errors(one.astype({"score": float, "low": float, "high": float}))
                axis.errorbar(
                    [line["visual_tokens"]],
                    [line["score"]],
                    errors,
                    ms=6,
                    label=line["arm"],
                    **{**style_of(line["arm"], order), "ls": ""},
                )
            axis.set_xscale("log", base=2)
            axis.xaxis.set_major_formatter(lambda v, _: f"{v:g}")
            axis.set_xlabel("visual tokens a picture (mean)")
            axis.set_title(f"{group} tasks", loc="left", fontsize=10)
            axis.set_ylim(-0.03, 1.03)
        axes[0].set_ylabel("share of right answers")
        _legend_of(figure, axes)
    return figure, frame


def training_curves(curves: pd.DataFrame, order: Sequence[str] = ()) -> tuple[Figure, pd.DataFrame]:
    """Training loss over steps, a line per arm and seed."""
    order = order or tuple(dict.fromkeys(curves["arm"]))
    with mpl.rc_context(STYLE):
        figure = _figure(7.5, 3.4)
        axis = figure.subplots()
        for (arm, seed), mine in curves.groupby(["arm", "seed"], sort=False):
            label = arm if seed == curves.loc[curves["arm"] == arm, "seed"].min() else None
            axis.plot(mine["step"], mine["loss"], lw=1.1, alpha=0.85, label=label, color=style_of(arm, order)["color"])
        axis.set_xlabel("step")
        axis.set_ylabel("training loss")
        axis.set_ylim(bottom=0)
        if len(curves):
            figure.legend(loc="outside right upper")
    return figure, curves


def difference_forest(verdicts: Sequence[Mapping], margin: float = 0.05) -> tuple[Figure, pd.DataFrame]:
    """Estimate and corrected interval of every hypothesis, with the band of differences that do not matter."""
    frame = pd.DataFrame(verdicts)
    with mpl.rc_context(STYLE):
        figure = _figure(8.5, 0.8 + 0.42 * len(frame))
        axis = figure.subplots()
        axis.axvspan(-margin, margin, color="#eeeeee", zorder=0)
        axis.axvline(0, color="#888888", lw=0.8)
        for y, entry in enumerate(verdicts):
            if entry["estimate"] is not None:
                span = [[entry["estimate"] - entry["low"]], [entry["high"] - entry["estimate"]]]
                axis.errorbar([entry["estimate"]], [y], xerr=span, fmt="o", ms=5, color=OKABE_ITO[0], capsize=2)
            axis.annotate(
                entry["verdict"],
                (1.01, y),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=8,
                annotation_clip=False,
            )
        axis.set_yticks(range(len(frame)), [entry["id"] for entry in verdicts])
        axis.set_ylim(len(frame) - 0.5, -0.5)
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


def _score(part: pd.DataFrame, arm: str) -> dict:
    """Mean score with interval; missing where there are too few items for one."""
    try:
        found = mean_score(part, arm)
    except InputError:
        answered = part[part["error"].isna()] if len(part) else part
        return {
            "score": float(answered["score"].mean()) if len(answered) else np.nan,
            "low": None,
            "high": None,
            "n": len(part),
        }
    return {"score": found.value, "low": found.low, "high": found.high, "n": found.n_items}


def _legend_of(figure: Figure, axes) -> None:
    entries: dict = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(entries.values(), entries.keys(), loc="outside right upper")
