"""LIA and OLIA: the formulas by hand, and what they promise for any windows and RTTs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.mptcp.cc import CONTROLLERS, Controller, Group, NewReno
from testbed.mptcp.cc.lia import alpha
from testbed.mptcp.cc.olia import Path, alphas

MSS = 1000
MILLISECOND = 1_000_000

PATHS = st.lists(st.tuples(st.integers(1, 400), st.integers(1, 500)), min_size=2, max_size=4)


def joined(name: str, *paths: tuple[int, int]) -> list[Controller]:
    """Subflows of one connection in congestion avoidance: (window in segments, RTT in ms)."""
    group = Group()
    members = [CONTROLLERS[name](MSS, 10, group=group) for _ in paths]
    for member, (window, rtt) in zip(members, paths, strict=True):
        member.on_ack(1, 0, rtt * MILLISECOND, False)  # an RTT, and no growth
        member.cwnd = member.ssthresh = window * MSS
    return members


def acks_until_change(member: Controller, rtt: int, now: int = 0) -> int:
    """How many segments must be acknowledged, at `now` ms, before the window moves."""
    before, count = member.cwnd, 0
    while member.cwnd == before:
        member.on_ack(MSS, now * MILLISECOND, rtt * MILLISECOND, True)
        count += 1
    return count


@pytest.mark.parametrize(
    ("paths", "by_hand"),
    [
        ([(10, 50)], 1.0),
        ([(10, 50), (10, 50)], 0.5),  # 20 * 10 / 20^2
        ([(10, 10), (20, 100)], 2.0833),  # 30 * max(0.1, 0.002) / (1 + 0.2)^2
        ([(4, 100), (16, 100)], 0.8),  # 20 * 16 / 20^2
        ([(9, 30), (9, 30), (9, 30)], 1 / 3),
    ],
)
def test_alpha_of_lia(paths: list[tuple[int, int]], by_hand: float) -> None:
    """RFC 6356 §3; the unit of windows and times cancels out."""
    assert alpha(paths) == pytest.approx(by_hand, abs=1e-4)
    assert alpha([(w * MSS, r * MILLISECOND) for w, r in paths]) == pytest.approx(by_hand, abs=1e-4)


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        # alpha / 20 = 0.025 segments per segment acknowledged, NewReno's would be 0.1
        ([(10, 50), (10, 50)], [40, 40]),
        # 2.0833 / 30 = 0.0694 on the first; NewReno's 1 / 20 is less on the second
        ([(10, 10), (20, 100)], [15, 20]),
        # 0.8 / 20 = 0.04 on both
        ([(4, 100), (16, 100)], [25, 25]),
    ],
)
def test_the_increase_of_lia(paths: list[tuple[int, int]], expected: list[int]) -> None:
    for index, (_, rtt) in enumerate(paths):
        assert acks_until_change(joined("lia", *paths)[index], rtt) == expected[index]


@pytest.mark.parametrize(
    ("name", "growth"),
    [
        # alpha = 18 * 10 / 18^2 = 0.556; 0.556 / 18 = 0.0309
        ("lia", 33),
        # (10/18)^2 / 10 = 0.0309
        ("olia", 33),
    ],
)
def test_a_window_in_recovery_counts_as_its_ssthresh(name: str, growth: int) -> None:
    """10 segments, and 16 that are being halved to 8 while recovery moves the window as it likes."""
    first, second = joined(name, (10, 50), (16, 50))
    second.on_loss(16 * MSS, 0)
    second.cwnd = 100 * MSS
    assert acks_until_change(first, 50) == growth


def test_a_loss_that_was_none_leaves_no_trace() -> None:
    """Recovery gives cwnd and ssthresh back: at once, and after the next ACK, the window counts as it is."""
    first, second = joined("lia", (10, 50), (10, 50))
    second.on_loss(10 * MSS, 0)
    second.cwnd, second.ssthresh = 10 * MSS, 1 << 62
    assert acks_until_change(first, 50) == 40
    first.cwnd, second.ssthresh = 10 * MSS, 5 * MSS
    second.on_ack(1, 0, 50 * MILLISECOND, False)
    assert acks_until_change(first, 50) == 40


def test_a_subflow_that_left_or_never_sent_does_not_count() -> None:
    group = Group()
    one, other, leaves, silent = (CONTROLLERS["lia"](MSS, 10, group=group) for _ in range(4))
    for member in (one, other, leaves):
        member.on_ack(1, 0, 50 * MILLISECOND, False)
        member.cwnd = member.ssthresh = 10 * MSS
    assert acks_until_change(one, 50) == 90  # a third of a third
    one.cwnd = 10 * MSS
    group.leave(leaves)
    group.leave(leaves)
    assert acks_until_change(one, 50) == 40
    assert acks_until_change(leaves, 50) == 10
    assert silent.cwnd == 10 * MSS


@pytest.mark.parametrize("name", ["lia", "olia"])
@pytest.mark.parametrize(
    ("rtt", "now", "growth"), [(50, 1_000, 40), (50, 1_001, 10), (800, 1_600, 40), (800, 1_601, 10)]
)
def test_a_subflow_of_which_nothing_is_heard_does_not_count(
    name: str, rtt: int, now: int, growth: int
) -> None:
    """A backup by now, or dead: after a second, or two of its round trips, its window is no share of what the
    connection takes."""
    first, _ = joined(name, (10, rtt), (10, rtt))
    assert acks_until_change(first, rtt, now) == growth


@given(PATHS, st.data())
def test_lia_never_grows_faster_than_newreno(paths: list[tuple[int, int]], data: st.DataObject) -> None:
    """RFC 6356 §3, the minimum: on no path more than a TCP there would."""
    members = joined("lia", *paths)
    index = data.draw(st.integers(0, len(paths) - 1))
    lia, reno = members[index], NewReno(MSS, 10)
    reno.cwnd = reno.ssthresh = lia.cwnd
    for _ in range(data.draw(st.integers(1, 600))):
        for one in (lia, reno):
            one.on_ack(MSS, 0, paths[index][1] * MILLISECOND, True)
    assert lia.cwnd <= reno.cwnd


@given(st.lists(st.integers(1, 400), min_size=1, max_size=6), st.integers(1, 500))
def test_with_equal_rtts_lia_adds_at_most_one_segment_in_all(windows: list[int], rtt: int) -> None:
    """Each path adds alpha * cwnd / total per RTT, so all of them add alpha, which is 1 for one path."""
    value = alpha([(window, rtt) for window in windows])
    assert value == pytest.approx(max(windows) / sum(windows))
    assert 1 / len(windows) - 1e-9 <= value <= 1 + 1e-9


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        # The best path has the largest window: nothing moves.
        ([Path(20, 50, 100), Path(10, 50, 10)], [0, 0]),
        ([Path(10, 50, 100), Path(10, 50, 100)], [0, 0]),
        # The best path has the smaller window: it takes what the other gives.
        ([Path(20, 50, 10), Path(10, 50, 100)], [-1 / 2, 1 / 2]),
        # Equal deliveries: the shorter RTT is the better path.
        ([Path(20, 80, 100), Path(10, 40, 100)], [-1 / 2, 1 / 2]),
        # Two largest windows share what is given, two best paths what is taken.
        ([Path(20, 50, 1), Path(20, 50, 1), Path(10, 50, 9)], [-1 / 6, -1 / 6, 1 / 3]),
        ([Path(20, 50, 1), Path(10, 50, 9), Path(5, 50, 9)], [-1 / 3, 1 / 6, 1 / 6]),
        # Best and among the largest is not collected, best and small is.
        ([Path(20, 50, 9), Path(10, 50, 9)], [-1 / 2, 1 / 2]),
        ([Path(20, 50, 9), Path(10, 50, 9), Path(7, 50, 1)], [-1 / 3, 1 / 3, 0]),
    ],
)
def test_alpha_of_olia(paths: list[Path], expected: list[float]) -> None:
    assert alphas(paths) == pytest.approx(expected)


@given(st.lists(st.builds(Path, st.integers(1, 30), st.integers(1, 9), st.integers(0, 30)), min_size=1))
def test_the_alphas_of_olia_cancel_out(paths: list[Path]) -> None:
    values = alphas(paths)
    assert sum(values) == pytest.approx(0, abs=1e-9)
    assert all(abs(value) <= 1 / len(paths) + 1e-9 for value in values)
    widest = max(path.cwnd for path in paths)
    assert all(value <= 0 for path, value in zip(paths, values, strict=True) if path.cwnd == widest)


def test_the_increase_of_olia() -> None:
    """Equal paths that deliver the same: (1/2)^2 of NewReno's 0.1, so every 40th segment."""
    one, other = joined("olia", (10, 50), (10, 50))
    other.on_ack(MSS * 39, 0, 50 * MILLISECOND, False)  # as much as the first will have delivered
    assert [acks_until_change(one, 50)] == [40]


