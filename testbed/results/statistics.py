"""How sure a rate or a mean is: intervals for figures, exact ones for checks, and a test of agreement.

Decides the methods. Figures draw 95 % (Wilson: right also at 0 and 100 %); checks use the exact 99.9 %
interval, so that correct code does not fail by chance; two ways of running agree in a cell when Fisher's
exact test gives more than 0.001. Means of times and goodputs have bounds over runs, not over connections.
Bootstrap resamples come from a fixed seed: the same rows, the same bounds. scipy is imported only where it is
used: `testbed results` of one run needs none of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
FEWEST_RUNS = 2  # with bounds
USEFUL_RUNS = 3  # the number that a message asks for: bounds of two runs are very wide
_CHUNK = 2_000_000  # numbers drawn at once


def wilson_interval(count: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Bounds of a proportion, 0..1; (0, 1) where nothing was observed."""
    if total == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    rate = count / total
    scale = 2 * (total + z * z)
    middle = (2 * total * rate + z * z) / scale
    half = z / scale * math.sqrt(4 * total * rate * (1 - rate) + z * z)
    low = 0.0 if count == 0 else middle - half
    high = 1.0 if count == total else middle + half
    return low, high


def exact_interval(count: int, total: int, confidence: float = 0.999) -> tuple[float, float]:
    """Clopper-Pearson bounds of a proportion: holds the true one with at least this confidence."""
    if total == 0:
        return 0.0, 1.0
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    low = 0.0 if count == 0 else float(betaincinv(count, total - count + 1, tail))
    high = 1.0 if count == total else float(betaincinv(count + 1, total - count, 1 - tail))
    return low, high


def agreement(count: int, total: int, other_count: int, other_total: int) -> float:
    """Fisher's exact test, two-sided: how likely two samples of one proportion differ at least this much."""
    from scipy import stats  # a second to import, and only reproductions compare samples

    table = [[count, total - count], [other_count, other_total - other_count]]
    return float(stats.fisher_exact(table).pvalue)


def cluster_mean(
    runs: Iterable[NDArray[np.float64]], confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float, float]:
    """(mean, low, high) of the values of several runs; NaN for what cannot be told.

    Connections of one run share its network and its machine, so they are not independent: a bootstrap over
    whole runs. Bounds need two runs at least. A plain percentile bootstrap of few runs is too narrow, since
    no resample lies outside of the runs; its distances from the mean are widened by what Student's t and the
    missing degree of freedom ask for (2.7 times for three runs, 1.2 times for ten). A quantity that is never
    negative has no negative bound.
    """
    clusters = [values for values in runs if len(values)]
    if not clusters:
        return float("nan"), float("nan"), float("nan")
    sums = np.array([values.sum() for values in clusters])
    counts = np.array([len(values) for values in clusters])
    mean, number = float(sums.sum() / counts.sum()), len(clusters)
    if number < FEWEST_RUNS:
        return mean, float("nan"), float("nan")
    if all(np.ptp(values) == 0 and values[0] == clusters[0][0] for values in clusters):
        return mean, mean, mean
    draw = np.random.default_rng(0)
    means: list[NDArray[np.float64]] = []
    rows = max(1, _CHUNK // number)
    for first in range(0, resamples, rows):
        picks = draw.integers(0, number, (min(rows, resamples - first), number))
        means.append(sums[picks].sum(axis=1) / counts[picks].sum(axis=1))
    from scipy.special import ndtri, stdtrit

    tail = (1 - confidence) / 2
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    widen = stdtrit(number - 1, 1 - tail) / ndtri(1 - tail) * np.sqrt(number / (number - 1))
    low, high = mean - widen * (mean - low), mean + widen * (high - mean)
    if all(values.min() >= 0 for values in clusters):
        low = max(low, 0.0)
    return mean, float(low), float(high)
