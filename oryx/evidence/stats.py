"""Estimates and intervals from rows: seeds and clustered items together.

**What is estimated.** A contrast is a sum of terms ``coefficient * mean score of an arm on a set of tasks``. The mean
of an arm on several tasks weighs each *task* the same (macro average), whatever its number of items, and within a task
each item the same. Only items answered without error in every arm that a contrast uses on their task, in every seed,
count.

**Crossed seeds and items.** Every seed answers the same items. With S seeds, let ``v[i, s]`` be the contrast's value
on item i of task t (coefficients divided by the number of tasks of their term, summed over the arms), ``n[t]`` the
items of the task, ``theta[s] = sum over t of mean over i of v[i, s]``. The estimate is the mean of ``theta[s]``. Its
variance is the sum of

    var_cluster = C / (C - 1) * sum over clusters c of u[c] ** 2,
                  u[c] = sum over items i in c of (mean_s v[i, s] - mean of that over the task) / n[t]
    var_seed    = max(0, sample variance of theta[s] - var_both) / S
    var_both    = max(0, (mean over s of var_cluster of seed s alone) - var_cluster) * S / (S - 1)

var_cluster is the linearised ratio estimator for clusters of unequal size; for equal sizes and one task exactly
s²_cluster / C. ``var_both`` is what belongs to a seed and a cluster together: it is in the spread of the seeds, and
var_cluster has its share of it already, so that without the subtraction it would count twice. Tasks that share no
cluster are strata: each has its own C, var_cluster and var_both. Degrees of freedom are Satterthwaite's for the mean
squares that enter, ``V² / sum(term² / df)``, with df C - 1 for a stratum and, where var_seed is above zero, S - 1 for
the spread of the seeds and (C - 1)(S - 1) for var_both. The interval is ``estimate ± t(1 - alpha/2, df) * sqrt(V)``. A
simulation in the tests shows how often it covers the truth.

**Few seeds.** With one seed the interval covers clusters only: it says nothing about another training run. Below three
seeds a verdict is a direction only.

**No variation at all.** If every cluster and seed gives the same value, the variance estimate of zero is not evidence
of certainty. The half-width is then ``1 - (alpha/2) ** (1/C)``, the exact (Clopper-Pearson) bound on the share of
clusters that behave otherwise, times the range of the contrast.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy import special  # scipy.stats gives the same quantiles and is slow to import
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from oryx.errors import InputError

LEAST_SEEDS = 3
MOST_FAILED = 0.01
"""Share of failed or missing rows above which there is no verdict."""

Term = tuple[str, Sequence[str], float]
"""(arm, tasks, coefficient) of a contrast."""


@dataclass(frozen=True)
class Estimate:
    """A value with its (1 - alpha) interval and what it rests on; ``df`` are Satterthwaite's degrees of freedom.

    ``parts``: the variance of one seed's estimate by what varies: clusters, a seed and a cluster together, seeds; None
    from one seed, which cannot tell them apart.
    """

    value: float
    low: float
    high: float
    n_items: int
    n_clusters: int
    n_seeds: int
    df: float
    parts: tuple[float, float, float] | None = None


def contrast(rows: pd.DataFrame, weights: Sequence[Term], cluster: str = "cluster", alpha: float = 0.05) -> Estimate:
    """The estimate of ``sum of coefficient * mean score of arm on tasks`` (formulas: top of this file).

    ``rows``: one condition, one run; other arms and tasks are passed over. Bonferroni is the caller's: pass alpha / m.
    Raises InputError if an arm has no rows of a seed or task, no item is complete, an (arm, item, seed) comes twice, or
    there are fewer than two clusters.
    """
    terms = Counter()
    for arm, tasks, coefficient in weights:
        terms.update({(arm, task): coefficient / len(tasks) for task in tasks})
    values = _values(rows, terms, cluster)
    # how far the contrast can move one way when scores go from 0 to 1: 1 for a level or difference, 2 for a gap
    span = max(sum(max(0.0, sign * coefficient) for _, _, coefficient in weights) for sign in (1, -1))
    task, clusters = (pd.factorize(values.index.get_level_values(name))[0] for name in ("task", cluster))
    return estimate(values.to_numpy(), task, clusters, alpha, span)


def estimate(
    values: np.ndarray, task: np.ndarray, cluster: np.ndarray, alpha: float = 0.05, span: float = 1.0
) -> Estimate:
    """The sum over tasks of the mean of ``values`` with its interval (formulas: top of this file).

    ``values`` (items, seeds): a contrast's value on every item in every seed. ``task``, ``cluster`` (items): numbers
    from 0 of what each item belongs to. ``span``: how far the contrast can move one way.
    Raises InputError if tasks that share clusters have fewer than two of them.
    """
    n_items, n_seeds = values.shape
    membership = np.eye(task.max() + 1)[task]  # (items, tasks)
    count = membership.sum(0)
    means = membership.T @ values / count[:, None]
    theta = means.sum(0)
    value, spread = float(theta.mean()), float(theta.var(ddof=1)) if n_seeds > 1 else 0.0
    residual = (values - means[task]) / count[task][:, None]
    # Tasks that share a cluster, directly or by way of others, are one stratum.
    shared = coo_array((np.ones(n_items), (task, cluster)))
    stratum = connected_components(shared @ shared.T)[1][task]
    own, place = np.unique(np.stack([stratum, cluster]), axis=1, return_inverse=True)
    sums = np.zeros((own.shape[1], n_seeds))
    np.add.at(sums, place.ravel(), residual)
    sizes = np.bincount(own[0])
    if sizes.min() < 2:
        raise InputError(f"an interval needs at least two clusters, got {sizes.min()}")
    strata = np.eye(len(sizes))[own[0]].T * (sizes / (sizes - 1))[:, None]
    together = strata @ sums.mean(1) ** 2
    both = np.zeros_like(together)
    if n_seeds > 1:
        both = np.maximum(0, (strata @ sums**2).mean(1) - together) / (1 - 1 / n_seeds)
    # (variance, degrees of freedom) of what enters
    squares = list(zip(together, sizes - 1, strict=True))
    if spread > both.sum():
        squares += [(spread / n_seeds, n_seeds - 1), *zip(-both / n_seeds, (sizes - 1) * (n_seeds - 1), strict=True)]
    variance = sum(part for part, _ in squares)
    if variance < 1e-20:  # equal up to rounding
        half, df = span * (1 - (alpha / 2) ** (1 / sizes.sum())), min(sizes) - 1
    else:
        df = variance**2 / sum(part**2 / degrees for part, degrees in squares)
        half = special.stdtrit(df, 1 - alpha / 2) * np.sqrt(variance)
    parts = (together.sum() - both.sum() / n_seeds, both.sum(), spread - both.sum())
    parts = tuple(max(0.0, float(part)) for part in parts) if n_seeds > 1 else None
    low, high = float(value - half), float(value + half)
    return Estimate(value, low, high, n_items, int(sizes.sum()), n_seeds, float(df), parts)


def paired_difference(rows: pd.DataFrame, a: str, b: str) -> Estimate:
    """Mean score of arm ``a`` minus that of arm ``b`` on the same items of all their tasks."""
    tasks = rows.loc[rows["arm"].isin([a, b]), "task"].unique()
    return contrast(rows, [(a, tasks, 1.0), (b, tasks, -1.0)])


def mean_score(
    rows: pd.DataFrame, arm: str, cluster: str = "cluster", alpha: float = 0.05, tasks: Sequence[str] | None = None
) -> Estimate:
    """Mean score of one arm, each task (all of its own if None) weighing the same, its interval cut to 0..1."""
    tasks = rows.loc[rows["arm"] == arm, "task"].unique() if tasks is None else tasks
    found = contrast(rows, [(arm, tasks, 1.0)], cluster, alpha)
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def score_of(part: pd.DataFrame) -> dict[str, float]:
    """Mean score of the rows of one arm with its interval and number of items; no interval where there are too few."""
    try:
        found = mean_score(part, part["arm"].iloc[0])
    except InputError:
        answered = part[part["error"].isna()]
        mean = answered.groupby("task")["score"].mean().mean()
        return {"score": mean, "low": np.nan, "high": np.nan, "n": answered["item"].nunique()}
    return {"score": found.value, "low": found.low, "high": found.high, "n": found.n_items}


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per (arm, condition, task): score with interval and, beside it, everything needed to judge it.

    Columns: arm, condition, task, score, low, high (missing where fewer than two clusters), n_items, n_clusters, seeds,
    chance, majority (rate of the most frequent truth), empty and failed (numbers of rows), most_given (the most
    frequent answer) and most_given_share.
    """
    lines = []
    for (arm, condition, task), cell in rows.groupby(["arm", "condition", "task"], sort=False):
        answered, items = cell[cell["error"].isna()], cell.drop_duplicates("item")
        most_given = answered["answer"].mode()
        found = score_of(cell)
        lines.append(
            {
                "arm": arm,
                "condition": condition,
                "task": task,
                **{name: found[name] for name in ("score", "low", "high")},
                "n_items": len(items),
                "n_clusters": cell["cluster"].nunique(),
                "seeds": cell["seed"].nunique(),
                "chance": float(items["chance"].mean()),
                "majority": float(items["truth"].value_counts(normalize=True).iloc[0]),
                "empty": int((answered["answer"].str.strip() == "").sum()),
                "failed": int(cell["error"].notna().sum()),
                "most_given": most_given[0] if len(most_given) else None,
                "most_given_share": float((answered["answer"] == most_given[0]).mean()) if len(most_given) else None,
            }
        )
    return pd.DataFrame(lines)


