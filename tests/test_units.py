"""Values with units: what is understood, and what the error says of the rest."""

from __future__ import annotations

import pytest

from testbed.errors import UserError
from testbed.units import parse_count, parse_percent, parse_rate, parse_time, show_rate, show_time


@pytest.mark.parametrize(
    ("value", "nanoseconds"),
    [
        ("10ms", 10_000_000),
        ("1.5ms", 1_500_000),
        ("20us", 20_000),
        ("1s", 10**9),
        ("7 ns", 7),
        (0, 0),
        ("0", 0),
    ],
)
def test_times(value: object, nanoseconds: int) -> None:
    assert parse_time(value) == nanoseconds


@pytest.mark.parametrize("value", ["10", 10, "ms", "10 parsecs", "-1ms", "", None, True, [1], "1e3ms"])
def test_a_time_without_unit_is_refused(value: object) -> None:
    with pytest.raises(UserError, match="expected a number and a unit"):
        parse_time(value)


@pytest.mark.parametrize(
    ("value", "rate"),
    [
        (10, 10_000_000),
        (0.5, 500_000),
        ("10", 10_000_000),
        ("500kbit", 500_000),
        ("1Gbit/s", 10**9),
        (None, None),
    ],
)
def test_rates(value: object, rate: int | None) -> None:
    assert parse_rate(value) == rate


@pytest.mark.parametrize("value", [0, -1, "fast", "10 furlong", True, float("nan"), float("inf")])
def test_no_rate(value: object) -> None:
    with pytest.raises(UserError, match="Mbit/s"):
        parse_rate(value)


@pytest.mark.parametrize(("value", "share"), [(5, 0.05), ("5%", 0.05), ("2.5 %", 0.025), (0, 0), (100, 1)])
def test_percentages(value: object, share: float) -> None:
    assert parse_percent(value) == pytest.approx(share)


@pytest.mark.parametrize("value", [120, -1, "lots", "5ms", float("nan"), True, None])
def test_no_percentage(value: object) -> None:
    with pytest.raises(UserError, match="from 0 to 100"):
        parse_percent(value)


@pytest.mark.parametrize("value", [0, -3, 1.5, "many", True])
def test_no_count(value: object) -> None:
    with pytest.raises(UserError, match="at least 1"):
        parse_count(value)


def test_shown_as_people_write_them() -> None:
    assert [show_time(n) for n in (0, 10_000_000, 1_500_000, 10**12)] == ["0 ms", "10 ms", "1.5 ms", "1000 s"]
    assert [show_rate(n) for n in (None, 10**7, 2_500_000, 900)] == [
        "no limit",
        "10 Mbit/s",
        "2.5 Mbit/s",
        "900 bit/s",
    ]
