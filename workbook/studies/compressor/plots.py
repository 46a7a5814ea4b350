"""Figures and tables of the connector study. Each figure comes with the DataFrame behind it. No torch."""

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from oryx.errors import InputError
from oryx.evidence.stats import mean_score
from workbook.data.stories import QUESTIONS
from workbook.report.plots import OKABE_ITO, STYLE, style_of

KINDS = tuple(QUESTIONS)

MEASURES = {
    "shift_cka": ("CKA with the tokens at 1x", 1.0),
    "shift_mean": ("distance of the means\n(standard deviations)", 0.0),
    "shift_variance": ("variance over that at 1x", 1.0),
    "shift_rank_share": ("effective rank over that at 1x", 1.0),
}
"""Field of a shift row -> what it is called, and its value if nothing shifts."""


def group_scores(
    rows: pd.DataFrame, arms: Sequence[str], ratios: Sequence[int], groups: Mapping[str, Sequence[str]]
) -> pd.DataFrame:
    """Mean score of every arm, ratio and group of questions (each question weighs the same) with its 95 % interval."""
    found = []
    seen, blind = (rows[rows["condition"] == name] for name in ("visual", "no_visual"))
    for group, kinds in groups.items():
        for arm in arms:
            for ratio in ratios:
                part = seen[(seen["arm"] == arm) & (seen["ratio"] == ratio) & seen["kind"].isin(list(kinds))]
                if part.empty:
                    continue
                hidden = blind[(blind["arm"] == arm) & (blind["ratio"] == ratio) & blind["kind"].isin(list(kinds))]
                line = {"group": group, "arm": arm, "ratio": ratio, **_score(part)}
                line |= {"chance": part.groupby("kind")["chance"].mean().mean()}
                line |= {"no_film": hidden.groupby("kind")["score"].mean().mean()}
                found.append(line | {"visual_tokens": part["visual_tokens"].mean()})
    return pd.DataFrame(found)


def score_by_ratio(
    rows: pd.DataFrame,
    arms: Sequence[str],
    ratios: Sequence[int],
    groups: Mapping[str, Sequence[str]],
    order: Sequence[str],
) -> tuple[Figure, pd.DataFrame]:
    """Score over compression ratio, a panel per group of questions; dashes mark chance, crosses the blind control."""
    frame = group_scores(rows, arms, ratios, groups)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.3 * len(groups) + 1.6, 3.7), layout="constrained")
        axes = figure.subplots(1, len(groups), sharey=True, squeeze=False)[0]
        for axis, group in zip(axes, groups, strict=True):
            mine = frame[frame["group"] == group]
            for i, arm in enumerate(arms):
                line = mine[mine["arm"] == arm]
                x = [ratios.index(ratio) + 0.5 * ((i + 0.5) / len(arms) - 0.5) for ratio in line["ratio"]]
                axis.errorbar(x, line["score"], _errors(line), lw=1, ms=5, label=arm, **style_of(arm, order))
            for i, ratio in enumerate(ratios):
                here = mine[mine["ratio"] == ratio]
                name = {"label": "chance"} if i == 0 else {}
                axis.plot([i - 0.3, i + 0.3], [here["chance"].mean()] * 2, "--", lw=1, color="#444444", **name)
                name = {"label": "no film (best arm)"} if i == 0 else {}
                axis.plot([i], [here["no_film"].max()], "x", ms=5, color="#777777", **name)
            axis.set_xticks(range(len(ratios)), [f"{ratio}x" for ratio in ratios])
            axis.set_xlabel("compression")
            axis.set_title(f"{group} questions: {', '.join(groups[group])}", loc="left", fontsize=9)
            axis.set_ylim(-0.03, 1.03)
        axes[0].set_ylabel("share of right answers")
        _legend(figure, axes)
    return figure, frame


