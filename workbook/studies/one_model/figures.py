"""Tables and figures of the one model, with their text alternatives. No torch."""

import pandas as pd
from matplotlib.figure import Figure

from workbook.report import plots
from workbook.report.tables import with_intervals
from workbook.studies.one_model.comparison import scores


def score_table() -> pd.DataFrame:
    """A line per group and kind of question, ratios side by side, with n, chance, majority and the blind control."""
    found = scores()
    found["score"] = with_intervals(found)
    wide = found.pivot_table(index=["group", "kind"], columns="ratio", values="score", aggfunc="first", sort=False)
    wide.columns = [f"{ratio}x" for ratio in wide.columns]
    more = found.groupby(["group", "kind"], sort=False)[["n", "chance", "majority", "blind"]].mean().round(2)
    more["n"] = more["n"].astype(int)
    return wide.fillna("").join(more)


def words(frame: pd.DataFrame) -> str:
    """What :func:`comparison_figure` shows, as its text alternative."""
    worse, better = frame[frame["high"] < 0]["task"].tolist(), frame[frame["low"] > 0]["task"].tolist()
    return (
        f"Differences of the one model to models for one purpose on {len(frame)} tasks. Interval below zero: "
        f"{', '.join(worse) or 'none'}. Interval above zero: {', '.join(better) or 'none'}. All others hold zero."
    )


@plots.styled
def comparison_figure(frame: pd.DataFrame) -> Figure:
    """Difference of the one model to the model for one purpose, a line per task, with its interval over items."""
    figure, (axis,) = plots.panels(1, 1, 8.5, 0.9 + 0.24 * max(1, len(frame)))
    if len(frame):
        plots.forest(axis, frame, "task", "difference", "study")
        figure.legend(loc="outside upper left", ncols=2, fontsize=8)
    axis.set_xlabel("one model minus the model for one purpose (interval over items; one training seed)")
    return figure
