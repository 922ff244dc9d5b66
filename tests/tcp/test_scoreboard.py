"""The scoreboard against the plainest model there is: one state for each byte. Read first: RFC 6675 §2-4."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.tcp.scoreboard import MOST_SPLITS, Scoreboard

SIZE = 60

steps = st.lists(
    st.tuples(
        st.sampled_from(["send", "ack", "sack", "lose", "again", "timeout", "forget", "unmark"]),
        st.integers(0, SIZE),
        st.integers(1, 12),
    ),
    max_size=60,
)


@given(steps)
def test_against_a_state_for_each_byte(script: list[tuple[str, int, int]]) -> None:
    board, una, nxt = Scoreboard(), 0, 0
    state: dict[int, str] = {}
    for now, (verb, at, length) in enumerate(script):
        if verb == "send":
            board.sent(nxt, nxt + length, now)
            state.update(dict.fromkeys(range(nxt, nxt + length), "flying"))
            nxt += length
        elif verb == "ack":
            ack = min(una + at, nxt)
            news = board.acknowledge(ack) if ack > una else []
            unknown = [byte for byte in range(una, ack) if state[byte] != "sacked"]
            assert sorted(byte for one in news for byte in range(one.start, one.end)) == unknown
            una = ack
        elif verb == "sack":
            left, right = una + at, min(una + at + length, nxt)
            if left < right:
                news = board.sack(left, right)
                unknown = [byte for byte in range(left, right) if state[byte] != "sacked"]
                assert sorted(byte for one in news for byte in range(one.start, one.end)) == unknown
                state.update(dict.fromkeys(range(left, right), "sacked"))
        elif verb == "lose":
            if board.ranges:
                one = board.ranges[at % len(board.ranges)]
                if not one.sacked:
                    state.update(dict.fromkeys(range(one.start, one.end), "lost"))
                board.mark_lost(one)
        elif verb == "again":
            stretch = board.next_lost(lambda start, most=length: most)
            lost = [byte for byte in range(una, nxt) if state[byte] == "lost"]
            assert (stretch is not None) == bool(lost)
            if stretch is not None:
                start, end = stretch
                assert start == lost[0]
                assert set(range(start, end)) <= set(lost)
                assert end - start <= length
                board.sent_again(start, end, now)
                state.update(dict.fromkeys(range(start, end), "flying"))
        elif verb == "timeout":
            board.mark_all_lost(now)
            state = {byte: "lost" if what == "flying" else what for byte, what in state.items()}
        elif verb == "forget":
            board.forget_sacks()
            state = {byte: "flying" if what == "sacked" else what for byte, what in state.items()}
        else:
            board.unmark_lost()
            state = {byte: "flying" if what == "lost" else what for byte, what in state.items()}
        _check(board, una, nxt, state)


def _check(board: Scoreboard, una: int, nxt: int, state: dict[int, str]) -> None:
    ranges = board.ranges
    assert [byte for one in ranges for byte in range(one.start, one.end)] == list(range(una, nxt))
    for one in ranges:
        what = "sacked" if one.sacked else "lost" if one.lost else "flying"
        assert {state[byte] for byte in range(one.start, one.end)} == {what}
    assert board.sacked == sum(state[byte] == "sacked" for byte in range(una, nxt))
    assert board.lost == sum(state[byte] == "lost" for byte in range(una, nxt))
    first = board.first_resent()
    flying = [one for one in ranges if one.again and not one.sacked and not one.lost]
    assert (first is not None) == bool(flying)
    if first is not None:
        assert first.order == min(one.order for one in flying)
    once = [one.order for one in ranges if not one.again]
    assert all(before <= after for before, after in pairwise(once))


def test_neighbours_that_are_sacked_are_one_range() -> None:
    """A thousand segments behind one hole: two ranges, whatever the order in which they arrive."""
    board = Scoreboard()
    for n in range(1_000):
        board.sent(n, n + 1, n)
    for n in [*range(999, 500, -1), *range(1, 501)]:
        board.sack(n, n + 1)
    assert [(one.start, one.end) for one in board.ranges] == [(0, 1), (1, 1_000)]


def test_a_repeated_block_is_no_news() -> None:
    board = Scoreboard()
    for n in range(10):
        board.sent(n, n + 1, n)
    assert len(board.sack(3, 7)) == 4
    assert board.sack(3, 7) == []
    assert [(one.start, one.end) for one in board.sack(2, 8)] == [(2, 3), (7, 8)]


def test_a_peer_that_reports_every_other_byte() -> None:
    """Each block would split what was sent once more: at some point it is heard no longer, until it
    acknowledges something. A peer that reports whole segments never gets there."""
    board = Scoreboard()
    for start in range(0, 1_000_000, 10_000):
        board.sent(start, start + 10_000, 1)
    for byte in range(1, 50_000, 2):
        board.sack(byte, byte + 1)
    assert MOST_SPLITS <= len(board.ranges) <= 110 + MOST_SPLITS
    assert board.sacked <= MOST_SPLITS
    board.acknowledge(40_000)
    assert len(board.sack(41_000, 42_000)) == 1

    board = Scoreboard()
    for start in range(0, 10_000_000, 1_000):
        board.sent(start, start + 1_000, 1)
    for start in range(1_000, 10_000_000, 2_000):
        assert board.sack(start, start + 1_000)
    assert len(board.ranges) == 10_000