def _values(rows: pd.DataFrame, terms: Counter, cluster: str) -> pd.DataFrame:
    """The contrast's value of each complete item (index task, cluster, item) in each seed (columns)."""
    wanted = pd.DataFrame([(*name, weight) for name, weight in terms.items()], columns=["arm", "task", "weight"])
    used = rows.merge(wanted, on=["arm", "task"])
    if (twice := used.duplicated(["arm", "task", "item", "seed"])).any():
        first = used[twice].iloc[0]
        found = sorted(used["condition"].unique()) if "condition" in used else []
        raise InputError(
            f"arm {first['arm']}, item {first['item']}, seed {first['seed']} comes more than once; "
            f"expected rows of one condition and one run, got conditions {found}"
        )
    seeds = sorted(used["seed"].unique().tolist())
    if not seeds:
        raise InputError("no rows of the wanted arm and tasks")
    there = used.groupby(["arm", "task"])["seed"].unique()
    for arm, task in terms:
        if missing := sorted(set(seeds) - set(there.get((arm, task), ()))):
            raise InputError(f"arm {arm} has no rows of task {task} for seeds {missing}")
    good = used[used["error"].isna()]
    needed = good["task"].map(wanted["task"].value_counts()) * len(seeds)
    whole = good[good.groupby(["task", "item"])["item"].transform("size") == needed]
    if lacking := sorted(set(wanted["task"]) - set(whole["task"])):
        raise InputError(f"no item of task {lacking[0]} was answered in every arm and seed ({seeds})")
    weighted = (whole["weight"] * whole["score"]).rename("value")
    names = [whole[name] for name in ("task", cluster, "item", "seed")]
    return weighted.groupby(names).sum().unstack("seed")
