"""Schedulers: tables of what is picked from what, and what holds for all of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.sched import SCHEDULERS, Candidate, RoundRobin, eligible

MILLISECOND = 1_000_000


def candidate(index: int, rtt: int | None = 50, room: int = 10_000, backup: bool = False) -> Candidate:
    srtt = None if rtt is None else rtt * MILLISECOND
    return Candidate(index, srtt, cwnd=20_000, flight=20_000 - room, room=room, backup=backup)


CANDIDATES = st.lists(
    st.tuples(st.integers(0, 9), st.one_of(st.none(), st.integers(1, 400))),
    min_size=1,
    unique_by=lambda one: one[0],
).map(lambda some: [candidate(*one) for one in sorted(some, key=lambda one: one[0])])


@pytest.mark.parametrize("name", ["lowest_rtt", "redundant"])
@pytest.mark.parametrize(
    ("rtts", "picked"),
    [
        ({0: 50}, 0),
        ({0: 50, 1: 20}, 1),
        ({0: 20, 1: 50}, 0),
        ({0: 20, 1: 20}, 0),  # the older
        ({3: 20, 7: 10, 9: 30}, 7),
        ({0: None, 1: 400}, 1),  # a known RTT before an unknown one
        ({2: None, 5: None}, 2),
    ],
)
def test_the_lowest_rtt(name: str, rtts: dict[int, int | None], picked: int) -> None:
    assert SCHEDULERS[name]().pick([candidate(*one) for one in rtts.items()], 1) == picked


@pytest.mark.parametrize(
    ("with_room", "picked"),
    [
        ([[0, 1, 2]] * 7, [0, 1, 2, 0, 1, 2, 0]),
        ([[0]] * 3, [0, 0, 0]),
        ([[0, 1, 2], [0, 2], [0, 1, 2]], [0, 2, 0]),  # 1 had no room and has missed its turn
        ([[0, 1], [0, 1], [0, 1, 2], [1, 2]], [0, 1, 2, 1]),  # a new one joins at its turn
        ([[5, 9], [5], [5, 9]], [5, 5, 9]),
    ],
)
def test_round_robin_takes_turns(with_room: list[list[int]], picked: list[int]) -> None:
    scheduler = RoundRobin()
    for indices, expected in zip(with_room, picked, strict=True):
        assert scheduler.pick([candidate(index, rtt=index + 1) for index in indices], 1) == expected


def test_round_robin_is_fair() -> None:
    scheduler = RoundRobin()
    counts = [0, 0, 0]
    for _ in range(300):
        picked = scheduler.pick([candidate(index, rtt=10**index) for index in range(3)], 1)
        assert picked is not None
        counts[picked] += 1
    assert counts == [100, 100, 100]


@pytest.mark.parametrize("name", list(SCHEDULERS))
@given(st.lists(CANDIDATES, min_size=1, max_size=10), st.integers(1, 1 << 20))
def test_one_of_the_candidates_is_picked(name: str, rounds: list[list[Candidate]], queued: int) -> None:
    scheduler = SCHEDULERS[name]()
    for candidates in rounds:
        assert scheduler.pick(candidates, queued) in [one.index for one in candidates]


def test_only_redundant_makes_copies() -> None:
    assert [name for name, scheduler in SCHEDULERS.items() if scheduler.duplicates] == ["redundant"]


@pytest.mark.parametrize(
    ("backups", "expected"),
    [
        ("", []),
        ("rr", [0, 1]),
        ("rb", [0]),
        ("brb", [1]),
        ("bb", [0, 1]),  # nothing regular is left
    ],
)
def test_backups_carry_data_only_when_nothing_else_can(backups: str, expected: list[int]) -> None:
    """RFC 8684 §3.3.8."""
    subflows = [candidate(index, backup=letter == "b") for index, letter in enumerate(backups)]
    assert [one.index for one in eligible(subflows)] == expected


def test_a_regular_subflow_without_room_keeps_backups_out() -> None:
    assert [one.index for one in eligible([candidate(0, room=0), candidate(1, backup=True)])] == [0]
