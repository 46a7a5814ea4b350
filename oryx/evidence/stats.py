"""Estimates and intervals from rows: seeds and clustered items together.

**What is estimated.** A contrast is a sum of terms ``coefficient * mean score of an arm on a set of tasks``. The mean
of an arm on several tasks weighs each *task* the same (macro average), whatever its number of items, and within a task
each item the same. Only items answered without error in every arm that a contrast uses on their task, in every seed,
count.

**Crossed seeds and items.** Every seed answers the same items. With S seeds, let ``v[i, s]`` be the contrast's value
on item i of task t (coefficients divided by the number of tasks of their term, summed over the arms), ``n[t]`` the
items of the task, ``theta[s] = sum over t of mean over i of v[i, s]``. The estimate is the mean of ``theta[s]``. Its
variance is the sum of

    var_seed    = sample variance of theta[s] / S
    var_cluster = C / (C - 1) * sum over clusters c of u[c] ** 2,
                  u[c] = sum over items i in c of (mean_s v[i, s] - mean of that over the task) / n[t]

(the linearised ratio estimator for clusters of unequal size; for equal sizes and one task exactly s²_cluster / C).
Tasks that share no cluster are strata: each has its own C and var_cluster. Degrees of freedom are Satterthwaite's,
``(sum V_k)² / sum(V_k² / df_k)`` with df S - 1 for seeds and C - 1 for a stratum, and the interval is
``estimate ± t(1 - alpha/2, df) * sqrt(sum V_k)``. The part of the variance that belongs to a seed and an item together
is in both terms, so intervals are a little too wide rather than too narrow.

**Few seeds.** With one seed the interval covers clusters only: it says nothing about another training run. Below three
seeds an estimate is marked ``direction_only``.

**No variation at all.** If every cluster and seed gives the same value, the variance estimate of zero is not evidence
of certainty. The half-width is then ``1 - (alpha/2) ** (1/C)``, the exact (Clopper-Pearson) bound on the share of
clusters that behave otherwise, times the range of the contrast.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special  # scipy.stats gives the same quantiles and is slow to import

from oryx.errors import InputError

LEAST_SEEDS = 3
MOST_FAILED = 0.01
"""Share of failed or missing rows above which there is no verdict."""

Term = tuple[str, Sequence[str], float]
"""(arm, tasks, coefficient) of a contrast."""


@dataclass(frozen=True)
class Estimate:
    """A value with its (1 - alpha) interval and what it rests on; ``df`` are Satterthwaite's degrees of freedom."""

    value: float
    low: float
    high: float
    n_items: int
    n_clusters: int
    n_seeds: int
    df: float
    alpha: float
    direction_only: bool


def wilson(k: float, n: int, alpha: float = 0.05) -> tuple[float, float]:
    """Wilson's score interval for ``k`` right of ``n`` independent items (one arm, task and seed); (0, 1) for none."""
    if not 0 <= k <= n:
        raise InputError(f"wilson: expected 0 <= k <= n, got k={k}, n={n}")
    if n == 0:
        return 0.0, 1.0
    z2 = float(special.ndtri(1 - alpha / 2)) ** 2
    share = k / n
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    # At none and all right the bound is 0 and 1 exactly; rounding may not put it beyond.
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def contrast(rows: pd.DataFrame, weights: Sequence[Term], cluster: str = "cluster", alpha: float = 0.05) -> Estimate:
    """The estimate of ``sum of coefficient * mean score of arm on tasks`` (formulas: top of this file).

    ``rows``: one condition, one run; other arms and tasks are passed over. Bonferroni is the caller's: pass alpha / m.
    Raises InputError if an arm has no rows of a seed or task, no item is complete, an (arm, item, seed) comes twice, or
    there are fewer than two clusters.
    """
    arms_of: dict[str, dict[str, float]] = {}
    for arm, tasks, coefficient in weights:
        for task in tasks:
            arms = arms_of.setdefault(task, {})
            arms[arm] = arms.get(arm, 0.0) + coefficient / len(tasks)
    if not arms_of:
        raise InputError("no rows of the wanted arm and tasks")
    frame = _used(rows, arms_of)
    seeds = sorted(frame["seed"].unique().tolist())
    strata: list[tuple[set, pd.Series]] = []
    theta, n_items = np.zeros(len(seeds)), 0
    for task, arms in arms_of.items():
        values, clusters = _complete(frame[frame["task"] == task], task, arms, seeds, cluster)
        theta += values.mean(axis=0)
        n_items += len(values)
        mean = values.mean(axis=1)
        residual = pd.Series((mean - mean.mean()) / len(values)).groupby(clusters).sum()
        strata = _joined(strata, residual)
    n_clusters = sum(len(names) for names, _ in strata)
    parts = [_cluster_part(residual) for _, residual in strata]
    if len(seeds) > 1:
        parts.append((float(theta.var(ddof=1)) / len(seeds), len(seeds) - 1))
    value = float(theta.mean())
    half, df = _half_width(parts, n_clusters, _range(weights), alpha)
    return Estimate(
        value, value - half, value + half, n_items, n_clusters, len(seeds), df, alpha, len(seeds) < LEAST_SEEDS
    )