def score_by_kind(
    rows: pd.DataFrame, arms: Sequence[str], ratios: Sequence[int], order: Sequence[str], kinds: Sequence[str] = KINDS
) -> tuple[Figure, pd.DataFrame]:
    """A panel per ratio: each arm's score on each question with its 95 % interval; dashes mark chance."""
    frame = group_scores(rows, arms, ratios, {kind: (kind,) for kind in kinds})
    shown = [ratio for ratio in ratios if (frame["ratio"] == ratio).any()]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 2.5 * len(shown)), layout="constrained")
        axes = figure.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for axis, ratio in zip(axes, shown, strict=True):
            mine = frame[frame["ratio"] == ratio]
            present = [arm for arm in arms if arm in set(mine["arm"])]
            for i, arm in enumerate(present):
                line = mine[mine["arm"] == arm]
                places = np.array([kinds.index(kind) for kind in line["group"]], dtype=float)
                x = places - 0.4 + 0.8 * (i + 0.5) / len(present)
                axis.errorbar(x, line["score"], _errors(line), ls="", lw=1.1, ms=4.5, label=arm, **_points(arm, order))
            chances = mine.groupby("group")["chance"].mean()
            for place, kind in enumerate(kinds):
                name = {"label": "chance"} if place == 0 else {}
                level = [chances.get(kind, np.nan)] * 2
                axis.plot([place - 0.42, place + 0.42], level, "--", lw=1, color="#444444", **name)
            for edge in range(1, len(kinds)):
                axis.axvline(edge - 0.5, color="#dddddd", lw=0.8, zorder=0)
            axis.set_ylim(-0.03, 1.03)
            axis.set_title(f"{ratio}x", loc="left", fontsize=10)
            axis.set_ylabel("right answers")
        axes[-1].set_xticks(range(len(kinds)), list(kinds))
        _legend(figure, axes)
    return figure, frame


def shifts(rows: pd.DataFrame, arms: Sequence[str]) -> pd.DataFrame:
    """Mean shift of each arm and ratio, at the start and trained; each film and seed weighs the same."""
    names = ("shift_cka", "shift_mean", "shift_variance", "shift_rank", "shift_full_rank")
    part = rows[rows["condition"].isin(["shift_start", "shift_trained"]) & rows["arm"].isin(list(arms))]
    part = part.assign(when=part["condition"].str.removeprefix("shift_"))
    found = part.groupby(["arm", "ratio", "when"], sort=False)[list(names)].mean().reset_index()
    return found.assign(shift_rank_share=found["shift_rank"] / found["shift_full_rank"])


def shift_figure(rows: pd.DataFrame, arms: Sequence[str], order: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """A panel per measure: each arm at its start (hollow) and trained (filled), its ratios side by side."""
    frame = shifts(rows, arms)
    shown = [arm for arm in arms if arm in set(frame["arm"])]
    ratios = sorted(frame["ratio"].unique())
    frame = frame.sort_values(["ratio", "when"])
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 1.3 + 0.36 * len(shown)), layout="constrained")
        axes = figure.subplots(1, len(MEASURES), sharey=True)
        for axis, (name, (label, still)) in zip(axes, MEASURES.items(), strict=True):
            axis.axvline(still, color="#888888", lw=0.8)
            for line in frame.itertuples():
                place = ratios.index(line.ratio)
                y = shown.index(line.arm) + 0.56 * ((place + 0.5) / len(ratios) - 0.5)
                trained = line.when == "trained"
                colour = OKABE_ITO[place % len(OKABE_ITO)]
                text = f"{line.ratio}x, {'trained' if trained else 'at the start'}"
                fill = colour if trained else "white"
                axis.plot(getattr(line, name), y, "osD^"[place % 4], ms=5, color=colour, mfc=fill, ls="", label=text)
            axis.set_xlabel(label)
        axes[0].set_yticks(range(len(shown)), shown)
        axes[0].set_ylim(len(shown) - 0.5, -0.5)
        _legend(figure, axes)
    return figure, frame


