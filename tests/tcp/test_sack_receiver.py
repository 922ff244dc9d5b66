"""What a receiver reports: which blocks, in which order, in how much room; and who may send them at all.

Read first: RFC 2018 §2-4, RFC 2883 §4.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.config import SPOKEN, ClientConfig, Profile, ServerConfig, SynCookies, TcpConfig
from testbed.mptcp.tcp.sack import MOST_BLOCKS, sack_option
from testbed.mptcp.wire import ACK, Sack, SackPermitted, Segment
from tests.core.boxes import BOTH_COOKIES, exchange, find
from tests.pair import Pair
from tests.tcp.host import SIZE, Sender


class Receiver(Sender):
    """Takes the peer's segments by number; an ACK is given as (upto, blocks), in segments."""

    def gets(self, *numbers: float, room: int = 40) -> tuple[float, list[tuple[float, float]]]:
        """Segments that come one by one; the last ACK."""
        src, dst, sport, dport = self._ends()
        for number in numbers:
            seq = 9_001 + round(number * SIZE)
            self.take(
                self.now,
                Segment(dst, src, dport, sport, seq, self.tcb.wire_seq(1), ACK, 60_000, (), bytes(SIZE)),
            )
        option = sack_option(self.tcb, room)
        while self.next(self.now) is not None:
            pass
        blocks = option.blocks if option is not None else ()
        return (self.tcb.rcv_nxt - 1) / SIZE, [
            (self._number(left), self._number(right)) for left, right in blocks
        ]

    def _number(self, seq: int) -> float:
        return (seq - 9_001) / SIZE


def test_the_most_recent_block_comes_first() -> None:
    receiver = Receiver()
    assert receiver.gets(0) == (1, [])
    assert receiver.gets(2) == (1, [(2, 3)])
    assert receiver.gets(6) == (1, [(6, 7), (2, 3)])
    assert receiver.gets(4) == (1, [(4, 5), (6, 7), (2, 3)])
    assert receiver.gets(3) == (1, [(2, 5), (6, 7)])
    assert receiver.gets(1) == (5, [(6, 7)])
    assert receiver.gets(5) == (7, [])


@pytest.mark.parametrize(
    ("room", "blocks"), [(40, 4), (34, 4), (33, 3), (28, 3), (18, 2), (10, 1), (9, 0), (0, 0)]
)
def test_no_more_than_there_is_room_for(room: int, blocks: int) -> None:
    receiver = Receiver()
    assert len(receiver.gets(2, 4, 6, 8, 10, 12, room=room)[1]) == blocks


def test_what_came_twice_is_told_once() -> None:
    """Below the cumulative ACK: the D-SACK alone. Above: with its block behind it (RFC 2883 §4.1-4.2)."""
    receiver = Receiver()
    assert receiver.gets(0, 0) == (1, [(0, 1)])
    assert receiver.gets(1) == (2, [])
    assert receiver.gets(3, 6, 4) == (2, [(3, 5), (6, 7)])
    assert receiver.gets(3) == (2, [(3, 4), (3, 5), (6, 7)])
    assert receiver.gets(8) == (2, [(8, 9), (3, 5), (6, 7)])


def test_what_came_twice_in_part() -> None:
    receiver = Receiver()
    assert receiver.gets(0, 0.5) == (1.5, [(0.5, 1)])


def test_no_blocks_without_agreement() -> None:
    receiver = Receiver(sack=False)
    assert receiver.gets(2, 4, 4) == (0, [])


def test_the_blocks_kept_are_bounded() -> None:
    receiver = Receiver()
    src, dst, sport, dport = receiver._ends()
    for n in range(1, 1_000):
        segment = Segment(
            dst, src, dport, sport, 9_001 + 20 * n, receiver.tcb.wire_seq(1), ACK, 60_000, (), b"x"
        )
        receiver.take(receiver.now, segment)
    assert len(receiver.tcb.sack_blocks) == MOST_BLOCKS


