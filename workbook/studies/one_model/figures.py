"""Tables and figures of the one model, with their text alternatives. No torch."""

import numpy as np
import pandas as pd

from workbook.report import plots, seen
from workbook.report.tables import with_intervals
from workbook.studies.one_model.comparison import scores


def score_table() -> pd.DataFrame:
    """A line per group and kind of question, ratios side by side, with n, chance, majority and the blind control."""
    found = scores().replace("films", "videos", regex=True)  # what the rows call their groups
    found["score"] = with_intervals(found)
    wide = found.pivot_table(index=["group", "kind"], columns="ratio", values="score", aggfunc="first", sort=False)
    wide.columns = [f"{ratio}x" for ratio in wide.columns]
    more = found.groupby(["group", "kind"], sort=False)[["n", "chance", "majority", "blind"]].mean().round(2)
    more["n"] = more["n"].astype(int)
    return wide.fillna("").join(more)


def words(frame: pd.DataFrame) -> str:
    """What :func:`comparison_figure` shows, as its text alternative."""
    tasks = frame["task"].str.replace("_", " ")
    worse, better = (list(tasks[side]) for side in (frame["high"] < 0, frame["low"] > 0))
    return seen.told("compared", total=len(frame), worse=worse, better=better)


@plots.styled
def comparison_figure(frame: pd.DataFrame) -> plots.Drawn:
    """Difference of the one model to the model for one purpose, a line per task, with its interval over items."""
    styles = np.select([frame["low"] > 0, frame["high"] < 0], [plots.FOR, plots.AGAINST], plots.OPEN)
    figure, (axis,) = plots.panels(1, 1, 8.5, 1.2 + 0.2 * max(1, len(frame)))
    axis.axvline(0, color=plots.DARK, lw=1)
    plots.forest(axis, frame, frame["task"].str.replace("_", " "), styles, "difference")
    axis.set_xlabel("one model minus the model for one purpose (interval over items; one training seed)")
    return plots.titled(figure, frame, words(frame))
