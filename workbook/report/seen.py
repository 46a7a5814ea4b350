"""What is seen in a figure, in sentences made from the numbers behind it; the first is the figure's title. No torch.

Every function takes a frame of any arms and places, also of one arm or none. The words stand in ``seen_*.md.j2``.
"""

from collections.abc import Mapping, Sequence

import pandas as pd

from workbook.report.names import name_of
from workbook.report.tables import render

DIGITS = 9
"""Scores that are equal to so many digits are equal: they are means of the same numbers."""


def best(frame: pd.DataFrame, place: str, what: str, word: str = "highest") -> str:
    """Which arm is highest at which places (values of the column ``place``), and where none is above chance.

    Columns: arm, score, low, high, chance. ``what``: what a place is, with its preposition: ``on task``.
    """
    frame, places = frame.astype(dict.fromkeys(("score", "low", "high"), float)).dropna(subset="score"), []
    for name, own in frame.groupby(place, sort=False):
        top = own["score"].round(DIGITS) == own["score"].round(DIGITS).max()
        score = dict(zip(own["arm"].map(name_of), own["score"], strict=True))
        found = {"name": str(name).replace("_", " "), "score": score, "tops": list(own.loc[top, "arm"].map(name_of))}
        found["clear"] = own.loc[top, "low"].min() > own.loc[~top, "high"].max()
        places.append(found | {"floor": (own["low"] <= own["chance"]).all()})
    arms, intervals = list(dict.fromkeys(frame["arm"].map(name_of))), frame["low"].notna().any()
    return told("best", places=places, arms=arms, intervals=intervals, what=what.split(), word=word)


def cheapest(frame: pd.DataFrame) -> str:
    """Of every group the highest arm, and those that none of fewer visual tokens reaches.

    Columns: group, arm, score, visual_tokens.
    """
    named = frame.assign(name=frame["arm"].map(name_of)).groupby("group", sort=False)
    return told("cheapest", groups={name: frontier(own, "visual_tokens").to_dict("records") for name, own in named})


def frontier(frame: pd.DataFrame, cost: str) -> pd.DataFrame:
    """The lines that no cheaper line matches, cheapest first."""
    ordered = frame.sort_values([cost, "score"], ascending=[True, False])
    return ordered[ordered["score"] > ordered["score"].cummax().shift(fill_value=-1)]


def trained(curves: pd.DataFrame) -> str:
    """Which arms end with the lowest and the highest loss, and where all rise at once.

    Columns: arm, seed, step, loss.
    """
    mean, ends = curves.groupby(["step", "arm"])["loss"].mean().unstack(), curves.groupby("arm")["step"].max()
    last = curves.sort_values("step").groupby(["arm", "seed"])["loss"].last().groupby("arm").mean()
    last = last.rename(name_of).sort_values(kind="stable")
    rises = (mean / mean.shift()).min(axis=1, skipna=False).dropna()
    numbers = {"last": last.to_dict(), "steps": sorted(set(ends)), "rises": rises.to_dict()}
    return told("trained", **numbers, seeds=curves["seed"].nunique())


def judged(verdicts: Sequence[Mapping]) -> str:
    """How many hypotheses have which verdict, the most frequent first, and what those without an estimate lack."""
    return told("judged", words=pd.Series([v["verdict"] for v in verdicts], dtype=str).value_counts().to_dict())


def told(name: str, **values: object) -> str:
    """The sentences of a template, a line each, without blank lines."""
    lines = [line.strip() for line in render(f"seen_{name}.md.j2", **values).splitlines()]
    return " ".join(f"{line[0].upper()}{line[1:]}" for line in lines if line)
