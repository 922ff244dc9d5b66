"""When a receiver acknowledges: RFC 5681 §4.2, RFC 9293 §3.8.6.3, and how often it answers nonsense."""

from __future__ import annotations

import pytest

from testbed.mptcp.config import MILLISECOND, SECOND
from testbed.mptcp.tcp.timers import handle_timeout
from testbed.mptcp.wire import ACK, Segment, Timestamps
from tests.tcp.host import SIZE, START, Sender


class Receiver(Sender):
    def gets(self, number: float, size: int = SIZE, stamp: int | None = None) -> int | None:
        """The ACK that leaves at once, in bytes; None when none does."""
        src, dst, sport, dport = self._ends()
        options = () if stamp is None else (Timestamps(stamp, self.tcb.timestamp(self.now)),)
        seq = 9_001 + round(number * SIZE)
        ack = self.tcb.wire_seq(1)
        self.take(self.now, Segment(dst, src, dport, sport, seq, ack, ACK, 60_000, options, bytes(size)))
        return self.answer()

    def answer(self) -> int | None:
        answer = self.next(self.now)
        return None if answer is None else (answer.ack - 9_001) & 0xFFFF_FFFF


def test_every_second_full_segment() -> None:
    receiver = Receiver()
    assert [receiver.gets(n) for n in range(6)] == [None, 2_000, None, 4_000, None, 6_000]


def test_a_lone_segment_after_the_delay() -> None:
    """40 ms, where 500 are allowed (RFC 9293 §3.8.6.3)."""
    receiver = Receiver()
    assert receiver.gets(0, 100) is None
    at = receiver.tcb.deadline()
    assert at == receiver.now + 40 * MILLISECOND
    receiver.now = at
    handle_timeout(receiver.tcb, at)
    assert receiver.answer() == 100
    assert receiver.tcb.deadline() is None


def test_at_once_when_something_is_missing_or_found() -> None:
    """Out of order, a part of a hole, the rest of it, and what came before (RFC 5681 §4.2)."""
    receiver = Receiver()
    assert receiver.gets(2) == 0
    assert receiver.gets(4) == 0
    assert receiver.gets(0) == 1_000
    assert receiver.gets(1) == 3_000
    assert receiver.gets(1) == 3_000


@pytest.mark.parametrize("why", ["old sequence number", "old timestamp"])
def test_nonsense_is_answered_now_and_then(why: str) -> None:
    """Without data at most once in half a second, or two such ends would never stop (RFC 5961 §7)."""
    receiver = Receiver(timestamps=True)
    stamp = 500 + (receiver.now - START) // MILLISECOND
    assert receiver.gets(0, stamp=stamp) is None
    assert receiver.gets(1, stamp=stamp) == 2_000
    number, stamp = (0.5, stamp) if why == "old sequence number" else (2, stamp - 100)
    answers = []
    for _ in range(20):
        answers.append(receiver.gets(number, size=0, stamp=stamp))
        receiver.now += SECOND // 10
    assert answers == ([2_000] + 4 * [None]) * 4


def test_a_retransmission_is_always_answered() -> None:
    """Its sender must hear that it was needless."""
    receiver = Receiver()
    receiver.gets(0)
    receiver.gets(1)
    assert [receiver.gets(0) for _ in range(5)] == 5 * [2_000]
