"""CUBIC: the window is a cubic function of the time since the last loss, flat where that loss was.

Decides growth in congestion avoidance and the reduction to 0.7; hystart.py ends its first slow start. The
paper's W are segments; here all windows are bytes, so its C, in segments, meets `mss`. Not done: undoing a
reduction that was a mistake.
Read first: RFC 9438 §4.
"""

from __future__ import annotations

from testbed.mptcp.cc.group import Group
from testbed.mptcp.cc.hystart import HyStart
from testbed.mptcp.cc.window import NO_THRESHOLD, Window

BETA = 0.7  # RFC 9438 §4.6
C = 0.4  # segments per second cubed, RFC 9438 §5.1
ALPHA = 3 * (1 - BETA) / (1 + BETA)  # grows as Reno does, though it falls less: RFC 9438 §4.3
SECOND = 1_000_000_000


class Cubic(Window):
    __slots__ = ("_elapsed", "_hystart", "_k", "_last", "_prior", "_w_est", "_w_max")

    meaning = "fast back to the window of the last loss, slow around it, fast beyond"
    source = "RFC 9438 §4"

    def __init__(
        self, mss: int, initial_window: int, lost_syn: bool = False, group: Group | None = None
    ) -> None:
        super().__init__(mss, initial_window, lost_syn, group)
        self._hystart = HyStart()
        self._w_max: float | None = None  # None: the next stage starts flat
        self._prior = 0  # cwnd before the last reduction
        self._last: int | None = None  # the last ACK of the present stage; None: a stage is to begin
        self._elapsed = 0
        self._k = 0.0
        self._w_est = 0.0

    def on_loss(self, flight: int, now: int) -> None:
        """Fast convergence: short of the last window, leave room for others (RFC 9438 §4.7)."""
        shrinking = self._w_max is not None and self.cwnd < self._w_max
        self._w_max = self.cwnd * (1 + BETA) / 2 if shrinking else self.cwnd
        self._prior = self.cwnd
        self._last = None
        super().on_loss(flight, now)

    def on_timeout(self, flight: int, again: bool, now: int) -> None:
        """The stage after it starts flat, where slow start ends (RFC 9438 §4.8)."""
        if not again:
            self._prior = self.cwnd
        self._w_max = self._last = None
        super().on_timeout(flight, again, now)

    def on_idle(self, timeouts: int) -> None:
        """The window of before is a place to return to."""
        before = self.cwnd
        super().on_idle(timeouts)
        if self.cwnd < before and self.ssthresh != NO_THRESHOLD:
            self._w_max = max(self._w_max or 0, before)
            self._last = None

    def penalize(self) -> None:
        """No loss, so no place to return to: from here on, flat."""
        super().penalize()
        self._w_max = self._last = None

    def _reduced(self, flight: int) -> int:
        return max(int(flight * BETA), 2 * self.mss)

    def _slow_start(self, acked: int, rtt: int | None) -> None:
        """As slow as HyStart++ says. No loss ended it, so the next stage starts flat (RFC 9438 §4.10)."""
        if rtt is None or self.ssthresh != NO_THRESHOLD:
            super()._slow_start(acked, rtt)
            return
        super()._slow_start(acked // self._hystart.divisor(acked, self.cwnd, rtt), rtt)
        if self._hystart.done:
            self.ssthresh = self.cwnd

    def _avoid(self, acked: int, now: int) -> None:
        if self._last is None:
            self._begin()
        else:
            # Idle time does not count (RFC 9438 §4.2): a window in use is acknowledged every round trip.
            step = now - self._last
            self._elapsed += step if self.srtt is None else min(step, 2 * self.srtt)
        self._last = now
        alpha = 1.0 if self._w_est >= self._prior else ALPHA
        self._w_est += alpha * self.mss * acked / self.cwnd
        if self._w_cubic(self._elapsed) < self._w_est:
            grown = max(self._w_est - self.cwnd, 0.0)
        else:
            ahead = self._w_cubic(self._elapsed + (self.srtt or 0))
            target = min(max(ahead, self.cwnd), 1.5 * self.cwnd)
            grown = (target - self.cwnd) * acked / self.cwnd
        self.cwnd += int(grown)

    def _begin(self) -> None:
        """A stage of congestion avoidance begins at the present window (RFC 9438 §4.2, §4.10)."""
        if self._w_max is None:
            self._w_max = self.cwnd
        self._k = (max(self._w_max - self.cwnd, 0) / self.mss / C) ** (1 / 3)
        self._w_est = float(self.cwnd)
        self._elapsed = 0

    def _w_cubic(self, elapsed: int) -> float:
        """The window for a time since the stage began (RFC 9438 §4.2)."""
        assert self._w_max is not None
        return C * (elapsed / SECOND - self._k) ** 3 * self.mss + self._w_max
