"""Figures and tables of the needle study. Each figure comes with the DataFrame behind it. No torch."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from oryx.evidence.stats import wilson
from workbook.report.plots import STYLE, style_of

COLOURS = "cividis"
"""Readable by colour-blind people and in grey."""

LABELS = ((4, 5), (4, -10), (-16, 5))
"""Where the numbers at the points of one arm stand, in points, so that those of three arms do not meet."""


def shares(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Share of right answers for every group of ``by``, with Wilson's 95 % interval, chance and the blind control.

    ``items``: different trials; the seeds of a trial are averaged first and do not make the interval narrower.
    """
    answered = rows[rows["error"].isna()]
    found = []
    for names, part in answered[answered["condition"] == "visual"].groupby(list(by), sort=False):
        items = part.groupby("item")["score"].mean()
        low, high = wilson(float(items.sum()), len(items))
        found.append(
            {**dict(zip(by, names, strict=True)), "score": items.mean(), "low": low, "high": high, "items": len(items)}
            | {"seeds": part["seed"].nunique(), "chance": part["chance"].mean(), "seconds": part["seconds"].mean()}
            | {"visual_tokens": part["visual_tokens"].mean(), "longest_trained": part["longest_trained"].max()}
        )
    frame = pd.DataFrame(found)
    blind = answered[answered["condition"] == "no_visual"].groupby(list(by))["score"].mean().rename("no_video")
    return frame.merge(blind.reset_index(), on=list(by), how="left")


def heat_map(rows: pd.DataFrame, arms: Sequence[str], order: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """Frames by depth for each arm, cells not asked hatched; beside each the scores by length with their intervals."""
    numbers = rows[rows["variant"] == "number"]
    frame = shares(numbers, ("arm", "length", "depth"))
    by_length = shares(numbers, ("arm", "length"))
    lengths, depths = sorted(frame["length"].unique()), sorted(frame["depth"].unique())
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10, 0.4 + 2.1 * len(arms)), layout="constrained")
        axes = figure.subplots(len(arms), 2, squeeze=False, width_ratios=(3, 2), sharey=False)
        for (left, right), arm in zip(axes, arms, strict=True):
            mine = frame[frame["arm"] == arm].set_index(["depth", "length"])["score"].unstack()
            grid = mine.reindex(index=depths, columns=lengths).to_numpy(float)
            image = left.imshow(grid, cmap=COLOURS, vmin=0, vmax=1, aspect="auto")
            for (y, x), value in np.ndenumerate(grid):
                if np.isnan(value):
                    left.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", ec="#bbbbbb", lw=0))
                else:
                    ink = "black" if value > 0.55 else "white"
                    left.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color=ink)
            left.set_xticks(range(len(lengths)), [f"{n:,}" for n in lengths])
            left.set_yticks(range(len(depths)), [f"{d:.0%}" for d in depths])
            trained = numbers.loc[numbers["arm"] == arm, "longest_trained"].max()
            edge = np.searchsorted(lengths, trained, side="right") - 0.5
            left.axvline(edge, color="#D55E00", lw=2)
            left.set_title(f"{arm} (trained to the line: {trained:,} frames)", loc="left", fontsize=9)
            left.set_ylabel("depth")
            _by_length(right, by_length[by_length["arm"] == arm], arm, order)
        axes[-1][0].set_xlabel("frames (hatched: not asked)")
        axes[-1][1].set_xlabel("frames")
        figure.colorbar(image, ax=axes[:, 0], label="share of right answers", shrink=0.8, location="left")
    return figure, frame


def score_by_length(rows: pd.DataFrame, arms: Sequence[str], order: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """All arms in one panel: score over frames; a ring marks the lengths within an arm's training."""
    frame = shares(rows[(rows["variant"] == "number") & rows["arm"].isin(list(arms))], ("arm", "length"))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 4), layout="constrained")
        axis = figure.subplots()
        for i, arm in enumerate(arms):
            mine = frame[frame["arm"] == arm].sort_values("length")
            x = mine["length"] * 1.02 ** (i - len(arms) / 2)
            axis.errorbar(x, mine["score"], _spans(mine), lw=1.2, ms=5, label=arm, **style_of(arm, order))
            inside = (mine["length"] <= mine["longest_trained"]).to_numpy()
            axis.plot(x[inside], mine["score"][inside], "o", ms=10, mfc="none", mec="#888888", mew=0.8)
        axis.plot([], [], "o", ms=10, mfc="none", mec="#888888", mew=0.8, label="within the training lengths")
        _blind(axis, frame)
        _length_axis(axis, frame)
        axis.set_ylabel("share of right answers")
        figure.legend(loc="outside right upper")
    return figure, frame


