"""Comparisons looked at after the runs: of two runs on the same items, of conditions, or of tasks beside an average.

``comparisons.toml`` says which. They are estimated from the published rows themselves, never read off two verdicts,
with an uncorrected 95 % interval. Nobody stated them before, so they lead to hypotheses for fresh seeds and are no
verdicts.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field

from oryx.errors import InputError
from oryx.evidence.entries import Entry, Listed, Names, Text, read_entries
from oryx.evidence.rows import read_published
from oryx.evidence.schema import PUBLISHED
from oryx.evidence.stats import contrast
from workbook.report.published import Published
from workbook.report.tables import interval_text

COMPARISONS = Path(__file__).with_name("comparisons.toml")
INSIDE = "within the margin"
FIELDS = ("arm", "condition", "task", "item", "seed", "cluster", "depth", "score", "error")


class Term(Entry):
    """``weight`` times the mean score of an arm of a run, asked under a condition, on tasks (the comparison's own), of
    study 4 at some depths (all)."""

    run: Text
    arm: Text
    weight: Annotated[float, Field(allow_inf_nan=False)]
    condition: Text = "visual"
    depths: Annotated[tuple[float, ...], Listed] = ()
    tasks: Annotated[tuple[Text, ...], Listed] = ()


class Comparison(Entry):
    """The sum of ``terms``, of one study; differences below ``margin`` do not matter."""

    id: Text
    study: Text
    statement: Text
    terms: Annotated[tuple[Term, ...], Listed]
    tasks: Names
    margin: Annotated[float, Field(gt=0, le=1)] = 0.05


@cache
def comparisons() -> tuple[Comparison, ...]:
    """Every comparison of the file. Raises SettingsError for one that is not as above."""
    return tuple(read_entries(COMPARISONS, "comparison", Comparison))


def compared(entry: Comparison, runs: Sequence[Published]) -> dict | None:
    """The estimate of a comparison: ``found`` (where its interval lies), ``number`` (with it) and what it rests on.

    None if a run of it is not published, or not with these arms. Raises InputError if rows do not fit together.
    """
    there = {run.variant: run for run in runs if run.study == entry.study}
    if {term.run for term in entry.terms} - set(there):
        return None
    parts, weights = [], []
    for number, term in enumerate(entry.terms):
        rows, name = _rows(there[term.run].folder), f"{number}: {term.arm}"
        own = rows[(rows["arm"] == term.arm) & (rows["condition"] == term.condition)]
        own = own[own["depth"].isin(term.depths)] if term.depths else own
        if own.empty:
            return None
        parts.append(own.assign(arm=name, condition="visual"))
        weights.append((name, term.tasks or entry.tasks, term.weight))
    try:
        found = contrast(pd.concat(parts), weights)
    except InputError as error:
        raise InputError(f"comparison {entry.id}: {error}") from error
    inside = -entry.margin < found.low and found.high < entry.margin
    side = "above zero" if found.low > 0 else "below zero" if found.high < 0 else INSIDE if inside else "open"
    counts = {"items": found.n_items, "clusters": found.n_clusters, "seeds": found.n_seeds}
    return {"found": side, "number": interval_text(found.value, found.low, found.high, "+.3f"), **counts}


def comparison_table(runs: Sequence[Published]) -> list[dict]:
    """A line for every comparison whose runs are published."""
    each = [(entry, compared(entry, runs)) for entry in comparisons()]
    return [
        {"comparison": entry.statement, "found": line["found"], "difference": line["number"]}
        | {name: line[name] for name in ("items", "clusters", "seeds")}
        for entry, line in each
        if line
    ]


@cache
def _rows(folder: Path) -> pd.DataFrame:
    return read_published(folder / PUBLISHED, FIELDS)
