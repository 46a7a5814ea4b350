"""What a run could have found, and how many seeds would decide: from the variance that it measured itself.

With S seeds the variance of an estimate is ``clusters + (both + seeds) / S`` of its ``parts``
(:class:`oryx.evidence.stats.Estimate`), and the interval's half-width the t quantile with Satterthwaite's degrees of
freedom times its root. The estimate is taken to be normal. Variances of few seeds are rough: so is what follows.
"""

from math import sqrt

from scipy import special

from oryx.evidence.stats import Estimate

POWER = 0.8
MOST_SEEDS = 50
"""Beyond these no run is planned."""


def _half_and_error(found: Estimate, n_seeds: int, alpha: float) -> tuple[float, float]:
    """Expected half-width of the interval with ``n_seeds``, and the standard error of the estimate."""
    clusters, both, seeds = found.parts
    variance = clusters + (both + seeds) / n_seeds
    squares = [(clusters + both / n_seeds, found.n_clusters - 1)]
    if seeds:
        squares += [((seeds + both) / n_seeds, n_seeds - 1)]
        squares += [(both / n_seeds, (found.n_clusters - 1) * (n_seeds - 1))]
    if variance == 0:
        return 0.0, 0.0
    df = variance**2 / sum(part**2 / degrees for part, degrees in squares)
    return float(special.stdtrit(df, 1 - alpha / 2)) * sqrt(variance), sqrt(variance)


def smallest_effect(found: Estimate, n_seeds: int, alpha: float) -> float:
    """The true effect whose interval with ``n_seeds`` excludes zero with probability POWER."""
    half, error = _half_and_error(found, n_seeds, alpha)
    return half + float(special.ndtri(POWER)) * error


def power(found: Estimate, effect: float, margin: float | None, n_seeds: int, alpha: float) -> float:
    """Probability that ``n_seeds`` decide if ``effect`` is the truth: the interval excludes zero on its side, or,
    where there is a margin, lies inside it."""
    half, error = _half_and_error(found, n_seeds, alpha)
    if error == 0:
        return 1.0
    one_side = float(special.ndtr((abs(effect) - half) / error))
    if margin is None or half >= margin:
        return one_side
    inside = special.ndtr((margin - half - effect) / error) - special.ndtr((half - margin - effect) / error)
    return max(one_side, float(inside))


def seeds_to_decide(found: Estimate, effect: float, margin: float | None, alpha: float) -> int | None:
    """The least number of seeds, three or more, that decide with probability POWER; None above MOST_SEEDS."""
    return next((n for n in range(3, MOST_SEEDS + 1) if power(found, effect, margin, n, alpha) >= POWER), None)
