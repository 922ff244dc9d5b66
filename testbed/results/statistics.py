"""How sure a rate or a mean is: intervals for figures, exact ones for checks, and a test of agreement.

Decides the methods. Figures draw 95 % (Wilson: right also at 0 and 100 %); checks use the exact 99.9 %
interval, so that correct code does not fail by chance; two ways of running agree in a cell when Fisher's
exact test gives more than 0.001. Bootstrap resamples come from a fixed seed: the same rows, the same bounds.
scipy is imported where it is used: `testbed results` needs none of it.
"""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1_000
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


def bootstrap_mean(
    values: NDArray[np.float64], confidence: float = 0.95, resamples: int = RESAMPLES
) -> tuple[float, float, float]:
    """(mean, low, high), percentile bootstrap; three NaN where there are no values."""
    if len(values) == 0:
        return float("nan"), float("nan"), float("nan")
    mean = float(values.mean())
    if np.ptp(values) == 0:
        return mean, mean, mean
    draw = np.random.default_rng(0)
    rows = max(1, _CHUNK // len(values))
    means: list[NDArray[np.float64]] = []
    for first in range(0, resamples, rows):
        picks = draw.integers(0, len(values), (min(rows, resamples - first), len(values)))
        means.append(values[picks].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - confidence) / 2, (1 + confidence) / 2])
    return mean, float(low), float(high)
