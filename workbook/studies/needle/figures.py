"""Figures of the needle study. Each comes with the DataFrame behind it. No torch."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from PIL.ImageOps import expand

from oryx.processing.video import read_frames
from workbook.data.needles import VARIANTS, make_trial
from workbook.report import plots
from workbook.studies.needle.arms import ARMS
from workbook.studies.needle.settings import Settings
from workbook.studies.needle.tables import shares

ORDER = tuple(ARMS)

TRAINED = {"color": plots.COLOURS[3], "lw": 2}
"""The line at the longest clip that an arm was trained on."""
RING = {"marker": "o", "ls": "", "ms": 10, "mfc": "none", "mec": "#888888", "mew": 0.8}
NO_VIDEO = {"no_video_(best_arm)": plots.CROSS, "chance": plots.CHANCE}

SHOWN, SIZE = 12, (32, 32)
"""Frames of a gallery's video; height and width of the frames that the small readers see."""
BORDER = 2
"""Pixels of a frame's coloured edge."""


@plots.styled
def heat_map(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """Frames by depth for each arm, cells not asked hatched; beside each the scores by length with their intervals."""
    numbers = rows[rows["variant"] == "number"]
    frame, by_length = (shares(numbers, by) for by in (("arm", "length", "depth"), ("arm", "length")))
    lengths, depths = sorted(frame["length"].unique()), sorted(frame["depth"].unique())
    figure, axes = plots.panels(len(arms), 2, 10, 0.4 + 2.1 * len(arms), width_ratios=(3, 2))
    for left, right, arm in zip(axes[::2], axes[1::2], arms, strict=True):
        mine, own = (part[part["arm"] == arm] for part in (frame, by_length))
        wide = mine.pivot(index="depth", columns="length", values="score").reindex(index=depths, columns=lengths)
        plots.heat_map(left, wide.rename(index="{:.0%}".format, columns="{:,}".format))
        trained = numbers.loc[numbers["arm"] == arm, "longest_trained"].max()
        left.axvline(np.searchsorted(lengths, trained, side="right"), **TRAINED)
        text = f"{arm} (trained to the line: {trained:,} frames; {_trials(mine)} a cell)"
        left.set_title(text, loc="left", fontsize=9)
        left.set(xlabel="", ylabel="depth")
        plots.lines(right, own, "length", ORDER)
        _lengths(right, own)
        right.axvline(trained, **TRAINED)
    axes[-2].set_xlabel("frames (hatched: not asked)")
    axes[-1].set_xlabel("frames")
    plots.colour_bar(figure, axes[::2], "share of right answers", shrink=0.8, location="left")
    plots.legend(figure, [], ORDER, **NO_VIDEO)
    return figure, frame


@plots.styled
def score_by_length(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """All arms in one panel: score over frames; a ring marks the lengths within an arm's training."""
    frame = shares(rows[(rows["variant"] == "number") & rows["arm"].isin(list(arms))], ("arm", "length"))
    inside = frame[frame["length"] <= frame["longest_trained"]]
    figure, (axis,) = plots.panels(1, 1, 8.5, 4)
    plots.lines(axis, frame, "length", ORDER)
    axis.plot(inside["length"], inside["score"], **RING)
    _lengths(axis, frame)
    axis.set(xlabel="frames", ylabel="share of right answers")
    others = {"within_the_training_lengths": RING, **NO_VIDEO}
    plots.legend(figure, [arm for arm in arms if arm in set(frame["arm"])], ORDER, **others)
    return figure, frame


@plots.styled
def score_by_context(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """The trade of tokens per frame: score, and seconds per video, against the tokens that a video takes."""
    frame = shares(rows[(rows["variant"] == "number") & rows["arm"].isin(list(arms))], ("arm", "side", "length"))
    named = frame.assign(arm=[f"{line.arm} ({line.side**2}x)" for line in frame.itertuples()])
    names = dict(zip(frame["arm"], named["arm"], strict=True))
    order = [names.get(arm, arm) for arm in ORDER]
    figure, (left, right) = plots.panels(1, 2, 9.5, 3.6)
    plots.lines(left, named, "visual_tokens", order)
    plots.lines(right, named.drop(columns=["low", "high"]), "visual_tokens", order, y="seconds")
    for line in named.itertuples():
        place = {"xytext": (4, 5), "textcoords": "offset points", "fontsize": 6.5}
        left.annotate(f"{line.length:,}", (line.visual_tokens, line.score), **place)
    left.set(xscale="log", xlabel="video tokens (numbers: frames)", ylim=(-0.03, 1.03))
    left.set_ylabel("share of right answers")
    right.set(xscale="log", yscale="log", xlabel="video tokens", ylabel="seconds a video (encoding not counted)")
    plots.legend(figure, [names[arm] for arm in arms if arm in names], order)
    return figure, frame


@plots.styled
def score_by_variant(rows: pd.DataFrame, arm: str) -> plots.Drawn:
    """Every kind of needle on one arm, with chance (dash) and the blind control (cross)."""
    frame = shares(rows[rows["arm"] == arm], ("variant", "length"))
    frame = frame[frame["length"].isin(frame.loc[frame["variant"] != "number", "length"])]
    variants = [variant for variant in dict.fromkeys(rows["variant"]) if variant in set(frame["variant"])]
    lengths = [f"{length:,} frames" for length in sorted(frame["length"].unique())]
    drawn = frame.rename(columns={"no_video": "blind"}).assign(length=frame["length"].map("{:,} frames".format))
    figure, (axis,) = plots.panels(1, 1, 8.5, 3.4)
    plots.points(axis, drawn, "variant", variants, lengths, hue="length")
    axis.set_ylabel("share of right answers")
    axis.set_title(f"{arm}, {_trials(frame)} a point", loc="left", fontsize=9)
    plots.legend(figure, lengths, lengths, no_video=plots.CROSS, chance=plots.CHANCE)
    return figure, frame


def gallery(settings: Settings) -> Figure:
    """A row per variant: frames of a complete file, decoded; needle frames marked orange, distractors blue."""
    shown = []
    with tempfile.TemporaryDirectory() as folder:
        for trial in [make_trial(settings.split, variant, SHOWN, 0.5, 0, SIZE) for variant in VARIANTS]:
            frames = read_frames(trial.file(Path(folder)).path, range(SHOWN))
            edges = dict.fromkeys(trial.others, plots.COLOURS[0]) | dict.fromkeys(trial.needles, plots.COLOURS[1])
            edged = [expand(Image.fromarray(one), BORDER, edges.get(i, "white")) for i, one in enumerate(frames)]
            shown.append((f"{trial.needle.variant}: “{trial.needle.question}” → “{trial.needle.answer}”", edged))
    return plots.strips(shown, 10, 1.1)


def _trials(frame: pd.DataFrame) -> str:
    least, most = frame["items"].min(), frame["items"].max()
    return f"{most} trials" if least == most else f"{least} to {most} trials"


def _lengths(axis: Axes, frame: pd.DataFrame) -> None:
    """A logarithmic axis of video lengths, with chance and the best arm's score without a video."""
    lengths = sorted(frame["length"].unique())
    axis.plot([lengths[0], lengths[-1]], [frame["chance"].mean()] * 2, **plots.CHANCE)
    axis.plot(lengths, frame.groupby("length")["no_video"].max(), **plots.CROSS)
    axis.set_xscale("log", base=2)
    axis.set_xticks(lengths, [f"{n:,}" for n in lengths], rotation=45)
    axis.minorticks_off()
    axis.set_ylim(-0.03, 1.03)