def score_by_context(rows: pd.DataFrame, arms: Sequence[str], order: Sequence[str]) -> tuple[Figure, pd.DataFrame]:
    """The trade of tokens a frame: score, and seconds a video, against the tokens that a video takes."""
    frame = shares(rows[(rows["variant"] == "number") & rows["arm"].isin(list(arms))], ("arm", "side", "length"))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        axes = figure.subplots(1, 2)
        for i, arm in enumerate(arms):
            mine = frame[frame["arm"] == arm].sort_values("visual_tokens")
            if mine.empty:
                continue
            label = f"{arm} ({mine['side'].iloc[0] ** 2}x)"
            axes[0].errorbar(
                mine["visual_tokens"], mine["score"], _spans(mine), lw=1.2, label=label, **style_of(arm, order)
            )
            axes[1].plot(mine["visual_tokens"], mine["seconds"], lw=1.2, **style_of(arm, order))
            place = {"xytext": LABELS[i % len(LABELS)], "textcoords": "offset points", "fontsize": 6.5}
            for line in mine.itertuples():
                axes[0].annotate(f"{line.length:,}", (line.visual_tokens, line.score), **place)
        for axis in axes:
            axis.set_xscale("log")
            axis.set_xlabel("video tokens (numbers: frames)" if axis is axes[0] else "video tokens")
        axes[0].set_ylim(-0.03, 1.03)
        axes[0].set_ylabel("share of right answers")
        axes[1].set_yscale("log")
        axes[1].set_ylabel("seconds a video (encoding not counted)")
        figure.legend(loc="outside right upper")
    return figure, frame


def score_by_variant(rows: pd.DataFrame, arm: str) -> tuple[Figure, pd.DataFrame]:
    """Every kind of needle on one arm, with chance (dash) and the blind control (cross)."""
    frame = shares(rows[rows["arm"] == arm], ("variant", "length"))
    frame = frame[frame["length"].isin(frame.loc[frame["variant"] != "number", "length"])]
    variants, lengths = list(dict.fromkeys(rows["variant"])), sorted(frame["length"].unique())
    variants = [variant for variant in variants if variant in set(frame["variant"])]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.5, 3.4), layout="constrained")
        axis = figure.subplots()
        for i, length in enumerate(lengths):
            mine = frame[frame["length"] == length].set_index("variant").reindex(variants).reset_index()
            x = np.arange(len(variants)) + 0.2 * (i - (len(lengths) - 1) / 2)
            axis.errorbar(
                x, mine["score"], _spans(mine), ls="", ms=6, label=f"{length:,} frames", **style_of(length, lengths)
            )
            axis.plot(x, mine["no_video"], "x", ms=4, color="#777777", label="no video" if i == 0 else None)
        for i, variant in enumerate(variants):
            chance = frame.loc[frame["variant"] == variant, "chance"].mean()
            axis.plot([i - 0.4, i + 0.4], [chance] * 2, "--", lw=1, color="#444444", label=None if i else "chance")
        axis.set_xticks(range(len(variants)), variants)
        axis.set_ylim(-0.03, 1.03)
        axis.set_ylabel("share of right answers")
        figure.legend(loc="outside right upper")
    return figure, frame


def break_table(rows: pd.DataFrame, easy: int) -> pd.DataFrame:
    """Where does it break? For each arm the longest videos that keep at least half of its score at ``easy`` frames.

    An arm that is no better than chance there has nothing to keep.
    """
    frame = shares(rows[rows["variant"] == "number"], ("arm", "length"))
    lines = []
    for arm, mine in frame.groupby("arm", sort=False):
        mine = mine.sort_values("length")
        start = mine.loc[mine["length"] == easy, "score"].mean()
        below = mine.loc[mine["score"] < start / 2, "length"]
        kept = mine["length"] if below.empty else mine.loc[mine["length"] < below.min(), "length"]
        learned = start > mine["chance"].mean()
        lines.append(
            {
                "arm": arm,
                "trained to, frames": (trained := int(mine["longest_trained"].max())),
                "1,600 frames are": f"{1600 / trained:.0f} times that" if trained else "",
                f"score at {easy} frames": f"{start:.2f}",
                "keeps half to, frames": int(kept.max()) if len(kept) and learned else "none",
                "below half from, frames": ("not reached" if below.empty else int(below.min())) if learned else easy,
            }
        )
    return pd.DataFrame(lines)


