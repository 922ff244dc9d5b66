"""Loss recovery with a peer that has no SACK: NewReno, with the window of PRR.

Read first: RFC 6582 §3.2, RFC 5681 §3.2, RFC 9937 §6.
"""

from __future__ import annotations

from testbed.mptcp.tcp.recovery import Phase
from tests.tcp.host import Sender


def ten() -> Sender:
    sender = Sender(sack=False)
    assert sender.write(10) == list(range(10))
    sender.now += 20_000_000
    return sender


def test_one_of_ten_is_lost() -> None:
    sender = ten()
    sender.ack(3)
    assert [sender.ack(3) for _ in range(3)] == [[], [], [3]]
    assert sender.phase is Phase.RECOVERY
    assert sender.tcb.cc.ssthresh == 3_500
    assert [sender.ack(3) for _ in range(3)] == [[], [], []]
    assert sender.ack(10, after=20) == []
    assert sender.phase is Phase.OPEN
    assert (sender.cwnd, sender.tcb.retransmits) == (3.5, 1)


def test_several_are_lost() -> None:
    """One hole in a round trip: each ACK of a part names the next."""
    sender = ten()
    assert [sender.ack(0) for _ in range(7)] == [[], [], [0], [], [], [], []]
    assert sender.ack(2, after=20) == [2]
    assert sender.ack(4, after=20) == [4]
    assert sender.ack(10, after=20) == []
    assert sender.phase is Phase.OPEN
    assert sender.tcb.retransmits == 3


def test_new_data_goes_on() -> None:
    """Each duplicate ACK is a segment that has arrived: one goes out for two."""
    sender = Sender(sack=False, window=20)
    sender.write(40)
    sender.now += 20_000_000
    sent = [one for _ in range(19) for one in sender.ack(0)]
    assert sent == [20, 21, 0, 22, 23, 24, 25, 26, 27, 28]
    assert sender.ack(22, after=20)[0] == 29
    assert sender.cwnd == 10


def test_too_many_are_lost() -> None:
    """Only the first ACK of a part restarts the RTO, so that it ends what would take a round trip each."""
    sender = Sender(sack=False, window=30)
    sender.write(30)
    sender.now += 20_000_000
    for _ in range(3):
        sender.ack(0)
    sent = []
    for upto in range(1, 12):
        sent += sender.ack(upto)
        sent += sender.wait(20)
    assert sender.phase is Phase.LOSS
    assert sorted(set(sent)) == sent


def test_duplicates_of_a_window_that_was_resent_start_nothing() -> None:
    """After a timeout all is sent again; what had arrived is acknowledged twice (RFC 6582 §3.2 step 1)."""
    sender = ten()
    assert sender.wait(400)[0] == 0
    for upto in (1, 2, 4, 8):
        sender.ack(upto, after=20)
    for _ in range(5):
        assert sender.ack(8) in ([], [9])
    assert sender.phase is Phase.LOSS


def test_more_duplicates_than_segments() -> None:
    """Forged or duplicated by the network: what is in flight never falls below nothing."""
    sender = ten()
    for _ in range(50):
        sender.ack(0)
        assert sender.flight >= 0
    for upto in (3, 7, 10):
        sender.ack(upto)
        assert sender.flight >= 0
