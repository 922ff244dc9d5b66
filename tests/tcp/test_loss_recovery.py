"""Loss recovery, segment by segment: what goes out again, when, and with which window.

Read first: tests/tcp/host.py; RFC 6675 §5, RFC 8985 §6.2, RFC 9937 §6.2.
"""

from __future__ import annotations

import pytest

from testbed.mptcp.tcp.recovery import Phase
from tests.tcp.host import Sender


def ten(**more: bool) -> Sender:
    """Ten segments in flight, one round trip ago."""
    sender = Sender(**more)
    assert sender.write(10) == list(range(10))
    sender.now += 20_000_000
    return sender


def test_one_of_ten_is_lost() -> None:
    """Sent again at the third SACK; half the window is left; no other copy is sent."""
    sender = ten()
    sender.ack(3)
    assert sender.ack(3, (4, 5)) == []
    assert sender.ack(3, (4, 6)) == []
    assert sender.phase is Phase.OPEN
    assert sender.ack(3, (4, 7)) == [3]
    assert sender.phase is Phase.RECOVERY
    assert sender.tcb.cc.ssthresh == 3_500  # seven were outstanding
    for right in (8, 9, 10):
        assert sender.ack(3, (4, right)) == []
    assert sender.ack(10, after=20) == []
    assert sender.phase is Phase.OPEN
    assert sender.cwnd == 3.5
    assert sender.tcb.retransmits == 1


def test_several_are_lost() -> None:
    """All holes are known at once: each is filled once, the first ones first."""
    sender = ten()
    assert sender.ack(0, (1, 2)) == []
    assert sender.ack(0, (3, 4), (1, 2)) == []
    assert sender.ack(0, (5, 6), (3, 4), (1, 2)) == [0]
    again = []
    for right in (7, 8, 9, 10):
        again += sender.ack(0, (5, right), (3, 4), (1, 2))
    assert again == [2, 4]
    assert sender.ack(2, (5, 10), (3, 4), after=20) == []
    assert sender.ack(4, (5, 10)) == []
    assert sender.ack(10) == []
    assert sender.phase is Phase.OPEN
    assert sender.tcb.retransmits == 3


def test_new_data_goes_on_in_recovery() -> None:
    """PRR: about one segment out for two that arrive, so that cwnd is ssthresh at the end."""
    sender = Sender(window=20)
    sender.write(60)
    sender.now += 20_000_000
    sent = []
    for right in range(2, 21):
        sent += sender.ack(0, (1, right))
    assert sent[:3] == [20, 21, 0]  # limited transmit, then the hole
    assert sent[3:] == list(range(22, 22 + len(sent) - 3))
    assert len(sent) == 10
    assert sender.flight <= sender.tcb.cc.ssthresh / 1000 == 10
    sender.ack(20, after=20)
    assert sender.cwnd == 10


def test_the_copy_is_lost_too() -> None:
    """What was sent after the copy arrives, the copy does not: sent a third time, without a timeout."""
    sender = Sender(window=10)
    sender.write(30)
    sender.now += 20_000_000
    sent = []
    for right in range(2, 11):
        sent += sender.ack(0, (1, right), after=0.1)
    assert sent == [10, 11, 0, 12, 13]
    sender.now += 20_000_000
    assert sender.ack(0, (1, 12)) == [14, 15]  # sent before the copy, says nothing of it
    assert sender.ack(0, (1, 13))[0] == 0
    assert sender.phase is Phase.RECOVERY
    assert sender.tcb.retransmits == 2
    assert sender.tcb.rtt.backoff == 0


@pytest.mark.parametrize("timestamps", [True, False])
def test_a_copy_faster_than_anything_before(timestamps: bool) -> None:
    """Its echo proves that it is the copy, and what left before it is lost as well. Without timestamps an
    ACK so soon may be the first copy's, and proves nothing (RFC 8985 §6.2 step 2)."""
    sender = ten(timestamps=timestamps)
    for right in range(5, 10):
        sender.ack(3, (4, right))  # 3 and 9 are missing
    sent = sender.ack(9, after=19)
    assert sent == ([9] if timestamps else [])


def test_reordering_is_waited_for() -> None:
    """One SACK is no proof: a quarter of the shortest RTT passes first (RFC 8985 §6.2 step 4)."""
    sender = ten()
    sender.ack(1)
    assert sender.ack(1, (2, 3)) == []
    assert sender.wait(4.9) == []
    assert sender.ack(3) == []
    assert sender.wait(10) == []
    assert sender.tcb.retransmits == 0
    assert sender.phase is Phase.OPEN


def test_when_the_wait_is_over() -> None:
    sender = ten()
    sender.ack(1)
    sender.ack(1, (2, 3))
    assert sender.wait(5) == [1]
    assert sender.phase is Phase.RECOVERY


def test_reordering_seen_once_is_expected_again() -> None:
    """Then three duplicate ACKs prove nothing either; time does."""
    sender = ten()
    sender.ack(1)
    sender.ack(1, (2, 3))
    sender.ack(3)  # segment 1 came after segment 2
    for right in (5, 6, 7, 8):
        assert sender.ack(3, (4, right)) == []
    assert sender.wait(5) == [3]


