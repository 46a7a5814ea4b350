"""The gallery of the study of views. No torch."""

from matplotlib.figure import Figure

from workbook.data.items import generator
from workbook.data.rooms import rooms
from workbook.report import plots

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
