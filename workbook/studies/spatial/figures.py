"""Figures and tables of the study of views. No torch."""

import pandas as pd
from matplotlib.figure import Figure

from workbook.data.items import generator
from workbook.data.rooms import rooms
from workbook.report import plots
from workbook.report.plots import group_scores
from workbook.report.tables import with_intervals

SHOWN = 3
"""Rooms of the gallery."""


def gallery(split: str = "dev") -> Figure:
    """Rooms as the arms see them, unmarked, marked and wrongly marked; above each, some of what is asked."""
    shown: list[tuple] = []
    for room in [room for room in rooms(split) if ("same", "no") in room.questions][:SHOWN]:
        same = room.questions["same", "no"][0]
        views = " and ".join(str(view + 1) for view in same.views)
        titles = (f"{room.id}, new: {room.held_out}", f"{same.words}, views {views}? {same.answer}", "wrong marks")
        seen = (room.pictures(), *(room.marked_pictures(generator("marks", room.id), wrong) for wrong in (False, True)))
        shown += zip(titles, seen, strict=True)
    return plots.strips(shown, 13, 1.35, 3)


def new_things(rows: pd.DataFrame, arms: list[str]) -> pd.DataFrame:
    """Score with its interval of every arm and family, a column for each thing that is new in held-out rooms.

    Empty where there are no rooms, at scale paper.
    """
    if "held_out" not in rows:
        return pd.DataFrame()
    groups = {task: [task] for task in dict.fromkeys(rows["task"])}
    values = list(dict.fromkeys(rows["held_out"]))
    found = group_scores(rows, arms, groups, "held_out", values)
    found["score"] = with_intervals(found)
    return found.pivot_table(index=["group", "arm"], columns="held_out", values="score", aggfunc="first", sort=False)
