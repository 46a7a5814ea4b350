"""What a run could have found, and how many seeds would decide: from the variance that it measured itself.

``design`` has ``parts`` (:class:`oryx.evidence.stats.Estimate`: the variance of one seed's estimate over clusters, over
a seed and a cluster together, over seeds), ``n_clusters`` and ``alpha``. With S seeds the variance of an estimate is
``clusters + (both + seeds) / S``, and the interval's half-width the t quantile with Satterthwaite's degrees of freedom
times its root. The estimate is taken to be normal. Variances of few seeds are rough: so is what follows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

from scipy import special

POWER = 0.8
MOST_SEEDS = 50
"""Beyond these no run is planned."""


@dataclass(frozen=True)
class Design:
    """What decides how far a run can see: see the top of this file."""

    parts: Sequence[float]
    n_clusters: int
    alpha: float

    def half_and_error(self, n_seeds: int) -> tuple[float, float]:
        """Expected half-width of the interval with ``n_seeds``, and the standard error of the estimate."""
        clusters, both, seeds = self.parts
        variance = clusters + (both + seeds) / n_seeds
        if variance == 0:
            return 0.0, 0.0
        squares = [(clusters + both / n_seeds, self.n_clusters - 1)]
        if seeds:
            squares += [((seeds + both) / n_seeds, n_seeds - 1)]
            squares += [(both / n_seeds, (self.n_clusters - 1) * (n_seeds - 1))]
        df = variance**2 / sum(part**2 / degrees for part, degrees in squares)
        return float(special.stdtrit(df, 1 - self.alpha / 2)) * sqrt(variance), sqrt(variance)

    def smallest_effect(self, n_seeds: int) -> float:
        """The true effect whose interval with ``n_seeds`` excludes zero with probability POWER."""
        half, error = self.half_and_error(n_seeds)
        return half + float(special.ndtri(POWER)) * error

    def power(self, n_seeds: int, effect: float, margin: float | None, line: float = 0.0) -> float:
        """Probability that ``n_seeds`` decide if ``effect`` is the truth.

        They do if the interval lies beyond ``line`` (an equivalence's margin, else zero) on one side, or, where there
        is a margin, inside it.
        """
        half, error = self.half_and_error(n_seeds)
        if error == 0:
            return float(abs(effect) > line or margin is not None)
        one_side = float(special.ndtr((abs(effect) - line - half) / error))
        if margin is None or half >= margin:
            return one_side
        inside = special.ndtr((margin - half - effect) / error) - special.ndtr((half - margin - effect) / error)
        return max(one_side, float(inside))

    def seeds_to_decide(self, effect: float, margin: float | None, line: float = 0.0) -> int | None:
        """The least number of seeds, three or more, that decide with probability POWER; None above MOST_SEEDS."""
        return next((n for n in range(3, MOST_SEEDS + 1) if self.power(n, effect, margin, line) >= POWER), None)
