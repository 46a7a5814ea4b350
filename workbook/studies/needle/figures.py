"""Figures of the needle study. Each comes with the DataFrame behind it. No torch."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from PIL.ImageOps import expand

from oryx.processing.video import read_frames
from workbook.data.needles import make_trial
from workbook.report import plots, seen
from workbook.report.names import name_of
from workbook.studies.needle.arms import ARMS
from workbook.studies.needle.cells import arm_cells
from workbook.studies.needle.settings import Settings
from workbook.studies.needle.tables import shares

ORDER = tuple(ARMS)

TRAINED = {"color": plots.COLOURS[3], "lw": 2}
"""The line at the longest clip that an arm was trained on."""

SHOWN, SIZE = 12, (32, 32)
"""Frames of a gallery's video; height and width of the frames that the small readers see."""
BORDER = 2
"""Pixels of a frame's coloured edge."""
CLOSE_TO_1 = 0.9
"""What the claim is read as; hypotheses state it too."""
KINDS = {
    "number": "one card",
    "near": "three other cards beside it",
    "far": "three other cards elsewhere",
    "change": "two frames compared",
    "picture": "a picture to name",
}


@plots.styled
def heat_map(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """Frames by depth for each arm, cells not asked hatched; beside each the scores by length with their intervals."""
    numbers = rows[rows["variant"] == "number"]
    frame, by_length = (shares(numbers, by) for by in (("arm", "length", "depth"), ("arm", "length")))
    lengths, depths = sorted(frame["length"].unique()), sorted(frame["depth"].unique())
    figure, axes = plots.panels(len(arms), 2, 11, 0.8 + 2.1 * len(arms), width_ratios=(3, 2), sharex="col")
    for left, right, arm in zip(axes[::2], axes[1::2], arms, strict=True):
        mine, own = (part[part["arm"] == arm] for part in (frame, by_length))
        wide = mine.pivot(index="depth", columns="length", values="score").reindex(index=depths, columns=lengths)
        plots.heat_map(left, wide.rename(index="{:.0%}".format, columns="{:,}".format))
        trained = numbers.loc[numbers["arm"] == arm, "longest_trained"].max()
        left.axvline(np.searchsorted(lengths, trained, side="right"), **TRAINED)
        about = f"trained to the line: {trained:,} frames; up to {mine['items'].max()} trials per cell"
        left.set_title(f"{name_of(arm)} ({about})", loc="left", fontsize=9)
        left.set(xlabel="", ylabel="depth")
        plots.lines(right, own, "length", ORDER)
        right.plot(own.groupby("length")["no_video"].max(), **plots.CROSS)
        right.axhline(own["chance"].mean(), **plots.CHANCE)
        right.axhline(CLOSE_TO_1, **plots.LINE)
        right.axvline(trained, **TRAINED)
        _over_lengths(right, lengths, "right answers")
    axes[-2].set_xlabel("frames (hatched: not asked)")
    plots.colour_bar(figure, axes[::2], "share of right answers", shrink=0.8, location="left")
    lines = {f"{CLOSE_TO_1}, as claimed": plots.LINE, "chance": plots.CHANCE}
    plots.legend(figure, [], ORDER, no_video=plots.CROSS, **lines)
    return plots.titled(figure, frame, _best(by_length[by_length["arm"].isin(list(arms))]))


@plots.styled
def score_by_length(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """Score over frames, an arm a line."""
    frame = shares(rows[(rows["variant"] == "number") & rows["arm"].isin(list(arms))], ("arm", "length"))
    figure, (axis,) = plots.panels(1, 1, 9.5, 4.2)
    plots.lines(axis, frame, "length", ORDER)
    _over_lengths(axis, sorted(frame["length"].unique()), "share of right answers")
    plots.legend(figure, [arm for arm in arms if arm in set(frame["arm"])], ORDER)
    return plots.titled(figure, frame, _best(frame))


def _over_lengths(axis: Axes, lengths: Sequence[int], measured: str) -> None:
    axis.set_xscale("log", base=2)
    axis.set_xticks(lengths, [f"{n:,}" for n in lengths], rotation=45)
    axis.set(xlabel="frames", ylabel=measured, ylim=(-0.03, 1.03))
    axis.minorticks_off()


def _best(frame: pd.DataFrame) -> str:
    asked = frame.groupby("length")["arm"].transform("nunique")
    frame = frame[asked > 1] if (asked > 1).any() else frame  # a length that one arm alone was asked compares nothing
    return seen.best(frame.assign(place=frame["length"].map("{:,} frames".format)), "place", "at length")


def score_by_context(rows: pd.DataFrame, arms: Sequence[str]) -> plots.Drawn:
    """The trade of tokens per frame: score by length, each arm with the tokens and the time that a frame takes."""
    frame = shares(rows[(rows["variant"] == "number") & rows["arm"].isin(list(arms))], ("arm", "side", "length"))
    frame = frame.sort_values("length", kind="stable")
    each = frame[["visual_tokens", "seconds"]].mul([1, 1000]).div(frame["length"], axis=0).groupby(frame["arm"]).mean()
    words = "{}, {:.1f} tokens and {:.2f} ms per frame"
    names = {arm: words.format(name_of(arm), *each.loc[arm]) for arm in arms if arm in each.index}
    return _dots(frame, "length", "arm", ORDER, "at length", names)


def score_by_variant(rows: pd.DataFrame, arm: str) -> plots.Drawn:
    """A panel for every kind of needle on one arm, a length a row, with chance and the blind control."""
    frame = shares(rows[rows["arm"] == arm], ("variant", "length"))
    frame = frame[frame["length"].isin(frame.loc[frame["variant"] != "number", "length"])]
    frame = frame.assign(kind=frame["variant"].map(KINDS))
    ordered = pd.concat(frame[frame["variant"] == variant] for variant in KINDS)
    return _dots(ordered, "kind", "length", sorted(frame["length"].unique()), "on kind")


def _dots(
    frame: pd.DataFrame, panel: str, row: str, order: Sequence, what: str, names: Mapping | None = None
) -> plots.Drawn:
    counted = frame.assign(length=frame["length"].map("{:,} frames".format))
    rows = [f"{n:,} frames" for n in order] if row == "length" else order
    shown = counted.rename(columns={panel: "group", row: "arm", "no_video": "blind", "items": "n"})
    return replace(plots.dot_panels(shown, rows, what, names=names), frame=frame)


def gallery(settings: Settings) -> Figure:
    """A row per variant that the first arm is asked: frames of a complete file, decoded; needle frames marked orange,
    distractors blue."""
    shown, variants = [], dict.fromkeys(cell.variant for cell in arm_cells(settings, settings.arms[0]))
    with tempfile.TemporaryDirectory() as folder:
        for trial in [make_trial(settings.split, variant, SHOWN, 0.5, 0, SIZE) for variant in variants]:
            frames = read_frames(trial.file(Path(folder)).path, range(SHOWN))
            edges = dict.fromkeys(trial.others, plots.COLOURS[0]) | dict.fromkeys(trial.needles, plots.COLOURS[1])
            edged = [expand(Image.fromarray(one), BORDER, edges.get(i, "white")) for i, one in enumerate(frames)]
            shown.append((f"{trial.needle.variant}: “{trial.needle.question}” → “{trial.needle.answer}”", edged))
    return plots.strips(shown, 10, 1.1)