def test_olia_moves_a_window_away_from_the_worse_path() -> None:
    """20 segments on a path that loses, 10 on one that does not: the first shrinks, the second grows fast."""
    bad, good = joined("olia", (20, 50), (10, 50))
    good.on_ack(1000 * MSS, 0, 50 * MILLISECOND, False)
    # (2/3)^2 - 1/2 = -0.0556 of 20: the 360th segment; (1/3)^2 + 1/2 = 0.611 of 10: the 17th
    assert acks_until_change(bad, 50) == pytest.approx(360, abs=1)
    assert bad.cwnd == 19 * MSS
    _, good = joined("olia", (20, 50), (10, 50))
    good.on_ack(1000 * MSS, 0, 50 * MILLISECOND, False)
    assert acks_until_change(good, 50) == 17
    assert good.cwnd == 11 * MSS


def test_olia_counts_the_longer_of_two_gaps_between_losses() -> None:
    """A good path that has just lost something is still good: the bytes before that loss count."""
    bad, good = joined("olia", (20, 50), (18, 50))
    good.on_ack(1000 * MSS, 0, 50 * MILLISECOND, False)
    for _ in range(2):  # the second with nothing delivered in between: the same loss
        good.on_loss(18 * MSS, 0)
        good.on_recovered(0)
    # (20/29)^2 - 1/2 = -0.0244 of 20: the 820th segment
    assert acks_until_change(bad, 50) == pytest.approx(820, abs=1)
    assert bad.cwnd == 19 * MSS


