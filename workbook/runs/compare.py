"""Does a run say the same as the published one? Per arm, condition and task, within sampling error."""

import pandas as pd

from oryx.evidence.stats import summary

KEYS = ["arm", "condition", "task"]
LEAST = 0.02
OUTSIDE = 0.05
"""Share of the cells that two runs whose 95 % intervals tell the truth leave outside the tolerance, at most."""
TOLERANCE = f"the half-widths of both 95 % intervals, combined as independent errors, and at least {LEAST}"


def compare(rows: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """One line per (arm, condition, task) that both have: ours, published, difference, tolerance, same.

    ``tolerance`` is the half-widths of the two 95 % intervals combined as independent errors, sqrt(a² + b²), and never
    less than LEAST, which is what a cell without an interval (a single cluster) has. It is generous where a run has one
    seed, since one seed's interval covers items only.
    """
    both = summary(rows).merge(summary(published), on=KEYS, suffixes=("", "_published"))
    half, half_published = ((both[f"high{which}"] - both[f"low{which}"]) / 2 for which in ("", "_published"))
    found = both[KEYS].assign(ours=both["score"], published=both["score_published"])
    found["difference"] = found["ours"] - found["published"]
    found["tolerance"] = ((half**2 + half_published**2) ** 0.5).fillna(0).clip(lower=LEAST)
    return found.assign(same=found["difference"].abs() <= found["tolerance"])


def by_chance(comparison: pd.DataFrame) -> str:
    """How many cells lie outside the tolerance, and how many chance alone would put there, in words."""
    apart, expected = int((~comparison["same"]).sum()), OUTSIDE * len(comparison)
    judged = "as expected" if apart <= expected else "more than expected"
    return f"cells that differ: {apart}, by chance alone up to {expected:.0f} ({OUTSIDE:.0%}): {judged}"


def say(comparison: pd.DataFrame) -> str:
    """The comparison in a sentence, with the cells that differ."""
    if comparison.empty:
        return "The run and the published rows have no arm and task in common."
    same = int(comparison["same"].sum())
    text = f"Against the published rows: {same} of {len(comparison)} cells within tolerance; {by_chance(comparison)}."
    for line in comparison[~comparison["same"]].itertuples():
        text += f"\n  {line.arm}, {line.condition}, {line.task}: {line.ours:.3f} against {line.published:.3f}"
    return text
