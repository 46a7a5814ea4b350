"""The arms of the study of views: what is painted onto them, how many are shown, whose weights are asked. No torch."""

from dataclasses import dataclass
from typing import Literal

from workbook.data.rooms import VIEWS


@dataclass(frozen=True)
class Arm:
    """``marks``: of an object in all views the ``same``, in each view another (``wrong``), or ``none``.

    ``views``: how many are shown, all or the one that a question names first. ``trained``: the arm whose weights it
    asks, itself if empty. ``blind``: every visual token is zero.
    """

    marks: Literal["same", "wrong", "none"] = "none"
    views: int = VIEWS
    trained: str = ""
    blind: bool = False


ARMS = {
    "marked": Arm("same"),
    "marks_at_training": Arm(trained="marked"),
    "unmarked": Arm(),
    "wrong": Arm("wrong"),
    "single_view": Arm(views=1),
    "blind": Arm(blind=True),
}
"""Name -> arm, in the order of tables."""