def test_a_timeout_is_a_loss_for_olia_and_a_second_one_for_the_same_data_is_not() -> None:
    """100 segments delivered on a path with a window of 20; on the other 1000, a timeout, 10, a timeout."""
    for again, delivered in ((False, 10), (True, 1000)):
        wide, small = joined("olia", (20, 50), (18, 50))
        wide.on_ack(100 * MSS, 0, 50 * MILLISECOND, False)
        small.on_ack(1000 * MSS, 0, 50 * MILLISECOND, False)
        small.on_timeout(18 * MSS, False, 0)
        small.on_ack(10 * MSS, 0, 50 * MILLISECOND, False)
        small.on_timeout(MSS, again, 0)
        small.cwnd = 18 * MSS
        # 10 < 100: no alpha, (20/38)^2 = 0.277 of 20, the 73rd. 1000: 0.277 - 0.5 = -0.223, the 90th.
        assert acks_until_change(wide, 50) == (73 if delivered == 10 else 90)
        assert wide.cwnd == (21 if delivered == 10 else 19) * MSS


def test_olia_takes_no_more_than_a_window_has() -> None:
    """Below two segments a shrinking window stops at one."""
    bad, good = joined("olia", (2, 50), (1, 50))
    good.on_ack(1000 * MSS, 0, 50 * MILLISECOND, False)
    bad.cwnd = bad.ssthresh = MSS + MSS // 3
    # (4/7)^2 - 1/2 = -0.173
    assert acks_until_change(bad, 50) == 8
    assert bad.cwnd == MSS


def test_with_several_paths_olia_goes_down_to_one_segment() -> None:
    one, _ = joined("olia", (2, 50), (10, 50))
    one.on_loss(2 * MSS, 0)
    assert one.ssthresh == MSS
    alone = joined("olia", (2, 50))[0]
    alone.on_loss(2 * MSS, 0)
    assert alone.ssthresh == 2 * MSS
