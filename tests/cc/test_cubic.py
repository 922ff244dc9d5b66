"""CUBIC against the formulas of RFC 9438, worked out here a second time, in segments and seconds."""

from __future__ import annotations

import pytest

from testbed.mptcp.cc import Cubic

MSS = 1000
MILLISECOND = 1_000_000
SECOND = 1_000_000_000


class Path:
    """ACKs of one segment each, a window of them per round trip."""

    def __init__(self, cc: Cubic, rtt: float) -> None:
        self.cc, self.rtt, self.now = cc, int(rtt * SECOND), 0

    def run(self, seconds: float) -> float:
        """The window after that time, in segments."""
        end = self.now + int(seconds * SECOND)
        while self.now < end:
            self.now += self.rtt * MSS // self.cc.cwnd
            self.cc.on_ack(MSS, self.now, self.rtt, True)
        return self.cc.cwnd / MSS

    def lose(self) -> None:
        self.cc.on_loss(self.cc.cwnd, self.now)
        self.cc.on_recovered(self.now)


def after_loss(window: int, rtt: float) -> Path:
    """A first loss with this many segments."""
    cc = Cubic(MSS, 10)
    cc.cwnd = window * MSS
    path = Path(cc, rtt)
    path.lose()
    return path


def w_cubic(t: float, k: float, w_max: float) -> float:
    return 0.4 * (t - k) ** 3 + w_max


def test_the_cubic_function_after_a_loss() -> None:
    """100 segments, 70 are left, K = cbrt(30 / 0.4) = 4.217 s (RFC 9438 §4.2)."""
    path = after_loss(100, rtt=0.3)
    assert path.cc.cwnd == 70 * MSS
    for t, hand in ((1, 86.68), (2, 95.63), (3, 99.28), (4.217, 100.0), (6, 102.27), (8, 121.64)):
        assert w_cubic(t, 4.217, 100) == pytest.approx(hand, abs=0.05)
        seen = path.run(t - path.now / SECOND)
        # The window is on its way to what the function will be one RTT later.
        assert hand - 1 <= seen <= w_cubic(t + 0.3, 4.217, 100) + 1


def test_fast_convergence() -> None:
    """80 < 100: the next plateau is 80 * 1.7 / 2 = 68, from 56, K = cbrt(12 / 0.4) = 3.107 s (§4.7)."""
    path = after_loss(100, rtt=0.3)
    path.cc.cwnd = 80 * MSS
    path.lose()
    assert path.cc.cwnd == 56 * MSS
    assert path.run(3.107) == pytest.approx(68, abs=0.5)
    assert path.run(1.0) == pytest.approx(68 + 0.4, abs=1)


def test_no_fast_convergence_above_the_last_plateau() -> None:
    """110 > 100: the plateau is 110, from 77, K = cbrt(33 / 0.4) = 4.353 s."""
    path = after_loss(100, rtt=0.3)
    path.cc.cwnd = 110 * MSS
    path.lose()
    assert path.cc.cwnd == 77 * MSS
    assert path.run(4.353) == pytest.approx(110, abs=0.5)


def test_the_reno_friendly_region() -> None:
    """With an RTT of 10 ms: 3 * 0.3 / 1.7 = 0.5294 segments per window up to 100, then one (§4.3)."""
    path = after_loss(100, rtt=0.01)
    assert path.run(0.34) == pytest.approx(70 + 34 * 0.5294, abs=0.7)
    assert path.run(30 / 0.5294 * 0.01 - 0.34) == pytest.approx(100, abs=0.7)
    assert path.run(0.2) == pytest.approx(120, abs=0.9)


def test_the_first_ack_by_hand() -> None:
    """W_est = 70 + 0.5294 / 70 = 70.00756, above W(0) = 70."""
    path = after_loss(100, rtt=0.3)
    path.cc.on_ack(MSS, 0, path.rtt, True)
    assert path.cc.cwnd == 70_007
    # 100 ms later W(0.1) = 100 - 0.4 * 4.1172^3 = 72.08 rules; target W(0.4) = 77.77, one 70th of the way.
    path.cc.on_ack(MSS, 100 * MILLISECOND, path.rtt, True)
    assert path.cc.cwnd == pytest.approx(70_007 + (77_770 - 70_007) / 70.007, abs=2)


def test_the_window_never_aims_beyond_one_and_a_half() -> None:
    """Ten seconds into a stage the function is far away: at most half a window more per window (§4.2)."""
    path = after_loss(10, rtt=1.0)
    path.run(10)
    path.cc.cwnd = 7 * MSS
    before = path.cc.cwnd
    path.cc.on_ack(before, path.now, path.rtt, True)
    assert path.cc.cwnd == before * 3 // 2


def test_after_a_timeout_the_stage_starts_flat() -> None:
    """Slow start to 70, then K = 0 and W_max = 70: W(2) = 70 + 0.4 * 8 = 73.2 (§4.8)."""
    cc = Cubic(MSS, 10)
    cc.cwnd = 100 * MSS
    cc.on_loss(100 * MSS, 0)
    cc.on_timeout(100 * MSS, False, 0)
    assert (cc.cwnd, cc.ssthresh) == (MSS, 70 * MSS)
    while cc.cwnd < cc.ssthresh:
        cc.on_ack(2 * MSS, 0, SECOND // 2, True)
    path = Path(cc, 0.5)
    assert 73.2 - 1 <= path.run(2) <= 70 + 0.4 * 2.5**3 + 0.5


def test_after_a_timeout_a_short_path_is_as_friendly_as_after_a_loss() -> None:
    """From 70 by 0.5294 segments per window until the 100 of before (§4.3)."""
    cc = Cubic(MSS, 10)
    cc.cwnd = 100 * MSS
    cc.on_timeout(100 * MSS, False, 0)
    cc.cwnd = cc.ssthresh
    assert Path(cc, 0.01).run(0.34) == pytest.approx(70 + 34 * 0.5294, abs=0.7)


def test_idle_time_does_not_count() -> None:
    """An hour without an ACK, or with a window that was not used up, is no growth (§4.2)."""
    busy, idle = after_loss(100, rtt=0.3), after_loss(100, rtt=0.3)
    for path in (busy, idle):
        path.run(2)
    idle.now += 3600 * SECOND
    idle.cc.on_ack(MSS, idle.now, idle.rtt, False)
    idle.now += 3600 * SECOND
    assert idle.run(1) <= busy.run(1 + 2 * 0.3) + 1


def test_a_penalty_gives_the_plateau_up() -> None:
    path = after_loss(100, rtt=0.3)
    path.run(2)
    before = path.cc.cwnd / MSS
    path.cc.penalize()
    assert path.cc.cwnd == pytest.approx(before / 2 * MSS, abs=1)
    assert path.run(2) <= before / 2 + 0.4 * 2.3**3 + 1
