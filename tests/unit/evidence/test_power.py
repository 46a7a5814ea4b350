"""What a run could have found: against a simulation, and where more seeds help and where they do not."""

import numpy as np
import pytest

from oryx.evidence.power import power, seeds_to_decide, smallest_effect
from oryx.evidence.stats import Estimate, estimate

ALPHA = 0.05


def of(parts, clusters: int = 200) -> Estimate:
    return Estimate(0.1, 0.0, 0.2, clusters, clusters, 3, 5.0, parts)


@pytest.mark.parametrize("shares", [(0.3, 0.3, 0.4), (0.8, 0.2, 0.0)])
def test_the_smallest_effect_is_found_in_four_of_five_simulated_runs(shares):
    rng, n_seeds, clusters, runs = np.random.default_rng(3), 6, 60, 400
    over_clusters, both, seeds = parts = tuple(0.01 * share for share in shares)
    effect, hits = smallest_effect(of(parts, clusters), n_seeds, ALPHA), 0
    for _ in range(runs):
        values = effect + np.sqrt(seeds) * rng.normal(size=(1, n_seeds))
        values = values + np.sqrt(over_clusters * clusters) * rng.normal(size=(clusters, 1))
        values = values + np.sqrt(both * clusters) * rng.normal(size=(clusters, n_seeds))
        hits += estimate(values, np.zeros(clusters, int), np.arange(clusters), ALPHA).low > 0
    assert 0.74 <= hits / runs <= 0.88


def test_more_seeds_decide_what_varies_with_the_seed_and_not_what_varies_with_the_items():
    by_seed, by_item = of((0.0, 0.0, 0.003)), of((0.003, 0.0, 0.0))
    assert seeds_to_decide(by_seed, 0.05, None, ALPHA) > seeds_to_decide(by_seed, 0.1, None, ALPHA) >= 3
    assert seeds_to_decide(by_item, 0.1, None, ALPHA) is None
    assert smallest_effect(by_seed, 10, ALPHA) < smallest_effect(by_seed, 3, ALPHA)
    assert smallest_effect(by_item, 10, ALPHA) == pytest.approx(smallest_effect(by_item, 3, ALPHA))


def test_a_margin_lets_no_difference_be_decided_too():
    found = of((0.0, 0.0, 0.003))
    assert power(found, 0.0, None, 30, ALPHA) < 0.06 < 0.8 < power(found, 0.0, 0.05, 30, ALPHA)
    assert seeds_to_decide(found, 0.0, 0.05, ALPHA) > 3 and seeds_to_decide(found, 0.0, None, ALPHA) is None
    assert power(of((0.0, 0.0, 0.0)), 0.1, None, 3, ALPHA) == 1.0