def paired_difference(
    rows: pd.DataFrame,
    a: str,
    b: str,
    cluster: str = "cluster",
    alpha: float = 0.05,
    tasks: Sequence[str] | None = None,
) -> Estimate:
    """Mean score of arm ``a`` minus that of arm ``b`` on the same items; ``tasks``: all of the two arms if None."""
    tasks = sorted(rows.loc[rows["arm"].isin([a, b]), "task"].unique()) if tasks is None else tasks
    return contrast(rows, [(a, tasks, 1.0), (b, tasks, -1.0)], cluster, alpha)


def mean_score(
    rows: pd.DataFrame,
    arm: str | None = None,
    cluster: str = "cluster",
    alpha: float = 0.05,
    tasks: Sequence[str] | None = None,
) -> Estimate:
    """Mean score of one arm, each task weighing the same, its interval cut to 0..1; ``arm``: the only one if None."""
    if arm is None:
        arms = sorted(rows["arm"].unique())
        if len(arms) != 1:
            raise InputError(f"mean score: expected rows of one arm, got {arms}")
        arm = arms[0]
    tasks = sorted(rows.loc[rows["arm"] == arm, "task"].unique()) if tasks is None else tasks
    found = contrast(rows, [(arm, tasks, 1.0)], cluster, alpha)
    return Estimate(**{**vars(found), "low": max(0.0, found.low), "high": min(1.0, found.high)})


def equivalence(estimate: Estimate, margin: float) -> str:
    """Where the interval lies: ``inside`` the band ±margin, wholly ``outside`` it, or ``across`` its edge."""
    if margin <= 0:
        raise InputError(f"equivalence: expected a margin above 0, got {margin}")
    if -margin < estimate.low and estimate.high < margin:
        return "inside"
    return "outside" if estimate.low > margin or estimate.high < -margin else "across"


def failed_share(rows: pd.DataFrame, arm: str, tasks: Iterable[str], seeds: Iterable[int] | None = None) -> float:
    """Share of an arm's answers that failed or are missing, among all items that any arm has on these tasks.

    ``seeds``: those expected; all seeds found in ``rows`` if None. An arm without rows gives 1.
    """
    tasks = list(tasks)
    seeds = sorted(rows["seed"].unique().tolist()) if seeds is None else list(seeds)
    rows = rows[rows["task"].isin(tasks)]
    expected = len(rows[["task", "item"]].drop_duplicates()) * len(seeds)
    if not expected:
        return 1.0
    answered = (rows["arm"] == arm) & rows["seed"].isin(seeds) & rows["error"].isna()
    return (expected - int(answered.sum())) / expected


def majority_rate(rows: pd.DataFrame) -> float:
    """Share of items whose truth is the most frequent one: what always giving that answer scores on exact match."""
    truths = rows.drop_duplicates(["task", "item"])["truth"]
    return float(truths.value_counts(normalize=True).iloc[0]) if len(truths) else float("nan")


def mean_chance(rows: pd.DataFrame) -> float:
    """Mean ``chance`` of the items, each task weighing the same."""
    return float(rows.drop_duplicates(["task", "item"]).groupby("task")["chance"].mean().mean())


def answer_histogram(rows: pd.DataFrame, top: int | None = None) -> pd.Series:
    """Number of times each answer was given (failed items aside), most frequent first, ties in alphabetical order."""
    counts = rows.loc[rows["error"].isna(), "answer"].value_counts().rename_axis("answer").reset_index(name="count")
    counts = counts.sort_values(["count", "answer"], ascending=[False, True]).set_index("answer")["count"]
    return counts if top is None else counts.head(top)