@pytest.mark.parametrize("profile", SPOKEN)
@pytest.mark.parametrize("cookies", BOTH_COOKIES)
def test_agreed_in_the_handshake(profile: Profile, cookies: SynCookies) -> None:
    """In SYN and SYN/ACK; a stateless server has it back from its timestamp (RFC 2018 §2)."""
    lost = []

    def lose(way: str, n: int, segment: Segment) -> bool:
        if len(segment.payload) > 1_000 and not lost:
            lost.append(way)
            return True
        return False

    pair = Pair(client=ClientConfig(profile=profile), server=ServerConfig(syn_cookies=cookies), lose=lose)
    exchange(pair, b"q", b"a" * 30_000)
    assert lost == ["down"]
    assert len(find(pair, "up", SackPermitted)) == len(find(pair, "down", SackPermitted)) == 1
    assert find(pair, "up", Sack)
    assert pair.server.report().retransmits == 1


@pytest.mark.parametrize("cookies", BOTH_COOKIES)
@pytest.mark.parametrize("refuser", ["client", "server"])
def test_not_agreed_when_one_side_does_not_want_it(refuser: str, cookies: SynCookies) -> None:
    tcp = {side: TcpConfig(sack=side != refuser) for side in ("client", "server")}
    pair = Pair(
        client=ClientConfig(tcp=tcp["client"]),
        server=ServerConfig(syn_cookies=cookies, tcp=tcp["server"]),
        lose=lambda way, n, segment: n == 6 and way == "down",
    )
    exchange(pair, b"q", b"a" * 30_000)
    assert find(pair, "down", SackPermitted) == []
    assert find(pair, "up", Sack) == []
    assert pair.server.report().retransmits >= 1


def in_bytes(*pieces: tuple[int, int]) -> tuple[int, list[tuple[int, int]]]:
    """Pieces as (first byte, byte behind the last), counted from 1: the last ACK and what it reports."""
    receiver = Receiver()
    src, dst, sport, dport = receiver._ends()
    for start, end in pieces:
        seq = 9_000 + start
        ack = receiver.tcb.wire_seq(1)
        receiver.tcb.dsack = None
        receiver.take(
            receiver.now, Segment(dst, src, dport, sport, seq, ack, ACK, 60_000, (), bytes(end - start))
        )
    option = sack_option(receiver.tcb, 40)
    blocks = option.blocks if option is not None else ()
    return receiver.tcb.rcv_nxt, [(left - 9_000, right - 9_000) for left, right in blocks]


def test_a_segment_that_is_only_partly_new() -> None:
    """Its first bytes that came before are reported, whichever part of it they are (RFC 2883 §4.2)."""
    held = ((1_001, 3_001), (4_001, 5_001), (7_001, 8_001))
    assert in_bytes(*held, (1, 6_001)) == (6_001, [(1_001, 3_001), (7_001, 8_001)])
    assert in_bytes(*held, (3_001, 6_001)) == (1, [(4_001, 5_001), (1_001, 6_001), (7_001, 8_001)])
    assert in_bytes(*held, (2_001, 7_501)) == (1, [(2_001, 3_001), (1_001, 8_001)])
    assert in_bytes((1, 1_001), (501, 2_001)) == (2_001, [(501, 1_001)])
    assert in_bytes((1, 1_001), *held, (501, 4_501)) == (5_001, [(501, 3_001), (7_001, 8_001)])
    assert in_bytes((1_001, 1_501), (1_501, 2_001), (1, 3_001)) == (3_001, [(1_001, 2_001)])


@given(
    pieces=st.lists(
        st.tuples(st.integers(0, 120), st.integers(1, 40)).map(lambda one: (1 + one[0], 1 + sum(one))),
        min_size=1,
        max_size=30,
    )
)
def test_the_first_repeated_run_is_what_a_dsack_reports(pieces: list[tuple[int, int]]) -> None:
    """Against a set of bytes, for any order of pieces."""
    have: set[int] = set()
    for start, end in pieces[:-1]:
        have |= set(range(start, end))
    start, end = pieces[-1]
    again = [byte for byte in range(start, end) if byte in have]
    have |= set(range(start, end))
    upto, blocks = in_bytes(*pieces)
    assert upto == next(byte for byte in range(1, 1_000) if byte not in have)
    if again:
        stop = next(byte for byte in range(again[0], end + 1) if byte == end or byte not in again)
        assert blocks[0] == (again[0], stop)
        blocks = blocks[1:]
    for left, right in blocks:
        assert left > upto
        assert set(range(left, right)) <= have
        assert left - 1 not in have
        assert right not in have
