"""What holds for every controller: initial window, slow start, loss, timeout, penalty, limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.cc import CONTROLLERS, Controller, Group

MSS = 1000
MILLISECOND = 1_000_000
EVERY = pytest.mark.parametrize("name", list(CONTROLLERS))
ALONE = pytest.mark.parametrize("name", ["newreno", "lia", "olia"])


def made(name: str, segments: int = 10, group: Group | None = None) -> Controller:
    return CONTROLLERS[name](MSS, segments, group=group)


def avoiding(name: str, window: int = 20 * MSS) -> Controller:
    """In congestion avoidance with this window."""
    cc = made(name)
    cc.cwnd = cc.ssthresh = window
    return cc


@EVERY
@pytest.mark.parametrize(
    ("mss", "segments", "lost_syn", "expected"),
    [(1460, 10, False, 14_600), (1000, 10, False, 10_000), (9000, 10, False, 18_000), (1460, 10, True, 1460)],
)
def test_the_initial_window(name: str, mss: int, segments: int, lost_syn: bool, expected: int) -> None:
    """RFC 6928 §2: min(10 MSS, max(2 MSS, 14600))."""
    assert CONTROLLERS[name](mss, segments, lost_syn).cwnd == expected


@EVERY
def test_slow_start_doubles_a_window_per_window(name: str) -> None:
    cc = made(name)
    for _ in range(5):
        cc.on_ack(2 * MSS, 0, 10 * MILLISECOND, True)
    assert cc.cwnd == 20 * MSS


@EVERY
def test_a_large_frame_counts_whole_at_first_and_eight_segments_after_a_timeout(name: str) -> None:
    cc = made(name, segments=50)
    cc.cwnd = 50 * MSS
    cc.on_ack(40 * MSS, 0, MILLISECOND, True)
    assert cc.cwnd == 90 * MSS
    cc.on_timeout(50 * MSS, False, 0)
    cc.cwnd = 10 * MSS
    cc.on_ack(9 * MSS, 0, MILLISECOND, True)
    assert cc.cwnd == 18 * MSS


@EVERY
def test_slow_start_ends_at_ssthresh(name: str) -> None:
    cc = made(name)
    cc.on_timeout(20 * MSS, False, 0)
    threshold = cc.ssthresh
    while cc.cwnd < threshold:
        cc.on_ack(8 * MSS, 0, MILLISECOND, True)
    assert cc.cwnd == threshold


@EVERY
def test_an_ack_of_much_that_arrived_before_counts_as_one_window(name: str) -> None:
    slow, steady = made(name), avoiding(name)
    slow.on_timeout(20 * MSS, False, 0)
    slow.on_ack(19 * MSS, 0, MILLISECOND, True)
    assert slow.cwnd == 2 * MSS
    steady.on_ack(200 * MSS, 0, MILLISECOND, True)
    assert steady.cwnd <= 21 * MSS


@EVERY
def test_an_unused_window_does_not_grow(name: str) -> None:
    for cc in (made(name), avoiding(name)):
        before = cc.cwnd
        for time in range(100):
            cc.on_ack(MSS, time * MILLISECOND, MILLISECOND, False)
        assert cc.cwnd == before


@EVERY
def test_a_loss_sets_ssthresh_and_the_window_follows_at_the_end(name: str) -> None:
    cc = avoiding(name)
    cc.on_loss(20 * MSS, 0)
    assert cc.cwnd == 20 * MSS
    assert cc.ssthresh == (14 if name == "cubic" else 10) * MSS
    cc.on_recovered(0)
    assert cc.cwnd == cc.ssthresh


@EVERY
def test_a_timeout_leaves_one_segment_and_lowers_ssthresh_once(name: str) -> None:
    cc = avoiding(name)
    cc.on_timeout(20 * MSS, False, 0)
    threshold = cc.ssthresh
    assert (cc.cwnd, threshold) == (MSS, (14 if name == "cubic" else 10) * MSS)
    cc.on_timeout(MSS, True, 0)
    assert (cc.cwnd, cc.ssthresh) == (MSS, threshold)
    cc.on_timeout(2 * MSS, False, 0)
    assert cc.ssthresh == 2 * MSS


@EVERY
def test_a_pause_halves_the_window_for_each_timeout_down_to_the_initial_one(name: str) -> None:
    """RFC 5681 §4.1; ssthresh remembers three quarters."""
    for timeouts, left in ((1, 32), (2, 16), (3, 10), (3_000, 10)):
        cc = avoiding(name, 64 * MSS)
        cc.ssthresh = 20 * MSS
        cc.on_idle(timeouts)
        assert (cc.cwnd, cc.ssthresh) == (left * MSS, 48 * MSS)
    cc.cwnd = 4 * MSS
    cc.on_idle(1)
    assert cc.cwnd == 4 * MSS


@EVERY
def test_a_penalty_halves_down_to_two_segments(name: str) -> None:
    cc = avoiding(name)
    cc.penalize()
    assert (cc.cwnd, cc.ssthresh) == (10 * MSS, 10 * MSS)
    for _ in range(5):
        cc.penalize()
    assert (cc.cwnd, cc.ssthresh) == (2 * MSS, 2 * MSS)
    fresh = made(name)
    fresh.penalize()
    assert fresh.ssthresh == fresh.cwnd  # the first slow start is over


@ALONE
def test_congestion_avoidance_adds_one_segment_per_window(name: str) -> None:
    """A coupled controller that is alone, in a group or in none, is NewReno."""
    for group in (None, Group()):
        cc = made(name, group=group)
        cc.cwnd = cc.ssthresh = 20 * MSS
        for ack in range(20):
            assert cc.cwnd == 20 * MSS
            cc.on_ack(MSS, ack, 10 * MILLISECOND, True)
        assert cc.cwnd == 21 * MSS
        for _ in range(21):
            cc.on_ack(MSS, 0, 10 * MILLISECOND, True)
        assert cc.cwnd == 22 * MSS


@ALONE
def test_what_was_acknowledged_beyond_a_window_counts_for_the_next(name: str) -> None:
    cc = avoiding(name)
    for _ in range(4):
        cc.on_ack(6 * MSS, 0, MILLISECOND, True)
    assert cc.cwnd == 21 * MSS  # and 4 of 21 are done
    for _ in range(3):
        cc.on_ack(6 * MSS, 0, MILLISECOND, True)
    assert cc.cwnd == 22 * MSS


@ALONE
@pytest.mark.parametrize("how", ["loss", "timeout"])
def test_after_a_loss_counting_begins_anew(name: str, how: str) -> None:
    cc = avoiding(name)
    cc.on_ack(19 * MSS, 0, MILLISECOND, True)
    if how == "loss":
        cc.on_loss(20 * MSS, 0)
        cc.on_recovered(0)
    else:
        cc.on_timeout(20 * MSS, False, 0)
        for _ in range(4):
            cc.on_ack(8 * MSS, 0, MILLISECOND, True)
    assert cc.cwnd == 10 * MSS
    cc.on_ack(9 * MSS, 0, MILLISECOND, True)
    assert cc.cwnd == 10 * MSS
    cc.on_ack(1 * MSS, 0, MILLISECOND, True)
    assert cc.cwnd == 11 * MSS


ACKS = st.tuples(st.just("ack"), st.integers(1, 60_000), st.booleans(), st.integers(1, 400))
HAPPENINGS = st.one_of(
    ACKS,
    ACKS,
    ACKS,
    st.tuples(st.just("loss"), st.integers(0, 400_000)),
    st.tuples(st.just("timeout"), st.integers(0, 400_000), st.booleans()),
    st.tuples(st.just("penalize")),
)


@EVERY
@given(st.data())
def test_no_window_is_ever_below_one_segment(name: str, data: st.DataObject) -> None:
    """Whatever happens on three subflows that share a group; and windows stay whole numbers of bytes."""
    group = Group()
    all_three = [CONTROLLERS[name](MSS, 10, lost_syn, group) for lost_syn in (False, True, False)]
    now = 0
    for which, what in data.draw(st.lists(st.tuples(st.integers(0, 2), HAPPENINGS), max_size=60)):
        cc = all_three[which]
        before = cc.cwnd
        match what:
            case ("ack", acked, limited, rtt):
                now += rtt * MILLISECOND // 4
                cc.on_ack(acked, now, rtt * MILLISECOND, limited)
                assert cc.cwnd <= before + max(acked, MSS)
                assert name == "olia" or cc.cwnd >= before
            case ("loss", flight):
                cc.on_loss(flight, now)
                cc.on_recovered(now)
            case ("timeout", flight, again):
                cc.on_timeout(flight, again, now)
            case _:
                cc.penalize()
        for one in all_three:
            assert one.cwnd >= MSS
            assert one.ssthresh >= MSS
            assert isinstance(one.cwnd, int)
            assert isinstance(one.ssthresh, int)


Step = tuple[str, int, int, int | None, bool]


@EVERY
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["ack", "ack", "ack", "loss", "recovered", "timeout", "idle", "penalize", "mss"]),
            st.integers(0, 1 << 40),
            st.integers(0, 1 << 40),
            st.none() | st.sampled_from([0, 1, MILLISECOND, 1 << 40]),
            st.booleans(),
        ),
        max_size=40,
    ),
    members=st.integers(1, 4),
    mss=st.sampled_from([64, 536, 1460, 9000]),
)
def test_no_value_of_a_packet_makes_a_controller_raise(
    name: str, steps: list[Step], members: int, mss: int
) -> None:
    """RTTs of 0, floods of acknowledged bytes, jumps in time: a window is never less than a segment."""
    group, now = Group(), 0
    subflows = [CONTROLLERS[name](mss, 10, group=group) for _ in range(members)]
    lost = dict.fromkeys(range(members), False)
    for number, (what, size, later, rtt, flag) in enumerate(steps):
        index = number * 7 % members
        cc = subflows[index]
        now += later
        if what == "ack":
            cc.on_ack(size, now, rtt, flag, rtt)
        elif what == "loss":
            cc.on_loss(size, now)
            lost[index] = True
        elif what == "recovered" and lost[index]:
            cc.on_recovered(now)
        elif what == "timeout":
            cc.on_timeout(size, flag, now)
        elif what == "idle":
            cc.on_idle(1 + size % 100)
        elif what == "penalize":
            cc.penalize()
        elif what == "mss":
            cc.mss = mss = max(64, mss // 2)
        assert cc.cwnd >= 64
        assert cc.ssthresh >= 64