def summary(rows: pd.DataFrame, cluster: str = "cluster", alpha: float = 0.05) -> pd.DataFrame:
    """One line per (arm, condition, task): score with interval and, beside it, everything needed to judge it.

    Columns: arm, condition, task, score, low, high (missing where fewer than two clusters), n_items, n_clusters, seeds,
    chance, majority (rate of the most frequent truth), empty and failed (numbers of rows), most_given (the most
    frequent answer) and most_given_share.
    """
    lines = []
    for (arm, condition, task), cell in rows.groupby(["arm", "condition", "task"], sort=False):
        answered = cell[cell["error"].isna()]
        given = answer_histogram(cell)
        try:
            found = mean_score(cell, arm, cluster, alpha)
        except InputError:
            found = None
        lines.append(
            {
                "arm": arm,
                "condition": condition,
                "task": task,
                "score": found.value if found else float(answered["score"].mean()),
                "low": found.low if found else None,
                "high": found.high if found else None,
                "n_items": cell["item"].nunique(),
                "n_clusters": cell[cluster].nunique(),
                "seeds": cell["seed"].nunique(),
                "chance": mean_chance(cell),
                "majority": majority_rate(cell),
                "empty": int((answered["answer"].str.strip() == "").sum()),
                "failed": int(cell["error"].notna().sum()),
                "most_given": given.index[0] if len(given) else None,
                "most_given_share": float(given.iloc[0] / given.sum()) if len(given) else None,
            }
        )
    return pd.DataFrame(lines)


def _used(rows: pd.DataFrame, arms_of: dict[str, dict[str, float]]) -> pd.DataFrame:
    keep = np.zeros(len(rows), dtype=bool)
    for task, arms in arms_of.items():
        keep |= ((rows["task"] == task) & rows["arm"].isin(list(arms))).to_numpy()
    frame = rows[keep]
    twice = frame.duplicated(["arm", "task", "item", "seed"])
    if twice.any():
        first = frame[twice].iloc[0]
        found = sorted(frame["condition"].unique()) if "condition" in frame else []
        raise InputError(
            f"arm {first['arm']}, item {first['item']}, seed {first['seed']} comes more than once; "
            f"expected rows of one condition and one run, got conditions {found}"
        )
    return frame


def _complete(
    frame: pd.DataFrame, task: str, arms: dict[str, float], seeds: list, cluster: str
) -> tuple[np.ndarray, np.ndarray]:
    """(items, seeds) values of the contrast on one task and each item's cluster; complete items only."""
    for arm in arms:
        missing = sorted(set(seeds) - set(frame.loc[frame["arm"] == arm, "seed"]))
        if missing or not seeds:
            raise InputError(f"arm {arm} has no rows of task {task}" + (f" for seeds {missing}" if seeds else ""))
    good = frame[frame["error"].isna()]
    # by hand: a pivot says the same and takes four times as long, for every task of every hypothesis
    place, items = pd.factorize(good["item"], sort=True)
    column = pd.Index(list(arms)).get_indexer(good["arm"]) * len(seeds) + np.searchsorted(seeds, good["seed"])
    wide = np.full((len(items), len(arms) * len(seeds)), np.nan)
    wide[place, column] = good["score"].to_numpy(dtype=float)
    whole = ~np.isnan(wide).any(axis=1)
    if not whole.any():
        raise InputError(f"no item of task {task} was answered in every arm ({', '.join(arms)}) and seed ({seeds})")
    by_arm = wide[whole].reshape(-1, len(arms), len(seeds))
    values = sum(weight * by_arm[:, i] for i, weight in enumerate(arms.values()))
    first = np.empty(len(items), dtype=int)
    first[place[::-1]] = np.arange(len(good))[::-1]
    return values, good[cluster].to_numpy()[first[whole]]


def _joined(strata: list[tuple[set, pd.Series]], residual: pd.Series) -> list[tuple[set, pd.Series]]:
    """Adds a task's cluster residuals: strata that share a cluster with it become one with it, else it is a new one."""
    names, apart = set(residual.index), []
    for other_names, other in strata:
        if names & other_names:
            names, residual = names | other_names, residual.add(other, fill_value=0.0)
        else:
            apart.append((other_names, other))
    return [*apart, (names, residual)]


def _cluster_part(residual: pd.Series) -> tuple[float, int]:
    count = len(residual)
    if count < 2:
        raise InputError(f"an interval needs at least two clusters, got {count} ({list(residual.index)})")
    return count / (count - 1) * float((residual**2).sum()), count - 1


def _range(weights: Sequence[Term]) -> float:
    """How far the contrast can move one way when scores go from 0 to 1: 1 for a level or difference, 2 for a gap."""
    return max(sum(max(0.0, sign * coefficient) for _, _, coefficient in weights) for sign in (1, -1))


def _half_width(parts: list[tuple[float, int]], clusters: int, span: float, alpha: float) -> tuple[float, float]:
    variance = sum(part for part, _ in parts)
    if variance < 1e-20:  # equal up to rounding
        return span * (1 - (alpha / 2) ** (1 / clusters)), float(min(df for _, df in parts))
    df = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    return float(special.stdtrit(df, 1 - alpha / 2) * np.sqrt(variance)), float(df)