def reason_table(
    rows: pd.DataFrame, arms: Sequence[str], ratios: Sequence[int], kinds: Sequence[str] = KINDS
) -> pd.DataFrame:
    """Per arm and ratio: how far the features shift, beside the score. The reason predicts that they go together."""
    scores = group_scores(rows, arms, ratios, {"all": kinds})
    frame = shifts(rows, arms).pivot(index=["arm", "ratio"], columns="when", values="shift_cka")
    lines = []
    for line in scores.itertuples():
        if (line.arm, line.ratio) in frame.index:
            cka = frame.loc[(line.arm, line.ratio)]
            lines.append(
                {
                    "arm": line.arm,
                    "ratio": f"{line.ratio}x",
                    "CKA at the start": f"{cka['start']:.3f}",
                    "CKA trained": f"{cka['trained']:.3f}",
                    "score": f"{line.score:.3f} [{line.low:.3f}, {line.high:.3f}]",
                }
            )
    return pd.DataFrame(lines)


def length_table(rows: pd.DataFrame, arms: Sequence[str], kinds: Sequence[str] = KINDS) -> pd.DataFrame:
    """Mean score of short and of long films, per arm and ratio; empty where long films are not asked."""
    lines = []
    for arm in arms:
        for ratio in sorted(rows.loc[rows["arm"] == arm, "ratio"].unique()):
            line = {"arm": arm, "ratio": f"{ratio}x"}
            for length in dict.fromkeys(rows["length"]):
                part = rows[rows["length"] == length]
                found = group_scores(part, [arm], [ratio], {"all": kinds})
                text = "" if found.empty else f"{found['score'][0]:.3f} [{found['low'][0]:.3f}, {found['high'][0]:.3f}]"
                tokens = "" if found.empty else f"{found['visual_tokens'][0]:.0f}"
                line |= {length: text, f"tokens, {length}": tokens}
            lines.append(line)
    return pd.DataFrame(lines)


def sharing_table(rows: pd.DataFrame, kinds: Sequence[str] = KINDS) -> pd.DataFrame:
    """One shared model for all ratios against one model per ratio, at equal steps: what does sharing cost?"""
    lines = []
    for name in dict.fromkeys(rows["arm"]):
        shared, only, ratio = name.partition("_only_")
        if not only:
            continue
        found = group_scores(rows, [shared, name], [int(ratio[:-1])], {"all": kinds}).set_index("arm")
        if shared in found.index:
            cells = {arm: f"{s.score:.3f} [{s.low:.3f}, {s.high:.3f}]" for arm, s in found.iterrows()}
            gap = found.loc[name, "score"] - found.loc[shared, "score"]
            line = {"connector": shared, "ratio": ratio, "one model for all": cells[shared]}
            lines.append(line | {"this ratio only": cells[name], "sharing costs": f"{gap:+.3f}"})
    return pd.DataFrame(lines, columns=["connector", "ratio", "one model for all", "this ratio only", "sharing costs"])


def _score(part: pd.DataFrame) -> dict:
    try:
        found = mean_score(part)
    except InputError:  # one film has no interval
        by_kind = part[part["error"].isna()].groupby("kind")["score"].mean()
        return {"score": by_kind.mean(), "low": np.nan, "high": np.nan, "items": part["item"].nunique()}
    return {"score": found.value, "low": found.low, "high": found.high, "items": found.n_items}


def _errors(frame: pd.DataFrame) -> np.ndarray:
    low, high = frame["low"].fillna(frame["score"]), frame["high"].fillna(frame["score"])
    return np.array([frame["score"] - low, high - frame["score"]]).clip(min=0)


def _points(arm: str, order: Sequence[str]) -> dict:
    return {name: value for name, value in style_of(arm, order).items() if name != "ls"}


def _legend(figure: Figure, axes) -> None:
    entries: dict = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries |= dict(zip(labels, handles, strict=True))
    figure.legend(entries.values(), entries.keys(), loc="outside right upper", fontsize=8)
