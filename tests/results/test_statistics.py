"""Intervals and the test of agreement against numbers worked out elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testbed.results import agreement, cluster_mean, exact_interval, wilson_interval


def test_wilson_textbook_values() -> None:
    # Wilson's own formula, written out.
    for count, total in ((0, 20), (3, 20), (300, 300), (57, 300)):
        z = 1.959963984540054
        p = count / total
        middle = (p + z * z / (2 * total)) / (1 + z * z / total)
        half = z / (1 + z * z / total) * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
        low, high = wilson_interval(count, total)
        assert low == pytest.approx(max(0.0, middle - half), abs=1e-12)
        assert high == pytest.approx(min(1.0, middle + half), abs=1e-12)


def test_exact_rule_of_three() -> None:
    """No event among n: the upper bound is 1 - (alpha/2)^(1/n)."""
    low, high = exact_interval(0, 300, 0.999)
    assert low == 0
    assert high == pytest.approx(1 - 0.0005 ** (1 / 300))


@given(st.integers(1, 400), st.data())
def test_exact_holds_the_rate_and_nests(total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    low, high = exact_interval(count, total, 0.95)
    wide_low, wide_high = exact_interval(count, total, 0.999)
    assert 0 <= wide_low <= low <= count / total <= high <= wide_high <= 1


@given(st.integers(1, 10_000), st.sampled_from([0.95, 0.99, 0.999]), st.data())
def test_intervals_are_those_of_scipy(total: int, confidence: float, data: st.DataObject) -> None:
    """They are computed without scipy.stats, which takes a second to import."""
    count = data.draw(st.integers(0, total))
    theirs = stats.binomtest(count, total)
    for ours, method in ((wilson_interval, "wilson"), (exact_interval, "exact")):
        expected = theirs.proportion_ci(confidence, method=method)
        assert ours(count, total, confidence) == pytest.approx((expected.low, expected.high), abs=1e-9)
    narrow = wilson_interval(count, total, confidence)
    expected = theirs.proportion_ci(confidence, method="wilson")
    assert narrow == pytest.approx((expected.low, expected.high), rel=1e-12, abs=1e-15)


def test_nothing_observed_says_nothing() -> None:
    assert wilson_interval(0, 0) == exact_interval(0, 0) == (0.0, 1.0)


def test_agreement_is_fishers() -> None:
    assert agreement(3, 4, 1, 4) == pytest.approx(34 / 70)  # Fisher's tea tasting, two-sided
    assert agreement(60, 300, 60, 300) == pytest.approx(1)
    assert agreement(60, 300, 120, 300) < 1e-6


def test_bounds_of_many_runs_are_near_those_of_their_means() -> None:
    means = np.random.default_rng(1).exponential(10.0, 2_000)
    runs = [np.array([value, value]) for value in means]
    mean, low, high = cluster_mean(runs)
    half = 1.96 * means.std() / math.sqrt(len(means))
    assert mean == pytest.approx(means.mean())
    assert low == pytest.approx(mean - half, abs=0.15 * half)
    assert high == pytest.approx(mean + half, abs=0.15 * half)
    assert cluster_mean(runs) == (mean, low, high)


def test_one_run_has_a_mean_and_no_bounds() -> None:
    """91, 55 and 32 ms for three profiles, each measured in one run, were published with narrow bounds."""
    connections = np.random.default_rng(2).normal(91.0, 1.0, 300)
    mean, low, high = cluster_mean([connections])
    assert mean == pytest.approx(91, abs=0.3)
    assert math.isnan(low)
    assert math.isnan(high)
    assert cluster_mean([connections, np.empty(0)])[1:] != (mean, mean), "an empty run is no second one"
    assert math.isnan(cluster_mean([connections, np.empty(0)])[1])


def test_bounds_hold_what_runs_differ_by() -> None:
    """Three runs of one cell under different load: the bounds reach as far as the runs differ."""
    runs = [np.random.default_rng(seed).normal(level, 1.0, 100) for seed, level in enumerate((91, 55, 32))]
    mean, low, high = cluster_mean(runs)
    assert mean == pytest.approx(59.3, abs=0.5)
    assert low < 32
    assert high > 91


@pytest.mark.parametrize("number", [3, 5, 10])
@pytest.mark.parametrize("skewed", [False, True])
def test_bounds_cover_the_truth(number: int, skewed: bool) -> None:
    """Runs that differ, connections within them that differ less: 95 % bounds hold the truth in 90 % or more
    of the campaigns, also where runs are few (85 % where their distribution is skewed); bounds over
    connections would in 20 to 30 %."""
    draw = np.random.default_rng(number)
    held = 0
    for _ in range(400):
        levels = 17 + draw.exponential(3, number) if skewed else draw.normal(20, 3, number)
        runs = [level + draw.normal(0, 3, draw.integers(20, 40)) for level in levels]
        _, low, high = cluster_mean(runs)
        held += low <= 20 <= high
    assert held / 400 >= (0.85 if skewed else 0.9)


@given(st.lists(st.lists(st.floats(0, 1e6), max_size=5), max_size=6))
def test_bounds_hold_the_mean_and_are_not_negative(lists: list[list[float]]) -> None:
    runs = [np.array(values) for values in lists]
    mean, low, high = cluster_mean(runs)
    full = [values for values in runs if len(values)]
    assert math.isnan(mean) == (not full)
    assert math.isnan(low) == math.isnan(high) == (len(full) < 2)
    if len(full) >= 2:
        assert 0 <= low <= mean * (1 + 1e-9) + 1e-9
        assert mean <= high * (1 + 1e-9) + 1e-9


def test_edges() -> None:
    assert all(math.isnan(value) for value in cluster_mean([]))
    assert all(math.isnan(value) for value in cluster_mean([np.empty(0)]))
    assert cluster_mean([np.array([2.0, 2.0]), np.array([2.0])]) == (2.0, 2.0, 2.0)
