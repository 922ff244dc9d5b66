"""HyStart++: rounds by hand (RFC 9406 §4.2), and what it saves CUBIC."""

from __future__ import annotations

import pytest

from testbed.mptcp.cc import Cubic
from testbed.mptcp.cc.hystart import HyStart

MSS = 1000
MILLISECOND = 1_000_000
WINDOW = 10 * MSS


def rounds(hystart: HyStart, *rtts: float) -> list[int]:
    """Rounds of ten ACKs, each round with one RTT in ms: the divisor at the end of each."""
    return [[hystart.divisor(MSS, WINDOW, int(rtt * MILLISECOND)) for _ in range(10)][-1] for rtt in rtts]


@pytest.mark.parametrize(
    ("rtts", "divisors"),
    [
        ([40, 40, 40], [1, 1, 1]),
        ([40, 44.9], [1, 1]),  # 40 / 8 = 5 ms are allowed
        ([40, 45], [1, 4]),
        ([8, 11.9], [1, 1]),  # but never less than 4 ms
        ([8, 12], [1, 4]),
        ([400, 415.9], [1, 1]),  # and never more than 16 ms
        ([400, 416], [1, 4]),
        ([40, 43, 46, 49], [1, 1, 1, 1]),  # compared with the round before
        ([40, 45, 45, 44.9, 44.9], [1, 4, 4, 1, 1]),  # it was jitter
        ([40, 45, 44, 49.5], [1, 4, 1, 4]),  # and again
    ],
)
def test_a_rise_of_the_rtt(rtts: list[float], divisors: list[int]) -> None:
    hystart = HyStart()
    assert rounds(hystart, *rtts) == divisors
    assert not hystart.done


def test_five_conservative_rounds_end_slow_start() -> None:
    """The round in which it began counts."""
    hystart = HyStart()
    rounds(hystart, 40, 45, 45, 45, 45)
    assert not hystart.done
    rounds(hystart, 45)
    assert hystart.done


def test_after_jitter_the_five_rounds_begin_anew() -> None:
    hystart = HyStart()
    assert rounds(hystart, 40, 45, 45, 45, 44, 50, 50, 50, 50) == [1, 4, 4, 4, 1, 4, 4, 4, 4]
    assert not hystart.done


def test_seven_samples_say_nothing() -> None:
    hystart = HyStart()
    rounds(hystart, 40)
    assert [hystart.divisor(MSS, WINDOW, 90 * MILLISECOND) for _ in range(8)] == [1] * 7 + [4]


def test_one_low_sample_is_the_rounds() -> None:
    hystart = HyStart()
    rounds(hystart, 40)
    hystart.divisor(MSS, WINDOW, 41 * MILLISECOND)
    assert [hystart.divisor(MSS, WINDOW, 90 * MILLISECOND) for _ in range(9)] == [1] * 9


def slow_start(queue: int, with_samples: bool) -> tuple[Cubic, int]:
    """20 segments fit the path in 50 ms and `queue` more wait. Until that overflows or slow start ends: the
    controller, and by how much its last window grew, in segments."""
    cc, now, before = Cubic(MSS, 10), 0, 0
    while cc.cwnd < cc.ssthresh and cc.cwnd <= (20 + queue) * MSS:
        before = cc.cwnd
        rtt = max(50, 50 * cc.cwnd // (20 * MSS)) * MILLISECOND
        for _ in range(before // MSS):
            now += rtt * MSS // before
            cc.on_ack(MSS, now, rtt, True, rtt if with_samples else None)
    return cc, (cc.cwnd - before) // MSS


def test_cubic_leaves_slow_start_before_a_long_queue_overflows() -> None:
    """The rise is seen at 40, after 8 of its ACKs: 48 + 32 / 4 = 56, and four more rounds: about 137."""
    plain, _ = slow_start(200, with_samples=False)
    assert plain.cwnd > 220 * MSS
    cc, _ = slow_start(200, with_samples=True)
    assert cc.ssthresh <= cc.cwnd
    assert cc.ssthresh / MSS == pytest.approx(137, rel=0.05)


def test_a_short_queue_overflows_by_a_quarter_and_not_by_a_whole_window() -> None:
    assert slow_start(50, with_samples=False)[1] == 40
    assert slow_start(50, with_samples=True)[1] <= 70 // 4


def test_after_a_timeout_slow_start_is_plain() -> None:
    """RFC 9406 §4.3: for the first slow start only."""
    cc = Cubic(MSS, 10)
    cc.on_timeout(100 * MSS, False, 0)
    for rtt in range(40, 100):
        before = cc.cwnd
        cc.on_ack(MSS, 0, rtt * MILLISECOND, True, rtt * MILLISECOND)
        assert cc.cwnd == before + MSS
