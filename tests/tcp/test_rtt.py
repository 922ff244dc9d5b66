"""The retransmission timeout: RFC 6298 §2 and §5, RFC 7323 §4.1."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.config import MILLISECOND, SECOND, TcpConfig
from testbed.mptcp.tcp.recovery import Phase
from testbed.mptcp.tcp.rtt import RttEstimator
from tests.tcp.host import Sender

LETTER = TcpConfig(rto_min=SECOND)  # RFC 6298 (2.4)


def test_before_any_sample() -> None:
    assert RttEstimator(LETTER).rto == SECOND  # (2.1)


def test_the_first_sample() -> None:
    """(2.2): SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR."""
    rtt = RttEstimator(LETTER)
    rtt.sample(800 * MILLISECOND)
    assert (rtt.mean, rtt.rttvar) == (800 * MILLISECOND, 400 * MILLISECOND)
    assert rtt.rto == 2_400 * MILLISECOND


def test_the_second_sample() -> None:
    """(2.3): RTTVAR first, with the old SRTT; 1/4 and 1/8."""
    rtt = RttEstimator(LETTER)
    rtt.sample(800 * MILLISECOND)
    rtt.sample(400 * MILLISECOND)
    assert rtt.rttvar == 400 * MILLISECOND
    assert rtt.mean == 750 * MILLISECOND
    assert rtt.rto == 2_350 * MILLISECOND


def test_steady_samples_end_at_the_minimum() -> None:
    rtt = RttEstimator(LETTER)
    for _ in range(100):
        rtt.sample(20 * MILLISECOND)
    assert rtt.rto == SECOND


def test_the_clock_is_no_finer_than_a_millisecond() -> None:
    """(2.3)'s G: an RTT that never varies still leaves room for one tick."""
    rtt = RttEstimator(TcpConfig(rto_min=0))
    for _ in range(200):
        rtt.sample(20 * MILLISECOND)
    assert rtt.rto == 21 * MILLISECOND


def test_back_off_doubles_up_to_the_cap_and_ends_with_a_sample() -> None:
    """(5.5), (2.5), and Karn's second half."""
    rtt = RttEstimator(LETTER)
    seen = []
    for _ in range(8):
        seen.append(rtt.rto // SECOND)
        rtt.expired()
    assert seen == [1, 2, 4, 8, 16, 32, 60, 60]
    rtt.sample(100 * MILLISECOND)
    assert rtt.rto == SECOND


def test_after_a_lost_syn() -> None:
    """(5.7): 3 s for data, unless there is a sample."""
    rtt = RttEstimator(LETTER)
    rtt.expired()
    rtt.after_lost_syn()
    assert rtt.rto == 3 * SECOND


@pytest.mark.parametrize("timestamps", [False, True])
def test_karn(timestamps: bool) -> None:
    """No sample from a segment that was sent twice, unless its echo tells which copy arrived."""
    sender = Sender(timestamps=timestamps)
    sender.write(1)
    before = sender.tcb.rtt.mean
    assert sender.wait(1_000) == [0, 0, 0]
    left = sender.now
    sender.ack(1, after=500, echo=left)
    changed = sender.tcb.rtt.mean != before
    assert changed is timestamps
    assert (sender.tcb.rtt.backoff == 0) is timestamps


@pytest.mark.parametrize("sack", [False, True])
def test_the_present_rtt_follows_each_ack_and_the_timeout_one_in_a_round_trip(sack: bool) -> None:
    """Twenty segments leave together into a queue that empties at one in 10 ms."""
    sender = Sender(sack=sack, window=20)
    sender.write(20)
    rtt = sender.tcb.rtt
    sender.ack(1, after=20)
    first = rtt.mean
    for number in range(2, 21):
        sender.ack(number, after=10)
        assert rtt.latest == (10 + 10 * number) * MILLISECOND
    assert rtt.mean == first
    assert rtt.srtt is not None
    assert rtt.srtt > 140 * MILLISECOND
    assert rtt.min_rtt == 20 * MILLISECOND


def test_a_copy_tells_nothing_of_the_rtt() -> None:
    """Whose ACK it is that comes after a retransmission, nobody knows (Karn)."""
    sender = Sender()
    sender.write(4)
    sender.ack(0, (1, 4), after=20)
    before = sender.tcb.rtt.srtt, sender.tcb.rtt.latest
    sender.ack(4, after=60)
    assert (sender.tcb.rtt.srtt, sender.tcb.rtt.latest) == before


def test_the_timer_runs_while_anything_is_outstanding_and_not_longer() -> None:
    """(5.1), (5.2), (5.3)."""
    sender = Sender()
    assert sender.tcb.rto_at is None
    sender.write(2)
    first = sender.tcb.rto_at
    assert first == sender.now + sender.tcb.rtt.rto
    sender.ack(1, after=20)
    assert sender.tcb.rto_at == sender.now + sender.tcb.rtt.rto
    sender.ack(2, after=20)
    assert sender.tcb.rto_at is None


def test_each_timeout_waits_twice_as_long() -> None:
    """(5.4) to (5.6): the earliest segment, one at a time."""
    sender = Sender(sack=False)
    sender.write(5)
    times = []
    for _ in range(4):
        at = sender.tcb.rto_at
        assert at is not None
        times.append(at)
        assert sender.wait((at - sender.now) / MILLISECOND) == [0]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert gaps == [sender.tcb.rtt.rto >> n for n in (3, 2, 1)]
    assert sender.phase is Phase.LOSS
    assert sender.cwnd == 1
    assert sender.tcb.cc.ssthresh == 2_500  # of what was outstanding at the first timeout only


def test_sacks_move_the_timeout() -> None:
    """The first segment is lost in a queue that grows: SACKs of the others tell how long it takes now, and
    the timer of the first segment waits as long."""
    sender = Sender(sack=True, window=40)
    sender.write(2)
    sender.ack(2, after=20)
    sender.write(40)
    rtt, left = sender.tcb.rtt, sender.now
    for number in range(4, 40):
        sender.ack(2, (3, number), after=10)
        assert rtt.latest is not None
        assert rtt.rto >= rtt.latest
        assert sender.tcb.rto_at is not None
        assert sender.tcb.rto_at >= left + rtt.latest


@given(st.lists(st.tuples(st.integers(0, 5_000), st.integers(0, 3)), max_size=60))
def test_the_timeout_is_never_below_the_newest_round_trip(steps: list[tuple[int, int]]) -> None:
    rtt, now = RttEstimator(TcpConfig()), SECOND
    for milliseconds, expiries in steps:
        now += milliseconds * MILLISECOND
        for _ in range(expiries):
            rtt.expired()
        rtt.measure(now, milliseconds * MILLISECOND // 2, milliseconds * MILLISECOND)
        assert rtt.latest is not None
        assert min(rtt.latest, 60 * SECOND) <= rtt.rto <= 60 * SECOND
