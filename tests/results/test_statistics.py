"""Intervals and the test of agreement against numbers worked out elsewhere."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from testbed.results import agreement, bootstrap_mean, exact_interval, wilson_interval


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


def test_bootstrap_of_a_mean_is_near_the_normal_one() -> None:
    values = np.random.default_rng(1).exponential(10.0, 2_000)
    mean, low, high = bootstrap_mean(values)
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert mean == pytest.approx(values.mean())
    assert low == pytest.approx(mean - half, abs=0.15 * half)
    assert high == pytest.approx(mean + half, abs=0.15 * half)
    assert bootstrap_mean(values) == (mean, low, high)


def test_bootstrap_edges() -> None:
    assert all(math.isnan(value) for value in bootstrap_mean(np.empty(0)))
    assert bootstrap_mean(np.array([2.0, 2.0])) == (2.0, 2.0, 2.0)
