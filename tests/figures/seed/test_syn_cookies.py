"""Slide 1 from rows as the measurement gives them: slopes, what is expected of them, zeros on a log axis."""

from __future__ import annotations

from typing import Any

import pytest

from testbed.figures.sections import Material, Section
from testbed.figures.seed import syn_cookies
from testbed.figures.seed.syn_cookies import slope

SIZES = (0, 1_000, 10_000, 100_000)
TRACED = 10_000  # the measurement traces no more
HELD = {"tcp": 4_000, "v1": 7_000}


def row(profile: str, cookies: str, syns: int) -> dict[str, Any]:
    held = HELD[profile] * syns if cookies == "off" else 0
    return {
        "profile": profile,
        "syn_cookies": cookies,
        "syns": syns,
        "half_open": syns if cookies == "off" else 0,
        "bytes": held if syns <= TRACED else None,
        "rss_bytes": 2 * held + 40_000_000,
    }


ROWS = [row(profile, cookies, syns) for profile in HELD for cookies in ("off", "always") for syns in SIZES]


def drawn(rows: list[dict[str, Any]]) -> Section:
    return syn_cookies.section(
        Material({}, measured={"half_open": rows}, ladders={"TCP, nothing lost": "<svg/>"})
    )


def test_the_slope_is_what_one_half_open_connection_holds() -> None:
    section = drawn(ROWS)
    told = {one.what: (one.measured, one.agrees) for one in section.numbers}
    assert (
        told["tcp, cookies off: bytes per half-open connection, allocated and resident"][0] == "4,000, 8,000"
    )
    assert (
        told["v1, cookies off: bytes per half-open connection, allocated and resident"][0] == "7,000, 14,000"
    )
    assert told["v1, cookies off: half-open connections after 100,000 SYNs"] == ("100,000", True)
    assert told["v1, cookies always: half-open connections after 100,000 SYNs"] == ("0", True)
    assert told["v1, cookies always: bytes allocated per SYN"] == ("0.00", True)
    assert "4,000 bytes with tcp (8,000 resident) and 7,000 bytes with v1" in section.shows[1]


def test_the_slope_is_by_least_squares() -> None:
    points = [(1, 1), (2, 3), (3, 2)]
    assert slope([{"x": x, "y": y} for x, y in points], "x", "y") == pytest.approx(0.5)


def test_a_server_that_keeps_what_it_should_not_is_told() -> None:
    rows = [
        {**one, "half_open": 7, "bytes": 9 * one["syns"]} if one["syn_cookies"] == "always" else one
        for one in ROWS
    ]
    wrong = [one.what for one in drawn(rows).numbers if one.agrees is False]
    assert wrong == [
        f"{profile}, cookies always: {what}"
        for profile in HELD
        for what in ("half-open connections after 100,000 SYNs", "bytes allocated per SYN")
    ]


def test_ladder_and_plot() -> None:
    ladder, plots = drawn(ROWS).pictures
    assert ladder.title == "TCP, nothing lost"
    for words in ("100,000", "0 B", "100 MB", "1 GB", "tcp, cookies off", "v1, cookies always"):
        assert words in plots.svg
    assert "v1, cookies always: 0 B more resident at 100,000 SYNs" in plots.alt


def test_without_the_measurement_the_ladder_stands_alone() -> None:
    section = syn_cookies.section(
        Material({}, {"half_open": "was interrupted"}, ladders={"TCP, nothing lost": "<svg/>"})
    )
    assert len(section.pictures) == 1
    assert (section.numbers, section.left_out) == ((), ("half_open: was interrupted",))