def test_without_reordering_three_are_enough() -> None:
    sender = ten()
    sender.ack(1)
    assert [sender.ack(1, (2, right)) for right in (3, 4, 5)] == [[], [], [1]]


def test_a_frame_of_many_segments_is_lost_in_part() -> None:
    """One frame of 40 segments, cut on its way: only the parts that are missing are sent again."""
    sender = Sender(window=60, frame=64)
    assert sender.write(40) == [(0, 40)]
    sender.now += 20_000_000
    assert sender.ack(2, (3, 4)) == []
    assert sender.ack(2, (3, 10)) == [2]
    assert sender.ack(2, (15, 40), (3, 10)) == [(10, 15)]
    assert sender.flight == 6
    assert sender.ack(10, (15, 40), after=20) == []
    assert sender.flight == 5
    assert sender.ack(40) == []
    assert sender.phase is Phase.OPEN
    assert sender.tcb.retransmits == 2


def test_a_cumulative_ack_may_end_inside_a_frame() -> None:
    sender = Sender(window=60, frame=64)
    sender.write(40)
    sender.ack(17, after=20)
    assert sender.flight == 23
    assert sender.ack(17, (30, 40)) == [(17, 27)]
    assert sender.ack(27, (30, 40), after=20) == [(27, 30)]


@pytest.mark.parametrize("sack", [True, False])
def test_limited_transmit(sack: bool) -> None:
    """Each of the first two duplicate ACKs lets a new segment go, and cwnd stays (RFC 3042 §2)."""
    sender = Sender(sack=sack)
    sender.write(30)
    sender.now += 20_000_000
    sender.ack(1)
    before = sender.cwnd
    one, two = ((2, 3),) if sack else (), ((2, 4),) if sack else ()
    next_new = sender.tcb.snd_nxt // 1000
    assert sender.ack(1, *one) == [next_new]
    assert sender.ack(1, *two) == [next_new + 1]
    assert sender.cwnd == before
    assert sender.phase is Phase.OPEN


def test_the_peer_takes_back_what_it_had_sacked() -> None:
    """It may (RFC 2018 §8). The timeout believes nothing of it any more; all is sent again, once."""
    sender = ten()
    sender.ack(2, (3, 10))
    sender.ack(3, (3, 4), after=20)  # an honest peer would acknowledge 10 here
    sent = sender.wait(1_000)
    assert sent[0] == 3
    assert sender.tcb.board.sacked == 0
    for upto in range(4, 11):
        sent += sender.ack(upto, after=20)
    assert [one for one in sent if one != 3] == [4, 5, 6, 7, 8, 9]
    assert sender.tcb.snd_una == 10_001


def test_a_timeout_keeps_what_is_sacked() -> None:
    sender = Sender(window=10, rtt=20)
    sender.write(10)
    sender.now += 20_000_000
    sender.ack(0, (4, 5))  # RACK marks 0 to 3, sends 0; its copy is lost, and so is all else
    sent = sender.wait(30)
    assert sent[0] == 0
    sender.wait(1_000)
    assert sender.phase is Phase.LOSS
    assert sender.cwnd == 1
    assert sender.tcb.board.sacked == 1_000
    later = []
    for upto in (1, 2, 3, 5, 6, 7, 8, 9):
        later += sender.ack(upto, after=20)
    assert 4 not in later
    assert sorted(set(later)) == [1, 2, 3, 5, 6, 7, 8, 9]
    assert len(later) == len(set(later))


@pytest.mark.parametrize("timestamps", [True, False])
def test_a_needless_recovery_is_undone(timestamps: bool) -> None:
    """The first copy arrives after all. Its echo tells (RFC 3522 §3.2), or the D-SACK does (RFC 3708 §2);
    the window is as before."""
    sender = Sender(timestamps=timestamps)
    sender.write(10)
    left = sender.now
    sender.now += 20_000_000
    before = sender.cwnd
    for right in (3, 4, 5):
        sender.ack(1, (2, right))
    assert sender.phase is Phase.RECOVERY
    if timestamps:
        sender.ack(5, after=3, echo=left)
    else:
        sender.ack(5, after=3)
        assert sender.phase is Phase.RECOVERY
        sender.ack(10)
        sender.ack(10, (1, 2), after=17)
    assert sender.phase is Phase.OPEN
    assert sender.cwnd >= before
    assert sender.tcb.cc.ssthresh > 1 << 60


def test_a_needless_timeout_is_undone() -> None:
    """A delay longer than the RTO: nothing but the first segment is sent twice (RFC 4015 §3.2)."""
    sender = Sender(timestamps=True)
    sender.write(20)
    left = sender.now
    assert sender.wait(500) == [0, 0]  # a probe, then the timeout
    assert sender.phase is Phase.LOSS
    assert min(sender.ack(2, echo=left)) == 10  # new data, nothing more of the old
    assert sender.phase is Phase.OPEN
    assert sender.cwnd >= 10


def test_a_real_timeout_is_not() -> None:
    sender = Sender(timestamps=True)
    sender.write(20)
    sender.wait(300)
    assert sender.phase is Phase.LOSS
    assert sender.ack(1, after=20) == [1, 2]
    assert sender.phase is Phase.LOSS