def training_length_table(runs: Sequence[pd.DataFrame], arms: Sequence[str]) -> pd.DataFrame:
    """Arms by the longest clip they were trained on, over several runs: score with Wilson's 95 % interval by length.

    An arm that several runs trained alike counts once; of its lengths each comes from the first run that asked it.
    """
    by, found = ["arm", "longest_trained", "length"], []
    for rows in runs:
        asked = rows[(rows["variant"] == "number") & rows["arm"].isin(list(arms))]
        found += [shares(asked, ("arm", "length"))] if len(asked) else []
    if not found:
        return pd.DataFrame([{"published runs": "none at this scale"}])
    frame = pd.concat(found).drop_duplicates(by)
    frame["text"] = [f"{line.score:.2f} [{line.low:.2f}, {line.high:.2f}]" for line in frame.itertuples()]
    wide = frame.pivot(index=["longest_trained", "arm"], columns="length", values="text").fillna("")
    wide = wide.rename(columns=lambda length: f"{length:,} frames").reset_index()
    wide = wide.rename(columns={"longest_trained": "trained to, frames"}).rename_axis(columns=None)
    wide.insert(2, "1,600 frames are", [f"{1600 / trained:.0f} times that" for trained in wide["trained to, frames"]])
    return wide


def other_question_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Does it still speak sense? Answers to a question about the same video that retrieval training lacks.

    ``sensible``: the answer is the name of a colour, right or not.
    """
    asked = rows[(rows["condition"] == "other_question") & rows["error"].isna()]
    colours = set(asked["truth"])
    lines = []
    for (arm, length), part in asked.groupby(["arm", "length"], sort=False):
        low, high = wilson(float(part.groupby("item")["score"].mean().sum()), part["item"].nunique())
        lines.append(
            {
                "arm": arm,
                "frames": length,
                "right": f"{part['score'].mean():.2f} [{low:.2f}, {high:.2f}]",
                "sensible": f"{part['answer'].isin(colours).mean():.2f}",
                "chance": round(part["chance"].mean(), 2),
                "most frequent answer": part["answer"].mode().iloc[0],
                "items": part["item"].nunique(),
                "seeds": part["seed"].nunique(),
            }
        )
    return pd.DataFrame(lines)


def audit_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Spliced needles against complete files: the same trials, needle inside the file, encoded as a whole."""
    names = ["arm", "seed", "item"]
    whole = rows[(rows["condition"] == "complete_file") & rows["error"].isna()]
    pairs = whole.merge(rows[rows["condition"] == "visual"], on=names, suffixes=("", "_spliced"))
    lines = []
    for (arm, length), part in pairs.groupby(["arm", "length"], sort=False):
        same = (part["answer"] == part["answer_spliced"]).mean()
        lines.append(
            {
                "arm": arm,
                "frames": length,
                "trials": len(part),
                "same answer": f"{same:.2f}",
                "right, spliced": f"{part['score_spliced'].mean():.2f}",
                "right, complete file": f"{part['score'].mean():.2f}",
                "largest change of log-likelihood": f"{(part['logprob'] - part['logprob_spliced']).abs().max():.4f}",
            }
        )
    return pd.DataFrame(lines)


def _by_length(axis, mine: pd.DataFrame, arm: str, order: Sequence[str]) -> None:
    mine = mine.sort_values("length")
    axis.errorbar(mine["length"], mine["score"], _spans(mine), lw=1.2, ms=5, **style_of(arm, order))
    _blind(axis, mine)
    _length_axis(axis, mine)
    axis.axvline(mine["longest_trained"].max(), color="#D55E00", lw=2)


def _blind(axis, frame: pd.DataFrame) -> None:
    lengths = [frame["length"].min(), frame["length"].max()]
    axis.plot(lengths, [frame["chance"].mean()] * 2, "--", lw=1, color="#444444", label="chance")
    blind = frame.groupby("length")["no_video"].max()
    axis.plot(blind.index, blind, "x", ms=4, color="#777777", label="no video (best arm)")


def _length_axis(axis, frame: pd.DataFrame) -> None:
    lengths = sorted(frame["length"].unique())
    axis.set_xscale("log", base=2)
    axis.set_xticks(lengths, [f"{n:,}" for n in lengths], rotation=45)
    axis.minorticks_off()
    axis.set_ylim(-0.03, 1.03)


def _spans(frame: pd.DataFrame) -> np.ndarray:
    return np.array([frame["score"] - frame["low"], frame["high"] - frame["score"]]).clip(min=0)
