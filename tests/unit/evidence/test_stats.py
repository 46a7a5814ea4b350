"""Estimates against hand-computed cases, and the coverage of their intervals in a small simulation."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats as scipy_stats

from oryx.errors import InputError
from oryx.evidence.stats import (
    contrast,
    estimate,
    mean_score,
    paired_difference,
    summary,
)
from tests.unit.evidence.builders import failed, row


def frame(scores: dict[str, list[list[float]]], clusters: list[str] | None = None, task: str = "number", **fields):
    """scores[arm][seed][item] as rows of one task."""
    rows = [
        row(f"{task}-{i}", arm, seed, value, task=task, **fields | ({"cluster": clusters[i]} if clusters else {}))
        for arm, by_seed in scores.items()
        for seed, values in enumerate(by_seed)
        for i, value in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_two_seeds_and_three_clusters_by_hand():
    rows = frame({"a": [[1.0, 1.0, 0.0], [1.0, 0.5, 0.5]], "b": [[0.0, 0.5, 0.0], [0.0, 0.5, 0.0]]})
    # Differences: seed 0: 1, .5, 0 (mean .5); seed 1: 1, 0, .5 (mean .5). Seed means agree: var_seed = 0.
    # Item means over seeds: 1, .25, .25; sample variance .1875; / 3 = .0625; se = .25, df = 2.
    found = paired_difference(rows, "a", "b")
    half = scipy_stats.t.ppf(0.975, 2) * 0.25
    assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))
    assert (found.n_items, found.n_clusters, found.n_seeds, found.df) == (3, 3, 2, 2)


def test_variances_of_seeds_and_clusters_add_and_what_both_share_counts_once():
    # Seed means 0.2, 0.4, 0.9 (variance .13); item means over seeds .25, .75 (variance .125).
    rows = frame({"a": [[0.0, 0.4], [0.0, 0.8], [0.75, 1.05 - 0.0]]}).assign(error=None)
    rows["score"] = [0.0, 0.4, 0.0, 0.8, 0.75, 1.05]
    found = contrast(rows, [("a", ["number"], 1.0)], alpha=0.1)
    # Sample variances of the items in a seed alone: .08, .32, .045; / 2 items: mean .0741667, against .0625 of the mean
    # of the seeds. What belongs to a seed and an item together: (.0741667 - .0625) / (1 - 1/3) = .0175.
    seed, cluster, both = 0.13 / 3, 0.125 / 2, 0.0175 / 3
    variance = seed + cluster - both
    df = variance**2 / (seed**2 / 2 + cluster**2 / 1 + both**2 / 2)
    half = scipy_stats.t.ppf(0.95, df) * math.sqrt(variance)
    assert found.value == pytest.approx(0.5) and found.df == pytest.approx(df)
    assert (found.low, found.high) == pytest.approx((0.5 - half, 0.5 + half))
    assert found.parts == pytest.approx((cluster - both, 0.0175, 0.13 - 0.0175))


def test_clusters_of_unequal_size_use_the_ratio_estimator():
    # Clusters x: 1, 1, 0; y: 0. Mean .5. u_x = (2 - 3 * .5) / 4 = .125, u_y = -.125; variance 2 * 2 * .125² = .0625
    found = mean_score(frame({"a": [[1.0, 1.0, 0.0, 0.0]]}, clusters=["x", "x", "x", "y"]), "a")
    assert (found.high, found.low) == (1, 0)  # cut to the possible range
    assert found.value == 0.5 and found.df == 1 and found.n_clusters == 2
    raw = contrast(frame({"a": [[1.0, 1.0, 0.0, 0.0]]}, clusters=["x", "x", "x", "y"]), [("a", ["number"], 1.0)])
    assert raw.high - raw.value == pytest.approx(scipy_stats.t.ppf(0.975, 1) * 0.25)


def test_one_seed_gives_clusters_only():
    one = paired_difference(frame({"a": [[1.0, 0.0, 1.0]], "b": [[0.0, 0.0, 0.0]]}), "a", "b")
    assert one.df == 2 and one.n_seeds == 1


def test_tasks_weigh_the_same_and_without_common_clusters_are_strata():
    rows = pd.concat([frame({"a": [[1.0, 0.0] * 4]}, task="number"), frame({"a": [[1.0, 1.0, 0.0, 1.0]]}, task="list")])
    found = mean_score(rows, "a")
    assert found.value == pytest.approx((0.5 + 0.75) / 2)
    # Variances of the two means, sample variance / n: (2/7) / 8 and .25 / 4; each counts with weight (1/2)².
    first, second = 0.25 * 2 / 7 / 8, 0.25 * 0.25 / 4
    raw = contrast(rows, [("a", ["number", "list"], 1.0)])
    assert raw.df == pytest.approx((first + second) ** 2 / (first**2 / 7 + second**2 / 3))
    assert raw.high - raw.value == pytest.approx(scipy_stats.t.ppf(0.975, raw.df) * math.sqrt(first + second))
    assert raw.n_items == raw.n_clusters == 12


def test_a_cluster_in_two_tasks_is_one_cluster():
    names, same = ["x", "y", "z"], [[1.0, 0.0, 0.5]]
    rows = pd.concat([frame({"a": same}, names, "icon"), frame({"a": same}, names, "photo")])
    terms = [("a", ["icon", "photo"], 1.0)]
    both = contrast(rows, terms)
    alone = contrast(rows, [("a", ["icon"], 1.0)])
    # The second task repeats the first: no information is gained.
    assert both.n_clusters == 3 and (both.low, both.high) == pytest.approx((alone.low, alone.high))
    # The second task undoes the first in every cluster: nothing varies, and the bound for that case holds.
    undone = contrast(rows.assign(score=rows["score"].where(rows["task"] == "icon", 1 - rows["score"])), terms)
    assert (undone.value, undone.high - undone.value) == pytest.approx((0.5, 1 - 0.025 ** (1 / 3)))


def test_interaction_is_the_difference_of_two_differences():
    text = frame({"a": [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]], "b": [[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]}, task="text")
    shape = frame({"a": [[1.0, 0.0], [1.0, 1.0]], "b": [[1.0, 0.0], [0.0, 1.0]]}, task="shape")
    rows = pd.concat([text, shape])
    weights = [("a", ["text"], 1), ("b", ["text"], -1), ("a", ["shape"], -1), ("b", ["shape"], 1)]
    gap = contrast(rows, weights)
    first, second = paired_difference(text, "a", "b"), paired_difference(shape, "a", "b")
    assert gap.value == pytest.approx(first.value - second.value)
    # text differences: seed 0 1,0,0; seed 1 1,1,1. shape: seed 0 0,0; seed 1 1,0. Gap by seed: 1/3, 1/2.
    seed = np.var([1 / 3, 1 / 2], ddof=1) / 2
    clusters = np.var([1, 0.5, 0.5], ddof=1) / 3 + np.var([0.5, 0], ddof=1) / 2
    # Seeds alone: text (1/9 + 0) / 2, shape (0 + 1/4) / 2; what exceeds the clusters' part belongs to both together.
    both = 2 * max(0, 1 / 18 - np.var([1, 0.5, 0.5], ddof=1) / 3) + 2 * max(0, 1 / 8 - np.var([0.5, 0], ddof=1) / 2)
    variance = clusters + max(0, seed - both / 2)
    assert (gap.high - gap.value) / scipy_stats.t.ppf(0.975, gap.df) == pytest.approx(math.sqrt(variance))


def test_only_items_complete_in_every_arm_and_seed_count():
    rows = frame({"a": [[1.0] * 4, [0.0, 1.0, 1.0, 0.0]], "b": [[0.0] * 4, [0.0] * 4]})
    broken = pd.DataFrame([failed("number-3", "b", 1)])
    lost = rows[~((rows["arm"] == "b") & (rows["seed"] == 1) & (rows["item"] == "number-3"))]
    found = paired_difference(pd.concat([lost, broken]), "a", "b")
    assert found.n_items == 3
    assert found == paired_difference(rows[rows["item"] != "number-3"], "a", "b")
    assert found == paired_difference(lost.sample(frac=1, random_state=0), "a", "b")  # missing as failed; any order


def test_what_cannot_be_compared_is_refused_with_the_reason():
    rows = frame({"a": [[1.0, 0.0], [1.0, 0.0]], "b": [[1.0, 0.0]]})
    with pytest.raises(InputError, match=r"arm b has no rows of task number for seeds \[1\]"):
        paired_difference(rows, "a", "b")
    with pytest.raises(InputError, match="arm c has no rows of task number"):
        paired_difference(rows, "a", "c")
    twice = pd.concat([rows, rows.assign(condition="no_visual")])
    with pytest.raises(InputError, match=r"comes more than once.*\['no_visual', 'visual'\]"):
        mean_score(twice, "a")
    with pytest.raises(InputError, match="at least two clusters, got 1"):
        mean_score(frame({"a": [[1.0, 0.0]]}, clusters=["x", "x"]), "a")
    all_failed = pd.DataFrame([failed("i", "a"), failed("j", "a")])
    with pytest.raises(InputError, match="no item of task number"):
        mean_score(all_failed, "a")


def test_no_variation_is_not_certainty():
    # 20 of 20 right: the exact lower bound at 95 % is .025 ** (1 / 20) = .8316 (Clopper-Pearson).
    found = mean_score(frame({"a": [[1.0] * 20] * 3}), "a")
    assert (found.low, found.high) == pytest.approx((0.025 ** (1 / 20), 1.0))
    tie = paired_difference(frame({"a": [[1.0] * 20] * 3, "b": [[1.0] * 20] * 3}), "a", "b")
    assert tie.high == pytest.approx(1 - 0.025 ** (1 / 20)) and tie.low == -tie.high


@pytest.mark.parametrize("shares", [(0, 0.2, 0.8), (0, 1, 0), (0.5, 0.3, 0.2), (0.2, 0.6, 0.2), (1, 0, 0)])
@pytest.mark.parametrize(("n_seeds", "n_clusters"), [(3, 40), (5, 40), (10, 25)])
def test_coverage_whatever_varies(shares, n_seeds, n_clusters):
    """Nominal 95 % within 93 to 98, for shares of the variance of the estimate (seed, both together, cluster)."""
    rng, runs = np.random.default_rng([n_seeds, *(int(10 * share) for share in shares)]), 600
    seed, both, cluster = (math.sqrt(share) for share in shares)
    one_task, hits = np.zeros(n_clusters, int), 0
    for _ in range(runs):
        values = seed * math.sqrt(n_seeds) * rng.normal(size=(1, n_seeds))
        values = values + cluster * math.sqrt(n_clusters) * rng.normal(size=(n_clusters, 1))
        values = values + both * math.sqrt(n_clusters * n_seeds) * rng.normal(size=(n_clusters, n_seeds))
        found = estimate(values, one_task, np.arange(n_clusters))
        hits += found.low <= 0 <= found.high
    assert 0.93 <= hits / runs <= 0.98


def test_coverage_of_unequal_clusters_and_what_it_is_without_the_seeds():
    rng = np.random.default_rng(7)
    runs, seeds, sizes = 600, 4, np.tile([1, 2, 3, 4], 6)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    one_task, hit, hit_without_seeds = np.zeros_like(owner), 0, 0
    for _ in range(runs):
        effect = rng.normal(0, 0.06, seeds) + rng.normal(0, 0.2, len(sizes))[owner][:, None]
        scores = effect + rng.normal(0, 0.1, (len(owner), seeds))
        found, naive = (estimate(each, one_task, owner) for each in (scores, scores.mean(1, keepdims=True)))
        hit += found.low <= 0 <= found.high
        hit_without_seeds += naive.low <= 0 <= naive.high
    assert 0.93 <= hit / runs <= 0.98
    assert hit_without_seeds / runs < 0.90  # leaving the seeds out is what the formula is there to prevent


def test_descriptions_beside_a_score():
    rows = pd.DataFrame(
        [
            row("i0", truth="7", answer="7", chance=0.1),
            row("i1", truth="7", answer=" ", score=0.0, chance=0.1),
            row("i2", truth="8", answer="7", score=0.0, chance=0.4),
            failed("i3", truth="9", chance=0.4),
            row("i0", seed=1, truth="7", answer="5", score=0.0, chance=0.1),
        ]
    )
    line = summary(rows).iloc[0]
    assert (line["empty"], line["failed"], line["n_items"], line["seeds"]) == (1, 1, 4, 2)
    assert line["majority"] == 0.5 and line["chance"] == pytest.approx(0.25)
    assert line["most_given"] == "7" and line["most_given_share"] == 0.5
    assert pd.isna(line["low"]) and line["score"] == 0.25  # one complete item only: a mean without an interval


def test_a_mean_over_no_rows_is_refused_not_divided_by_zero():
    rows = pd.DataFrame([row()]).iloc[:0]
    with pytest.raises(InputError, match="no rows of the wanted arm"):
        mean_score(rows, "native")
