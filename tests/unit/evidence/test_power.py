"""What a run could have found: against a simulation, and where more seeds help and where they do not."""

import numpy as np
import pytest

from oryx.evidence.power import Design
from oryx.evidence.stats import estimate

ALPHA = 0.05


def of(parts, clusters: int = 200) -> Design:
    return Design(parts, clusters, ALPHA)


@pytest.mark.parametrize("shares", [(0.3, 0.3, 0.4), (0.8, 0.2, 0.0)])
def test_the_smallest_effect_is_found_in_four_of_five_simulated_runs(shares):
    rng, n_seeds, clusters, runs = np.random.default_rng(3), 6, 60, 400
    over_clusters, both, seeds = parts = tuple(0.01 * share for share in shares)
    effect, hits = of(parts, clusters).smallest_effect(n_seeds), 0
    for _ in range(runs):
        values = effect + np.sqrt(seeds) * rng.normal(size=(1, n_seeds))
        values = values + np.sqrt(over_clusters * clusters) * rng.normal(size=(clusters, 1))
        values = values + np.sqrt(both * clusters) * rng.normal(size=(clusters, n_seeds))
        hits += estimate(values, np.zeros(clusters, int), np.arange(clusters), ALPHA).low > 0
    assert 0.74 <= hits / runs <= 0.88


def test_more_seeds_decide_what_varies_with_the_seed_and_not_what_varies_with_the_items():
    by_seed, by_item = of((0.0, 0.0, 0.003)), of((0.003, 0.0, 0.0))
    assert by_seed.seeds_to_decide(0.05, None) > by_seed.seeds_to_decide(0.1, None) >= 3
    assert by_item.seeds_to_decide(0.1, None) is None
    assert by_seed.smallest_effect(10) < by_seed.smallest_effect(3)
    assert by_item.smallest_effect(10) == pytest.approx(by_item.smallest_effect(3))


def test_a_margin_lets_no_difference_be_decided_too():
    found = of((0.0, 0.0, 0.003))
    assert found.power(30, 0.0, None) < 0.06 < 0.8 < found.power(30, 0.0, 0.05)
    assert found.seeds_to_decide(0.0, 0.05) > 3 and found.seeds_to_decide(0.0, None) is None
    assert of((0.0, 0.0, 0.0)).power(3, 0.1, None) == 1.0


def test_an_equivalence_is_not_decided_by_leaving_zero_but_by_leaving_the_margin():
    found = of((0.0, 0.0, 0.0003))
    assert found.power(5, 0.04, 0.05) > 0.8 > found.power(5, 0.04, 0.05, line=0.05)
    assert found.power(5, 0.15, 0.05, line=0.05) > 0.8 and found.power(5, 0.0, 0.05, line=0.05) > 0.8
