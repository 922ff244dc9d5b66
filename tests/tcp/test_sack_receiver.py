"""What a receiver reports: which blocks, in which order, in how much room; and who may send them at all.

Read first: RFC 2018 §2-4, RFC 2883 §4.
"""

from __future__ import annotations

import pytest

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
